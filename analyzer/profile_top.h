/* Which named sites the timeline follows: those that held most at the peak, with all their stacks.
 */
#ifndef PROFILE_TOP_H
#define PROFILE_TOP_H

#include "profile.h"

/*
 * Fills in profile->top and top_count from the profile's sites: options->top_count of them at most,
 * none that held nothing at the peak. *ranks is then, by index into profile->sites, which of them a
 * site belongs to, UINT32_MAX when to none; the caller frees it. Returns 0 or -ENOMEM.
 */
int profile_top_choose(struct profile *profile, const struct profile_options *options,
		       uint32_t **ranks);

#endif
