/*
 * From file addresses to source-level frames.
 *
 * symbolizer.c keeps modules, answers and strings; what an object file says is asked through one
 * struct symbol_backend (symbol_libdw.c is the one there is). A file is opened at its first
 * question, read no further than the questions need, and trusted in nothing: broken ELF or DWARF
 * costs names, never more.
 *
 * Not thread-safe: one symbolizer belongs to one thread.
 */
#ifndef SYMBOLIZER_H
#define SYMBOLIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile_frame;
struct symbolizer;
struct symbolizer_module;

struct symbolizer_options {
	const char *sysroot; /* modules and debug files are looked for below it; NULL: / */
	bool debuginfod;     /* ask the servers of DEBUGINFOD_URLS; they may be slow */
};

/*
 * Returns NULL and errno without memory. `options` may be NULL for the defaults and is copied.
 * Unless debuginfod is set, DEBUGINFOD_URLS is removed from the environment: libdwfl obeys it.
 */
struct symbolizer *symbolizer_new(const struct symbolizer_options *options);

/* Ends every frame, string and module that the symbolizer gave out. NULL is allowed. */
void symbolizer_free(struct symbolizer *symbolizer);

/* Closes all files for now, and with them frees most memory; a question opens its file again. */
void symbolizer_close(struct symbolizer *symbolizer);

/*
 * Makes a module known; the file is not touched yet. `path` is as recorded (the vdso's names are
 * understood), `build_id` may be NULL with 0 bytes when none was recorded: then whatever lies at
 * the path is believed. Both are copied. Returns NULL and errno without memory.
 */
struct symbolizer_module *symbolizer_add_module(struct symbolizer *symbolizer, const char *path,
						const uint8_t *build_id, size_t build_id_bytes);

/*
 * The frames of one address, innermost (inlined) first, into frames[0 .. max). `address` is in the
 * file's program-header addresses and should lie within the call: pc - 1 - bias. Always returns
 * 1..max (max 0 is taken as an error of the caller, and returns 0); a frame has a NULL function
 * when nothing is known. Frames are owned by the symbolizer and live until symbolizer_free(); one
 * address always gives the same frames.
 */
size_t symbolizer_resolve(struct symbolizer *symbolizer, struct symbolizer_module *module,
			  uint64_t address, const struct profile_frame **frames, size_t max);

/*
 * Why a module has no names, in words for people ("rebuilt since recording"), or NULL when its
 * file was found and is the recorded one. Opens the file if that has not happened yet.
 */
const char *symbolizer_module_warning(struct symbolizer_module *module);

/* ---- the seam ---- */

/* One frame as a backend knows it. Strings are views that die at the backend's next call. */
struct symbol_frame {
	const char *function;  /* as linked, not demangled; NULL unknown */
	const char *file;      /* NULL unknown */
	const char *directory; /* what a relative `file` is relative to; NULL unknown */
	uint32_t line;	       /* 0 unknown */
};

#define SYMBOL_FRAMES_MAX 64 /* longest chain of inlined calls that is followed */

struct symbol_backend {
	const char *name;
	/*
	 * Takes over `fd`, an object file that was opened as `path`. `debug_path` is the search
	 * path for separate debug files, as libdwfl understands it. NULL: not an object file.
	 */
	void *(*open)(int fd, const char *path, const char *debug_path);
	void (*close)(void *file);
	/* The file's own build-id, NULL when it has none. */
	const uint8_t *(*build_id)(void *file, size_t *bytes);
	/* Innermost first; 0 when nothing at all is known of the address. */
	size_t (*resolve)(void *file, uint64_t address, struct symbol_frame *frames, size_t max);
};

extern const struct symbol_backend symbol_libdw;

#endif
