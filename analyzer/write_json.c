/*
 * The report as JSON, schema "memprof-report/1": docs/report-json.md. One site a line, streamed.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "escape.h"
#include "out.h"
#include "profile.h"
#include "writer.h"

#define DEFAULT_SITES 10000

/* The figures of a site that sum to the totals: these, in this order. */
static const struct site_figure {
	const char *name;
	size_t offset;
} site_figures[] = {
    {"allocations", offsetof(struct profile_site, allocations)},
    {"bytes", offsetof(struct profile_site, bytes)},
    {"peak_bytes", offsetof(struct profile_site, peak_bytes)},
    {"peak_blocks", offsetof(struct profile_site, peak_blocks)},
    {"live_bytes", offsetof(struct profile_site, live_bytes)},
    {"live_blocks", offsetof(struct profile_site, live_blocks)},
    {"temporary", offsetof(struct profile_site, temporary)},
    {"frees", offsetof(struct profile_site, frees)},
    {"failed", offsetof(struct profile_site, failed)},
};
#define SITE_FIGURES (sizeof(site_figures) / sizeof(site_figures[0]))

static const char *const verdict_names[] = {
    [VERDICT_NONE] = "none",
    [VERDICT_GROWING] = "growing",
    [VERDICT_NEVER_FREED] = "never_freed",
    [VERDICT_REMNANT] = "remnant",
    [VERDICT_STARTUP] = "startup",
    [VERDICT_IN_USE] = "in_use",
};

static uint64_t *site_figure(const struct profile_site *site, size_t figure)
{
	return (uint64_t *)((char *)(uintptr_t)site + site_figures[figure].offset);
}

static void write_seconds(struct out *out, double seconds)
{
	out_printf(out, "%.9f", isfinite(seconds) ? seconds : 0.0);
}

static void write_frame(struct out *out, const struct writer_options *options,
			const struct profile_frame *frame)
{
	out_text(out, "{\"function\":");
	escape_json(out, frame->function);
	out_text(out, ",\"file\":");
	escape_json(out, writer_path(options, frame->file));
	if (frame->line)
		out_printf(out, ",\"line\":%u,\"module\":", frame->line);
	else
		out_text(out, ",\"line\":null,\"module\":");
	escape_json(out, writer_path(options, frame->module));
	out_printf(out, ",\"offset\":%llu,\"inlined\":%s}", (unsigned long long)frame->offset,
		   frame->inlined ? "true" : "false");
}

static void write_figures(struct out *out, const struct profile_site *site)
{
	for (size_t i = 0; i < SITE_FIGURES; i++)
		out_printf(out, ",\"%s\":%llu", site_figures[i].name,
			   (unsigned long long)*site_figure(site, i));
}

static void write_stack(struct out *out, const struct writer_options *options,
			const struct profile_stack *stack)
{
	const struct profile_frame *const *frames = profile_stack_frames(stack);

	out_text(out, "    {\"stack\":[");
	for (size_t i = 0; i < stack->count; i++) {
		if (i)
			out_char(out, ',');
		write_frame(out, options, frames[i]);
	}
	out_printf(out, "],\"site_frame\":%u,\"truncated\":%s", stack->site_frame,
		   stack->truncated ? "true" : "false");
}

static void write_site(struct out *out, const struct writer_options *options,
		       const struct profile *profile, const struct profile_site *site)
{
	const uint64_t *trend = profile_trend(profile, site);

	write_stack(out, options, &site->stack);
	write_figures(out, site);
	out_text(out, ",\"first_s\":");
	write_seconds(out, site->first_s);
	out_text(out, ",\"last_s\":");
	write_seconds(out, site->last_s);
	out_text(out, ",\"trend_bytes\":[");
	for (size_t i = 0; i < PROFILE_TREND_POINTS; i++)
		out_printf(out, "%s%llu", i ? "," : "", (unsigned long long)trend[i]);
	out_printf(out, "],\"verdict\":\"%s\"}", verdict_names[site->verdict]);
}

/* Those of the program's own mappings, largest at their peak first. */
static int write_map_sites(struct out *out, const struct writer_options *options,
			   const struct profile *profile)
{
	struct profile maps = {.sites = profile->map_sites, .site_count = profile->map_site_count};
	uint32_t *order = ranking_sort(&maps, RANKING_PEAK);

	if (!order)
		return -ENOMEM;
	out_text(out, "  \"map_sites\": [");
	for (size_t i = 0; i < maps.site_count && !out_error(out); i++) {
		const struct profile_site *site = &maps.sites[order[i]];

		out_text(out, i ? ",\n" : "\n");
		write_stack(out, options, &site->stack);
		out_printf(
		    out,
		    ",\"maps\":%llu,\"bytes\":%llu,\"peak_bytes\":%llu,\"peak_pieces\":%llu,"
		    "\"live_bytes\":%llu,\"live_pieces\":%llu}",
		    (unsigned long long)site->allocations, (unsigned long long)site->bytes,
		    (unsigned long long)site->peak_bytes, (unsigned long long)site->peak_blocks,
		    (unsigned long long)site->live_bytes, (unsigned long long)site->live_blocks);
	}
	out_text(out, maps.site_count ? "\n  ],\n" : "],\n");
	free(order);
	return 0;
}

