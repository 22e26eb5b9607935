#include "node_pack.h"

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#define SLOTS		16384 /* twice the codes that a chunk may have */
#define WORKSPACE_BYTES (512 * 1024)
#define VARINT_MAX	6 /* codes have 38 bits, and zigzag one more */
#define COLUMNS_BYTES	(NODE_PACK_NODES * 3 * VARINT_MAX)

struct node_pack {
	uint16_t slots[SLOTS]; /* number of a code, plus 1 */
	uint64_t codes[NODE_PACK_NODES];
	uint32_t code_count;
	uint8_t *ends[TRACE_NODE_COLUMNS];
	uint8_t columns[TRACE_NODE_COLUMNS][NODE_PACK_NODES * VARINT_MAX];
	uint8_t joined[COLUMNS_BYTES];
	uint8_t packed[ZSTD_COMPRESSBOUND(COLUMNS_BYTES)];
	_Alignas(64) uint8_t workspace[WORKSPACE_BYTES];
};

const size_t node_pack_bytes = sizeof(struct node_pack);

static void put(struct node_pack *pack, enum trace_node_column column, uint64_t value)
{
	uint8_t *next = pack->ends[column];

	for (; value >= 0x80; value >>= 7)
		*next++ = (uint8_t)(value | 0x80);
	*next++ = (uint8_t)value;
	pack->ends[column] = next;
}

static void put_code(struct node_pack *pack, uint64_t code)
{
	uint64_t last = pack->code_count ? pack->codes[pack->code_count - 1] : 0;
	size_t at = (code * 0x9e3779b97f4a7c15U) >> (64 - __builtin_ctz(SLOTS));

	for (; pack->slots[at]; at = (at + 1) % SLOTS) {
		if (pack->codes[pack->slots[at] - 1] != code)
			continue;
		put(pack, TRACE_NODE_COLUMN_CODE, pack->slots[at]);
		return;
	}
	pack->codes[pack->code_count++] = code;
	pack->slots[at] = (uint16_t)pack->code_count;
	put(pack, TRACE_NODE_COLUMN_CODE, 0);
	put(pack, TRACE_NODE_COLUMN_DEFINITION,
	    code >= last ? (code - last) << 1 : ((last - code) << 1) - 1);
}

/* What zstd makes of the columns; 0: nothing better. */
static size_t compress_columns(struct node_pack *pack, size_t bytes)
{
	ZSTD_CCtx *zstd = ZSTD_initStaticCCtx(pack->workspace, sizeof(pack->workspace));
	size_t packed;

	if (!zstd)
		return 0;
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 17);
	packed = ZSTD_compress2(zstd, pack->packed, sizeof(pack->packed), pack->joined, bytes);
	return ZSTD_isError(packed) || packed >= bytes ? 0 : packed;
}

const void *node_pack(struct node_pack *pack, const uint64_t *words, uint32_t chunk, bool compress,
		      struct trace_packed_nodes *head, size_t *bytes)
{
	size_t packed = 0;

	*head = (struct trace_packed_nodes){.nodes = NODE_PACK_NODES};
	pack->code_count = 0;
	__builtin_memset(pack->slots, 0, sizeof(pack->slots));
	for (unsigned i = 0; i < TRACE_NODE_COLUMNS; i++)
		pack->ends[i] = pack->columns[i];
	for (uint32_t i = NODE_PACK_FIRST; i < TRACE_NODES_CHUNK_WORDS; i++) {
		uint32_t id = chunk * TRACE_NODES_CHUNK_WORDS + i;

		put(pack, TRACE_NODE_COLUMN_PARENT, id - TRACE_NODE_PARENT(words[i]) - 1);
		put_code(pack, words[i] & ((1ULL << 38) - 1));
	}
	*bytes = 0;
	for (unsigned i = 0; i < TRACE_NODE_COLUMNS; i++) {
		head->column_bytes[i] = (uint32_t)(pack->ends[i] - pack->columns[i]);
		__builtin_memcpy(pack->joined + *bytes, pack->columns[i], head->column_bytes[i]);
		*bytes += head->column_bytes[i];
	}
	if (compress)
		packed = compress_columns(pack, *bytes);
	if (!packed)
		return pack->joined;
	head->compression = TRACE_COMPRESSION_ZSTD;
	*bytes = packed;
	return pack->packed;
}
