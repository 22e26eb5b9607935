/* A position that moves over the text; every function that takes something moves it on. */
#include "fuzz_output.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NESTED_MAX 32

struct cursor {
	const unsigned char *at, *end;
	const char *wrong;
};

static bool fail(struct cursor *cursor, const char *what)
{
	if (cursor->wrong == NULL)
		cursor->wrong = what;
	return false;
}

static bool more(const struct cursor *cursor)
{
	return cursor->at < cursor->end;
}

static bool take(struct cursor *cursor, const char *text)
{
	size_t length = strlen(text);

	if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, text, length) != 0)
		return false;
	cursor->at += length;
	return true;
}

/* ---- characters ---- */

/* One code point, RFC 3629; UINT32_MAX when it is none. */
static uint32_t take_utf8(struct cursor *cursor)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	uint32_t code = *cursor->at++;
	size_t trail = code < 0x80   ? 0
		       : code < 0xc0 ? 4
		       : code < 0xe0 ? 1
		       : code < 0xf0 ? 2
		       : code < 0xf8 ? 3
				     : 4;

	if (trail == 0)
		return code;
	if (trail == 4)
		return UINT32_MAX;
	code &= 0x3f >> trail;
	for (size_t i = 0; i < trail; i++) {
		if (!more(cursor) || (*cursor->at & 0xc0) != 0x80)
			return UINT32_MAX;
		code = code << 6 | (*cursor->at++ & 0x3f);
	}
	if (code < least[trail] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return UINT32_MAX;
	return code;
}

/* Controls, and what changes the direction of a line or hides in it (Unicode's UAX 9, Cf). */
static bool hostile(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff || code == UINT32_MAX;
}

static bool take_color(struct cursor *cursor)
{
	if (!take(cursor, "\033["))
		return false;
	while (more(cursor) && (isdigit(*cursor->at) || *cursor->at == ';'))
		cursor->at++;
	return take(cursor, "m");
}

const char *fuzz_output_text(const char *text, size_t bytes, bool color)
{
	struct cursor cursor = {.at = (const unsigned char *)text,
				.end = (const unsigned char *)text + bytes};

	while (more(&cursor)) {
		if (take(&cursor, "\n") || (color && take_color(&cursor)))
			continue;
		if (hostile(take_utf8(&cursor)))
			return "text: a character that drives the terminal";
	}
	return NULL;
}

/* ---- JSON, RFC 8259 ---- */

static void skip_space(struct cursor *cursor)
{
	while (more(cursor) && (*cursor->at == ' ' || *cursor->at == '\n'))
		cursor->at++;
}

static bool take_digits(struct cursor *cursor)
{
	if (!more(cursor) || !isdigit(*cursor->at))
		return fail(cursor, "json: not a number");
	while (more(cursor) && isdigit(*cursor->at))
		cursor->at++;
	return true;
}

static bool take_number(struct cursor *cursor)
{
	take(cursor, "-");
	if (!take(cursor, "0") && !take_digits(cursor))
		return false;
	return !take(cursor, ".") || take_digits(cursor);
}

static bool take_escape(struct cursor *cursor)
{
	if (!more(cursor))
		return fail(cursor, "json: cut within an escape");
	if (strchr("\"\\/bfnrt", *cursor->at) != NULL && *cursor->at != 0) {
		cursor->at++;
		return true;
	}
	if (!take(cursor, "u") || cursor->end - cursor->at < 4)
		return fail(cursor, "json: unknown escape");
	for (int i = 0; i < 4; i++)
		if (!isxdigit(*cursor->at++))
			return fail(cursor, "json: bad escape");
	return true;
}

static bool take_string(struct cursor *cursor)
{
	if (!take(cursor, "\""))
		return fail(cursor, "json: no string where one belongs");
	while (more(cursor) && *cursor->at != '"') {
		if (take(cursor, "\\")) {
			if (!take_escape(cursor))
				return false;
		} else if (hostile(take_utf8(cursor))) {
			return fail(cursor, "json: a raw control or broken UTF-8");
		}
	}
	return take(cursor, "\"") || fail(cursor, "json: string without end");
}

static bool take_value(struct cursor *cursor, int depth);

static bool take_list(struct cursor *cursor, int depth, bool named, const char *end)
{
	skip_space(cursor);
	if (take(cursor, end))
		return true;
	do {
		skip_space(cursor);
		if (named) {
			if (!take_string(cursor))
				return false;
			skip_space(cursor);
			if (!take(cursor, ":"))
				return fail(cursor, "json: no colon");
		}
		if (!take_value(cursor, depth + 1))
			return false;
		skip_space(cursor);
	} while (take(cursor, ","));
	return take(cursor, end) || fail(cursor, "json: list without end");
}

static bool take_value(struct cursor *cursor, int depth)
{
	if (depth > NESTED_MAX)
		return fail(cursor, "json: nested too deep");
	skip_space(cursor);
	if (!more(cursor))
		return fail(cursor, "json: no value");
	if (take(cursor, "{"))
		return take_list(cursor, depth, true, "}");
	if (take(cursor, "["))
		return take_list(cursor, depth, false, "]");
	if (*cursor->at == '"')
		return take_string(cursor);
	return take(cursor, "null") || take(cursor, "true") || take(cursor, "false") ||
	       take_number(cursor);
}

const char *fuzz_output_json(const char *text, size_t bytes)
{
	struct cursor cursor = {.at = (const unsigned char *)text,
				.end = (const unsigned char *)text + bytes};

	if (take_value(&cursor, 0)) {
		skip_space(&cursor);
		if (more(&cursor))
			fail(&cursor, "json: something after the end");
	}
	return cursor.wrong;
}

