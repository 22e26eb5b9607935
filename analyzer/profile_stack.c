/* The frames of a stack: those at hand, or from whoever can make the others. A site's trend. */
#include "profile.h"
#include "site_stacks.h"

const struct profile_frame *const *profile_stack_frames(const struct profile_stack *stack)
{
	return stack->later == 0 ? stack->frames : site_stacks_whole(stack->of, stack->number);
}

const struct profile_frame *profile_stack_frame(const struct profile_stack *stack, size_t at)
{
	return at < stack->count - stack->later ? stack->frames[at]
						: site_stacks_frame(stack->of, stack->number, at);
}

const uint64_t *profile_trend(const struct profile *profile, const struct profile_site *site)
{
	static const uint64_t none[PROFILE_TREND_POINTS];

	return site->trend == 0 ? none
				: profile->trends + (size_t)site->trend * PROFILE_TREND_POINTS;
}
