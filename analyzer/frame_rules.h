/*
 * Which frames of a call stack are machinery: one table of names (frame_rules.c).
 *
 * Names are compared in their plain form, without template or generic arguments, parameters and
 * return type: "std::vector::_M_realloc_insert".
 */
#ifndef FRAME_RULES_H
#define FRAME_RULES_H

#include <stddef.h>

struct profile_frame;

enum frame_role {
	FRAME_ROLE_UNKNOWN,  /* not looked up yet */
	FRAME_ROLE_PROGRAM,  /* nothing of the below */
	FRAME_ROLE_WRAPPER,  /* shown, but no good name for a site: xmalloc, std::vector */
	FRAME_ROLE_INTERNAL, /* the allocator itself: not shown */
};

/*
 * The role by the table: from the function's name, the module's, and the source file where the
 * name has lost its scope. frame->role is not looked at.
 */
enum frame_role frame_rules_role(const struct profile_frame *frame);

/* The role that is noted in frame->role; that by the table where none is. */
enum frame_role frame_rules_known_role(const struct profile_frame *frame);

/* How many innermost frames are allocator internals and should be dropped; never all of them. */
size_t frame_rules_trim(const struct profile_frame *const *frames, size_t count);

/* Index of the first frame to call the site by; 0 when all are wrappers. */
size_t frame_rules_site(const struct profile_frame *const *frames, size_t count);

/*
 * The plain form of a demangled name, cut at `bytes`: no arguments, parameters, return type, nor
 * what compilers append (".constprop.0"); for Rust's "<A as B>::f" the form "A::f". Terminated if
 * there is room for anything; returns the length.
 */
size_t frame_rules_plain_name(const char *function, char *plain, size_t bytes);

#endif
