#include "lifecycle.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "farewell.h"
#include "flush.h"
#include "log.h"
#include "modules.h"
#include "node_file.h"
#include "options.h"
#include "output.h"
#include "pages.h"
#include "process.h"
#include "reach.h"
#include "real.h"
#include "record.h"
#include "resident.h"
#include "sole.h"
#include "stacks.h"
#include "stop.h"
#include "sys.h"
#include "thread.h"
#include "trace_file.h"

#if defined(__x86_64__)
#define MACHINE 62 /* EM_X86_64 */
#else
#define MACHINE 183 /* EM_AARCH64 */
#endif

const struct thread_process thread_process = {
    .start = lifecycle_start,
    .forked = lifecycle_forked,
    .disable = lifecycle_disable,
};

static const volatile uint64_t generation_off = GENERATION_OFF;

static struct options options;
static struct process process;
/*
 * Words on a page that the kernel wipes in a forked child; NULL before recording began. The first
 * is what the event path looks at, the second the process it belongs to, 0 when unknown.
 */
static volatile uint64_t *generation;
#define GENERATION_OWNER 1
static uint64_t last_generation;
static bool forked;
static bool paused;
static int quick_status; /* of the quick_exit under way */
static atomic_flag started = ATOMIC_FLAG_INIT;
static atomic_flag disabled = ATOMIC_FLAG_INIT;

static void turn_off(void)
{
	if (generation)
		*generation = GENERATION_OFF;
	thread_generation = &generation_off;
}

void lifecycle_disable(const char *why)
{
	struct trace_header *header = trace_file_header();
	char line[512];
	struct text text;

	turn_off();
	if (atomic_flag_test_and_set(&disabled))
		return;
	if (header) {
		header->stopped = clock_pair();
		__atomic_store_n(&header->stop_reason, TRACE_STOP_RING, __ATOMIC_RELEASE);
	}
	text_init(&text, line, sizeof(line));
	text_add(&text, why);
	text_add(&text, ": recording stops, the program runs on");
	text_end(&text, line);
	log_line(line);
}

/* Whether recording goes on in this very process: not in a child that had no event yet. */
static bool is_recording_here(void)
{
	return generation && *generation != GENERATION_FORKED && trace_file_header() &&
	       trace_file_header()->pid == (uint32_t)SYS0(getpid);
}

static void describe(struct trace_header *header)
{
	struct trace_clock pair = clock_pair();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*header = (struct trace_header){
	    .magic = TRACE_MAGIC,
	    .version = TRACE_VERSION,
	    .byte_order = TRACE_BYTE_ORDER,
	    .machine = MACHINE,
	    .clock_kind = clock_kind,
	    .start = {0, pair.monotonic_ns},
	    .start_tick_raw = clock_start,
	    .start_realtime_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec,
	    .process_start = process.start,
	    .pid = (uint32_t)process.pid,
	    .parent_pid = (uint32_t)process.parent,
	    .forked = forked,
	    .max_depth = (uint32_t)options.depth,
	    .tick_shift = clock_fine_shift(),
	};
}

static void write_process(void)
{
	struct trace_process record = {
	    .exe_bytes = (uint32_t)strlen(process.exe),
	    .cmdline_bytes = (uint32_t)process.cmdline_bytes,
	    .host_bytes = (uint32_t)strlen(process.host),
	    .cwd_bytes = (uint32_t)strlen(process.cwd),
	};
	static char strings[2 * PATH_MAX + sizeof(process.host)]; /* stacks may have 16 KiB */
	struct text text;
	size_t exe_bytes;
	struct iovec pieces[4];

	text_init(&text, strings, sizeof(strings));
	text_add(&text, process.exe);
	exe_bytes = (size_t)(text.at - strings);
	text_add(&text, process.host);
	text_add(&text, process.cwd);
	pieces[0] = (struct iovec){&record, sizeof(record)};
	pieces[1] = (struct iovec){strings, exe_bytes};
	pieces[2] = (struct iovec){process.cmdline, process.cmdline_bytes};
	pieces[3] = (struct iovec){strings + exe_bytes, record.host_bytes + record.cwd_bytes};
	trace_file_append(TRACE_SEGMENT_PROCESS, 0, pieces, 4);
}

