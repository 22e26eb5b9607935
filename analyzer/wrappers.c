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
#include "id_table.h"
#include "profile.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define ROUNDS	      8 /* frames that a site may move at most */
#define CALLERS_LEAST 8 /* different callers that make a wrapper */
#define KNOWN_MAX     64
#define MATTERS_PART  50 /* of one in so many of the allocations or of the peak */
#define JUDGED_ROOM   4096
#define ALIKE_ROOM    4096

/*
 * What was found of a stack, for others that have the same frames at hand. It was found without
 * those that are not.
 */
struct alike {
	const struct profile_frame *const *frames; /* NULL: nothing is here */
	uint32_t site_frame;			   /* before */
	uint32_t at_hand;
	bool whole;	/* there are no others */
	bool stays;	/* may move in a later round */
	uint32_t moved; /* site_frame after it */
};

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
	struct alike alike[ALIKE_ROOM]; /* of a round, by hash */
	bool far;			/* a stack moved as often in a round as it may */
};

/* A frame that was given a number. */
struct seen {
	const struct profile_frame *frame; /* NULL: the slot is free */
	uint32_t number;
};

/* The sites of a function that may move. */
struct group {
	uint64_t allocations, peak_bytes;
	uint32_t callers; /* different functions */
	bool wrapper;
};

