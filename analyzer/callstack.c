/*
 * A node is resolved by putting its caller's id and the number of its return address into its word.
 * That is done for a chunk at once when it is read, in one pass, for recorders give a caller's node
 * the lower id. What then is left (a caller that comes later, a wide pc, damage) is resolved when
 * it is asked for: by walking towards the root until a resolved node is met, and back inwards. The
 * file is untrusted: a cycle, a missing chunk or an uncommitted word ends the walk as if the root
 * stood there.
 */
#include "callstack.h"

#include "trace_reader.h"

#include <errno.h>
#include <stdlib.h>

#define ROOT	       CALLSTACK_ROOT
#define INDEX_SIZE_MIN 1024
#define SITES_MAX      (UINT32_MAX - 1)

/* A node's state. */
#define IN_WALK	     UINT16_MAX
#define IS_CUT	     0x8000 /* the stack goes on, outwards */
#define HAS_NO_FRAME 0x4000 /* its return address is not known */
#define STATE_DEPTH  0x3fff /* frames + 1 */
_Static_assert(CALLSTACK_DEPTH_MAX + 1 < STATE_DEPTH, "a depth is no mark");

static uint64_t hash_code(const struct callstack_pc *pc)
{
	uint64_t h = (pc->pc ^ (uint64_t)pc->epoch << 48) * 0x9e3779b97f4a7c15ULL;

	return h ^ h >> 32;
}

int callstack_init(struct callstack_table *table, const struct trace_reader *reader)
{
	size_t chunks = trace_nodes_count(reader);

	*table = (struct callstack_table){
	    .reader = reader,
	    .pieces = {.bytes = sizeof(struct callstack_chunk), .expected = chunks},
	    .chunk_count = chunks,
	    .code_index_size = INDEX_SIZE_MIN};
	/* One more than none, so that a chunk 0 for what has no chunk costs no special case. */
	if (table->chunk_count == 0)
		table->chunk_count = 1;
	table->chunks = calloc(table->chunk_count, sizeof(struct callstack_chunk *));
	table->codes = calloc(1, sizeof(*table->codes));
	table->code_index = calloc(table->code_index_size, sizeof(*table->code_index));
	table->memo = calloc(CALLSTACK_MEMO, sizeof(*table->memo));
	if (table->chunks == NULL || table->codes == NULL || table->code_index == NULL ||
	    table->memo == NULL) {
		callstack_fini(table);
		return -ENOMEM;
	}
	return 0;
}

void callstack_fini(struct callstack_table *table)
{
	huge_pieces_fini(&table->pieces);
	free(table->chunks);
	free(table->codes);
	free(table->code_index);
	free(table->memo);
	trace_nodes_scratch_fini(&table->scratch);
	free(table->sites);
	*table = (struct callstack_table){0};
}

static bool wide_pc(const struct trace_reader *reader, uint32_t entry, struct callstack_pc *pc)
{
	struct trace_wide_pc wide;
	size_t chunk = entry / TRACE_WIDE_CHUNK_ENTRIES;
	uint64_t offset;

	if (chunk >= reader->wide.count || reader->wide.offsets[chunk] == 0)
		return false;
	offset = reader->wide.offsets[chunk] + sizeof(struct trace_segment) +
		 (uint64_t)(entry % TRACE_WIDE_CHUNK_ENTRIES) * sizeof(wide);
	if (trace_file_read(&reader->file, offset, &wide, sizeof(wide)) != sizeof(wide) ||
	    wide.epoch_1 == 0)
		return false;
	*pc = (struct callstack_pc){.pc = wide.pc, .epoch = wide.epoch_1 - 1};
	return true;
}

static bool node_pc(const struct trace_reader *reader, uint64_t word, struct callstack_pc *pc)
{
	uint32_t region = TRACE_NODE_REGION(word);
	const struct trace_region *base;

	if (region == TRACE_REGION_WIDE)
		return wide_pc(reader, TRACE_NODE_PC_LOW(word), pc);
	base = &reader->header.regions[region];
	if (base->epoch_1 == 0)
		return false;
	pc->pc = (uint64_t)base->pc_high << 32 | TRACE_NODE_PC_LOW(word);
	pc->epoch = base->epoch_1 - 1;
	return true;
}

static int grow_code_index(struct callstack_table *table)
{
	size_t size = table->code_index_size * 2;
	uint32_t *index = calloc(size, sizeof(*index));

	if (index == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < table->code_count; i++) {
		size_t at = hash_code(&table->codes[i]) & (size - 1);

		while (index[at] != 0)
			at = (at + 1) & (size - 1);
		index[at] = (uint32_t)i + 1;
	}
	free(table->code_index);
	table->code_index = index;
	table->code_index_size = size;
	return 0;
}

