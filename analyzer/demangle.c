/*
 * libiberty's demangler with its dangers taken out: input, output and recursion are bounded.
 *
 * The callback form is used because substitutions let a few hundred bytes stand for gigabytes, and
 * cplus_demangle() would write them all. The printer holds its state on the stack, so that jumping
 * out of the callback ends it; only a punycode identifier being printed would leak its buffer.
 */
#include "demangle.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

struct output {
	char *text;
	size_t bytes;
	size_t room;
	jmp_buf full;
};

static void collect(const char *piece, size_t bytes, void *opaque)
{
	struct output *out = opaque;

	if (bytes == 0)
		return; /* libiberty then passes NULL */
	if (out->bytes + bytes >= DEMANGLE_RESULT_MAX_BYTES)
		longjmp(out->full, 1);
	if (out->bytes + bytes >= out->room) {
		size_t room = (out->bytes + bytes + 1) * 2;
		char *text = realloc(out->text, room);

		if (!text)
			longjmp(out->full, 1);
		out->text = text;
		out->room = room;
	}
	memcpy(out->text + out->bytes, piece, bytes);
	out->bytes += bytes;
	out->text[out->bytes] = '\0';
}

/*
 * libiberty's limit for C++ is really one of length: 1024 bytes, and Boost's names are longer. What
 * is within our own limit may recurse once a byte, which takes some hundred KiB of stack. Rust's
 * limit is one of depth, and stays.
 */
static int cplus_options(const char *name)
{
	const int options = DMGL_PARAMS | DMGL_ANSI;

	if (strlen(name) > DEMANGLE_RECURSION_LIMIT / 2)
		return options | DMGL_NO_RECURSE_LIMIT;
	return options;
}

/* The order is that of cplus_demangle() with DMGL_AUTO: legacy Rust names look like C++. */
static int run(const char *name, struct output *out)
{
	if (setjmp(out->full))
		return 0;
	if (rust_demangle_callback(name, DMGL_AUTO, collect, out) && out->bytes)
		return 1;
	out->bytes = 0;
	return cplus_demangle_v3_callback(name, cplus_options(name), collect, out) && out->bytes;
}

/* "@plt" and "@VERSION" are no part of the mangled name. What does not fit is left out. */
static void append_suffix(struct output *out, const char *suffix)
{
	if (*suffix && !setjmp(out->full))
		collect(suffix, strlen(suffix), out);
}

static int mangled(const char *name)
{
	return (name[0] == '_' && (name[1] == 'Z' || name[1] == 'R')) ||
	       strncmp(name, "_GLOBAL_", 8) == 0 || strncmp(name, "__Z", 3) == 0;
}

char *demangle(const char *name)
{
	char linked[DEMANGLE_MAX_BYTES + 1];
	struct output out = {0};
	size_t bytes, suffix;

	if (!mangled(name))
		return NULL;
	bytes = strnlen(name, DEMANGLE_MAX_BYTES + 1);
	if (bytes > DEMANGLE_MAX_BYTES)
		return NULL;
	suffix = strcspn(name, "@");
	memcpy(linked, name, suffix);
	linked[suffix] = '\0';
	if (run(linked, &out)) {
		append_suffix(&out, name + suffix);
		return out.text;
	}
	free(out.text);
	return NULL;
}
