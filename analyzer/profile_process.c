/* The command line is made so that a shell would take it apart again as it was. */
#include "profile_process.h"

#include "trace_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Everything else in an argument needs quotes. */
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%^"

/* Appends one argument; the text has room for four bytes each and three more. */
static char *append_argument(char *to, const char *argument, size_t bytes)
{
	if (bytes != 0 && strspn(argument, PLAIN) >= bytes) {
		memcpy(to, argument, bytes);
		return to + bytes;
	}
	*to++ = '\'';
	for (size_t i = 0; i < bytes; i++) {
		if (argument[i] == '\'') {
			memcpy(to, "'\\'", 3);
			to += 3;
		}
		*to++ = argument[i];
	}
	*to++ = '\'';
	return to;
}

static char *join_arguments(const char *cmdline, size_t bytes)
{
	size_t arguments = 1;
	char *text, *to;

	for (size_t i = 0; i < bytes; i++)
		arguments += cmdline[i] == '\0';
	/* Programs that write a title over their arguments leave zeros behind it. */
	while (bytes > 1 && cmdline[bytes - 1] == '\0' && cmdline[bytes - 2] == '\0')
		bytes--;
	text = malloc(bytes * 4 + arguments * 3 + 1);
	if (text == NULL)
		return NULL;
	to = text;
	for (size_t from = 0; from < bytes;) {
		size_t length = strnlen(cmdline + from, bytes - from);

		if (from != 0)
			*to++ = ' ';
		to = append_argument(to, cmdline + from, length);
		from += length + 1;
	}
	*to = '\0';
	return text;
}

static const char *end_text(const struct trace_reader *reader)
{
	switch (reader->header.end) {
	case TRACE_END_EXIT:
		return "exit";
	case TRACE_END_EXEC:
		return "exec";
	case TRACE_END_SIGNAL:
		return "signal";
	default:
		return reader->running ? "running" : "killed";
	}
}

static const char *stop_text(const struct trace_header *header)
{
	switch (header->stop_reason) {
	case TRACE_STOP_NONE:
		return NULL;
	case TRACE_STOP_RING:
		return "no memory for another thread's ring";
	default:
		return "for a reason that this version does not know";
	}
}

int profile_process_init(struct profile_process *process, const struct trace_reader *reader)
{
	const struct trace_header *header = &reader->header;
	bool status = header->end == TRACE_END_EXIT || header->end == TRACE_END_SIGNAL;

	*process = (struct profile_process){
	    .pid = header->pid,
	    .parent_pid = header->parent_pid,
	    .forked = header->forked != 0,
	    .exe = strdup(reader->process.exe),
	    .cmdline = join_arguments(reader->process.cmdline, reader->process.cmdline_bytes),
	    .host = strdup(reader->process.host),
	    .threads = reader->threads,
	    .end = end_text(reader),
	    .end_status = status ? header->end_status : -1,
	    .stopped = stop_text(header),
	    .start_realtime_ns = header->start_realtime_ns,
	};
	if (process->stopped && header->stopped.monotonic_ns > header->start.monotonic_ns)
		process->stopped_s =
		    (double)(header->stopped.monotonic_ns - header->start.monotonic_ns) * 1e-9;
	if (process->exe == NULL || process->cmdline == NULL || process->host == NULL) {
		profile_process_fini(process);
		return -ENOMEM;
	}
	return 0;
}

void profile_process_fini(struct profile_process *process)
{
	free((char *)process->exe);
	free((char *)process->cmdline);
	free((char *)process->host);
	*process = (struct profile_process){0};
}