/* ---- SVG: XML 1.0, of what memprof-plot draws with ---- */

static bool take_entity(struct cursor *cursor)
{
	return take(cursor, "amp;") || take(cursor, "lt;") || take(cursor, "gt;") ||
	       take(cursor, "quot;") || take(cursor, "#39;") ||
	       fail(cursor, "svg: an ampersand or an unknown entity");
}

/* Characters up to one of `ends`. */
static bool take_characters(struct cursor *cursor, const char *ends)
{
	while (more(cursor) && strchr(ends, *cursor->at) == NULL) {
		if (take(cursor, "\n"))
			continue;
		if (take(cursor, "&")) {
			if (!take_entity(cursor))
				return false;
		} else if (*cursor->at == 0 || *cursor->at == '<' || hostile(take_utf8(cursor))) {
			return fail(cursor, "svg: a character that XML or terminals mind");
		}
	}
	return true;
}

/* The index of the element or attribute named here in the list; -1: none of it. */
static int take_name(struct cursor *cursor, const char *const *names)
{
	const unsigned char *from = cursor->at;
	size_t length;

	while (more(cursor) && (isalnum(*cursor->at) || strchr("-:_", *cursor->at) != NULL))
		cursor->at++;
	length = (size_t)(cursor->at - from);
	for (int i = 0; names[i] != NULL; i++)
		if (strlen(names[i]) == length && memcmp(names[i], from, length) == 0)
			return i;
	return -1;
}

static const char *const elements[] = {"svg",  "title", "desc",	  "rect", "text",
				       "line", "path",	"circle", "g",	  NULL};
/* None that runs, loads or styles anything. */
static const char *const attributes[] = {"xmlns",
					 "role",
					 "viewBox",
					 "width",
					 "height",
					 "x",
					 "y",
					 "x1",
					 "x2",
					 "y1",
					 "y2",
					 "cx",
					 "cy",
					 "r",
					 "rx",
					 "d",
					 "fill",
					 "fill-opacity",
					 "stroke",
					 "stroke-width",
					 "stroke-opacity",
					 "stroke-dasharray",
					 "stroke-linejoin",
					 "paint-order",
					 "font-family",
					 "font-size",
					 "font-weight",
					 "text-anchor",
					 NULL};

static bool take_attributes(struct cursor *cursor)
{
	while (take(cursor, " ")) {
		if (take_name(cursor, attributes) < 0)
			return fail(cursor, "svg: an attribute that is none of ours");
		if (!take(cursor, "=\"") || !take_characters(cursor, "\"") || !take(cursor, "\""))
			return fail(cursor, "svg: an attribute without value");
	}
	return true;
}

const char *fuzz_output_svg(const char *text, size_t bytes)
{
	struct cursor cursor = {.at = (const unsigned char *)text,
				.end = (const unsigned char *)text + bytes};
	int open[NESTED_MAX];
	int depth = 0, name;

	if (!take(&cursor, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
		return "svg: no declaration";
	while (take_characters(&cursor, "<") && take(&cursor, "<")) {
		if (take(&cursor, "/")) {
			name = take_name(&cursor, elements);
			if (depth == 0 || open[--depth] != name || !take(&cursor, ">"))
				return "svg: elements do not match";
			continue;
		}
		name = take_name(&cursor, elements);
		if (name < 0 || !take_attributes(&cursor))
			return cursor.wrong ? cursor.wrong : "svg: an element that is none of ours";
		if (take(&cursor, "/>"))
			continue;
		if (!take(&cursor, ">") || depth == NESTED_MAX)
			return "svg: an element without end";
		open[depth++] = name;
	}
	if (cursor.wrong == NULL && (depth != 0 || more(&cursor)))
		return "svg: cut";
	return cursor.wrong;
}

/* ---- CSV and folded stacks ---- */

/* Digits, with a decimal point when `decimal`. */
static bool take_field(struct cursor *cursor, bool decimal)
{
	const unsigned char *from = cursor->at;

	while (more(cursor) && (isdigit(*cursor->at) || (decimal && *cursor->at == '.')))
		cursor->at++;
	return cursor->at != from;
}

const char *fuzz_output_csv(const char *text, size_t bytes)
{
	struct cursor cursor = {.at = (const unsigned char *)text,
				.end = (const unsigned char *)text + bytes};

	if (!take(&cursor, "time_s,live_bytes,live_blocks,rss_bytes\n"))
		return "csv: no heading";
	while (more(&cursor))
		if (!take_field(&cursor, true) || !take(&cursor, ",") ||
		    !take_field(&cursor, false) || !take(&cursor, ",") ||
		    !take_field(&cursor, false) || !take(&cursor, ",") ||
		    !take_field(&cursor, false) || !take(&cursor, "\n"))
			return "csv: a row that is not four figures";
	return NULL;
}

const char *fuzz_output_folded(const char *text, size_t bytes, uint64_t *sum)
{
	const char *end = text + bytes;

	*sum = 0;
	while (text < end) {
		const char *line = memchr(text, '\n', (size_t)(end - text));
		const char *value = line;
		char digits[24] = "";

		if (line == NULL)
			return "folded: the last line has no end";
		while (value > text && isdigit((unsigned char)value[-1]))
			value--;
		if (value == line || value - text < 2 || value[-1] != ' ' || value[-2] == ';' ||
		    (size_t)(line - value) >= sizeof(digits))
			return "folded: a line that does not end in a value";
		memcpy(digits, value, (size_t)(line - value));
		*sum += strtoull(digits, NULL, 10);
		if (fuzz_output_text(text, (size_t)(line - text), false) != NULL)
			return "folded: a character that drives the terminal";
		text = line + 1;
	}
	return NULL;
}
