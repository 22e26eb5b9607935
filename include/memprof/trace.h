/*
 * The trace file: what is on disk, and nothing else.
 *
 * A file is one header page followed by segments, in any order. A segment is either *appended*
 * (written once, checksummed, never changed) or *mapped* (a piece of the file that the recording
 * process writes through a shared mapping: rings and stack chunks). Mapped segments are what makes
 * a trace survive SIGKILL: every committed event lies in the page cache, not in the process.
 *
 * docs/trace-format.md explains each structure well enough to write another reader. All integers
 * have the byte order of the recording machine; `byte_order` tells which.
 *
 * This header holds no logic: preload/ writes these structures, analyzer/ reads them.
 */
#ifndef MEMPROF_TRACE_H
#define MEMPROF_TRACE_H

#include <stddef.h>
#include <stdint.h>

#define TRACE_MAGIC	    0x0a464f52504d454dULL /* "MEMPROF\n" in memory on little-endian machines */
#define TRACE_VERSION	    1
#define TRACE_BYTE_ORDER    0x01020304U
#define TRACE_HEADER_BYTES  4096
#define TRACE_SEGMENT_MAGIC 0x1a676573fd706d89ULL
#define TRACE_SEGMENT_ALIGN 64 /* every segment begins at a multiple of this */

/* What one unit of `tick` is. Ticks are made into seconds by the clock pairs. */
enum trace_clock_kind {
	TRACE_CLOCK_MONOTONIC = 0, /* CLOCK_MONOTONIC in ns */
	TRACE_CLOCK_TSC = 1,	   /* x86 rdtsc, invariant */
	TRACE_CLOCK_CNTVCT = 2,	   /* aarch64 cntvct_el0 */
};

/* One instant on both clocks: ticks count from 0 at the first pair of the header. */
struct trace_clock {
	uint64_t tick;
	uint64_t monotonic_ns;
};

enum trace_end {
	TRACE_END_NONE = 0, /* still running, or killed: ask whether the process lives */
	TRACE_END_EXIT = 1, /* exit(), _exit() or return from main; `end_status` is the status */
	TRACE_END_EXEC = 2, /* replaced itself by another program */
	TRACE_END_SIGNAL =
	    3, /* died by a signal, told by the launcher; `end_status` is its number */
};

#define TRACE_REGIONS	  64
#define TRACE_REGION_WIDE 63 /* a node's region that means: low word is an index of a wide pc */

/*
 * The 4-GiB piece of address space, at one code epoch, that the low 32 bits of a node's pc lie in.
 * Written as one 8-byte store. Two entries may say the same.
 */
struct trace_region {
	uint32_t pc_high; /* bits 32..63 of the pc */
	uint32_t epoch_1; /* code epoch (see struct trace_module) plus 1; 0: entry not in use */
};

/*
 * The first page of the file. The first part is fixed before the first segment is written and
 * covered by `checksum`; the second is changed by plain aligned stores while recording goes on.
 */
