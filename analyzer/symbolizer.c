/*
 * Modules, each with a table of the addresses that were asked for. An address is resolved once:
 * the frames of its answer lie beside each other in the strings' pool and are handed out from
 * there. Files are opened by the first question, through the backend.
 */
#include "symbolizer.h"

#include "frame_rules.h"
#include "oom.h"
#include "profile.h"
#include "symbolizer_file.h"
#include "symbolizer_strings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct answer {
	uint64_t address;
	const struct profile_frame *frames; /* NULL: the slot is free */
	size_t count;
};

struct symbolizer_module {
	struct symbolizer_module *next;
	struct symbolizer *symbolizer;
	const char *path;
	uint8_t *build_id;
	size_t build_id_bytes;
	bool opened;	     /* tried to */
	void *file;	     /* the backend's; NULL: nothing to ask */
	const char *warning; /* a string constant */
	struct answer *answers;
	size_t room; /* a power of two, or 0 */
	size_t count;
	struct profile_frame unknown; /* the answer when there is no memory for one */
};

struct symbolizer {
	const struct symbol_backend *backend;
	struct symbolizer_strings *strings;
	struct symbolizer_module *modules;
	char *sysroot;	  /* without a slash at its end; "" for / */
	char *debug_path; /* as libdwfl understands it */
};

/* ":" first keeps libdwfl's rule that checksums are verified; then beside the file, then these. */
static char *make_debug_path(const char *sysroot)
{
	char *path;

	if (asprintf(&path, ":.debug:%s/usr/lib/debug", sysroot) < 0)
		return NULL;
	return path;
}

struct symbolizer *symbolizer_new(const struct symbolizer_options *options)
{
	const char *sysroot = options && options->sysroot ? options->sysroot : "";
	struct symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));
	size_t bytes = strlen(sysroot);

	if (!symbolizer)
		return NULL;
	while (bytes > 0 && sysroot[bytes - 1] == '/')
		bytes--;
	symbolizer->backend = &symbol_libdw;
	symbolizer->strings = symbolizer_strings_new();
	symbolizer->sysroot = strndup(sysroot, bytes);
	if (symbolizer->sysroot)
		symbolizer->debug_path = make_debug_path(symbolizer->sysroot);
	if (!symbolizer->strings || !symbolizer->debug_path) {
		symbolizer_free(symbolizer);
		errno = ENOMEM;
		return NULL;
	}
	if (!options || !options->debuginfod)
		unsetenv("DEBUGINFOD_URLS");
	return symbolizer;
}

static void close_module(const struct symbol_backend *backend, struct symbolizer_module *module)
{
	if (module->file)
		backend->close(module->file);
	module->file = NULL;
	module->opened = false;
}

static void free_module(const struct symbol_backend *backend, struct symbolizer_module *module)
{
	close_module(backend, module);
	free(module->answers);
	free(module->build_id);
	free(module);
}

void symbolizer_close(struct symbolizer *symbolizer)
{
	struct symbolizer_module *module = symbolizer->modules;

	for (; module; module = module->next)
		close_module(symbolizer->backend, module);
}

void symbolizer_free(struct symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	while (symbolizer->modules) {
		struct symbolizer_module *module = symbolizer->modules;

		symbolizer->modules = module->next;
		free_module(symbolizer->backend, module);
	}
	symbolizer_strings_free(symbolizer->strings);
	free(symbolizer->sysroot);
	free(symbolizer->debug_path);
	free(symbolizer);
}

struct symbolizer_module *symbolizer_add_module(struct symbolizer *symbolizer, const char *path,
						const uint8_t *build_id, size_t build_id_bytes)
{
	struct symbolizer_module *module = calloc(1, sizeof(*module));

	if (!module)
		return NULL;
	module->symbolizer = symbolizer;
	module->path = symbolizer_strings_keep(symbolizer->strings, path);
	module->build_id = malloc(build_id_bytes + 1);
	if (!module->path || !module->build_id) {
		free_module(symbolizer->backend, module);
		errno = ENOMEM;
		return NULL;
	}
	if (build_id_bytes)
		memcpy(module->build_id, build_id, build_id_bytes);
	module->build_id_bytes = build_id_bytes;
	module->unknown.module = module->path;
	module->unknown.role = FRAME_ROLE_PROGRAM;
	module->next = symbolizer->modules;
	symbolizer->modules = module;
	return module;
}

static bool same_build(struct symbolizer_module *module, void *file)
{
	size_t bytes = 0;
	const uint8_t *id;

	if (!module->build_id_bytes)
		return true;
	id = module->symbolizer->backend->build_id(file, &bytes);
	return id && bytes == module->build_id_bytes && memcmp(id, module->build_id, bytes) == 0;
}