/* The file of this process, with all that stands in it before the first event. */
static int open_trace(char *error, size_t error_bytes)
{
	struct trace_header header;
	int result;

	process_read(&process);
	clock_init();
	describe(&header);
	result = output_create(options.out, &process, forked, &header, error, error_bytes);
	if (result < 0)
		return result;
	if (!options.start)
		__atomic_fetch_or(&trace_file_header()->flags, TRACE_FLAG_DORMANT_START,
				  __ATOMIC_RELAXED);
	STOP_POINT("trace.created");
	write_process();
	modules_init(process.exe);
	if (forked)
		modules_forked();
	resident_init();
	return stacks_init();
}

/* Opens the file and lets the threads in. */
static void begin(void)
{
	char error[1024] = "no memory: recording is off";

	if (open_trace(error, sizeof(error)) < 0) {
		log_line(error);
		turn_off();
		return;
	}
	/* Whoever is first is alone. */
	last_generation = ((last_generation >> 32) + 1) << 32 | GENERATION_BIASED;
	*generation = last_generation;
	thread_generation = generation;
}

/* Drops us from LD_PRELOAD, in place, for the programs this one will start. */
static void leave_preload(void)
{
	char *list = getenv("LD_PRELOAD");
	char *name = list ? strstr(list, "libmemprof.so") : NULL;
	char *start, *end;

	if (!name)
		return;
	for (start = name; start > list && start[-1] != ':' && start[-1] != ' ';)
		start--;
	end = name + strcspn(name, ": ");
	if (*end)
		end++;
	memmove(start, end, strlen(end) + 1);
}

static bool make_generation_page(void)
{
	volatile uint64_t *page = pages_map(trace_file_page());

	if (!page)
		return false;
	/* Without it (Linux before 4.14) the fork handler writes the word. */
	SYS3(madvise, page, trace_file_page(), MADV_WIPEONFORK);
	*page = GENERATION_OFF;
	page[GENERATION_OWNER] = (uint32_t)SYS0(getpid);
	generation = page;
	return true;
}

static void read_options(void)
{
	char error[512];
	const struct unwind_backend *backend;

	if (options_parse(&options, environ, error, sizeof(error)) < 0) {
		char line[600];
		struct text text;

		log_init(false);
		text_init(&text, line, sizeof(line));
		text_add(&text, error);
		text_add(&text, ": recording is off");
		text_end(&text, line);
		log_line(line);
		return;
	}
	log_init(options.quiet);
	/* Programs read what their children write: only the first of a family speaks. */
	if (options_unknown(environ, error, sizeof(error)) &&
	    !process_is_recorded((pid_t)SYS0(getppid)))
		log_line(error);
	if (!options.children)
		leave_preload();
	backend = unwind_find(options.unwind);
	if (!backend || !make_generation_page())
		return;
	thread_use(backend);
	flush_init(strcmp(options.compress, "none") != 0);
	record_init(&(struct record_settings){
	    .backend = backend,
	    .max_depth = (unsigned)options.depth,
	    .maps = options.mmap,
	});
	node_file_compress(strcmp(options.compress, "none") != 0);
}

void lifecycle_start(void)
{
	/* Before libc has its environment nothing can be asked: the event goes by unrecorded. */
	if (!environ || atomic_flag_test_and_set(&started))
		return;
	read_options();
	if (!generation) {
		turn_off();
		return;
	}
	paused = !options.start;
	if (paused)
		thread_generation = &generation_off;
	else
		begin();
}

/* In a vfork child of a process that forked and had no event yet: the trace is its parent's. */
static bool is_borrowing(void)
{
	uint32_t owner = generation ? generation[GENERATION_OWNER] : 0;

	return owner && owner != (uint32_t)SYS0(getpid);
}

void lifecycle_forked(void)
{
	if (is_borrowing())
		return;
	trace_file_forked();
	thread_forked();
	flush_forked();
	forked = true;
	if (!options.children) {
		turn_off();
		return;
	}
	*generation = GENERATION_OFF;
	if (!paused)
		begin();
}

