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
#define JUDGED_ROOM   4096

/* What was found out of names; sites are many and their functions few. */
struct names {
	/* by the address of the name: whether it is like an allocator's */
	struct {
		const char *name;
		bool allocator;
	} judged[JUDGED_ROOM];
	/* of functions that were found to be wrappers: they are so on every way to them */
	const char *known[KNOWN_MAX];
	size_t known_count;
};

static bool like_allocator(const char *name)
{
	static const char *const words[] = {"alloc", "strdup", "memdup"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasestr(name, words[i]))
			return true;
	}
	return false;
}

static bool named_like_allocator(struct names *names, const struct profile_frame *frame)
{
	const char *name = frame->function;
	size_t at = ((uintptr_t)name >> 3 ^ (uintptr_t)name >> 15) % JUDGED_ROOM;

	if (!name)
		return false;
	if (names->judged[at].name != name) {
		names->judged[at].name = name;
		names->judged[at].allocator = like_allocator(name);
	}
	return names->judged[at].allocator;
}

static const struct profile_frame *frame_at(const struct profile_site *site, size_t above)
{
	const struct profile_stack *stack = &site->stack;

	return stack->site_frame + above < stack->count
		   ? profile_stack_frame(stack, stack->site_frame + above)
		   : NULL;
}

static bool may_move(struct names *names, const struct profile_site *site)
{
	const struct profile_frame *frame = frame_at(site, 0);

	return frame && frame_at(site, 1) &&
	       (!frame->function || named_like_allocator(names, frame));
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

static bool is_known(const struct names *names, const struct profile_frame *frame)
{
	for (size_t i = 0; frame->function && i < names->known_count; i++) {
		if (!compare_strings(names->known[i], frame->function))
			return true;
	}
	return false;
}

static void remember(struct names *names, const struct profile_frame *frame)
{
	if (frame->function && names->known_count < KNOWN_MAX)
		names->known[names->known_count++] = frame->function;
}

/* To the caller, and past what the table knows from there on. */
static void move_out(struct profile_stack *stack)
{
	const struct profile_frame *const *frames = profile_stack_frames(stack);

	stack->site_frame++;
	stack->site_frame +=
	    frame_rules_site(frames + stack->site_frame, stack->count - stack->site_frame);
}

static bool leads_out(struct names *names, const struct profile_site *site)
{
	return named_like_allocator(names, frame_at(site, 1)) || is_known(names, frame_at(site, 0));
}

/*
 * Moves what is called by an allocator or is known; returns how many sites are left that may move.
 */
static size_t collect(struct profile *profile, struct names *names, uint32_t *sites)
{
	size_t count = 0;

	for (size_t i = 0; i < profile->site_count; i++) {
		struct profile_site *site = &profile->sites[i];
		size_t moved = 0;

		while (may_move(names, site) && moved++ < ROUNDS && leads_out(names, site))
			move_out(&site->stack);
		if (may_move(names, site))
			sites[count++] = (uint32_t)i;
	}
	return count;
}

/* One round; returns whether any site moved. */
static bool move(struct profile *profile, struct names *names, uint32_t *sites)
{
	size_t count = collect(profile, names, sites), end;
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
		remember(names, frame);
		for (size_t i = start; i < end; i++)
			move_out(&profile->sites[sites[i]].stack);
		moved = true;
	}
	return moved;
}

int wrappers_skip(struct profile *profile)
{
	uint32_t *sites = malloc((profile->site_count + 1) * sizeof(*sites));
	struct names *names = calloc(1, sizeof(*names));
	bool moved = true;
	int rc = sites && names ? 0 : -ENOMEM;

	if (rc == 0) {
		for (size_t round = 0; round < ROUNDS && moved; round++)
			moved = move(profile, names, sites);
		collect(profile, names, sites);
	}
	free(sites);
	free(names);
	return rc;
}
