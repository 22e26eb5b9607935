/*
 * In place of encode.c in libmemprof_dump.so: writes what rings hold at each flush to the file that
 * MEMPROF_DUMP names, a word that counts and then the words. The trace gets empty segments.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "encode.h"
#include "sys.h"

void encode_forked(void)
{
}

const void *encode_words(struct codec *codec, const uint64_t *words, size_t count, unsigned shift,
			 bool compress, struct trace_events *head, size_t *bytes)
{
	const char *path = getenv("MEMPROF_DUMP");
	uint64_t length = count;
	struct iovec pieces[2] = {{&length, sizeof(length)}, {(void *)words, count * 8}};
	long fd = SYS4(openat, AT_FDCWD, path ? path : "memprof.words",
		       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	(void)compress;
	(void)head;
	(void)shift;
	*bytes = 0;
	if (fd < 0)
		return codec;
	SYS3(writev, fd, pieces, 2);
	SYS1(close, fd);
	return codec;
}
