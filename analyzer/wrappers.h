/*
 * Allocator wrappers that no table of names knows: the project's own xmalloc, sqlite3Malloc, and
 * functions without a symbol that everything goes through. To call half the heap by such a name
 * tells nothing, so the site moves out to who called it.
 */
#ifndef WRAPPERS_H
#define WRAPPERS_H

struct profile;

/*
 * Moves site_frame of the profile's stacks past such wrappers, never past the outermost frame.
 * Returns 0 or -ENOMEM, which leaves every stack valid.
 */
int wrappers_skip(struct profile *profile);

#endif