struct trace_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	uint32_t byte_order;
	uint32_t machine;   /* ELF e_machine of the recorded program */
	uint32_t page_size; /* alignment of mapped segments */
	uint32_t clock_kind;
	struct trace_clock start; /* tick is 0 here by definition */
	uint64_t start_tick_raw;  /* what the tick counter showed at `start` */
	uint64_t start_realtime_ns;
	uint64_t process_start; /* field 22 of /proc/PID/stat: tells a reused pid; 0 unknown */
	uint32_t pid;
	uint32_t parent_pid;
	uint32_t forked; /* 1: a child recorded since fork; blocks of its parent are foreign */
	uint32_t sample_bytes_log2; /* 0: exact; reserved for sampling */
	uint32_t max_depth;	    /* no stack has more frames; see TRACE_CUT_DEPTH */
	uint32_t tick_shift; /* two ticks that differ in no bit from here up may be unordered */
	uint32_t reserved0[4];
	uint64_t checksum; /* XXH3-64 of the bytes before this field */

	/* changed while recording; offset 128 */
	_Alignas(64) uint64_t tail; /* where the next segment goes */
	uint64_t lost_events;	    /* events that could not be recorded */
	struct trace_clock latest;  /* refreshed now and then, for files that did not end well */
	uint32_t end;		    /* enum trace_end */
	int32_t end_status;
	struct trace_clock end_clock;
	uint64_t peak_rss_bytes; /* highest sample so far; VmHWM once it has ended */
	uint64_t unwind_checked; /* MEMPROF_UNWIND=verify: stacks compared with libunwind's */
	uint64_t unwind_mismatches;
	uint64_t unwind_fallbacks; /* stacks that needed the general unwinder */
	uint64_t unwind_truncated; /* stacks cut at max_depth */
	uint32_t flags;		   /* enum trace_flag */
	uint32_t writing; /* segments on their way into the file: space may be reserved for them */
	uint64_t end_events; /* the recorder's own counts when `end` was written, for people: */
	uint64_t end_blocks; /* blocks acquired less blocks released; the events are the truth */
	struct trace_clock stopped; /* when recording stopped, if it did before the process ended */
	uint32_t stop_reason;	    /* enum trace_stop; written last */
	uint32_t reserved1[7];
	_Alignas(64) struct trace_region regions[TRACE_REGIONS];
};

/* Why recording stopped for good although the process went on. */
enum trace_stop {
	TRACE_STOP_NONE = 0,
	TRACE_STOP_RING = 1, /* no memory for another thread's ring */
};

/*
 * A deeper stack is cut to max_depth frames, or, when that is this at least, somewhere between
 * three quarters of max_depth and that: where neighbours are cut too, so that they share what they
 * have.
 */
#define TRACE_CUT_DEPTH 64

/* Reasons why a recording may be incomplete, in trace_header.flags. */
enum trace_flag {
	TRACE_FLAG_DORMANT_START = 1, /* MEMPROF_START=0: blocks from before are foreign */
	TRACE_FLAG_WRITE_FAILED = 2,  /* a segment could not be written; see lost_events */
	TRACE_FLAG_NODES_FULL = 4,    /* no more stack nodes: later stacks are cut */
	TRACE_FLAG_SAID = 8,	      /* the closing lines were written to stderr */
};

enum trace_segment_type {
	TRACE_SEGMENT_PROCESS = 1, /* appended: struct trace_process */
	TRACE_SEGMENT_MODULE = 2,  /* appended: struct trace_module */
	TRACE_SEGMENT_UNLOAD = 3,  /* appended: struct trace_unload */
	TRACE_SEGMENT_EVENTS = 4,  /* appended: struct trace_events and its columns */
	TRACE_SEGMENT_RING = 5,	   /* mapped: struct trace_ring and its words */
	TRACE_SEGMENT_NODES = 6,   /* mapped: stack nodes */
	TRACE_SEGMENT_WIDE = 7,	   /* mapped: struct trace_wide_pc entries */
	TRACE_SEGMENT_WINDOW = 8,  /* mapped: stack nodes of one chunk after the other */
	TRACE_SEGMENT_PACKED = 9,  /* appended: a full chunk's stack nodes */
};

/*
 * The head of every segment, 64 bytes, at a multiple of TRACE_SEGMENT_ALIGN (mapped segments: of
 * the page size). A hole of zeros, left where a process was killed between reserving and writing,
 * or by alignment, is skipped by looking for the next sound head.
 */
struct trace_segment {
	uint64_t magic;
	uint32_t type;
	uint32_t index;		/* RING, NODES, WIDE, PACKED: number among its type, from 0 */
	uint64_t bytes;		/* whole segment with this head; next one may begin here */
	uint64_t payload_bytes; /* meaningful bytes after this head */
	uint64_t payload_hash;	/* XXH3-64 of the payload; 0 in mapped segments */
	uint64_t reserved[2];
	uint64_t head_hash; /* XXH3-64 of the 56 bytes before */
};