void lifecycle_pause(void)
{
	uint64_t last;

	paused = true;
	if (!is_recording_here())
		return;
	last = __atomic_exchange_n(generation, GENERATION_OFF, __ATOMIC_SEQ_CST);
	/* Goes on without a bias, and with a number that was never there. */
	if (last != GENERATION_OFF)
		last_generation = (last | GENERATION_BIASED) + 1;
}

void lifecycle_resume(void)
{
	if (!paused || !generation)
		return;
	paused = false;
	if (is_recording_here()) {
		modules_unloaded(); /* dlclose went unnoticed meanwhile */
		*generation = last_generation;
	} else if (*generation == GENERATION_FORKED)
		lifecycle_forked();
	else
		begin();
}

bool lifecycle_is_recording(void)
{
	return is_recording_here() && *generation != GENERATION_OFF;
}

static void flush_own(void)
{
	struct thread *thread = thread_enter((uintptr_t)__builtin_frame_address(0));

	if (!thread)
		return;
	record_resident(thread);
	flush_last(thread);
	thread_leave();
}

static void mark_end(enum trace_end end, int status)
{
	struct trace_header *header = trace_file_header();

	STOP_POINT("end.flushed");
	header->end_clock = clock_pair();
	header->end_status = status;
	__atomic_store_n(&header->end, end, __ATOMIC_RELEASE);
}

static void end_with(int status)
{
	if (!is_recording_here())
		return;
	flush_own();
	resident_final();
	farewell_counts();
	mark_end(TRACE_END_EXIT, status);
	/* Programs read what their children write: only the first of a family speaks. */
	if (!forked && !process_is_recorded(process.parent))
		farewell_say();
}

void lifecycle_exec(void)
{
	if (!is_recording_here())
		return;
	flush_own();
	resident_final();
	farewell_counts();
	mark_end(TRACE_END_EXEC, 0);
}

void lifecycle_exec_failed(void)
{
	if (is_recording_here())
		trace_file_header()->end = TRACE_END_NONE;
}

void lifecycle_exit(int status)
{
	end_with(status & 0xff);
}

static void at_exit(int status, void *unused)
{
	(void)unused;
	end_with(status & 0xff);
}

void lifecycle_quick_exit(int status)
{
	quick_status = status & 0xff;
}

static void at_quick_exit_call(void)
{
	end_with(quick_status);
}

/*
 * A signal handler that interrupted a hook may fork: the child would then return into the hook and
 * write into its parent's ring. Whether it did is not known: a hook that was about to set its guard
 * has none yet, and has looked at the generation already.
 */
void lifecycle_fork_child(void)
{
	if (!generation)
		return;
	generation[GENERATION_OWNER] = (uint32_t)SYS0(getpid);
	if (*generation == GENERATION_OFF)
		return;
	*generation = GENERATION_FORKED;
	trace_file_forked();
}

/*
 * No call of malloc has come yet. If none ever will, recording stays off: what we do at a mapping
 * of memory may allocate, and the allocator that is at work there, unknown to us, may hold a lock.
 */
static bool is_reached(void)
{
	char why[512], error[512];

	if (!real_ready() || reach_check(why, sizeof(why)))
		return true;
	atomic_flag_test_and_set(&started);
	turn_off();
	log_init(options_parse(&options, environ, error, sizeof(error)) == 0 && options.quiet);
	if (!process_is_recorded((pid_t)SYS0(getppid)))
		log_line(why);
	return false;
}

/* What needs the loader or libc's registries, which the first event, anywhere, must not touch. */
void lifecycle_construct(void)
{
	const struct unwind_backend *backend;
	int saved_errno = errno;

	tls_guard((uintptr_t)__builtin_frame_address(0) | GUARD_OWN);
	if (*thread_generation == GENERATION_NEW && is_reached())
		lifecycle_start();
	if (generation) {
		backend = unwind_find(options.unwind);
		if (backend->init() < 0)
			log_line("libunwind cannot be loaded: stacks have one frame; install "
				 "libunwind8 or use MEMPROF_UNWIND=fp");
		if (trace_file_header())
			modules_note_all();
		thread_init();
		on_exit(at_exit, NULL);
		at_quick_exit(at_quick_exit_call);
		pthread_atfork(NULL, NULL, lifecycle_fork_child);
	}
	tls_set_guard(0);
	errno = saved_errno;
}