/* Returns NULL when the module's file is now open, else why the place did not serve. */
static const char *open_place(struct symbolizer_module *module, enum symbolizer_place place)
{
	const struct symbolizer *symbolizer = module->symbolizer;
	char name[PATH_MAX];
	void *file;
	int fd = symbolizer_file_open(place, symbolizer->sysroot, module->path, module->build_id,
				      module->build_id_bytes, name, sizeof(name));

	if (fd < 0) {
		if (fd == -ENOEXEC)
			return "not an ELF file";
		return fd == -EACCES || fd == -EPERM ? "not readable" : "file not found";
	}
	file = symbolizer->backend->open(fd, name, symbolizer->debug_path);
	if (!file)
		return "not an ELF file";
	if (!same_build(module, file)) {
		symbolizer->backend->close(file);
		return "rebuilt since recording";
	}
	module->file = file;
	return NULL;
}

static void open_module(struct symbolizer_module *module)
{
	if (module->opened)
		return;
	module->opened = true;
	module->warning = open_place(module, SYMBOLIZER_PLACE_PATH);
	for (int place = SYMBOLIZER_PLACE_PATH + 1; !module->file && place < SYMBOLIZER_PLACES;
	     place++)
		if (!open_place(module, (enum symbolizer_place)place))
			module->warning = NULL;
}

const char *symbolizer_module_warning(struct symbolizer_module *module)
{
	oom_fatal_begin();
	open_module(module);
	oom_fatal_end();
	return module->warning;
}

static struct answer *slot_of(struct answer *answers, size_t room, uint64_t address)
{
	size_t at = (size_t)(address * 0x9e3779b97f4a7c15ULL >> 20) & (room - 1);

	while (answers[at].frames && answers[at].address != address)
		at = (at + 1) & (room - 1);
	return &answers[at];
}

static int grow(struct symbolizer_module *module)
{
	size_t room = module->room ? module->room * 2 : 64;
	struct answer *answers = calloc(room, sizeof(*answers));

	if (!answers)
		return -ENOMEM;
	for (size_t i = 0; i < module->room; i++)
		if (module->answers[i].frames)
			*slot_of(answers, room, module->answers[i].address) = module->answers[i];
	free(module->answers);
	module->answers = answers;
	module->room = room;
	return 0;
}

static const char *keep_path(struct symbolizer_strings *strings, const struct symbol_frame *symbol)
{
	char path[PATH_MAX];

	if (symbol->file && symbol->file[0] != '/' && symbol->directory &&
	    (size_t)snprintf(path, sizeof(path), "%s/%s", symbol->directory, symbol->file) <
		sizeof(path))
		return symbolizer_strings_path(strings, path);
	return symbolizer_strings_path(strings, symbol->file);
}

static void fill_frame(struct symbolizer_module *module, struct profile_frame *frame,
		       const struct symbol_frame *symbol, uint64_t address)
{
	struct symbolizer_strings *strings = module->symbolizer->strings;

	frame->function = symbolizer_strings_demangle(strings, symbol->function);
	frame->file = keep_path(strings, symbol);
	frame->line = symbol->line;
	frame->module = module->path;
	frame->offset = address;
	frame->role = (uint8_t)frame_rules_role(frame);
}

static size_t ask(struct symbolizer_module *module, uint64_t address,
		  const struct profile_frame **frames)
{
	const struct symbolizer *symbolizer = module->symbolizer;
	struct symbol_frame symbols[SYMBOL_FRAMES_MAX] = {0};
	struct profile_frame *made;
	size_t count = 0;

	open_module(module);
	if (module->file)
		count =
		    symbolizer->backend->resolve(module->file, address, symbols, SYMBOL_FRAMES_MAX);
	if (count == 0)
		count = 1;
	made = symbolizer_strings_alloc(symbolizer->strings, count * sizeof(*made));
	if (!made)
		return 0;
	for (size_t i = 0; i < count; i++) {
		fill_frame(module, &made[i], &symbols[i], address);
		made[i].inlined = i + 1 < count;
	}
	*frames = made;
	return count;
}

/* The kept answer for an address, made if need be; NULL without memory. */
static const struct answer *find_answer(struct symbolizer_module *module, uint64_t address)
{
	struct answer *slot;

	if (module->count * 3 >= module->room * 2 && grow(module) < 0)
		return NULL;
	slot = slot_of(module->answers, module->room, address);
	if (slot->frames)
		return slot;
	slot->count = ask(module, address, &slot->frames);
	if (!slot->count)
		return NULL;
	slot->address = address;
	module->count++;
	return slot;
}

size_t symbolizer_resolve(struct symbolizer *symbolizer, struct symbolizer_module *module,
			  uint64_t address, const struct profile_frame **frames, size_t max)
{
	const struct answer *answer;
	size_t count;

	(void)symbolizer;
	if (max == 0)
		return 0;
	oom_fatal_begin();
	answer = find_answer(module, address);
	oom_fatal_end();
	if (!answer) {
		frames[0] = &module->unknown;
		return 1;
	}
	count = answer->count < max ? answer->count : max;
	for (size_t i = 0; i < count; i++)
		frames[i] = &answer->frames[i];
	return count;
}