/* PROCESS payload: this, then the strings one after the other, without terminators. */
struct trace_process {
	uint32_t exe_bytes;	/* path of the executable */
	uint32_t cmdline_bytes; /* as in /proc/PID/cmdline: arguments ended by NUL */
	uint32_t host_bytes;
	uint32_t cwd_bytes;
};

/*
 * MODULE payload: this, then build-id, then path. A module is written once when it is first met.
 * Code epochs order loading and unloading: a pc of region epoch E lies in the module whose range
 * holds it and whose `epoch` is the greatest not above E.
 */
struct trace_module {
	uint64_t tick;	/* when it was first met; 0 for those present at the start */
	uint64_t bias;	/* address in memory minus address in the file's program headers */
	uint64_t start; /* first and one past the last mapped address */
	uint64_t end;
	uint32_t epoch;
	uint32_t module; /* number, from 0 */
	uint32_t build_id_bytes;
	uint32_t path_bytes;
};

struct trace_unload {
	uint64_t tick;
	uint32_t module;
	uint32_t reserved;
};

/*
 * NODES: 8192 words of 8 bytes a chunk, the first 8 of which are the segment head. The node with
 * id N is word N % 8192 of the chunk with index N / 8192; ids 0..7 of each chunk do not exist, and
 * id 0 is the root, "no more callers", and id 1 takes its place where a stack was cut. A word of 0
 * is a node that was never committed.
 */
#define TRACE_NODES_CHUNK_WORDS 8192
#define TRACE_NODE_PARENT_BITS	26
#define TRACE_NODE_PARENT(word) ((uint32_t)((word) >> 38))
#define TRACE_NODE_REGION(word) ((uint32_t)((word) >> 32) & 63)
#define TRACE_NODE_CUT		1
#define TRACE_NODE_PC_LOW(word) ((uint32_t)(word))
#define TRACE_NODE(parent, region, pc_low)                                                         \
	((uint64_t)(parent) << 38 | (uint64_t)(region) << 32 | (uint32_t)(pc_low))

/*
 * WINDOW: as NODES, for a chunk that changes. Word 8 is the number of the chunk whose nodes stand
 * here plus 1, or 0: nobody's. Node N is word N % 8192, from 9 on; all of them are 0 when the
 * number is stored. A chunk that is in two windows is what is not 0 in either.
 */
#define TRACE_WINDOW_CHUNK_WORD 8

/*
 * PACKED: all nodes of chunk `index`, from node 9 of it on: this, then three columns, compressed
 * together or not. It is whole before the window that has the chunk is given another. Varints as
 * in EVENTS.
 */
enum trace_node_column {
	TRACE_NODE_COLUMN_PARENT,     /* varint a node: its id less the parent's, less 1 */
	TRACE_NODE_COLUMN_CODE,	      /* varint a node: 0 for the next code of DEFINITION, else the
					 code's number plus 1 */
	TRACE_NODE_COLUMN_DEFINITION, /* a code is region << 32 | low 32 bits of the pc: zigzag
					 varint, less that before (0) */
	TRACE_NODE_COLUMNS
};

struct trace_packed_nodes {
	uint32_t nodes;
	uint32_t column_bytes[TRACE_NODE_COLUMNS]; /* before compression */
	uint16_t compression;			   /* enum trace_compression */
	uint16_t reserved[3];
};

/* WIDE: entries for pcs whose region did not fit; entry N of the file is in chunk N / 4092. */
struct trace_wide_pc {
	uint64_t pc;
	uint32_t epoch_1; /* code epoch plus 1; 0: entry not in use */
	uint32_t reserved;
};
#define TRACE_WIDE_CHUNK_ENTRIES 4092

/*
 * RING: this control block on a page of its own, then the words of events not yet flushed, then the
 * stage: events that were flushed and are in no segment yet. Positions count words since the ring
 * was made and never go back. The words of positions `flushed` .. `head` stand at the beginning of
 * the data, the events of positions `staged` .. `flushed` in the stage, as columns (`staged` above
 * `flushed`: none). What an EVENTS segment already holds (its positions overlap) is to be ignored
 * here. The owner changes only while ring and stage are empty.
 */
