/*
 * The report for people: what was run, the totals, what to look at first, then sections.
 */
#include <errno.h>
#include <string.h>

#include "escape.h"
#include "out.h"
#include "profile.h"
#include "text.h"
#include "writer.h"

#define DEFAULT_SITES	 10
#define DEFAULT_COLUMNS	 100
#define NAMELESS_COLUMNS 40 /* of a module's name */
#define USUAL_SECTIONS                                                                             \
	(SECTION_PEAK | SECTION_LEAKS | SECTION_ALLOCATIONS | SECTION_TEMPORARIES | SECTION_MAPS | \
	 SECTION_WARNINGS)

void text_style(struct text *text, enum text_style style)
{
	static const char *const codes[] = {
	    [TEXT_PLAIN] = "\033[0m",  [TEXT_BOLD] = "\033[1m",	 [TEXT_DIM] = "\033[2m",
	    [TEXT_BAD] = "\033[1;31m", [TEXT_GOOD] = "\033[32m",
	};

	if (text->options->color)
		out_text(text->out, codes[style]);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void title(struct text *text, const char *words)
{
	out_char(text->out, '\n');
	text_style(text, TEXT_BOLD);
	out_text(text->out, words);
	text_style(text, TEXT_PLAIN);
}

/* ---- header ---- */

static void print_process(struct text *text)
{
	const struct profile_process *process = &text->profile->process;
	/* The trace's name may be made of the host's, or anything: MEMPROF_OUT=%h.%q{NAME}.bin. */
	const char *trace = text->options->confidential ? NULL : text->options->trace;
	const char *run = text->options->confidential ? NULL : process->cmdline;
	struct out *out = text->out;

	if (!run || !*run)
		run = writer_path(text->options, process->exe);
	text_style(text, TEXT_BOLD);
	if (text->options->full_names)
		escape_terminal(out, run ? run : "?", strlen(run ? run : "?"));
	else
		escape_terminal_fit(out, run && *run ? run : "?", text->columns);
	text_style(text, TEXT_PLAIN);
	out_printf(out, "\npid %u", process->pid);
	/* What stands above is the parent's name: nginx' workers take titles of their own later. */
	if (process->forked && process->parent_pid > 1)
		out_printf(out, ", forked, child of pid %u", process->parent_pid);
	else if (process->forked)
		out_text(out, ", forked");
	out_printf(out, ", %s thread%s, ", OUT_COUNT(process->threads), plural(process->threads));
	text_end(text);
	if (trace) {
		out_text(out, "; ");
		escape_terminal(out, trace, strlen(trace));
	}
	out_text(out, "\n\n");
}

static void print_totals(struct text *text)
{
	const struct profile_totals *totals = &text->profile->totals;

	out_printf(text->out,
		   "%s allocation%s (%s live at end), %s allocated, peak %s at %s s, in %s s\n",
		   OUT_COUNT(totals->allocations), plural(totals->allocations),
		   OUT_COUNT(totals->live_blocks_end), OUT_BYTES(totals->bytes_allocated),
		   OUT_BYTES(totals->peak_bytes), OUT_SECONDS(totals->peak_time_s),
		   OUT_SECONDS(totals->duration_s));
}

/* The damage in one breath: "the file is cut, 2.0 KiB could not be read"; false: there is none. */
static bool say_damage(const struct text *text, struct out *out)
{
	const struct profile_damage *damage = &text->profile->damage;

	if (!damage->bad_segments && !damage->bad_bytes && !damage->cut && !damage->lost_events)
		return false;
	if (!out)
		return true;
	out_printf(out, "the file is %s", damage->cut ? "cut" : "damaged");
	if (damage->bad_bytes)
		out_printf(out, ", %s could not be read", OUT_BYTES(damage->bad_bytes));
	if (damage->lost_events)
		out_printf(out, ", at least %s event%s gone", OUT_COUNT(damage->lost_events),
			   damage->lost_events == 1 ? " is" : "s are");
	return true;
}

/* What the recorder could not keep; what is gone with damage is among the lost, told with it. */
static uint64_t lost_by_recorder(const struct text *text)
{
	uint64_t lost = text->profile->totals.lost_events;
	uint64_t damaged = text->profile->damage.lost_events;

	return lost > damaged ? lost - damaged : 0;
}

static void print_stopped(struct text *text)
{
	const struct profile_process *process = &text->profile->process;

	if (!process->stopped)
		return;
	text_style(text, TEXT_BAD);
	out_printf(text->out, "Recording stopped at %s: %s; of what came later nothing is known",
		   OUT_SECONDS(process->stopped_s), process->stopped);
	text_style(text, TEXT_PLAIN);
	out_char(text->out, '\n');
}

/* Beside the figures, for they are less than the truth: nobody should find that out at the end. */
static void print_incomplete(struct text *text)
{
	uint64_t lost = lost_by_recorder(text);

	if (!lost && !say_damage(text, NULL))
		return;
	text_style(text, TEXT_BAD);
	out_text(text->out, "Incomplete: ");
	if (say_damage(text, text->out) && lost)
		out_text(text->out, "; ");
	if (lost)
		out_printf(text->out, "%s event%s lost by the recorder", OUT_COUNT(lost),
			   lost == 1 ? " was" : "s were");
	text_style(text, TEXT_PLAIN);
	out_char(text->out, '\n');
}

/* Before pages of addresses, not after them. */
static void print_nameless(struct text *text)
{
	struct text_nameless worst;

	if (!text_nameless(text, &worst) || !worst.headline)
		return;
	out_printf(text->out, "Unnamed: %s of the peak; install debug symbols of ",
		   OUT_PERCENT(worst.bytes, text->profile->totals.peak_bytes));
	escape_terminal_fit(text->out, writer_basename(worst.module), NAMELESS_COLUMNS);
	out_text(text->out, " (-dbgsym), or try --debuginfod\n");
}

/* ---- sections ---- */

static int peak_section(struct text *text)
{
	const struct profile_totals *totals = &text->profile->totals;

	if (!totals->peak_bytes)
		return 0;
	title(text, "Held at the peak");
	out_printf(text->out, ": %s in %s block%s at %s s", OUT_BYTES(totals->peak_bytes),
		   OUT_COUNT(totals->peak_blocks), plural(totals->peak_blocks),
		   OUT_SECONDS(totals->peak_time_s));
	if (totals->peak_rss_bytes)
		out_printf(text->out, "; %s resident at most", OUT_BYTES(totals->peak_rss_bytes));
	out_char(text->out, '\n');
	return text_sites(text, RANKING_PEAK);
}

static int leaks_section(struct text *text)
{
	const struct profile_totals *totals = &text->profile->totals;
	const char *end = text->profile->process.end;

	if (!totals->allocations)
		return 0;
	title(text, "Leak candidates");
	if (!totals->live_blocks_end) {
		out_text(text->out, ": none, everything was freed\n");
		return 0;
	}
	out_printf(text->out, ": %s in %s block%s live at the end\n",
		   OUT_BYTES(totals->live_bytes_end), OUT_COUNT(totals->live_blocks_end),
		   plural(totals->live_blocks_end));
	if (end && strcmp(end, "exit") != 0) {
		text_style(text, TEXT_DIM);
		out_text(text->out, "  (it had no chance to free what it would free at exit)\n");
		text_style(text, TEXT_PLAIN);
	}
	return text_sites(text, RANKING_LEAK);
}

static int allocations_section(struct text *text)
{
	const struct profile_totals *totals = &text->profile->totals;

	if (!totals->allocations)
		return 0;
	title(text, "Most allocations");
	out_printf(text->out, ": %s in all, %s by realloc\n", OUT_COUNT(totals->allocations),
		   OUT_COUNT(totals->reallocs));
	return text_sites(text, RANKING_ALLOCATIONS);
}

static int bytes_section(struct text *text)
{
	const struct profile_totals *totals = &text->profile->totals;

	if (!totals->bytes_allocated)
		return 0;
	title(text, "Most bytes allocated");
	out_printf(text->out, ": %s in all\n", OUT_BYTES(totals->bytes_allocated));
	return text_sites(text, RANKING_BYTES);
}

static int temporaries_section(struct text *text)
{
	const struct profile_totals *totals = &text->profile->totals;

	if (!totals->temporary)
		return 0;
	title(text, "Temporary");
	out_printf(text->out, ": %s (%s of %s), freed before the thread's next allocation\n",
		   OUT_PERCENT(totals->temporary, totals->allocations),
		   OUT_COUNT(totals->temporary), OUT_COUNT(totals->allocations));
	return text_sites(text, RANKING_TEMPORARY);
}

static int maps_section(struct text *text)
{
	const struct profile_totals *totals = &text->profile->totals;

	if (!totals->maps)
		return 0;
	title(text, "Own mappings");
	out_printf(text->out, ": %s anonymous mmap%s of %s, %s at most, %s at the end\n",
		   OUT_COUNT(totals->maps), plural(totals->maps), OUT_BYTES(totals->map_bytes),
		   OUT_BYTES(totals->map_peak_bytes), OUT_BYTES(totals->map_live_bytes_end));
	return text_map_sites(text);
}

/* A line of the warnings; the first brings the title. */
static struct out *warn(struct text *text, bool *any)
{
	if (!*any) {
		title(text, "Warnings");
		out_char(text->out, '\n');
	}
	*any = true;
	out_text(text->out, "  ");
	return text->out;
}

static void warn_damage(struct text *text, bool *any)
{
	const struct profile_damage *damage = &text->profile->damage;

	if (!say_damage(text, NULL))
		return;
	say_damage(text, warn(text, any));
	out_text(text->out, ": the figures are of the rest\n");
	if (damage->first[0]) {
		out_text(warn(text, any), "  first: ");
		escape_terminal(text->out, damage->first,
				strnlen(damage->first, sizeof(damage->first)));
		out_char(text->out, '\n');
	}
}

static void warn_unwind(struct text *text, bool *any)
{
	const struct profile_unwind *unwind = &text->profile->unwind;

	if (unwind->checked)
		out_printf(warn(text, any),
			   "unwind: %s stack%s checked against libunwind, %s differ%s, "
			   "%s fallback%s\n",
			   OUT_COUNT(unwind->checked), plural(unwind->checked),
			   OUT_COUNT(unwind->mismatches), unwind->mismatches == 1 ? "s" : "",
			   OUT_COUNT(unwind->fallbacks), plural(unwind->fallbacks));
	if (unwind->truncated)
		out_printf(warn(text, any), "%s stack%s cut: record with a greater MEMPROF_DEPTH\n",
			   OUT_COUNT(unwind->truncated),
			   unwind->truncated == 1 ? " was" : "s were");
}

/* Counts that are not always 0, and what they mean; "%s" is the count. */
static void warn_count(struct text *text, bool *any, uint64_t count, const char *one,
		       const char *many)
{
	if (count)
		out_printf(warn(text, any), "%s %s\n", OUT_COUNT(count), count == 1 ? one : many);
}

/* What print_nameless() has not said already. */
static void warn_symbols(struct text *text, bool *any)
{
	struct text_nameless worst;

	if (!text_nameless(text, &worst) || worst.headline)
		return;
	out_printf(warn(text, any), "%s of the peak is in functions without a name: for ",
		   OUT_PERCENT(worst.bytes, text->profile->totals.peak_bytes));
	escape_terminal_fit(text->out, writer_basename(worst.module), NAMELESS_COLUMNS);
	out_text(text->out, " install debug symbols\n  (a -dbgsym package), or let them be fetched "
			    "by --debuginfod\n");
}

static int warnings_section(struct text *text)
{
	const struct profile_totals *totals = &text->profile->totals;
	bool any = false;

	warn_damage(text, &any);
	warn_count(text, &any, lost_by_recorder(text),
		   "event was lost by the recorder: the figures miss it",
		   "events were lost by the recorder: the figures miss them");
	warn_count(text, &any, totals->mismatched_frees,
		   "block was freed by the wrong function (malloc, new and new[] mixed)",
		   "blocks were freed by the wrong function (malloc, new and new[] mixed)");
	warn_count(text, &any, totals->failed, "allocation failed", "allocations failed");
	warn_count(
	    text, &any, totals->foreign_frees,
	    "block was freed that was allocated before recording began, or before a fork",
	    "blocks were freed that were allocated before recording began, or before a fork");
	warn_symbols(text, &any);
	warn_unwind(text, &any);
	return 0;
}

static const struct section {
	unsigned bit;
	int (*print)(struct text *text);
} sections[] = {
    {SECTION_PEAK, peak_section},
    {SECTION_LEAKS, leaks_section},
    {SECTION_ALLOCATIONS, allocations_section},
    {SECTION_BYTES, bytes_section},
    {SECTION_TEMPORARIES, temporaries_section},
    {SECTION_MAPS, maps_section},
    {SECTION_WARNINGS, warnings_section},
};

static int print_report(struct text *text)
{
	unsigned wanted = text->options->sections ? text->options->sections : USUAL_SECTIONS;
	int result;

	print_process(text);
	print_totals(text);
	print_stopped(text);
	print_incomplete(text);
	result = text_verdict(text);
	print_nameless(text);
	for (size_t i = 0; !result && i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (wanted & sections[i].bit)
			result = sections[i].print(text);
	}
	return result;
}

static int write_text(const struct profile *profile, const struct writer_options *options,
		      struct out *out)
{
	struct text text = {
	    .out = out,
	    .profile = profile,
	    .options = options,
	    .columns = options->columns ? options->columns : DEFAULT_COLUMNS,
	    .top = options->top == WRITER_TOP_DEFAULT ? DEFAULT_SITES
		   : options->top		      ? options->top
						      : SIZE_MAX,
	};
	int result = out_open_memory(&text.scratch);

	if (result)
		return result;
	result = text_group(&text);
	if (result == 0)
		result = print_report(&text);
	text_ungroup(&text);
	if (out_close(text.scratch) && !result)
		result = -ENOMEM;
	return result;
}

const struct writer writer_text = {
    .name = "text",
    .description = "for people",
    .write = write_text,
};