/* The number of a return address. */
static int intern_code(struct callstack_table *table, const struct callstack_pc *pc, uint32_t *out)
{
	size_t mask = table->code_index_size - 1;
	size_t at = hash_code(pc) & mask;
	size_t count = table->code_count;

	for (; table->code_index[at] != 0; at = (at + 1) & mask) {
		const struct callstack_pc *known = &table->codes[table->code_index[at] - 1];

		if (known->pc == pc->pc && known->epoch == pc->epoch) {
			*out = table->code_index[at] - 1;
			return 0;
		}
	}
	if (count != 0 && (count & (count - 1)) == 0) {
		void *larger = reallocarray(table->codes, count * 2, sizeof(*table->codes));

		if (larger == NULL)
			return -ENOMEM;
		table->codes = larger;
	}
	*out = (uint32_t)count;
	table->codes[table->code_count++] = *pc;
	table->code_index[at] = *out + 1;
	return table->code_count * 2 > table->code_index_size ? grow_code_index(table) : 0;
}

/* ---- nodes ---- */

/* A node that was resolved: its caller's node and the number of its return address. */
static uint64_t resolved(uint32_t parent, uint32_t code)
{
	return (uint64_t)parent << 32 | code;
}

static struct callstack_chunk *chunk_of(const struct callstack_table *table, uint32_t id)
{
	return table->chunks[id / TRACE_NODES_CHUNK_WORDS];
}

/* Of a node that was resolved, or of the root. */
static uint16_t state_of(const struct callstack_table *table, uint32_t id)
{
	return id == ROOT ? 1 : chunk_of(table, id)->state[id % TRACE_NODES_CHUNK_WORDS];
}

/* The number of a code of the nodes' words. Returns 1, 0 where that is not simple, or -ENOMEM. */
static int simple_code(struct callstack_table *table, uint64_t word, uint32_t *number)
{
	uint64_t code = word & ((UINT64_C(1) << (64 - TRACE_NODE_PARENT_BITS)) - 1);
	struct callstack_memo *memo =
	    &table->memo[(code * 0x9e3779b97f4a7c15ULL >> 32) % CALLSTACK_MEMO];
	struct callstack_pc pc;

	if (__builtin_expect(memo->code_1 != code + 1, 0)) {
		if (TRACE_NODE_REGION(word) == TRACE_REGION_WIDE ||
		    !node_pc(table->reader, word, &pc))
			return 0;
		if (intern_code(table, &pc, &memo->number) != 0)
			return -ENOMEM;
		memo->code_1 = code + 1;
	}
	*number = memo->number;
	return 1;
}

/*
 * Resolves the nodes of a chunk that was just read whose callers are resolved; others wait until
 * they are asked for, and so does what might have to be told as damage.
 */
static int resolve_chunk(struct callstack_table *table, size_t index, struct callstack_chunk *chunk)
{
	for (size_t slot = 0; slot < TRACE_NODES_CHUNK_WORDS; slot++) {
		uint64_t word = chunk->words[slot];
		uint32_t parent = TRACE_NODE_PARENT(word), number;
		size_t outer = parent / TRACE_NODES_CHUNK_WORDS;
		uint16_t state = 1;
		int rc;

		if (word == 0 || outer >= table->chunk_count || table->chunks[outer] == NULL ||
		    (index == 0 && slot <= TRACE_NODE_CUT))
			continue;
		if (parent > TRACE_NODE_CUT)
			state = table->chunks[outer]->state[parent % TRACE_NODES_CHUNK_WORDS];
		else if (parent == TRACE_NODE_CUT)
			state |= IS_CUT;
		if (state == 0 || (state & HAS_NO_FRAME) != 0 ||
		    (state & STATE_DEPTH) > CALLSTACK_DEPTH_MAX)
			continue;
		rc = simple_code(table, word, &number);
		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		chunk->words[slot] = resolved(parent > TRACE_NODE_CUT ? parent : ROOT, number);
		chunk->state[slot] = state + 1;
	}
	return 0;
}

/* The chunk that `id` is in; NULL with 0 when the file has none, -ENOMEM. */
static int find_chunk(struct callstack_table *table, uint32_t id, struct callstack_chunk **out)
{
	size_t index = id / TRACE_NODES_CHUNK_WORDS;
	struct callstack_chunk *chunk;
	int there;

	*out = NULL;
	if (index >= table->chunk_count)
		return 0;
	if (table->chunks[index] == NULL) {
		if (table->spare == NULL)
			table->spare = huge_pieces_take(&table->pieces);
		chunk = table->spare;
		if (chunk == NULL)
			return -ENOMEM;
		there = trace_nodes_read(table->reader, index, chunk->words, &table->scratch);
		/* id 0 needs no chunk in the file; others without one share nothing. */
		if (there < 0 || (there == 0 && index != 0))
			return there;
		table->chunks[index] = chunk;
		table->spare = NULL;
		if (resolve_chunk(table, index, chunk) != 0)
			return -ENOMEM;
	}
	*out = table->chunks[index];
	return 0;
}

/* A node was not to be had: whether that is not known yet. Where there is no chunk it always is. */
static bool is_news(struct callstack_chunk *chunk, size_t slot)
{
	bool known;

	if (chunk == NULL)
		return true;
	known = (chunk->missing[slot / 64] >> slot % 64 & 1) != 0;
	chunk->missing[slot / 64] |= UINT64_C(1) << slot % 64;
	return !known;
}

/*
 * Walks from `id` outwards; ids[0..*count) get IN_WALK marks. *known is where the walk ended, *cut
 * whether the stack was cut there.
 */