struct trace_ring {
	uint64_t head;	  /* release store by the owner: one past the last committed word */
	uint64_t flushed; /* position of the first word of the data; release store by the owner */
	uint64_t flushed_events; /* events before `flushed` */
	uint64_t lost_events;	 /* events of this ring that could not be recorded */
	uint32_t thread;	 /* serial number of the owner, from 0 in order of first event */
	uint32_t tid;
	char name[16]; /* NUL-padded; as of the last segment */
	uint64_t start_tick;
	uint64_t staged;     /* position of the first event of the stage; release store */
	uint64_t word_bytes; /* room for words; the stage begins after it */
	uint64_t reserved[6];
};
#define TRACE_RING_DATA_OFFSET 4096 /* from the segment head; or page_size when that is greater */

/*
 * Events. In the ring each is some 8-byte words, the first of which is tick << 8 | kind.
 *
 * A tick is that of the moment before the real call for what it releases, and after it for what
 * it acquires, so an address's next owner never seems older than its last.
 *
 *   ACQUIRE  tick|kind, address, bytes, stack | aux << 32
 *   RELEASE  tick|kind, address
 *   REALLOC  acquire tick|kind, new address, bytes, stack | aux << 32, old address (0: none),
 *            release tick
 *   MAP      tick|kind, address, bytes, stack
 *   UNMAP    tick|kind, address, bytes
 *   REMAP    as REALLOC, then the old length
 *   FAILED   tick|kind, function (the kind that failed), bytes, stack
 *   SAMPLE   tick|kind, value
 *
 * aux: for aligned allocations log2 of the alignment, else 0.
 */
enum trace_event_class {
	TRACE_CLASS_NONE,
	TRACE_CLASS_ACQUIRE,
	TRACE_CLASS_RELEASE,
	TRACE_CLASS_REALLOC,
	TRACE_CLASS_MAP,
	TRACE_CLASS_UNMAP,
	TRACE_CLASS_REMAP,
	TRACE_CLASS_FAILED,
	TRACE_CLASS_SAMPLE,
};

/* Which release fits which acquisition: a block of one family freed by another is a mix-up. */
enum trace_family {
	TRACE_FAMILY_NONE,
	TRACE_FAMILY_C,
	TRACE_FAMILY_NEW,
	TRACE_FAMILY_NEW_ARRAY,
	TRACE_FAMILY_MAP,
};

/* X(symbol, number, name, class, family): numbers are on disk and never change. */
#define TRACE_EVENT_KINDS(X)                                                                       \
	X(MALLOC, 1, "malloc", ACQUIRE, C)                                                         \
	X(CALLOC, 2, "calloc", ACQUIRE, C)                                                         \
	X(REALLOC, 3, "realloc", REALLOC, C)                                                       \
	X(REALLOCARRAY, 4, "reallocarray", REALLOC, C)                                             \
	X(POSIX_MEMALIGN, 5, "posix_memalign", ACQUIRE, C)                                         \
	X(ALIGNED_ALLOC, 6, "aligned_alloc", ACQUIRE, C)                                           \
	X(MEMALIGN, 7, "memalign", ACQUIRE, C)                                                     \
	X(VALLOC, 8, "valloc", ACQUIRE, C)                                                         \
	X(PVALLOC, 9, "pvalloc", ACQUIRE, C)                                                       \
	X(NEW, 10, "operator new", ACQUIRE, NEW)                                                   \
	X(NEW_ARRAY, 11, "operator new[]", ACQUIRE, NEW_ARRAY)                                     \
	X(FREE, 16, "free", RELEASE, C)                                                            \
	X(FREE_SIZED, 17, "free_sized", RELEASE, C)                                                \
	X(FREE_ALIGNED_SIZED, 18, "free_aligned_sized", RELEASE, C)                                \
	X(DELETE, 19, "operator delete", RELEASE, NEW)                                             \
	X(DELETE_ARRAY, 20, "operator delete[]", RELEASE, NEW_ARRAY)                               \
	X(REALLOC_FREE, 21, "realloc", RELEASE, C) /* realloc(p, 0) that freed p */                \
	X(MMAP, 24, "mmap", MAP, MAP)                                                              \
	X(MUNMAP, 25, "munmap", UNMAP, MAP)                                                        \
	X(MREMAP, 26, "mremap", REMAP, MAP)                                                        \
	X(FAILED, 28, "failed call", FAILED, NONE)                                                 \
	X(RSS, 32, "resident bytes", SAMPLE, NONE)

