#include "options.h"

#include <errno.h>
#include <string.h>

#include "log.h"

#define PREFIX "MEMPROF_"

enum option_type { OPTION_TEXT, OPTION_CHOICE, OPTION_NUMBER, OPTION_SIZE };

struct option {
	const char *name;
	enum option_type type;
	size_t offset;
	const char *choices; /* CHOICE: "a|b|c"; shown in errors */
	uint64_t least, most;
	const char *text_default;
	uint64_t number_default;
};

#define AT(field) offsetof(struct options, field)
#define SWITCH(name, field, on)                                                                    \
	{                                                                                          \
		name, OPTION_NUMBER, AT(field), "0 or 1", 0, 1, NULL, on                           \
	}

static const struct option option_table[] = {
    {"MEMPROF_OUT", OPTION_TEXT, AT(out), NULL, 0, 0, "memprof.%e.%p.bin", 0},
    {"MEMPROF_UNWIND", OPTION_CHOICE, AT(unwind), "auto|libunwind|fp|verify", 0, 0, "auto", 0},
    {"MEMPROF_COMPRESS", OPTION_CHOICE, AT(compress), "zstd|none", 0, 0, "zstd", 0},
    {"MEMPROF_DEPTH", OPTION_NUMBER, AT(depth), "a number of frames from 1 to 1024", 1, 1024, NULL,
     256},
    {"MEMPROF_SAMPLE", OPTION_SIZE, AT(sample),
     "0 (exact recording: sampling is not in this version)", 0, 0, NULL, 0},
    SWITCH("MEMPROF_CHILDREN", children, 1),
    SWITCH("MEMPROF_MMAP", mmap, 1),
    SWITCH("MEMPROF_QUIET", quiet, 0),
    SWITCH("MEMPROF_START", start, 1),
};

#define OPTION_COUNT (sizeof(option_table) / sizeof(option_table[0]))

/* Copies of the values: programs write their title over the environment (setproctitle). */
static char kept[8192];
static size_t kept_bytes;

static const char *keep(const char *value)
{
	size_t bytes = strlen(value) + 1;
	char *copy = kept + kept_bytes;

	if (bytes > sizeof(kept) - kept_bytes)
		return NULL;
	kept_bytes += bytes;
	return memcpy(copy, value, bytes);
}

/* false: longer than any path. */
static bool set_text(struct options *options, const struct option *option, const char *value)
{
	const char *copy = keep(value);

	if (copy)
		*(const char **)((char *)options + option->offset) = copy;
	return copy != NULL;
}

static void set_number(struct options *options, const struct option *option, uint64_t value)
{
	*(uint64_t *)((char *)options + option->offset) = value;
}

static void set_defaults(struct options *options)
{
	kept_bytes = 0;
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option *option = &option_table[i];

		if (option->type == OPTION_TEXT || option->type == OPTION_CHOICE)
			set_text(options, option, option->text_default);
		else
			set_number(options, option, option->number_default);
	}
}

static bool is_choice(const char *choices, const char *value)
{
	size_t length = strlen(value);

	if (strchr(value, '|'))
		return false;
	while (length) {
		if (strncmp(choices, value, length) == 0 &&
		    (choices[length] == '|' || choices[length] == 0))
			return true;
		choices = strchr(choices, '|');
		if (!choices)
			break;
		choices++;
	}
	return false;
}

/* Digits and, for a SIZE, one of K M G (powers of 1024). false: not a number or too large. */
static bool parse_number(const char *value, bool size, uint64_t *number)
{
	static const char units[] = "KMG";
	uint64_t result = 0;
	const char *unit;

	if (*value < '0' || *value > '9')
		return false;
	for (; *value >= '0' && *value <= '9'; value++) {
		if (result > UINT64_MAX / 10 / 2)
			return false;
		result = result * 10 + (uint64_t)(*value - '0');
	}
	unit = size && *value ? strchr(units, *value) : NULL;
	if (unit) {
		unsigned shift = 10 * (unsigned)(unit - units + 1);

		if (result >> (63 - shift))
			return false;
		result <<= shift;
		value++;
	}
	*number = result;
	return *value == 0;
}

