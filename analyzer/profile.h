/*
 * The finished answer to one trace: what the writers print. Read-only once profile_load() returned.
 *
 * Everything is in requested bytes. A site is one distinct call stack; the sums over all sites
 * equal the totals exactly. Times are seconds since recording began.
 */
#ifndef PROFILE_H
#define PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One source-level frame; several (inlined ones first) may stand for one return address. */
struct profile_frame {
	const char *function; /* demangled; NULL where no symbol is known */
	const char *file;     /* source file; NULL unknown */
	uint32_t line;	      /* 0 unknown */
	const char *module;   /* path of the executable or library; NULL: code outside any file */
	uint64_t offset;      /* of the call in the module's file addresses (pc - 1 - bias) */
	bool inlined;	      /* inlined into the next frame of the stack */
	uint8_t role;	      /* enum frame_role, kept by the symbolizer; 0: not looked up */
};

struct site_stacks;

/*
 * A call stack, innermost frame first; allocator internals have been removed. At hand are the
 * frames up to site_frame and some of its callers: few stacks of many are ever shown whole.
 */
struct profile_stack {
	const struct profile_frame *const *frames; /* count - later: profile_stack_frames() */
	struct site_stacks *of;			   /* makes the others */
	uint32_t count;
	uint32_t site_frame; /* first frame that is not a container or allocator wrapper: what to
				call the site by; 0 when all are */
	uint32_t number;     /* among those of `of` */
	uint32_t later : 31; /* outermost frames, made when asked for; 0: all are at hand */
	bool truncated : 1;  /* cut at the recorder's depth limit */
};

/*
 * All `count` frames of a stack. The array is good until so many other stacks were asked for, the
 * frames until profile_free(). Not thread-safe.
 */
#define PROFILE_WHOLE_STACKS 4
const struct profile_frame *const *profile_stack_frames(const struct profile_stack *stack);

/* One frame of a stack, below its count. */
const struct profile_frame *profile_stack_frame(const struct profile_stack *stack, size_t at);

#define PROFILE_TREND_POINTS 8

enum profile_verdict {
	VERDICT_NONE,	     /* nothing live at the end */
	VERDICT_GROWING,     /* live through the run and growing to its end: a leak very likely */
	VERDICT_NEVER_FREED, /* no block of this site was ever freed, more than one, over time */
	VERDICT_REMNANT,     /* some stay, or a few were never freed: partial leak or a cache */
	VERDICT_STARTUP,     /* allocated in the first moments, once: a global for life */
	VERDICT_IN_USE,	     /* freed regularly; the last ones were simply alive at the end */
};

struct profile_site {
	struct profile_stack stack;
	uint64_t allocations;
	uint64_t bytes;
	uint64_t frees;
	uint64_t peak_bytes; /* held at the peak of the whole program */
	uint64_t peak_blocks;
	uint64_t live_bytes; /* at the end */
	uint64_t live_blocks;
	uint64_t temporary;
	uint64_t failed;
	double first_s; /* first and last allocation */
	double last_s;
	enum profile_verdict verdict;
	uint32_t trend; /* of profile_trend(); 0: nothing was live at those moments */
};

struct profile_totals {
	uint64_t allocations, frees, reallocs, bytes_allocated;
	uint64_t peak_bytes, peak_blocks;
	double peak_time_s;
	uint64_t live_bytes_end, live_blocks_end;
	uint64_t temporary, foreign_frees, failed;
	double duration_s;
	uint64_t events, lost_events;
	uint64_t peak_rss_bytes;
	uint64_t mismatched_frees; /* new/free, malloc/delete, new[]/delete mix-ups */
	uint64_t maps, map_bytes, map_peak_bytes,
	    map_live_bytes_end; /* the program's own anonymous mmap */
};

struct profile_process {
	uint32_t pid;
	uint32_t parent_pid;
	bool forked;	     /* its command line is the parent's, of when it was forked */
	const char *exe;     /* path */
	const char *cmdline; /* arguments joined by spaces, quoted where needed; raw bytes */
	const char *host;
	uint32_t threads;
	const char *end;     /* "exit", "signal", "exec", "killed", "running" */
	int end_status;	     /* exit status or signal number, where known; else -1 */
	const char *stopped; /* why recording stopped before that; NULL: it did not */
	double stopped_s;    /* and when */
	uint64_t start_realtime_ns;
};

/* What of the file could not be read; all zero when it is sound. */
struct profile_damage {
	uint64_t bad_segments;
	uint64_t bad_bytes;
	uint64_t lost_events; /* known to have been in damaged segments, from the gaps */
	bool cut;	      /* the file ends in the middle of a segment */
	char first[160];      /* what was wrong first, with its offset, for people */
};

/* One point of the timeline: the state at the end of the interval, and the highest within it. */
struct profile_point {
	double time_s;
	uint64_t live_bytes, live_blocks;
	double high_time_s;
	uint64_t high_bytes; /* highest live bytes within the interval, at high_time_s */
	uint64_t low_bytes;
	uint64_t rss_bytes; /* last sample; 0 before the first */
};

/* A named site, all stacks of that name together (groups.h), or one stack alone. */
struct profile_top {
	const struct profile_stack *stack; /* of the one that held most at the peak */
	size_t stacks;			   /* of that name */
	size_t holding;			   /* of these, held something at the peak */
	uint64_t peak_bytes, peak_blocks;
};

struct profile_unwind {
	uint64_t checked, mismatches, fallbacks, truncated;
};

struct profile {
	struct profile_process process;
	struct profile_totals totals;
	struct profile_unwind unwind;
	struct profile_damage damage;
	struct profile_site *sites; /* unsorted */
	size_t site_count;
	uint64_t *trends; /* of the sites, PROFILE_TREND_POINTS each; the first is no site's */
	/*
	 * Who made the program's own mappings, summing to the map totals: allocations are calls
	 * that mapped, blocks the separate pieces mapped; of the rest only bytes have a meaning.
	 */
	struct profile_site *map_sites; /* unsorted */
	size_t map_site_count;
	struct profile_point *points; /* in order of time; may be empty */
	size_t point_count;
	struct profile_top *top; /* what held most at the peak, largest first */
	size_t top_count;
	uint64_t *top_bytes; /* their live bytes over time, [point * top_count + rank] */
};

/* A site's live heap at the ends of PROFILE_TREND_POINTS equal parts of the run. */
const uint64_t *profile_trend(const struct profile *profile, const struct profile_site *site);

struct profile_options {
	size_t points;	     /* timeline points wanted at most; 0: no timeline */
	size_t top_count;    /* named sites to follow in the timeline, at most; 0: none */
	bool top_by_stack;   /* follow stacks instead, not grouped by name */
	bool symbols;	     /* resolve names, files and lines */
	bool debuginfod;     /* let libdwfl ask DEBUGINFOD_URLS */
	const char *sysroot; /* where modules are looked for; NULL: / */
};

/*
 * Reads, replays and symbolises the trace at `path`. On success returns 0 and a profile that
 * profile_free() releases; it may have damage. On failure returns -errno (-EINVAL: not a trace,
 * -EPROTO: of a newer version) and writes what is wrong and what to do, one line without the
 * file's name, into error.
 */
int profile_load(const char *path, const struct profile_options *options, struct profile **out,
		 char *error, size_t error_bytes);
void profile_free(struct profile *profile);

#endif
