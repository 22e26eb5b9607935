/*
 * Only a frame that is named like an allocator, or not named at all, is ever taken for a wrapper.
 * It is one when who called it is named like an allocator, or when many different functions called
 * it and it matters. Rounds go on from caller to caller as long as something moves.
 */
#include "wrappers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frame_rules.h"
#include "profile.h"

#define ROUNDS	      8 /* frames that a site may move at most */
#define CALLERS_LEAST 8 /* different callers that make a wrapper */
#define KNOWN_MAX     64
#define MATTERS_PART  50 /* of one in so many of the allocations or of the peak */

static bool named_like_allocator(const struct profile_frame *frame)
{
	static const char *const words[] = {"alloc", "strdup", "memdup"};

	for (size_t i = 0; frame->function && i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasestr(frame->function, words[i]))
			return true;
	}
	return false;
}

static const struct profile_frame *frame_at(const struct profile_site *site, size_t above)
{
	const struct profile_stack *stack = &site->stack;

	return stack->site_frame + above < stack->count ? stack->frames[stack->site_frame + above]
							: NULL;
}

static bool may_move(const struct profile_site *site)
{
	const struct profile_frame *frame = frame_at(site, 0);

	return frame && frame_at(site, 1) && (!frame->function || named_like_allocator(frame));
}

static int compare_strings(const char *a, const char *b)
{
	return a == b ? 0 : !a ? -1 : !b ? 1 : strcmp(a, b);
}

/* By function; what has no name by the place of the call. */
static int compare_frames(const struct profile_frame *a, const struct profile_frame *b)
{
	int order = a == b ? 0 : compare_strings(a->function, b->function);

	if (order || a == b || a->function)
		return order;
	order = compare_strings(a->module, b->module);
	return order ? order : (a->offset > b->offset) - (a->offset < b->offset);
}

static int compare_sites(const void *left, const void *right, void *data)
{
	const struct profile_site *sites = data;
	const struct profile_site *a = &sites[*(const uint32_t *)left];
	const struct profile_site *b = &sites[*(const uint32_t *)right];
	int order = compare_frames(frame_at(a, 0), frame_at(b, 0));

	return order ? order : compare_frames(frame_at(a, 1), frame_at(b, 1));
}

/* Whether the sites of one frame, which are sorted by caller, have many and are worth it. */
static bool is_wrapper(const struct profile *profile, const uint32_t *sites, size_t count)
{
	uint64_t allocations = 0, peak_bytes = 0;
	size_t callers = 0;

	for (size_t i = 0; i < count; i++) {
		const struct profile_site *site = &profile->sites[sites[i]];

		if (i == 0 || compare_frames(frame_at(&profile->sites[sites[i - 1]], 1),
					     frame_at(site, 1)) != 0)
			callers++;
		allocations += site->allocations;
		peak_bytes += site->peak_bytes;
	}
	return callers >= CALLERS_LEAST &&
	       (allocations > profile->totals.allocations / MATTERS_PART ||
		peak_bytes > profile->totals.peak_bytes / MATTERS_PART);
}

/* Names of functions that were found to be wrappers: they are so on every way to them. */
struct known {
	const char *names[KNOWN_MAX];
	size_t count;
};

static bool is_known(const struct known *known, const struct profile_frame *frame)
{
	for (size_t i = 0; frame->function && i < known->count; i++) {
		if (!compare_strings(known->names[i], frame->function))
			return true;
	}
	return false;
}

static void remember(struct known *known, const struct profile_frame *frame)
{
	if (frame->function && known->count < KNOWN_MAX)
		known->names[known->count++] = frame->function;
}

/* To the caller, and past what the table knows from there on. */
static void move_out(struct profile_stack *stack)
{
	stack->site_frame++;
	stack->site_frame +=
	    frame_rules_site(stack->frames + stack->site_frame, stack->count - stack->site_frame);
}

static bool leads_out(const struct profile_site *site, const struct known *known)
{
	return named_like_allocator(frame_at(site, 1)) || is_known(known, frame_at(site, 0));
}

/*
 * Moves what is called by an allocator or is known; returns how many sites are left that may move.
 */
static size_t collect(struct profile *profile, const struct known *known, uint32_t *sites)
{
	size_t count = 0;

	for (size_t i = 0; i < profile->site_count; i++) {
		struct profile_site *site = &profile->sites[i];
		size_t moved = 0;

		while (may_move(site) && moved++ < ROUNDS && leads_out(site, known))
			move_out(&site->stack);
		if (may_move(site))
			sites[count++] = (uint32_t)i;
	}
	return count;
}

/* One round; returns whether any site moved. */
static bool move(struct profile *profile, struct known *known, uint32_t *sites)
{
	size_t count = collect(profile, known, sites), end;
	bool moved = false;

	qsort_r(sites, count, sizeof(*sites), compare_sites, profile->sites);
	for (size_t start = 0; start < count; start = end) {
		const struct profile_frame *frame = frame_at(&profile->sites[sites[start]], 0);

		for (end = start + 1; end < count; end++) {
			if (compare_frames(frame, frame_at(&profile->sites[sites[end]], 0)) != 0)
				break;
		}
		if (!is_wrapper(profile, sites + start, end - start))
			continue;
		remember(known, frame);
		for (size_t i = start; i < end; i++)
			move_out(&profile->sites[sites[i]].stack);
		moved = true;
	}
	return moved;
}

int wrappers_skip(struct profile *profile)
{
	uint32_t *sites = malloc((profile->site_count + 1) * sizeof(*sites));
	struct known known = {.count = 0};
	bool moved = true;

	if (!sites)
		return -ENOMEM;
	for (size_t round = 0; round < ROUNDS && moved; round++)
		moved = move(profile, &known, sites);
	collect(profile, &known, sites);
	free(sites);
	return 0;
}
