#include "preload_view.h"

#include <stdio.h>
#include <string.h>

#include "../../analyzer/trace_reader.h"

#define FIRST(count) ((count) < 1024 ? (count) : 1024)

static void copy(const struct trace_reader *reader, struct view *view)
{
	*view = (struct view){
	    .bad_segments = reader->damage.bad_segments,
	    .lost_events = reader->damage.lost_events,
	    .unrecorded_events = reader->unrecorded_events,
	    .cut = reader->damage.cut,
	    .header_sound = reader->header_sound,
	    .event_segments = reader->event_segments,
	    .rings = reader->ring_count,
	    .unloads = reader->unload_count,
	    .modules = reader->module_count,
	};
	for (size_t i = 0; i < FIRST(view->modules); i++) {
		view->module[i].head = reader->modules[i].head;
		strncpy(view->module[i].path, reader->modules[i].path,
			sizeof(view->module[i].path) - 1);
	}
	for (size_t i = 0; i < FIRST(view->unloads); i++)
		view->unload[i] = reader->unloads[i];
}

int view_read(const char *path, struct view *view)
{
	struct trace_reader *reader;
	char error[256];
	int rc = trace_reader_open(path, &reader, error, sizeof(error));

	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", path, error);
		return rc;
	}
	if (reader->damage.bad_segments)
		fprintf(stderr, "%s: %s\n", path, reader->damage.first);
	copy(reader, view);
	trace_reader_free(reader);
	return 0;
}
