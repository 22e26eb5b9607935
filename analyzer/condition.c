#include "condition.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "ranking.h"

/* What a figure is the sum of over all sites, when it is not one of the totals. */
typedef uint64_t (*site_figure)(const struct profile_site *site);

static uint64_t leaked_bytes(const struct profile_site *site)
{
	return ranking_suspicion(site) >= 2 ? site->live_bytes : 0;
}

static uint64_t growing_sites(const struct profile_site *site)
{
	return ranking_suspicion(site) == 4;
}

#define NO_TOTAL     SIZE_MAX
#define TOTAL(field) offsetof(struct profile, totals.field)

static const struct figure {
	const char *name;
	size_t offset; /* in struct profile; NO_TOTAL: a sum over the sites */
	site_figure of_site;
} figures[] = {
    {"leaked", NO_TOTAL, leaked_bytes}, /* likely or perhaps, not merely live */
    {"growing", NO_TOTAL, growing_sites},      {"live", TOTAL(live_bytes_end), NULL},
    {"blocks", TOTAL(live_blocks_end), NULL},  {"peak", TOTAL(peak_bytes), NULL},
    {"rss", TOTAL(peak_rss_bytes), NULL},      {"bytes", TOTAL(bytes_allocated), NULL},
    {"allocations", TOTAL(allocations), NULL}, {"temporary", TOTAL(temporary), NULL},
    {"failed", TOTAL(failed), NULL},	       {"mismatched", TOTAL(mismatched_frees), NULL},
    {"lost", TOTAL(lost_events), NULL},
};

/* The longer ones first: each is tried as a prefix. */
static const char *const comparisons[] = {">=", "<=", "==", "!=", ">", "<", "="};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int parse_limit(const char *text, uint64_t *limit)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	char *end;

	errno = 0;
	if (*text < '0' || *text > '9')
		return -1;
	*limit = strtoull(text, &end, 10);
	if (errno)
		return -1;
	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (suffix) {
		unsigned shift = 10 * (unsigned)(suffix - suffixes + 1);

		if (*limit > UINT64_MAX >> shift)
			return -1;
		*limit <<= shift;
		end++;
		if (!strcmp(end, "iB") || !strcmp(end, "B"))
			end += strlen(end);
	}
	return *end ? -1 : 0;
}

static int find_figure(const char *name, size_t length, char *error, size_t error_bytes)
{
	int used;

	for (size_t i = 0; i < COUNT(figures); i++) {
		if (strlen(figures[i].name) == length && !memcmp(figures[i].name, name, length))
			return (int)i;
	}
	used = snprintf(error, error_bytes, "'%.*s' is none of", (int)length, name);
	for (size_t i = 0; i < COUNT(figures) && used > 0 && (size_t)used < error_bytes; i++)
		used += snprintf(error + used, error_bytes - (size_t)used, "%s %s", i ? "," : "",
				 figures[i].name);
	return -1;
}

int condition_parse(const char *text, size_t length, struct condition *condition, char *error,
		    size_t error_bytes)
{
	size_t name_length;
	const char *rest;
	int figure;

	if (length >= sizeof(condition->text)) {
		snprintf(error, error_bytes, "a condition is like 'peak>100M'");
		return -1;
	}
	memcpy(condition->text, text, length);
	condition->text[length] = '\0';
	name_length = strspn(condition->text, "abcdefghijklmnopqrstuvwxyz");
	rest = condition->text + name_length;
	condition->comparison = COUNT(comparisons);
	for (unsigned i = 0; i < COUNT(comparisons); i++) {
		size_t sign = strlen(comparisons[i]);

		if (!strncmp(rest, comparisons[i], sign)) {
			condition->comparison = i;
			rest += sign;
			break;
		}
	}
	if (condition->comparison == COUNT(comparisons) || parse_limit(rest, &condition->limit)) {
		snprintf(error, error_bytes, "'%s' is not like 'peak>100M'", condition->text);
		return -1;
	}
	figure = find_figure(condition->text, name_length, error, error_bytes);
	condition->figure = (unsigned)figure;
	return figure < 0 ? -1 : 0;
}

static uint64_t figure_value(const struct figure *figure, const struct profile *profile)
{
	uint64_t sum = 0;

	if (figure->offset != NO_TOTAL)
		memcpy(&sum, (const char *)profile + figure->offset, sizeof(sum));
	for (size_t i = 0; figure->of_site && i < profile->site_count; i++)
		sum += figure->of_site(&profile->sites[i]);
	return sum;
}

bool condition_holds(const struct condition *condition, const struct profile *profile,
		     uint64_t *found)
{
	const char *sign = comparisons[condition->comparison];
	uint64_t value = figure_value(&figures[condition->figure], profile);

	*found = value;
	if (value == condition->limit)
		return sign[0] == '=' || (sign[0] != '!' && sign[1] == '=');
	if (sign[0] == '!')
		return true;
	return sign[0] == '>' ? value > condition->limit
			      : sign[0] == '<' && value < condition->limit;
}