enum trace_event_kind {
#define TRACE_EVENT_ENUM(symbol, number, name, class, family) TRACE_EVENT_##symbol = (number),
	TRACE_EVENT_KINDS(TRACE_EVENT_ENUM)
#undef TRACE_EVENT_ENUM
	    TRACE_EVENT_KIND_MAX = 64
};

/*
 * EVENTS payload: this, then the columns, compressed together or not. A group of segments, at most
 * 64 of one ring's, decodes without any other; its first begins all afresh. Columns lie one after
 * the other in the order of enum trace_column; `column_bytes` are their lengths before compression.
 *
 * "varint" is LEB128, of a number below 2^64. "zigzag" folds the sign: (n << 1) ^ (n >> 63). All
 * sums are modulo 2^64. A "short" is a byte: below 128 the number itself; below 255 it is the high
 * byte, plus 128, of a number below 32512 whose low byte is the next of another column; 255 says
 * that a varint follows.
 *
 * A *shape* is what events have in common: kind, aux and stack. Shapes are numbered from 0 in the
 * order in which the group defines them; one may be defined twice. Addresses are numbered from 0
 * in the order in which the group's events have them: REALLOC and REMAP first the old one (0:
 * none), then the new one.
 */
enum trace_column {
	TRACE_COLUMN_SHAPE,	 /* varint an event: 0 for a new shape, taken from DEFINITION, else
				    the shape's number plus 1 */
	TRACE_COLUMN_TIME,	 /* by TRACE_EVENTS_RUNS */
	TRACE_COLUMN_ADDRESS,	 /* short an address: how many addresses ago the same stood; 0: it
				    is the next of FRESH or RELEASED */
	TRACE_COLUMN_SIZE,	 /* ACQUIRE, REALLOC, MAP, UNMAP, REMAP, FAILED: bytes; SAMPLE:
				    value; a short by TRACE_SIZE_* */
	TRACE_COLUMN_DEFINITION, /* byte kind; if its class has a stack: byte aux, zigzag varint
				    stack less that of the definition before that has one (0) */
	TRACE_COLUMN_FRESH, /* of what is acquired: d, the address less the expected one: varint
			       zigzag(d >> 4) << 1, or that + 1 and a byte: d & 15, where 16 does
			       not divide d; d >> 4 keeps the sign. Of the varint only the first
			       byte stands here, the others in FAR */
	TRACE_COLUMN_EXTRA, /* REALLOC, REMAP: varint ticks from release to acquisition, both
			       shifted; REMAP: varint old bytes. FAILED: byte function */
	TRACE_COLUMN_ADDRESS_LOW, /* low bytes of the shorts of ADDRESS */
	TRACE_COLUMN_SIZE_LOW,	  /* and of SIZE */
	TRACE_COLUMN_RELEASED,	  /* as FRESH, of what is released: d is the address less the one
				     before of this column that was not 0 (0) */
	TRACE_COLUMN_FAR,	  /* what varints of FRESH and RELEASED have after their first byte,
				     in the order of events */
	TRACE_COLUMNS
};

/*
 * Times count from first_tick >> tick_shift: varint an event, its (tick >> tick_shift) less that of
 * the event before. RUNS: for each change varint how many events (1 at least) have had the time so
 * far, varint by how much the next is later.
 *
 * CONTINUES: the segment goes on with the group of the ring's segment before, whose `to` is its
 * `from`: all that is counted or compared with what came before, but times, counts on. Numbers of
 * addresses stay below TRACE_GROUP_ADDRESSES where a segment continues.
 */
