/*
 * Demangled names can fill a screen. What tells functions apart is the path of names; arguments of
 * functions and templates go first.
 */
#include <stdio.h>
#include <string.h>

#include "escape.h"
#include "out.h"
#include "profile.h"
#include "text.h"
#include "writer.h"

#define NAME_BYTES 4096 /* longer names are cut: no screen holds them */

const char *text_frame_name(struct text *text, const struct profile_frame *frame)
{
	out_clear(text->scratch);
	if (frame->function)
		out_text(text->scratch, frame->function);
	else
		out_printf(text->scratch, "%s+0x%llx",
			   frame->module ? writer_basename(frame->module) : "unknown code",
			   (unsigned long long)frame->offset);
	return out_memory(text->scratch);
}

/* Length of "operator<<" and its like at `at`, whose brackets open nothing; 0 when it is none. */
static size_t operator_length(const char *name, const char *at)
{
	static const char word[] = "operator";
	size_t length = sizeof(word) - 1;

	if (strncmp(at, word, length) != 0 || (at > name && (at[-1] == '_' || at[-1] == '$')))
		return 0;
	if (!strncmp(at + length, "()", 2))
		return length + 2;
	return length + strspn(at + length, "<>=-");
}

/* The '>' of "fn() -> T" closes nothing. */
static bool is_arrow(const char *name, const char *at)
{
	return *at == '>' && at > name && at[-1] == '-';
}

/*
 * Whether the '<' at `at` begins a part of the path of names, which tells functions apart, and not
 * arguments: Rust's "<T as Trait>::f", "<&T as Trait>::f" and "str::<impl str>::f". `inside` one
 * such group another may follow a space: "<T as <A as B>::C>::f".
 */
static bool opens_path(const char *name, const char *at, bool inside)
{
	static const char word[] = "<impl ";

	if (at == name || !strncmp(at, word, sizeof(word) - 1))
		return true;
	return inside && strchr(" <(&*[,", at[-1]) != NULL;
}

/*
 * Copies a name, leaving out what stands between outermost `open` and `close` brackets;
 * "(anonymous namespace)" and groups that are part of the path stay.
 */
static void without(char *to, size_t size, const char *name, char open, char close)
{
	static const char anonymous[] = "(anonymous namespace)";
	size_t used = 0, depth = 0, groups = 0;

	for (const char *at = name; *at && used + 8 < size;) {
		size_t keep = operator_length(name, at);

		if (!keep && !strncmp(at, anonymous, sizeof(anonymous) - 1))
			keep = sizeof(anonymous) - 1;
		if (keep) {
			if (depth == 0 && used + keep < size) {
				memcpy(to + used, at, keep);
				used += keep;
			}
			at += keep;
			continue;
		}
		if (*at == close && !is_arrow(name, at)) {
			if (depth == 0 && groups > 0) {
				groups--;
			} else if (depth > 0 && --depth == 0) {
				memcpy(to + used, "...", 3);
				used += 3;
			}
		}
		if (depth == 0)
			to[used++] = *at;
		if (*at == open) {
			if (depth == 0 && open == '<' && opens_path(name, at, groups > 0))
				groups++;
			else
				depth++;
		}
		at++;
	}
	to[used] = '\0';
}

/* Past the return type, which the names of template functions begin with. */
static const char *without_return_type(const char *name)
{
	size_t depth = 0;
	const char *start = name;

	for (const char *at = name; *at; at++) {
		size_t operator= operator_length(name, at);

		if (operator) /* "operator new" has a space of its own */
			break;
		if (*at == '<' || *at == '(')
			depth++;
		else if ((*at == '>' || *at == ')') && depth > 0 && !is_arrow(name, at))
			depth--;
		else if (*at == ' ' && depth == 0 && at[1] != '[')
			start = at + 1;
		if (*at == '(' && depth == 1 && strncmp(at, "(anonymous", 10) != 0)
			break;
	}
	return start;
}

void text_shorten(char *to, size_t size, const char *name, size_t columns)
{
	char other[NAME_BYTES];

	snprintf(to, size, "%s", name);
	if (escape_terminal_columns(to) <= columns)
		return;
	without(other, sizeof(other), to, '(', ')');
	snprintf(to, size, "%s", strchr(other, '(') ? without_return_type(other) : other);
	if (escape_terminal_columns(to) <= columns)
		return;
	without(other, sizeof(other), to, '<', '>');
	snprintf(to, size, "%s", other);
}
