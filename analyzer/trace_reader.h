/*
 * A trace file, indexed: which sound segments there are, and what the small ones say.
 *
 * Order matters because the file may be written while we read it. Rings are copied first, the
 * other segments are indexed after that: what a thread flushes in between is then in both, and the
 * ring's copy gives way. Reading it the other way round would lose it.
 *
 * The index keeps some 110 bytes for each EVENTS segment, never the events. All that is counted
 * here as lost comes from the ordinals in the segments, so it is exact.
 */
#ifndef TRACE_READER_H
#define TRACE_READER_H

#include "trace_file.h"
#include "trace_stage.h"

/* What could not be read; the same meaning as struct profile_damage. */
struct trace_damage {
	uint64_t bad_segments;
	uint64_t bad_bytes;
	uint64_t lost_events;
	bool cut;
	char first[160];
};

/* Adds one bad segment of `bytes`; the first description is kept. `what` is a printf format. */
void trace_damage_add(struct trace_damage *damage, uint64_t bytes, const char *what, ...)
    __attribute__((format(printf, 3, 4)));

struct trace_process_info {
	char *exe; /* each "" when unknown; owned by the reader */
	char *cmdline;
	size_t cmdline_bytes; /* arguments ended by NUL */
	char *host;
	char *cwd;
};

struct trace_module_info {
	struct trace_module head;
	uint8_t *build_id; /* head.build_id_bytes long; owned by the reader */
	char *path;	   /* NUL-terminated; owned by the reader */
};

/* The copy of one ring: its stage, and words of the positions flushed .. flushed + word_count. */
struct trace_ring_copy {
	uint32_t index;
	uint64_t offset; /* of the segment */
	struct trace_ring control;
	struct trace_stage stage; /* payload: owned by the reader */
	uint64_t *words;	  /* owned by the reader */
	size_t word_count;
	uint64_t held_from; /* all positions from here on are in the stage or the words */
	uint32_t thread;    /* index among the threads seen, see trace_reader.threads */
};

/* One sound EVENTS segment, or what a stage would have become. */
struct trace_events_info {
	const uint8_t *payload; /* of a stage, which owns it; NULL: it is in the file at `offset` */
	uint64_t offset;	/* of the payload, or of the stage's ring */
	uint64_t payload_bytes;
	uint64_t from, to;
	uint64_t first_event;
	uint64_t first_tick, last_tick;
	uint64_t unrecorded; /* of the ring so far */
	struct trace_clock clock;
	uint32_t events;
	uint32_t ring;
	uint32_t thread; /* index among the threads seen */
	uint32_t tick_shift;
};

/* Where chunk `index` of the nodes or of the wide pcs lies; offset 0: not in the file. */
struct trace_chunks {
	uint64_t *offsets; /* of the segment's head; owned by the reader */
	size_t count;
};

/* A window: which chunk it has, and for a process that runs on, a copy of it. */
struct trace_window {
	uint64_t offset; /* of the segment's head */
	uint64_t number; /* of its chunk, plus 1; 0: none */
	uint64_t *words; /* NULL: read when wanted; owned by the reader */
};

/* The payload of a PACKED segment; offset 0: there is none. */
struct trace_packed_at {
	uint64_t offset;
	uint64_t payload_bytes;
};

struct trace_reader {
	struct trace_file file;
	struct trace_header header; /* what a cut file lacks is zero */
	bool header_sound;
	struct trace_process_info process;
	struct trace_module_info *modules;
	size_t module_count;
	struct trace_unload *unloads;
	size_t unload_count;
	struct trace_ring_copy *rings; /* by index */
	size_t ring_count;
	size_t ring_words;		  /* of all copies */
	size_t stage_bytes;		  /* of all copies' payloads */
	struct trace_events_info *events; /* by ring, then by position */
	size_t event_segments;
	struct trace_chunks nodes;
	struct trace_chunks wide;
	struct trace_window *windows;
	size_t window_count;
	struct trace_packed_at *packed; /* by number of the chunk */
	size_t packed_count;
	uint32_t threads;	  /* distinct threads that made events */
	uint32_t tick_shift;	  /* what merging may distinguish; no segment's is less */
	uint64_t last_tick;	  /* of all events */
	struct trace_clock clock; /* last sound pair in an EVENTS segment; 0, 0: none */
	struct trace_clock clock_first;
	uint64_t unrecorded_events; /* the recorder could not record these, and said so */
	uint32_t unfinished;	    /* segments found half-way, as the header says there may be */
	bool running;		    /* the recorded process lives and writes on */
	struct trace_damage damage;
};

/*
 * Opens and indexes the trace at `path`. Returns 0 and a reader that trace_reader_free() releases,
 * or -errno (-EINVAL: not a trace, -EPROTO: of a newer version) with one line in `error`.
 */
int trace_reader_open(const char *path, struct trace_reader **out, char *error, size_t error_bytes);
void trace_reader_free(struct trace_reader *reader);

#endif
