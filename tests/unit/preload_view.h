/*
 * The analyzer's reader, for tests of the recorder. Apart from them since both sides have a
 * trace_file.h.
 */
#ifndef PRELOAD_VIEW_H
#define PRELOAD_VIEW_H

#include <memprof/trace.h>

#include <stdbool.h>
#include <stddef.h>

struct view_module {
	struct trace_module head;
	char path[512];
};

struct view {
	uint64_t bad_segments;
	uint64_t lost_events; /* damage and what the recorder says it lost */
	uint64_t unrecorded_events;
	bool cut;
	bool header_sound;
	size_t event_segments;
	size_t rings;
	size_t unloads;
	size_t modules;
	struct view_module module[1024]; /* the first ones */
	struct trace_unload unload[1024];
};

/* Returns 0 or -errno, and says why on stderr. */
int view_read(const char *path, struct view *view);

#endif