enum trace_events_flag {
	TRACE_EVENTS_RUNS = 1,
	TRACE_EVENTS_CONTINUES = 2,
};
#define TRACE_GROUP_ADDRESSES 65536

/*
 * The expected address is one past the chunk of the address of FRESH before (at first 0), as a heap
 * would lay it out that gives a block of so many bytes, those of that event, a head of
 * TRACE_CHUNK_HEAD, rounds up to 16 and takes no less than TRACE_CHUNK_LEAST.
 */
#define TRACE_CHUNK_HEAD  8
#define TRACE_CHUNK_LEAST 32

/* Shorts: see above. */
#define TRACE_SHORT_HIGH 128
#define TRACE_SHORT_LONG 255

/*
 * Codes of SIZE: the size of the last event of this shape (at first 0); the varint that follows as
 * it is; from TRACE_SIZE_BASE on the size plus TRACE_SIZE_BASE.
 */
#define TRACE_SIZE_SAME 0
#define TRACE_SIZE_RAW	1
#define TRACE_SIZE_BASE 2

/* No segment has more events. */
#define TRACE_EVENTS_MAX 65536

enum trace_compression {
	TRACE_COMPRESSION_NONE = 0,
	TRACE_COMPRESSION_ZSTD = 1,
};

struct trace_events {
	uint32_t ring;	 /* index of the RING segment the events were in */
	uint32_t thread; /* serial number of the thread that made them */
	uint32_t tid;
	uint32_t events;
	uint64_t from; /* ring positions: words [from, to) */
	uint64_t to;
	uint64_t first_event; /* events of this ring before these */
	uint64_t first_tick;  /* before shifting */
	uint64_t last_tick;
	struct trace_clock clock; /* read at the flush */
	uint64_t lost_events;	  /* of this ring so far */
	char name[16];
	uint32_t column_bytes[TRACE_COLUMNS];
	uint8_t compression; /* enum trace_compression */
	uint8_t flags;	     /* enum trace_events_flag */
	uint8_t tick_shift;  /* not below the header's */
	/* With compression: bit N - 1 for each column N that follows as it is, in order, after what
	 * the others were compressed to; SHAPE, RELEASED and FAR are among these. */
	uint8_t stored;
};

/*
 * The stage of a ring: the struct trace_events of the EVENTS segment to be, then parts one after
 * the other, each from a multiple of 8. The segment's columns are those of the parts put together,
 * first the parts' SHAPE, then TIME and so on; they are not compressed. Until the segment is
 * written `to`, `events`, `last_tick` and `column_bytes` of the head are not valid: they follow
 * from the parts. The first part's `from` is the head's, each other's the `to` before, the last's
 * `to` is `flushed`; what stands after that is nothing.
 */
struct trace_part {
	uint64_t from, to;
	uint64_t last_tick;
	uint32_t events;
	uint32_t bytes; /* of the part with this head, up to where the next one begins */
	uint32_t column_bytes[TRACE_COLUMNS];
	uint32_t reserved;
};

_Static_assert(sizeof(struct trace_segment) == 64, "segment head is 64 bytes");
_Static_assert(offsetof(struct trace_header, checksum) == 112, "checksum covers 112 bytes");
_Static_assert(offsetof(struct trace_header, tail) == 128, "mutable part begins at 128");
_Static_assert(offsetof(struct trace_header, regions) == 320, "regions begin at 320");
_Static_assert(sizeof(struct trace_header) <= TRACE_HEADER_BYTES, "header fits its page");
_Static_assert(sizeof(struct trace_module) == 48, "");
_Static_assert(sizeof(struct trace_ring) == 128, "");
_Static_assert(sizeof(struct trace_part) == 80, "");
_Static_assert(sizeof(struct trace_packed_nodes) == 24, "");
_Static_assert(sizeof(struct trace_events) == 144, "");

#endif
