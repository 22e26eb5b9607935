/* The frames of a stack: those at hand, or from whoever can make the others. */
#include "profile.h"
#include "site_stacks.h"

const struct profile_frame *const *profile_stack_frames(const struct profile_stack *stack)
{
	return stack->later == 0 ? stack->frames : site_stacks_whole(stack->of, stack->number);
}

const struct profile_frame *profile_stack_frame(const struct profile_stack *stack, size_t at)
{
	return at < stack->count - stack->later ? stack->frames[at]
						: profile_stack_frames(stack)[at];
}