/* Functions (without a name: places of calls), numbered as they are met. */
struct functions {
	const struct profile_frame **frames; /* one of each */
	size_t count;
	size_t room;
	struct id_table names; /* of `frames` */
	struct seen *seen;     /* by the frame's address */
	size_t seen_count;
	size_t seen_room; /* a power of two, or 0 */
	/* of a round */
	struct group *groups; /* by number */
	size_t group_count;
	struct id_table calls; /* pairs of functions */
	const struct profile_frame **wrappers;
	size_t wrapper_count;
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

static const struct profile_frame *frame_at(const struct profile_stack *stack, size_t above)
{
	return stack->site_frame + above < stack->count
		   ? profile_stack_frame(stack, stack->site_frame + above)
		   : NULL;
}

static bool may_move(struct names *names, const struct profile_stack *stack)
{
	const struct profile_frame *frame = frame_at(stack, 0);

	return frame && stack->site_frame + 1 < stack->count &&
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

/* ---- functions, by number ---- */

static uint64_t hash_pointer(const void *pointer)
{
	uint64_t hash = (uintptr_t)pointer * 0x9e3779b97f4a7c15ULL;

	return hash ^ hash >> 32;
}

static uint64_t hash_text(const char *text)
{
	return text ? XXH3_64bits(text, strlen(text)) : 1;
}

/* Whether the frame that is being numbered goes by another's name. */
static bool same_name(const void *context, uint32_t number)
{
	const struct functions *functions = context;

	return compare_frames(functions->frames[functions->count], functions->frames[number]) == 0;
}

static int number_name(struct functions *functions, const struct profile_frame *frame,
		       uint32_t *number)
{
	uint64_t hash = frame->function
			    ? hash_text(frame->function)
			    : (hash_text(frame->module) ^ frame->offset) * 0x9e3779b97f4a7c15ULL;

	if (functions->count == functions->room) {
		size_t room = functions->room ? functions->room * 2 : 256;
		void *larger = reallocarray(functions->frames, room, sizeof(*functions->frames));

		if (!larger)
			return -ENOMEM;
		functions->frames = larger;
		functions->room = room;
	}
	functions->frames[functions->count] = frame;
	if (id_table_intern(&functions->names, hash ^ hash >> 32, same_name, functions,
			    (uint32_t)functions->count, number) != 0)
		return -ENOMEM;
	functions->count += *number == functions->count;
	return 0;
}

static struct seen *find_seen(struct seen *seen, size_t room, const struct profile_frame *frame)
{
	size_t at = hash_pointer(frame) & (room - 1);

	while (seen[at].frame && seen[at].frame != frame)
		at = (at + 1) & (room - 1);
	return &seen[at];
}

static int grow_seen(struct functions *functions)
{
	size_t room = functions->seen_room ? functions->seen_room * 2 : 1024;
	struct seen *seen = calloc(room, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i < functions->seen_room; i++)
		if (functions->seen[i].frame)
			*find_seen(seen, room, functions->seen[i].frame) = functions->seen[i];
	free(functions->seen);
	functions->seen = seen;
	functions->seen_room = room;
	return 0;
}

/* Frames are few and met by many sites: each is compared by its name once. */
static int number_of(struct functions *functions, const struct profile_frame *frame,
		     uint32_t *number)
{
	struct seen *seen;

	if (functions->seen_count * 2 >= functions->seen_room && grow_seen(functions) != 0)
		return -ENOMEM;
	seen = find_seen(functions->seen, functions->seen_room, frame);
	if (!seen->frame) {
		if (number_name(functions, frame, &seen->number) != 0)
			return -ENOMEM;
		seen->frame = frame;
		functions->seen_count++;
	}
	*number = seen->number;
	return 0;
}

static void functions_fini(struct functions *functions)
{
	id_table_fini(&functions->names);
	id_table_fini(&functions->calls);
	free(functions->seen);
	free(functions->frames);
	free(functions->groups);
	free(functions->wrappers);
}

/* ---- wrappers ---- */

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

/* To the caller, and past what the table knows from there on. Returns how many frames it saw. */
static size_t move_out(struct profile_stack *stack)
{
	stack->site_frame++;
	for (uint32_t i = stack->site_frame; i < stack->count; i++) {
		if (frame_rules_known_role(profile_stack_frame(stack, i)) != FRAME_ROLE_PROGRAM)
			continue;
		stack->site_frame = i;
		return i + 1;
	}
	return stack->count;
}

static bool leads_out(struct names *names, const struct profile_stack *stack)
{
	return named_like_allocator(names, frame_at(stack, 1)) ||
	       is_known(names, frame_at(stack, 0));
}

/* Moves a stack as far as that leads. Returns how many frames it saw. */
static size_t move_far(struct names *names, struct profile_stack *stack)
{
	size_t moved = 0, seen = 0, out;

	while (may_move(names, stack)) {
		if (moved++ == ROUNDS) {
			names->far = true;
			break;
		}
		if (seen < stack->site_frame + 2u)
			seen = stack->site_frame + 2u;
		if (!leads_out(names, stack))
			break;
		out = move_out(stack);
		seen = out > seen ? out : seen;
	}
	return seen > stack->site_frame + 1u ? seen : stack->site_frame + 1u;
}

/* As move_far(), but does for stacks that are alike what it did for the first. Whether it stays. */
static bool move_alike(struct names *names, struct profile_stack *stack)
{
	size_t at = (uintptr_t)stack->frames >> 3;
	struct alike *alike = &names->alike[(at ^ at >> 9 ^ stack->site_frame * 31u) % ALIKE_ROOM];
	struct alike found = {.frames = stack->frames,
			      .site_frame = stack->site_frame,
			      .at_hand = stack->count - stack->later,
			      .whole = stack->later == 0};
	size_t seen;

	if (alike->frames == found.frames && alike->site_frame == found.site_frame &&
	    alike->at_hand == found.at_hand && alike->whole == found.whole) {
		stack->site_frame = alike->moved;
		return alike->stays;
	}
	seen = move_far(names, stack);
	found.moved = stack->site_frame;
	found.stays = may_move(names, stack);
	if (found.frames != NULL && (found.whole || seen <= found.at_hand))
		*alike = found;
	return found.stays;
}

/* Numbers of calls are as good as the calls. */
static bool same_call(const void *context, uint32_t id)
{
	(void)context, (void)id;
	return true;
}

/* The group of a function; groups grow with the functions. */
static struct group *group_of(struct functions *functions, uint32_t number)
{
	size_t count = functions->group_count;
	struct group *groups;

	if (number < count)
		return &functions->groups[number];
	groups = reallocarray(functions->groups, functions->room, sizeof(*groups));
	if (!groups)
		return NULL;
	memset(groups + count, 0, (functions->room - count) * sizeof(*groups));
	functions->groups = groups;
	functions->group_count = functions->room;
	return &groups[number];
}

/* Adds up the sites by function, and counts the functions that call it. */
static int add_site(struct functions *functions, const struct profile_site *site)
{
	struct group *group;
	uint32_t inner, outer, id, next = (uint32_t)functions->calls.count;
	uint64_t call;

	if (number_of(functions, frame_at(&site->stack, 0), &inner) != 0 ||
	    number_of(functions, frame_at(&site->stack, 1), &outer) != 0)
		return -ENOMEM;
	group = group_of(functions, inner);
	call = ((uint64_t)inner << 32 | outer) * 0x9e3779b97f4a7c15ULL; /* odd: none is another's */
	if (!group ||
	    id_table_intern(&functions->calls, call ^ call >> 32, same_call, NULL, next, &id) != 0)
		return -ENOMEM;
	group->callers += id == next;
	group->allocations += site->allocations;
	group->peak_bytes += site->peak_bytes;
	return 0;
}

/*
 * Moves what is called by an allocator or is known. Of the sites in the list those stay in it that
 * may move; the others never will. What stays is added up for the round while it is at hand.
 */
static int collect(struct profile *profile, struct functions *functions, struct names *names,
		   uint32_t *sites, size_t *count)
{
	size_t kept = 0;

	id_table_fini(&functions->calls);
	if (functions->groups)
		memset(functions->groups, 0, functions->group_count * sizeof(*functions->groups));
	memset(names->alike, 0, sizeof(names->alike));
	names->far = false;
	for (size_t i = 0; i < *count; i++) {
		struct profile_site *site = &profile->sites[sites[i]];

		if (!move_alike(names, &site->stack))
			continue;
		if (add_site(functions, site) != 0)
			return -ENOMEM;
		sites[kept++] = sites[i];
	}
	*count = kept;
	return 0;
}

static int compare_wrappers(const void *left, const void *right)
{
	return compare_frames(*(const struct profile_frame *const *)left,
			      *(const struct profile_frame *const *)right);
}

/* Those functions of a round that have many callers and are worth it. */
static int find_wrappers(const struct profile *profile, struct functions *functions,
			 struct names *names)
{
	size_t count = 0;

	functions->wrapper_count = 0;
	free(functions->wrappers);
	functions->wrappers = malloc((functions->group_count + 1) * sizeof(*functions->wrappers));
	if (!functions->wrappers)
		return -ENOMEM;
	for (size_t i = 0; i < functions->group_count; i++) {
		struct group *group = &functions->groups[i];

		group->wrapper = group->callers >= CALLERS_LEAST &&
				 (group->allocations > profile->totals.allocations / MATTERS_PART ||
				  group->peak_bytes > profile->totals.peak_bytes / MATTERS_PART);
		if (group->wrapper)
			functions->wrappers[count++] = functions->frames[i];
	}
	functions->wrapper_count = count;
	qsort(functions->wrappers, count, sizeof(*functions->wrappers), compare_wrappers);
	for (size_t i = 0; i < count; i++)
		remember(names, functions->wrappers[i]);
	return 0;
}

/* Moves out of those functions. *moved says whether any site did. Returns 0 or -ENOMEM. */
static int move(struct profile *profile, struct functions *functions, const uint32_t *sites,
		size_t count, bool *moved)
{
	uint32_t number;

	for (size_t i = 0; i < count; i++) {
		struct profile_site *site = &profile->sites[sites[i]];

		if (number_of(functions, frame_at(&site->stack, 0), &number) != 0)
			return -ENOMEM;
		if (!functions->groups[number].wrapper)
			continue;
		move_out(&site->stack);
		*moved = true;
	}
	return 0;
}

int wrappers_skip(struct profile *profile)
{
	uint32_t *sites = malloc((profile->site_count + 1) * sizeof(*sites));
	struct names *names = calloc(1, sizeof(*names));
	struct functions functions = {0};
	size_t count = profile->site_count, round;
	bool moved = true;
	int rc = sites && names ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < count; i++)
		sites[i] = (uint32_t)i;
	for (round = 0; rc == 0 && moved; round++) {
		rc = collect(profile, &functions, names, sites, &count);
		moved = false;
		if (rc == 0 && round < ROUNDS)
			rc = find_wrappers(profile, &functions, names);
		if (rc == 0 && round < ROUNDS && functions.wrapper_count != 0)
			rc = move(profile, &functions, sites, count, &moved);
	}
	if (rc == 0 && names->far && round <= ROUNDS)
		rc = collect(profile, &functions, names, sites, &count);
	functions_fini(&functions);
	free(sites);
	free(names);
	return rc;
}