static bool set_value(struct options *options, const struct option *option, const char *value)
{
	uint64_t number;

	switch (option->type) {
	case OPTION_TEXT:
		return *value && set_text(options, option, value);
	case OPTION_CHOICE:
		return is_choice(option->choices, value) && set_text(options, option, value);
	default:
		if (!parse_number(value, option->type == OPTION_SIZE, &number))
			return false;
		if (number < option->least || number > option->most)
			return false;
		set_number(options, option, number);
		return true;
	}
}

static void explain(const struct option *option, const char *value, char *error, size_t bytes)
{
	struct text text;

	text_init(&text, error, bytes);
	text_add(&text, option->name);
	text_add(&text, "=");
	text_add_printable(&text, value);
	text_add(&text, ": not valid: use ");
	text_add(&text, option->choices ? option->choices : "a file name pattern");
	text_end(&text, error);
}

int options_parse(struct options *options, char *const *environment, char *error,
		  size_t error_bytes)
{
	set_defaults(options);
	for (; environment && *environment; environment++) {
		if (strncmp(*environment, PREFIX, strlen(PREFIX)) != 0)
			continue;
		for (size_t i = 0; i < OPTION_COUNT; i++) {
			const struct option *option = &option_table[i];
			size_t length = strlen(option->name);

			if (strncmp(*environment, option->name, length) != 0 ||
			    (*environment)[length] != '=')
				continue;
			if (!set_value(options, option, *environment + length + 1)) {
				explain(option, *environment + length + 1, error, error_bytes);
				return -EINVAL;
			}
		}
	}
	return 0;
}

#define NAME_MOST 32 /* letters that are compared */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Letters to insert, drop or change to make one of the other (Wagner and Fischer 1974). */
static unsigned distance(const char *a, size_t a_length, const char *b)
{
	unsigned row[NAME_MOST + 1];
	size_t b_length = strlen(b);

	for (unsigned k = 0; k <= b_length; k++)
		row[k] = k;
	for (unsigned i = 1; i <= a_length; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned k = 1; k <= b_length; k++) {
			unsigned changed = diagonal + (a[i - 1] != b[k - 1]);

			diagonal = row[k];
			row[k] = least(changed, 1 + least(row[k], row[k - 1]));
		}
	}
	return row[b_length];
}

static bool is_known(const char *name, size_t length)
{
	static const char llvms[] = PREFIX "OPTIONS"; /* clang -fmemory-profile's */

	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (strlen(option_table[i].name) == length &&
		    strncmp(option_table[i].name, name, length) == 0)
			return true;
	return length == sizeof(llvms) - 1 && strncmp(llvms, name, length) == 0;
}

static const char *nearest(const char *name, size_t length)
{
	const char *best = NULL;
	unsigned best_distance = UINT32_MAX;

	for (size_t i = 0; i < OPTION_COUNT && length <= NAME_MOST; i++) {
		unsigned this = distance(name, length, option_table[i].name);

		if (this < best_distance) {
			best_distance = this;
			best = option_table[i].name;
		}
	}
	return best;
}

bool options_unknown(char *const *environment, char *line, size_t line_bytes)
{
	for (; environment && *environment; environment++) {
		const char *name = *environment;
		size_t length = strcspn(name, "=");
		char shown[2 * NAME_MOST] = "";
		const char *meant;
		struct text text;

		if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || is_known(name, length))
			continue;
		meant = nearest(name, length);
		text_init(&text, line, line_bytes);
		memcpy(shown, name, length < sizeof(shown) ? length : sizeof(shown) - 1);
		text_add_printable(&text, shown);
		text_add(&text, ": no setting of memprof has that name");
		if (meant) {
			text_add(&text, ": is ");
			text_add(&text, meant);
			text_add(&text, " meant?");
		}
		text_add(&text, " It is ignored; memprof(1) has the names");
		text_end(&text, line);
		return true;
	}
	return false;
}
