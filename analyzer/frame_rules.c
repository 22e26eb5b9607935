/*
 * The table, and how a name is made plain enough to look it up.
 *
 * A pattern ends in "*" when it is a beginning; else it is the whole. A module pattern is compared
 * with the file's name up to its first "." or "-": "libc" is libc.so.6 and libc-2.31.so, and not
 * libcrypto.so.3. The first rule that fits decides.
 */
#include "frame_rules.h"

#include "profile.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PLAIN_BYTES 256

struct rule {
	const char *module; /* NULL: any */
	const char *function;
	enum frame_role role;
	const char *reason; /* for the reader of this table */
};

#define INTERNAL FRAME_ROLE_INTERNAL
#define WRAPPER	 FRAME_ROLE_WRAPPER

/* clang-format off */
static const struct rule rules[] = {
	{"libmemprof", "*", INTERNAL, "the recorder's hooks"},
	{"libjemalloc", "*", INTERNAL, "an allocator"},
	{"libtcmalloc*", "*", INTERNAL, "an allocator"},
	{"libmimalloc*", "*", INTERNAL, "an allocator"},
	{"libc", "malloc", INTERNAL, "glibc"},
	{"libc", "calloc", INTERNAL, "glibc"},
	{"libc", "realloc*", INTERNAL, "glibc; reallocarray too"},
	{"libc", "memalign*", INTERNAL, "glibc"},
	{"libc", "aligned_alloc", INTERNAL, "glibc"},
	{"libc", "posix_memalign", INTERNAL, "glibc"},
	{"libc", "valloc", INTERNAL, "glibc"},
	{"libc", "pvalloc", INTERNAL, "glibc"},
	{"libc", "__malloc*", INTERNAL, "glibc"},
	{"libc", "__calloc*", INTERNAL, "glibc"},
	{"libc", "__realloc*", INTERNAL, "glibc"},
	{"libc", "__posix_memalign", INTERNAL, "glibc"},
	{"libc", "__GI___libc_*", INTERNAL, "glibc's own calls of its malloc"},
	{"libc", "__libc_malloc*", INTERNAL, "glibc"},
	{"libc", "__libc_calloc*", INTERNAL, "glibc"},
	{"libc", "__libc_realloc*", INTERNAL, "glibc"},
	{"libc", "__libc_memalign", INTERNAL, "glibc"},
	{"libc", "__libc_valloc", INTERNAL, "glibc"},
	{"libc", "__libc_pvalloc", INTERNAL, "glibc"},
	{"libc", "_int_*", INTERNAL, "glibc's malloc"},
	{"libc", "_mid_memalign", INTERNAL, "glibc's malloc"},
	{"libc", "sysmalloc*", INTERNAL, "glibc's malloc"},
	{"libc", "tcache_*", INTERNAL, "glibc's malloc"},
	{"libc", "alloc_perturb", INTERNAL, "glibc's malloc"},
	{"libc", "ptmalloc_*", INTERNAL, "glibc's malloc"},
	{NULL, "operator new*", INTERNAL, "libstdc++'s, libc++'s or the program's own"},
	{NULL, "operator delete*", INTERNAL, "libstdc++'s, libc++'s or the program's own"},
	{NULL, "_Znw*", INTERNAL, "operator new that was not demangled"},
	{NULL, "_Zna*", INTERNAL, "operator new[] that was not demangled"},
	{NULL, "std::*", WRAPPER, "libstdc++, libc++ and Rust: containers, strings, streams"},
	{NULL, "__gnu_cxx::*", WRAPPER, "libstdc++'s allocators"},
	{NULL, "boost::container::*", WRAPPER, "Boost's containers"},
	{NULL, "__cxa_allocate_*", WRAPPER, "an exception belongs to who throws it"},
	{"libc", "__libc_alloc_buffer_*", WRAPPER, "glibc"},
	{"libc", "__libc_dynarray_*", WRAPPER, "glibc's growing arrays"},
	{NULL, "strdup", WRAPPER, "a copy of the caller's"},
	{NULL, "strndup", WRAPPER, "a copy of the caller's"},
	{NULL, "__strdup", WRAPPER, "a copy of the caller's"},
	{NULL, "__strndup", WRAPPER, "a copy of the caller's"},
	{NULL, "wcsdup", WRAPPER, "a copy of the caller's"},
	{NULL, "__wcsdup", WRAPPER, "a copy of the caller's"},
	{NULL, "asprintf", WRAPPER, "text of the caller's"},
	{NULL, "__asprintf*", WRAPPER, "text of the caller's"},
	{NULL, "vasprintf", WRAPPER, "text of the caller's"},
	{NULL, "__vasprintf*", WRAPPER, "text of the caller's"},
	{"libc", "_IO_vasprintf", WRAPPER, "text of the caller's"},
	{NULL, "getline", WRAPPER, "a line of the caller's"},
	{NULL, "getdelim", WRAPPER, "a line of the caller's"},
	{NULL, "__getline", WRAPPER, "a line of the caller's"},
	{NULL, "__getdelim", WRAPPER, "a line of the caller's"},
	{NULL, "_IO_getdelim", WRAPPER, "a line of the caller's"},
	{NULL, "_IO_getline*", WRAPPER, "a line of the caller's"},
	{NULL, "xmalloc*", WRAPPER, "gnulib's, libiberty's, git's and many others' checked malloc"},
	{NULL, "xrealloc*", WRAPPER, "checked realloc"},
	{NULL, "xcalloc*", WRAPPER, "checked calloc"},
	{NULL, "xzalloc*", WRAPPER, "checked calloc"},
	{NULL, "xnmalloc*", WRAPPER, "checked malloc"},
	{NULL, "xnrealloc*", WRAPPER, "checked realloc"},
	{NULL, "x2realloc", WRAPPER, "gnulib"},
	{NULL, "x2nrealloc", WRAPPER, "gnulib"},
	{NULL, "xpalloc", WRAPPER, "gnulib"},
	{NULL, "xcharalloc", WRAPPER, "gnulib"},
	{NULL, "ximalloc", WRAPPER, "gnulib"},
	{NULL, "xizalloc", WRAPPER, "gnulib"},
	{NULL, "xstrdup*", WRAPPER, "checked strdup"},
	{NULL, "xstrndup*", WRAPPER, "checked strndup"},
	{NULL, "xmemdup*", WRAPPER, "checked copy"},
	{NULL, "ximemdup*", WRAPPER, "gnulib"},
	{NULL, "xasprintf", WRAPPER, "checked asprintf"},
	{NULL, "xvasprintf", WRAPPER, "checked vasprintf"},
	{NULL, "ereallocarray", WRAPPER, "a checked realloc"},
	{NULL, "emalloc", WRAPPER, "a checked malloc"},
	{NULL, "safe_malloc", WRAPPER, "a checked malloc"},
	{NULL, "safe_realloc", WRAPPER, "a checked realloc"},
	{NULL, "safe_calloc", WRAPPER, "a checked calloc"},
	{NULL, "g_malloc*", WRAPPER, "glib"},
	{NULL, "g_realloc*", WRAPPER, "glib"},
	{NULL, "g_try_malloc*", WRAPPER, "glib"},
	{NULL, "g_try_realloc*", WRAPPER, "glib"},
	{NULL, "g_slice_alloc*", WRAPPER, "glib"},
	{NULL, "g_slice_copy", WRAPPER, "glib"},
	{NULL, "g_aligned_alloc*", WRAPPER, "glib"},
	{NULL, "g_memdup*", WRAPPER, "glib"},
	{NULL, "g_strdup*", WRAPPER, "glib"},
	{NULL, "g_strndup", WRAPPER, "glib"},
	{NULL, "g_strconcat", WRAPPER, "glib"},
	{NULL, "g_strjoin*", WRAPPER, "glib"},
	{NULL, "sqlite3MemMalloc", WRAPPER, "sqlite"},
	{NULL, "sqlite3MemRealloc", WRAPPER, "sqlite"},
	{NULL, "sqlite3Malloc*", WRAPPER, "sqlite"},
	{NULL, "sqlite3Realloc*", WRAPPER, "sqlite"},
	{NULL, "sqlite3_malloc*", WRAPPER, "sqlite"},
	{NULL, "sqlite3_realloc*", WRAPPER, "sqlite"},
	{NULL, "sqlite3DbMalloc*", WRAPPER, "sqlite"},
	{NULL, "sqlite3DbRealloc*", WRAPPER, "sqlite"},
	{NULL, "sqlite3DbStr*", WRAPPER, "sqlite"},
	{NULL, "sqlite3DbSpanDup", WRAPPER, "sqlite"},
	{NULL, "dbMallocRaw*", WRAPPER, "sqlite"},
	{NULL, "dbReallocFinish", WRAPPER, "sqlite"},
	{NULL, "mallocWithAlarm", WRAPPER, "sqlite"},
	{NULL, "sqlite3PageMalloc", WRAPPER, "sqlite"},
	{NULL, "pcache1Alloc", WRAPPER, "sqlite"},
	{NULL, "PyMem_*", WRAPPER, "CPython"},
	{NULL, "_PyMem_*", WRAPPER, "CPython"},
	{NULL, "PyObject_Malloc", WRAPPER, "CPython"},
	{NULL, "PyObject_Calloc", WRAPPER, "CPython"},
	{NULL, "PyObject_Realloc", WRAPPER, "CPython"},
	{NULL, "_PyObject_Malloc*", WRAPPER, "CPython"},
	{NULL, "_PyObject_Calloc", WRAPPER, "CPython"},
	{NULL, "_PyObject_Realloc", WRAPPER, "CPython"},
	{NULL, "_PyObject_GC_*", WRAPPER, "CPython"},
	{NULL, "_PyObject_New*", WRAPPER, "CPython"},
	{NULL, "_PyObject_GC_New*", WRAPPER, "CPython"},
	{NULL, "pymalloc_alloc", WRAPPER, "CPython"},
	{NULL, "new_arena", WRAPPER, "CPython"},
	{NULL, "_PyObject_Arena*", WRAPPER, "CPython"},
	{NULL, "gc_alloc", WRAPPER, "CPython"},
	{NULL, "PyType_GenericAlloc", WRAPPER, "CPython"},
	{NULL, "_PyType_AllocNoTrack", WRAPPER, "CPython"},
	{NULL, "PyDataMem_*", WRAPPER, "numpy's array data"},
	{NULL, "Perl_malloc", WRAPPER, "perl"},
	{NULL, "Perl_calloc", WRAPPER, "perl"},
	{NULL, "Perl_safesys*", WRAPPER, "perl"},
	{NULL, "Perl_savepv*", WRAPPER, "perl's strdup"},
	{NULL, "Perl_more_bodies", WRAPPER, "perl's arenas"},
	{NULL, "Perl_sv_grow*", WRAPPER, "perl's strings"},
	{NULL, "zmalloc*", WRAPPER, "redis"},
	{NULL, "zcalloc*", WRAPPER, "redis"},
	{NULL, "zrealloc*", WRAPPER, "redis"},
	{NULL, "ztrymalloc*", WRAPPER, "redis"},
	{NULL, "ztrycalloc*", WRAPPER, "redis"},
	{NULL, "ztryrealloc*", WRAPPER, "redis"},
	{NULL, "zstrdup", WRAPPER, "redis"},
	{NULL, "sdsnew*", WRAPPER, "redis"},
	{NULL, "sdsempty", WRAPPER, "redis"},
	{NULL, "sdsdup", WRAPPER, "redis"},
	{NULL, "_sdsnewlen", WRAPPER, "redis"},
	{NULL, "sdsMakeRoomFor*", WRAPPER, "redis"},
	{NULL, "_sdsMakeRoomFor", WRAPPER, "redis"},
	{NULL, "ngx_alloc", WRAPPER, "nginx"},
	{NULL, "ngx_calloc", WRAPPER, "nginx"},
	{NULL, "ngx_memalign", WRAPPER, "nginx"},
	{NULL, "ngx_palloc*", WRAPPER, "nginx"},
	{NULL, "ngx_pnalloc", WRAPPER, "nginx"},
	{NULL, "ngx_pcalloc", WRAPPER, "nginx"},
	{NULL, "ngx_pmemalign", WRAPPER, "nginx"},
	{NULL, "ngx_pstrdup", WRAPPER, "nginx"},
	{NULL, "ngx_create_pool", WRAPPER, "nginx"},
	{NULL, "ngx_array_*", WRAPPER, "nginx"},
	{NULL, "ngx_list_*", WRAPPER, "nginx"},
	{NULL, "apr_palloc*", WRAPPER, "Apache's pools"},
	{NULL, "apr_pcalloc*", WRAPPER, "Apache's pools"},
	{NULL, "apr_pstrdup", WRAPPER, "Apache's pools"},
	{NULL, "apr_pool_create*", WRAPPER, "Apache's pools"},
	{NULL, "apr_allocator_alloc", WRAPPER, "Apache's pools"},
	{NULL, "CRYPTO_malloc*", WRAPPER, "OpenSSL"},
	{NULL, "CRYPTO_zalloc*", WRAPPER, "OpenSSL"},
	{NULL, "CRYPTO_realloc*", WRAPPER, "OpenSSL"},
	{NULL, "CRYPTO_clear_realloc*", WRAPPER, "OpenSSL"},
	{NULL, "CRYPTO_strdup", WRAPPER, "OpenSSL"},
	{NULL, "CRYPTO_strndup", WRAPPER, "OpenSSL"},
	{NULL, "CRYPTO_memdup", WRAPPER, "OpenSSL"},
	{NULL, "av_malloc*", WRAPPER, "FFmpeg"},
	{NULL, "av_calloc", WRAPPER, "FFmpeg"},
	{NULL, "av_realloc*", WRAPPER, "FFmpeg"},
	{NULL, "av_strdup", WRAPPER, "FFmpeg"},
	{NULL, "ggc_internal_*", WRAPPER, "GCC's garbage collector and vectors"},
	{NULL, "ggc_realloc", WRAPPER, "GCC's garbage collector and vectors"},
	{NULL, "va_heap::*", WRAPPER, "GCC's garbage collector and vectors"},
	{NULL, "vec_prefix::*", WRAPPER, "GCC's garbage collector and vectors"},
	{NULL, "alloc::alloc::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::borrow::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::boxed::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::collections::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::ffi::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::fmt::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::raw_vec::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::rc::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::slice::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::str::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::string::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::sync::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "alloc::vec::*", WRAPPER, "Rust's alloc crate"},
	{NULL, "core::alloc::*", WRAPPER, "Rust's core crate"},
	{NULL, "core::clone::*", WRAPPER, "Rust's core crate"},
	{NULL, "core::convert::*", WRAPPER, "Rust's core crate"},
	{NULL, "core::default::*", WRAPPER, "Rust's core crate"},
	{NULL, "core::iter::*", WRAPPER, "Rust's core crate"},
	{NULL, "core::ops::function::*", WRAPPER, "Rust's core crate"},
	{NULL, "core::option::*", WRAPPER, "Rust's core crate"},
	{NULL, "core::ptr::*", WRAPPER, "Rust's core crate"},
	{NULL, "core::result::*", WRAPPER, "Rust's core crate"},
	{NULL, "hashbrown::*", WRAPPER, "Rust's HashMap"},
	{NULL, "__rust_*", WRAPPER, "Rust's allocator calls"},
	{NULL, "__rdl_*", WRAPPER, "Rust's default allocator"},
	{NULL, "__rg_*", WRAPPER, "Rust's global allocator"},
};
/* clang-format on */

#undef INTERNAL
#undef WRAPPER

#define RULES (sizeof(rules) / sizeof(*rules))

/*
 * A name is compared only with those rules that begin as it does, and with those for all names: by
 * first byte the number of such a rule plus 1, and by rule that of the next one in the table.
 */
static uint8_t firsts[UCHAR_MAX + 1], nexts[RULES];
_Static_assert(RULES <= UINT8_MAX, "a rule's number plus 1 is a byte");

/* From the last rule to the first, so that each is put before those behind it. */
static void chain_rules(void)
{
	for (size_t i = RULES; i-- > 0;) {
		uint8_t *first = &firsts[(unsigned char)rules[i].function[0]];

		nexts[i] = *first;
		*first = (uint8_t)(i + 1);
	}
}

static bool fits(const char *pattern, const char *text, size_t bytes)
{
	size_t length = strlen(pattern);

	if (length && pattern[length - 1] == '*')
		return bytes >= length - 1 && memcmp(pattern, text, length - 1) == 0;
	return bytes == length && memcmp(pattern, text, length) == 0;
}

/*
 * Code in a standard library's headers is the library's, whatever it is called: debug information
 * reduced to lines (-g1) has bare names, "push_back".
 */
static bool in_standard_library(const char *file)
{
	static const char *const parts[] = {"/include/c++/", "/rustlib/src/rust/library/",
					    "/rust/deps/hashbrown"};

	if (!file)
		return false;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (strstr(file, parts[i]))
			return true;
	return strncmp(file, "/rustc/", 7) == 0 && strstr(file, "/library/");
}

/* The first rule of a list that fits; NULL: none. */
static const struct rule *find_rule(uint8_t first, const char *plain, size_t bytes,
				    const char *stem, size_t stem_bytes)
{
	for (uint8_t at = first; at != 0; at = nexts[at - 1]) {
		const struct rule *rule = &rules[at - 1];

		if ((!rule->module || fits(rule->module, stem, stem_bytes)) &&
		    fits(rule->function, plain, bytes))
			return rule;
	}
	return NULL;
}

enum frame_role frame_rules_role(const struct profile_frame *frame)
{
	const char *slash = frame->module ? strrchr(frame->module, '/') : NULL;
	const char *stem = slash ? slash + 1 : frame->module ? frame->module : "";
	size_t stem_bytes = strcspn(stem, ".-");
	const struct rule *rule, *other;
	char plain[PLAIN_BYTES];
	size_t bytes =
	    frame_rules_plain_name(frame->function ? frame->function : "", plain, sizeof(plain));

	if (firsts['*'] == 0)
		chain_rules();
	rule = find_rule(firsts['*'], plain, bytes, stem, stem_bytes);
	other = find_rule(firsts[(unsigned char)plain[0]], plain, bytes, stem, stem_bytes);
	if (rule == NULL || (other != NULL && other < rule))
		rule = other;
	if (rule != NULL)
		return rule->role;
	return in_standard_library(frame->file) ? FRAME_ROLE_WRAPPER : FRAME_ROLE_PROGRAM;
}

enum frame_role frame_rules_known_role(const struct profile_frame *frame)
{
	if (frame->role != FRAME_ROLE_UNKNOWN)
		return (enum frame_role)frame->role;
	return frame_rules_role(frame);
}

size_t frame_rules_trim(const struct profile_frame *const *frames, size_t count)
{
	size_t drop = 0;

	while (drop < count && frame_rules_known_role(frames[drop]) == FRAME_ROLE_INTERNAL)
		drop++;
	return drop < count ? drop : count ? count - 1 : 0;
}

size_t frame_rules_site(const struct profile_frame *const *frames, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (frame_rules_known_role(frames[i]) == FRAME_ROLE_PROGRAM)
			return i;
	return 0;
}

/* ---- plain names ---- */

struct plain {
	char *text;
	size_t bytes;
	size_t room; /* without the terminator */
};

static void put(struct plain *plain, const char *from, const char *to)
{
	for (; from < to && plain->bytes < plain->room; from++)
		plain->text[plain->bytes++] = *from;
}

/* One past the bracket that closes the one at `at`; "->" and "=>" are no brackets. */
static const char *close_of(const char *at, const char *end)
{
	size_t depth = 0;

	for (; at < end; at++) {
		if (*at == '<' || *at == '(' || *at == '[' || *at == '{')
			depth++;
		else if (*at == '>' && (at[-1] == '-' || at[-1] == '='))
			continue;
		else if ((*at == '>' || *at == ')' || *at == ']' || *at == '}') && --depth == 0)
			return at + 1;
	}
	return end;
}

/* What follows "operator": "()", "<<", " new[]", or a type. Returns where it ends. */
static const char *put_operator(struct plain *plain, const char *at, const char *end)
{
	const char *from = at;

	if (end - at >= 2 && (strncmp(at, "()", 2) == 0 || strncmp(at, "[]", 2) == 0)) {
		at += 2;
	} else if (*at == ' ') {
		/* new, delete, a literal's suffix, or the type of a conversion */
		while (at < end && *at != '(' && *at != '<')
			at++;
	} else {
		at += strspn(at, "+-*/%^&|~!=<>,");
		at = at < end ? at : end;
	}
	put(plain, from, at);
	return at < end && *at == ' ' ? at + 1 : at;
}

/* "{lambda(int)#1}" becomes "{lambda#1}". */
static const char *put_braces(struct plain *plain, const char *at, const char *end)
{
	const char *close = close_of(at, end);

	while (at < close) {
		const char *next = at > end || *at != '(' ? at + 1 : close_of(at, close);

		if (*at != '(')
			put(plain, at, next);
		at = next;
	}
	return close;
}

/* After parameters only "::" goes on with the name, maybe behind "const" and the like. */
static const char *after_parameters(const char *at, const char *end)
{
	static const char *const words[] = {" const", " volatile", " &&", " &"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strncmp(at, words[i], strlen(words[i])) == 0)
			at += strlen(words[i]);
	return strncmp(at, "::", 2) == 0 && at < end ? at : end;
}

static bool starts_word(const struct plain *plain)
{
	char before = plain->bytes ? plain->text[plain->bytes - 1] : ' ';

	return !isalnum((unsigned char)before) && before != '_';
}

/*
 * Template or generic arguments are dropped; Rust's "<A as B>" at the beginning is A, or B where A
 * is any type, "T".
 */
static const char *put_angle(struct plain *plain, const char *at, const char *end)
{
	const char *close = close_of(at, end);

	if (plain->bytes == 0) {
		const char *as = at + 1;

		while (as < close - 1 && strncmp(as, " as ", 4) != 0)
			as = *as == '<' || *as == '(' || *as == '[' ? close_of(as, close - 1)
								    : as + 1;
		if (as == at + 2 && isupper((unsigned char)at[1]) && as < close - 1) {
			at = as + 3;
			as = close - 1;
		}
		/* One level: a type in a type in a type is nobody's allocator. */
		for (at++; at < as && *at != '<' && *at != ' '; at++)
			put(plain, at, at + 1);
	} else if (plain->bytes >= 2 && memcmp(plain->text + plain->bytes - 2, "::", 2) == 0) {
		plain->bytes -= 2;
	}
	return close;
}

/* Takes one token of the name; returns where the next begins. */
static const char *put_part(struct plain *plain, const char *at, const char *end)
{
	static const char anonymous[] = "(anonymous namespace)";

	switch (*at) {
	case '<':
		return put_angle(plain, at, end);
	case '{':
		return put_braces(plain, at, end);
	case '(':
		if (strncmp(at, anonymous, sizeof(anonymous) - 1) == 0) {
			put(plain, at, at + sizeof(anonymous) - 1);
			return at + sizeof(anonymous) - 1;
		}
		at = close_of(at, end);
		return plain->bytes ? after_parameters(at, end) : at;
	case ' ':
		if (at[1] == '[')
			return end;
		plain->bytes = 0; /* that was the return type */
		return at + 1;
	case '@':
		return end;
	case '.':
		return plain->bytes ? end : at + 1;
	case 'o':
		if (starts_word(plain) && strncmp(at, "operator", 8) == 0 &&
		    !isalnum((unsigned char)at[8]) && at[8] != '_') {
			put(plain, at, at + 8);
			return put_operator(plain, at + 8, end);
		}
		break;
	}
	put(plain, at, at + 1);
	return at + 1;
}

size_t frame_rules_plain_name(const char *function, char *text, size_t bytes)
{
	struct plain plain = {text, 0, bytes ? bytes - 1 : 0};
	const char *end = function + strlen(function);
	const char *at = function;

	while (at < end)
		at = put_part(&plain, at, end);
	if (bytes)
		text[plain.bytes] = '\0';
	return plain.bytes;
}
