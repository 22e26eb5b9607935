/*
 * A pool of pages and an open-addressing table of the strings in it. An entry remembers the form
 * of its text for people, so that each distinct symbol is demangled, and each path cleaned, once.
 */
#include "symbolizer_strings.h"

#include "demangle.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 65536

struct page {
	struct page *next;
	alignas(max_align_t) char data[];
};

struct string {
	uint64_t hash;
	const char *text;
	const char *shown; /* demangled, or path cleaned; NULL: not asked yet */
};

struct symbolizer_strings {
	struct page *pages;
	size_t page_left; /* bytes at the end of the first page */
	size_t page_size;
	struct string *table;
	size_t room; /* a power of two */
	size_t count;
};

struct symbolizer_strings *symbolizer_strings_new(void)
{
	struct symbolizer_strings *strings = calloc(1, sizeof(*strings));

	if (!strings)
		return NULL;
	strings->room = 1024;
	strings->table = calloc(strings->room, sizeof(*strings->table));
	if (!strings->table) {
		free(strings);
		return NULL;
	}
	return strings;
}

void symbolizer_strings_free(struct symbolizer_strings *strings)
{
	if (!strings)
		return;
	while (strings->pages) {
		struct page *page = strings->pages;

		strings->pages = page->next;
		free(page);
	}
	free(strings->table);
	free(strings);
}

static void *take(struct symbolizer_strings *strings, size_t bytes, size_t align)
{
	size_t left = strings->page_left & ~(align - 1);
	struct page *page;
	size_t size;

	if (bytes > left) {
		size = bytes > PAGE_BYTES / 4 ? bytes + align : PAGE_BYTES;
		page = malloc(sizeof(*page) + size);
		if (!page)
			return NULL;
		page->next = strings->pages;
		strings->pages = page;
		strings->page_size = size;
		left = size & ~(align - 1);
	}
	strings->page_left = left - bytes;
	/* Pages are filled from their end: aligning is then a mask of what is left. */
	return strings->pages->data + ((left - bytes) & ~(align - 1));
}

void *symbolizer_strings_alloc(struct symbolizer_strings *strings, size_t bytes)
{
	size_t rounded = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	void *memory = take(strings, rounded, alignof(max_align_t));

	return memory ? memset(memory, 0, rounded) : NULL;
}

static uint64_t hash_of(const char *text, size_t *bytes)
{
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */
	const char *at;

	for (at = text; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 0x100000001b3ULL;
	*bytes = (size_t)(at - text);
	return hash;
}

static struct string *slot_of(struct string *table, size_t room, uint64_t hash, const char *text)
{
	size_t at = (hash ^ hash >> 29) & (room - 1);

	while (table[at].text && (table[at].hash != hash || strcmp(table[at].text, text) != 0))
		at = (at + 1) & (room - 1);
	return &table[at];
}

static int grow(struct symbolizer_strings *strings)
{
	size_t room = strings->room * 2;
	struct string *table = calloc(room, sizeof(*table));

	if (!table)
		return -1;
	for (size_t i = 0; i < strings->room; i++) {
		struct string *string = &strings->table[i];

		if (string->text)
			*slot_of(table, room, string->hash, string->text) = *string;
	}
	free(strings->table);
	strings->table = table;
	strings->room = room;
	return 0;
}

/* Entries move when the table grows: the result holds until the next keep(). */
static struct string *keep(struct symbolizer_strings *strings, const char *text)
{
	size_t bytes;
	uint64_t hash = hash_of(text, &bytes);
	struct string *slot;
	char *copy;

	if (strings->count * 4 >= strings->room * 3 && grow(strings) < 0)
		return NULL;
	slot = slot_of(strings->table, strings->room, hash, text);
	if (slot->text)
		return slot;
	copy = take(strings, bytes + 1, 1);
	if (!copy)
		return NULL;
	*slot = (struct string){hash, memcpy(copy, text, bytes + 1), NULL};
	strings->count++;
	return slot;
}

const char *symbolizer_strings_keep(struct symbolizer_strings *strings, const char *text)
{
	struct string *string = text ? keep(strings, text) : NULL;

	return string ? string->text : NULL;
}

/* Keeps `shown` as the form of `text` for people, or `text` itself when it is NULL. */
static const char *show(struct symbolizer_strings *strings, const char *text, const char *shown)
{
	struct string *string;
	const char *kept = shown ? symbolizer_strings_keep(strings, shown) : NULL;

	string = keep(strings, text);
	if (!string)
		return kept;
	string->shown = kept ? kept : string->text;
	return string->shown;
}

const char *symbolizer_strings_demangle(struct symbolizer_strings *strings, const char *symbol)
{
	struct string *string = symbol ? keep(strings, symbol) : NULL;
	const char *shown;
	char *plain;

	if (!string)
		return NULL;
	if (string->shown)
		return string->shown;
	plain = demangle(symbol);
	shown = show(strings, symbol, plain);
	free(plain);
	return shown;
}

/* Drops what a path does not need, in place. "dir/.." goes even where dir is a symbolic link. */
static void clean(char *path)
{
	char *out = path;
	const char *in = path;

	while (*in) {
		size_t bytes = strcspn(in, "/");
		char *up = out - 1;

		if (bytes == 0 || (bytes == 1 && in[0] == '.' && in != path)) {
			/* "//" and "/./": nothing, but for the root's own slash */
			if (bytes == 0 && in == path)
				*out++ = '/';
			in += bytes + (in[bytes] == '/');
			continue;
		}
		if (bytes == 2 && in[0] == '.' && in[1] == '.' && up > path) {
			for (up--; up >= path && *up != '/'; up--)
				;
			if (strncmp(up + 1, "../", 3) != 0 && strncmp(up + 1, "./", 2) != 0) {
				out = up + 1;
				in += bytes + (in[bytes] == '/');
				continue;
			}
		}
		memmove(out, in, bytes);
		out += bytes;
		in += bytes;
		if (*in == '/')
			*out++ = *in++;
	}
	*out = '\0';
}

const char *symbolizer_strings_path(struct symbolizer_strings *strings, const char *path)
{
	struct string *string = path ? keep(strings, path) : NULL;
	const char *shown;
	char *copy;

	if (!string)
		return NULL;
	if (string->shown)
		return string->shown;
	copy = strdup(path);
	if (copy)
		clean(copy);
	shown = show(strings, path, copy);
	free(copy);
	return shown;
}