static int walk_out(struct callstack_table *table, uint32_t id, uint32_t ids[CALLSTACK_DEPTH_MAX],
		    size_t *count, uint32_t *known, bool *cut)
{
	*known = ROOT;
	*cut = false;
	while (id != 0) {
		struct callstack_chunk *chunk;
		size_t slot = id % TRACE_NODES_CHUNK_WORDS;
		int rc = find_chunk(table, id, &chunk);

		if (rc != 0)
			return rc;
		if (chunk != NULL && chunk->state[slot] != 0 && chunk->state[slot] != IN_WALK) {
			*known = id;
			*cut = (chunk->state[slot] & IS_CUT) != 0;
			return 0;
		}
		if (id == TRACE_NODE_CUT) {
			*cut = true;
			return 0;
		}
		if (chunk == NULL || chunk->words[slot] == 0 || *count >= CALLSTACK_DEPTH_MAX ||
		    chunk->state[slot] == IN_WALK) {
			table->unresolved += is_news(chunk, slot);
			return 0;
		}
		ids[(*count)++] = id;
		chunk->state[slot] = IN_WALK;
		id = TRACE_NODE_PARENT(chunk->words[slot]);
	}
	return 0;
}

/*
 * Resolves one node whose caller's is resolved. A return address that is not known is no frame, and
 * no part of the way outwards: from any node that is as short as the stack has frames.
 */
static int resolve_node(struct callstack_table *table, uint32_t id, uint32_t parent, bool cut)
{
	struct callstack_chunk *chunk = chunk_of(table, id);
	size_t slot = id % TRACE_NODES_CHUNK_WORDS;
	uint16_t outer = state_of(table, parent), state = outer & STATE_DEPTH;
	uint32_t code = CALLSTACK_NO_CODE;
	struct callstack_pc pc;

	if (state <= CALLSTACK_DEPTH_MAX && node_pc(table->reader, chunk->words[slot], &pc)) {
		if (intern_code(table, &pc, &code) != 0)
			return -ENOMEM;
		state++;
	} else {
		table->unresolved++;
		state |= HAS_NO_FRAME;
	}
	if ((outer & HAS_NO_FRAME) != 0)
		parent = callstack_parent(table, parent);
	chunk->words[slot] = resolved(parent, code);
	chunk->state[slot] = state | (cut ? IS_CUT : 0);
	return 0;
}

/* Makes `id` and all its callers resolved; *node is `id`, or ROOT when there is no such node. */
static int resolve(struct callstack_table *table, uint32_t id, uint32_t *node)
{
	uint32_t ids[CALLSTACK_DEPTH_MAX];
	size_t count = 0;
	bool cut;
	int rc = walk_out(table, id, ids, &count, node, &cut);

	while (rc == 0 && count > 0) {
		uint32_t inner = ids[--count];

		rc = resolve_node(table, inner, *node, cut);
		*node = inner;
	}
	return rc;
}

static int number_site(struct callstack_table *table, uint32_t node, uint32_t *site)
{
	size_t count = table->site_count;
	uint16_t state = state_of(table, node);

	if (count >= SITES_MAX)
		return -ENOMEM;
	if ((count & (count - 1)) == 0) {
		void *larger =
		    reallocarray(table->sites, count == 0 ? 1 : count * 2, sizeof(*table->sites));

		if (larger == NULL)
			return -ENOMEM;
		table->sites = larger;
	}
	*site = (uint32_t)table->site_count++;
	table->sites[*site] = (struct callstack_site){
	    .node = node, .depth = (state & STATE_DEPTH) - 1u, .cut = (state & IS_CUT) != 0};
	return 0;
}

int callstack_site(struct callstack_table *table, uint32_t id, uint32_t *site)
{
	uint32_t node = ROOT, *site_1;
	int rc = resolve(table, id, &node);

	if (rc != 0)
		return rc;
	site_1 = node == ROOT ? &table->root_site_1
			      : &chunk_of(table, node)->site_1[node % TRACE_NODES_CHUNK_WORDS];
	if (*site_1 == 0) {
		rc = number_site(table, node, site);
		if (rc == 0)
			*site_1 = *site + 1;
		return rc;
	}
	*site = *site_1 - 1;
	return 0;
}

size_t callstack_depth(const struct callstack_table *table, uint32_t site)
{
	return table->sites[site].depth;
}

void callstack_codes(const struct callstack_table *table, uint32_t site, uint32_t *codes)
{
	for (uint32_t node = table->sites[site].node; node != ROOT;
	     node = callstack_parent(table, node)) {
		uint32_t code = callstack_code(table, node);

		if (code != CALLSTACK_NO_CODE)
			*codes++ = code;
	}
}

void callstack_pcs(const struct callstack_table *table, uint32_t site, struct callstack_pc *pcs)
{
	for (uint32_t node = table->sites[site].node; node != ROOT;
	     node = callstack_parent(table, node)) {
		uint32_t code = callstack_code(table, node);

		if (code != CALLSTACK_NO_CODE)
			*pcs++ = table->codes[code];
	}
}
