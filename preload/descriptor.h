/*
 * A file descriptor in a process that is not ours: numbered out of the way of the program's own,
 * and asked before each use whether it still is what we opened. Programs close descriptors they do
 * not know, or put their own files in their place.
 */
#ifndef DESCRIPTOR_H
#define DESCRIPTOR_H

#include <stdbool.h>
#include <sys/types.h>

/* Caller's storage. Threads may use one at once: `number` is relaxed, for each use is checked. */
struct descriptor {
	_Atomic int number; /* -1: none */
	dev_t device;	    /* fixed once adopted first */
	ino_t inode;
};

#define DESCRIPTOR_NONE                                                                            \
	{                                                                                          \
		-1, 0, 0                                                                           \
	}

/*
 * Takes over `fd`, remembering which file it is: moved up, close-on-exec. 0 or -errno, and then it
 * is still the caller's.
 */
int descriptor_adopt(struct descriptor *descriptor, int fd);

/* Takes over `fd` if it is the file remembered. Closes it and returns -errno if not: -ESTALE. */
int descriptor_readopt(struct descriptor *descriptor, int fd);

/* The number, if it still is our file; else -EBADF. Signal-safe, errno untouched. */
int descriptor_get(const struct descriptor *descriptor);

/* Closes it if it still is ours. */
void descriptor_close(struct descriptor *descriptor);

#endif
