/*
 * One strict UTF-8 decoder, one table of what is hostile, and a spelling for each format.
 */
#include "escape.h"

#include "out.h"

#include <stdio.h>
#include <string.h>

struct range {
	uint32_t first, last;
};

/* Controls, bidirectional controls (UAX 9), invisible and format characters, non-characters. */
static const struct range hostile_ranges[] = {
    {0x0000, 0x001f},	{0x007f, 0x009f},   {0x00ad, 0x00ad},	  {0x061c, 0x061c},
    {0x115f, 0x1160},	{0x17b4, 0x17b5},   {0x180b, 0x180f},	  {0x200b, 0x200f},
    {0x2028, 0x202e},	{0x2060, 0x206f},   {0x3164, 0x3164},	  {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff},	{0xffa0, 0xffa0},   {0xfff0, 0xfffb},	  {0xfffe, 0xffff},
    {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}, {0x10fffe, 0x10ffff}, {0x110000, UINT32_MAX},
};

/* What takes two columns (UAX 11, wide and fullwidth, in coarse blocks). */
static const struct range wide_ranges[] = {
    {0x1100, 0x115e},	{0x2e80, 0x303e},   {0x3041, 0xa4cf},	{0xa960, 0xa97c},
    {0xac00, 0xd7a3},	{0xf900, 0xfaff},   {0xfe30, 0xfe6f},	{0xff01, 0xff60},
    {0xffe0, 0xffe6},	{0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff},
    {0x20000, 0x3fffd},
};

/* What takes none: the common combining marks. */
static const struct range combining_ranges[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x064b, 0x065f},
    {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe20, 0xfe2f},
};

static bool in_ranges(uint32_t code, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	}
	return false;
}
#define IN(code, ranges) in_ranges(code, ranges, sizeof(ranges) / sizeof((ranges)[0]))

uint32_t escape_next(const char **at, const char *end)
{
	const unsigned char *s = (const unsigned char *)*at;
	size_t left = (size_t)(end - *at);
	size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 1;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t code;

	++*at;
	if (s[0] < 0x80)
		return s[0];
	if (s[0] < 0xc2 || s[0] > 0xf4 || length > left)
		return ESCAPE_INVALID;
	code = s[0] & (0xffU >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return ESCAPE_INVALID;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return ESCAPE_INVALID;
	*at += length - 1;
	return code;
}

bool escape_hostile(uint32_t code)
{
	if (code >= 0x20 && code < 0x7f)
		return false;
	return IN(code, hostile_ranges);
}

/* The visible spelling of the character at [from, to); returns its columns. */
static size_t terminal_spelling(char spelling[16], uint32_t code, const char *from, const char *to)
{
	size_t bytes = (size_t)(to - from);

	if (!escape_hostile(code)) {
		memcpy(spelling, from, bytes);
		spelling[bytes] = '\0';
		return code < 0x300 ? 1 : IN(code, wide_ranges) ? 2 : !IN(code, combining_ranges);
	}
	if (code == '\n' || code == '\t' || code == '\r')
		return (size_t)snprintf(spelling, 16, "\\%c",
					code == '\n'   ? 'n'
					: code == '\t' ? 't'
						       : 'r');
	if (code == ESCAPE_INVALID || code < 0x80)
		return (size_t)snprintf(spelling, 16, "\\x%02x", (unsigned char)*from);
	return (size_t)snprintf(spelling, 16, code > 0xffff ? "\\U%08x" : "\\u%04x", code);
}

void escape_terminal(struct out *out, const char *text, size_t bytes)
{
	const char *at = text, *end = text + bytes;

	while (at < end) {
		const char *from = at;
		uint32_t code = escape_next(&at, end);
		char spelling[16];

		terminal_spelling(spelling, code, from, at);
		out_text(out, spelling);
	}
}

size_t escape_terminal_columns(const char *text)
{
	const char *at = text, *end = text + strlen(text);
	size_t columns = 0;

	while (at < end) {
		const char *from = at;
		uint32_t code = escape_next(&at, end);
		char spelling[16];

		columns += terminal_spelling(spelling, code, from, at);
	}
	return columns;
}

size_t escape_terminal_fit(struct out *out, const char *text, size_t columns)
{
	const char *at = text, *end = text + strlen(text);
	bool whole = escape_terminal_columns(text) <= columns;
	size_t dots = whole ? 0 : columns < 3 ? columns : 3;
	size_t used = 0;

	while (at < end) {
		const char *from = at;
		uint32_t code = escape_next(&at, end);
		char spelling[16];
		size_t width = terminal_spelling(spelling, code, from, at);

		if (used + width + dots > columns)
			break;
		out_text(out, spelling);
		used += width;
	}
	out_repeat(out, '.', dots);
	return used + dots;
}

static void json_escaped(struct out *out, uint32_t code)
{
	static const char letters[] = "b\bf\fn\nr\rt\t\"\"\\\\";

	for (const char *letter = letters; *letter; letter += 2) {
		if ((unsigned char)letter[1] == code) {
			out_printf(out, "\\%c", letter[0]);
			return;
		}
	}
	if (code == ESCAPE_INVALID)
		code = 0xfffd;
	if (code > 0xffff) {
		code -= 0x10000;
		out_printf(out, "\\u%04x\\u%04x", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff));
	} else {
		out_printf(out, "\\u%04x", code);
	}
}

void escape_json(struct out *out, const char *text)
{
	const char *at = text, *plain = text, *end;

	if (!text) {
		out_text(out, "null");
		return;
	}
	end = text + strlen(text);
	out_char(out, '"');
	while (at < end) {
		const char *from = at;
		uint32_t code = escape_next(&at, end);

		if (code != '"' && code != '\\' && !escape_hostile(code))
			continue;
		out_bytes(out, plain, (size_t)(from - plain));
		json_escaped(out, code);
		plain = at;
	}
	out_bytes(out, plain, (size_t)(end - plain));
	out_char(out, '"');
}

static const char *xml_entity(uint32_t code)
{
	switch (code) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return escape_hostile(code) ? "\xef\xbf\xbd" : NULL;
	}
}

void escape_xml(struct out *out, const char *text, size_t bytes)
{
	const char *at = text, *plain = text, *end = text + bytes;

	while (at < end) {
		const char *from = at;
		const char *entity = xml_entity(escape_next(&at, end));

		if (!entity)
			continue;
		out_bytes(out, plain, (size_t)(from - plain));
		out_text(out, entity);
		plain = at;
	}
	out_bytes(out, plain, (size_t)(end - plain));
}
