/*
 * The timeline as a table: a row a point, and one for the very moment of the peak, so that the
 * largest live_bytes of the table is the peak exactly.
 */
#include "out.h"
#include "profile.h"
#include "writer.h"

#include <inttypes.h>
#include <math.h>

static void put_row(struct out *out, double time_s, uint64_t bytes, uint64_t blocks, uint64_t rss)
{
	out_printf(out, "%.9f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", time_s, bytes, blocks, rss);
}

static bool within(const struct writer_options *options, double time_s)
{
	return time_s >= options->from_s && (options->to_s <= 0 || time_s <= options->to_s);
}

static void put_peak(struct out *out, const struct writer_options *options,
		     const struct profile_totals *totals, uint64_t rss)
{
	put_row(out, totals->peak_time_s, totals->peak_bytes, totals->peak_blocks,
		options->no_rss ? 0 : rss);
}

static int write_csv(const struct profile *profile, const struct writer_options *options,
		     struct out *out)
{
	const struct profile_totals *totals = &profile->totals;
	bool peak_due = totals->peak_bytes > 0 && within(options, totals->peak_time_s);
	uint64_t rss = 0;
	double before = 0;

	out_text(out, "time_s,live_bytes,live_blocks,rss_bytes\n");
	for (size_t i = 0; i < profile->point_count; i++) {
		const struct profile_point *point = &profile->points[i];

		/* Times of a damaged trace may be anything; rows go forward all the same. */
		if (!isfinite(point->time_s) || point->time_s < before)
			continue;
		if (peak_due && totals->peak_time_s <= point->time_s) {
			peak_due = false;
			/* The point may be that moment itself. */
			if (totals->peak_time_s < point->time_s ||
			    totals->peak_bytes != point->live_bytes ||
			    totals->peak_blocks != point->live_blocks)
				put_peak(out, options, totals, rss ? rss : point->rss_bytes);
		}
		before = point->time_s;
		rss = point->rss_bytes;
		if (within(options, point->time_s))
			put_row(out, point->time_s, point->live_bytes, point->live_blocks,
				options->no_rss ? 0 : rss);
	}
	if (peak_due)
		put_peak(out, options, totals, rss);
	return 0;
}

const struct writer writer_csv = {
    .name = "csv",
    .description = "a table of the timeline, for spreadsheets and scripts",
    .write = write_csv,
};