/* The sites that are not listed, as one, so that the sums stay exact. */
static void write_others(struct out *out, const struct profile *profile, const uint32_t *order,
			 size_t from)
{
	struct profile_site sum = {0};

	for (size_t i = from; i < profile->site_count; i++) {
		for (size_t j = 0; j < SITE_FIGURES; j++)
			*site_figure(&sum, j) += *site_figure(&profile->sites[order[i]], j);
	}
	out_printf(out, "    {\"stack\":[],\"other_sites\":%zu", profile->site_count - from);
	write_figures(out, &sum);
	out_char(out, '}');
}

static void write_process(struct out *out, const struct writer_options *options,
			  const struct profile_process *process)
{
	out_printf(out, "  \"process\": {\"pid\":%u,\"exe\":", process->pid);
	escape_json(out, writer_path(options, process->exe));
	out_text(out, ",\"cmdline\":");
	escape_json(out, options->confidential || !process->cmdline ? "" : process->cmdline);
	out_text(out, ",\"host\":");
	escape_json(out, options->confidential || !process->host ? "" : process->host);
	out_printf(out, ",\"threads\":%u,\"end\":", process->threads);
	escape_json(out, process->end);
	if (process->end_status >= 0)
		out_printf(out, ",\"end_status\":%d", process->end_status);
	else
		out_text(out, ",\"end_status\":null");
	if (process->stopped) {
		out_printf(out, ",\"stopped\":{\"time_s\":%.9f,\"why\":", process->stopped_s);
		escape_json(out, process->stopped);
		out_char(out, '}');
	} else {
		out_text(out, ",\"stopped\":null");
	}
	out_printf(out, ",\"start_realtime_ns\":%llu},\n",
		   (unsigned long long)process->start_realtime_ns);
}

static void write_total(struct out *out, const char *name, uint64_t value)
{
	out_printf(out, "    \"%s\": %llu,\n", name, (unsigned long long)value);
}

static void write_totals(struct out *out, const struct profile_totals *totals)
{
	out_text(out, "  \"totals\": {\n");
#define TOTAL(field) write_total(out, #field, totals->field)
	TOTAL(allocations);
	TOTAL(frees);
	TOTAL(reallocs);
	TOTAL(bytes_allocated);
	TOTAL(peak_bytes);
	TOTAL(peak_blocks);
	out_text(out, "    \"peak_time_s\": ");
	write_seconds(out, totals->peak_time_s);
	out_text(out, ",\n");
	TOTAL(live_bytes_end);
	TOTAL(live_blocks_end);
	TOTAL(temporary);
	TOTAL(foreign_frees);
	TOTAL(mismatched_frees);
	TOTAL(failed);
	out_text(out, "    \"duration_s\": ");
	write_seconds(out, totals->duration_s);
	out_text(out, ",\n");
	TOTAL(events);
	TOTAL(lost_events);
	TOTAL(maps);
	TOTAL(map_bytes);
	TOTAL(map_peak_bytes);
	TOTAL(map_live_bytes_end);
#undef TOTAL
	out_printf(out, "    \"peak_rss_bytes\": %llu\n  },\n",
		   (unsigned long long)totals->peak_rss_bytes);
}

static void write_health(struct out *out, const struct profile *profile)
{
	const struct profile_unwind *unwind = &profile->unwind;
	const struct profile_damage *damage = &profile->damage;

	out_printf(out,
		   "  \"unwind\": {\"checked\":%llu,\"mismatches\":%llu,\"fallbacks\":%llu,"
		   "\"truncated\":%llu},\n",
		   (unsigned long long)unwind->checked, (unsigned long long)unwind->mismatches,
		   (unsigned long long)unwind->fallbacks, (unsigned long long)unwind->truncated);
	out_printf(out,
		   "  \"damage\": {\"bad_segments\":%llu,\"bad_bytes\":%llu,\"lost_events\":%llu,"
		   "\"cut\":%s,\"first\":",
		   (unsigned long long)damage->bad_segments, (unsigned long long)damage->bad_bytes,
		   (unsigned long long)damage->lost_events, damage->cut ? "true" : "false");
	escape_json(out, damage->first[0] ? damage->first : NULL);
	out_text(out, "},\n");
}

static int write_json(const struct profile *profile, const struct writer_options *options,
		      struct out *out)
{
	size_t top = options->top == WRITER_TOP_DEFAULT ? DEFAULT_SITES : options->top;
	size_t listed = top && top < profile->site_count ? top : profile->site_count;
	uint32_t *order = ranking_sort(profile, options->sort);

	if (!order)
		return -ENOMEM;
	out_text(out, "{\n  \"schema\": \"memprof-report/1\",\n");
	write_process(out, options, &profile->process);
	write_totals(out, &profile->totals);
	write_health(out, profile);
	if (write_map_sites(out, options, profile)) {
		free(order);
		return -ENOMEM;
	}
	out_printf(out, "  \"site_count\": %zu,\n  \"sites\": [", profile->site_count);
	for (size_t i = 0; i < listed && !out_error(out); i++) {
		out_text(out, i ? ",\n" : "\n");
		write_site(out, options, profile, &profile->sites[order[i]]);
	}
	if (listed < profile->site_count) {
		out_text(out, listed ? ",\n" : "\n");
		write_others(out, profile, order, listed);
	}
	out_text(out, "\n  ]\n}\n");
	free(order);
	return 0;
}

const struct writer writer_json = {
    .name = "json",
    .description = "everything, for programs",
    .write = write_json,
};
