/*
 * A file descriptor in a process that is not ours: numbered out of the way of the program's own,
 * and asked before each use whether it still is what we opened. Programs close descriptors they do
 * not know, or put their own files in their place.
 *
 * Between asking and using, another thread may do so again. Where the hard limit of descriptors
 * lies above the soft one, our numbers lie above the soft one too, where the kernel lets nobody
 * make a descriptor: then the worst is that ours is gone and the use fails with EBADF.
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
 * Opens `path` close-on-exec (open(2)'s flags and mode) with a number out of the program's way,
 * also where the program has used up all numbers it may use: the limit is raised for that moment.
 * The descriptor or -errno (-EMFILE where hardly any may be had); never 0, 1 or 2. Any thread,
 * signal-safe, errno untouched.
 */
int descriptor_open(const char *path, int flags, unsigned mode);

/* Takes over `fd`, remembering which file it is. 0 or -errno, and then it is still the caller's. */
int descriptor_adopt(struct descriptor *descriptor, int fd);

/*
 * Takes over `fd` if it is the file remembered, and no other thread has done so meanwhile. Closes
 * it if not; -ESTALE when it is another file, -EBADF when the program has closed it already.
 */
int descriptor_readopt(struct descriptor *descriptor, int fd);

/* The number, if it still is our file; else -EBADF. Signal-safe, errno untouched. */
int descriptor_get(const struct descriptor *descriptor);

/* Closes it if it still is ours. */
void descriptor_close(struct descriptor *descriptor);

/* In a forked child: the limit another thread of the parent was about to restore is not ours. */
void descriptor_forked(void);

#endif
