/*
 * What EVENTS segments cost, in bytes and in ns an event, on recorded rings:
 *
 *     encoding_bench [-n ROUNDS] [-s SHIFT] [-t] DUMP...
 *
 * DUMP is what libmemprof_dump.so (see dump_words.c) wrote. Prints the columns' bytes an event and
 * the ns to make them, then bytes and ns of each compressor setting; -t only the setting in use,
 * for counting instructions. Times are the best of ROUNDS.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "clock.h"
#include "codec.h"
#include "encode.h"
#include "encode_tables.h"
#include "pack.h"
#include "ring.h"
#include "stage.h"

#define PACKED_MAX (1 << 20)

static const struct setting {
	const char *name;
	int level;
	int hash_log;
	int step;     /* targetLength: 0 is the level's own */
	int literals; /* ZSTD_ps_auto: the level's own */
} settings[] = {
    {"level 1", 1, 13, 0, ZSTD_ps_auto},
    {"level 1, hash 11", 1, 11, 0, ZSTD_ps_auto},
    {"level 1, step 2, literals", 1, 13, 2, ZSTD_ps_enable},
    {"level 1, step 4, literals", 1, 13, 4, ZSTD_ps_enable},
    {"level 1, step 16, literals", 1, 13, 16, ZSTD_ps_enable},
    {"level 1, step 64, literals", 1, 13, 64, ZSTD_ps_enable},
    {"level -1", -1, 13, 0, ZSTD_ps_auto},
    {"level -3", -3, 13, 0, ZSTD_ps_auto},
    {"level 3", 3, 13, 0, ZSTD_ps_auto},
};

struct dump {
	const uint64_t *words;
	size_t count;
};

static const char *const columns[TRACE_COLUMNS] = {
    "shape", "time",	    "address",	"size",	    "definition", "fresh",
    "extra", "address low", "size low", "released", "far"};

static struct dump map_dump(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat status;
	void *memory;

	if (fd < 0 || fstat(fd, &status) < 0 || status.st_size < 8) {
		perror(path);
		exit(2);
	}
	memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (memory == MAP_FAILED) {
		perror(path);
		exit(2);
	}
	close(fd);
	return (struct dump){memory, (size_t)status.st_size / 8};
}

/* The next ring's words, their number in *count; NULL at the end. */
static const uint64_t *next_ring(const struct dump *dump, size_t *at, size_t *count)
{
	const uint64_t *words;

	if (*at >= dump->count || dump->words[*at] > dump->count - *at - 1)
		return NULL;
	*count = dump->words[*at];
	words = dump->words + *at + 1;
	*at += 1 + *count;
	return words;
}

struct sums {
	uint64_t events, ns, bytes, column[TRACE_COLUMNS];
};

/* What becomes of a segment's columns. */
struct packer {
	ZSTD_CCtx *zstd; /* NULL: the recorder's own */
	bool compress;
};

static uint8_t stage_memory[RING_STAGE_BYTES];

/* Packs what is in the stage, and with `with_part` the codec's part. */
static void pack(const struct packer *packer, struct codec *codec, struct pack_state *state,
		 struct stage *stage, bool with_part, struct sums *sums)
{
	static uint8_t packed[PACKED_MAX];
	struct trace_events *head = &stage->segment.head;
	uint64_t start = clock_monotonic_ns();
	size_t bytes;
	const void *plain;

	plain = pack_columns(codec, stage, with_part, packer->compress, state, head, &bytes);
	if (packer->zstd) {
		start = clock_monotonic_ns();
		bytes = ZSTD_compress2(packer->zstd, packed, sizeof(packed), plain, bytes);
	}
	sums->ns += clock_monotonic_ns() - start;
	sums->bytes += bytes;
	sums->events += head->events;
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		sums->column[i] += head->column_bytes[i];
	stage_clear(stage);
}

/* Encodes all rings as the recorder would, into segments of as many as a stage takes. */
static struct sums encode_all(struct codec *codec, const struct dump *dump, unsigned shift,
			      const struct packer *packer)
{
	struct sums sums = {0};
	struct encode_tables *tables = encode_tables_of(0, &codec->own);
	struct pack_state state = {0};
	struct stage stage;
	const uint64_t *words;
	size_t at = 0, count;
	bool begun = false;

	stage_init(&stage, stage_memory);
	stage.segment = (struct encode_segment){0};
	while ((words = next_ring(dump, &at, &count))) {
		struct trace_events *head = &stage.segment.head;
		uint64_t start = clock_monotonic_ns();

		if (!begun || !encode_fits(&stage.segment, tables, head->to, shift)) {
			if (begun)
				pack(packer, codec, &state, &stage, false, &sums);
			head->from = head->to;
			encode_begin(&stage.segment, tables, shift);
		}
		encode_part(&stage.segment, tables, codec, words, count);
		begun = stage_add(&stage, codec);
		if (!packer->zstd)
			sums.ns += clock_monotonic_ns() - start;
		if (!begun)
			pack(packer, codec, &state, &stage, true, &sums);
	}
	if (begun)
		pack(packer, codec, &state, &stage, false, &sums);
	return sums;
}

static void keep_best(struct sums *best, struct sums sums, int round)
{
	if (round == 0 || sums.ns < best->ns)
		*best = sums;
}

static void print(const char *name, const struct sums *sums)
{
	double events = (double)sums->events;

	printf("  %-28s %6.2f bytes %6.1f ns an event", name, (double)sums->bytes / events,
	       (double)sums->ns / events);
}

static void try_setting(const struct setting *setting, struct codec *codec, const struct dump *dump,
			unsigned shift, int rounds)
{
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	const struct packer packer = {.zstd = zstd};
	struct sums best = {0};

	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, setting->level);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 15);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, setting->hash_log);
	if (setting->step)
		ZSTD_CCtx_setParameter(zstd, ZSTD_c_targetLength, setting->step);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_literalCompressionMode, setting->literals);
	for (int round = 0; round < rounds; round++)
		keep_best(&best, encode_all(codec, dump, shift, &packer), round);
	print(setting->name, &best);
	printf("\n");
	ZSTD_freeCCtx(zstd);
}

static void run(const char *path, unsigned shift, int rounds, bool only_in_use)
{
	struct dump dump = map_dump(path);
	struct codec *codec = codec_take();
	struct sums plain = {0}, packed = {0};

	for (int round = 0; round < rounds; round++) {
		if (!only_in_use)
			keep_best(&plain, encode_all(codec, &dump, shift, &(struct packer){0}),
				  round);
		keep_best(&packed,
			  encode_all(codec, &dump, shift, &(struct packer){.compress = true}),
			  round);
	}
	printf("%s, shift %u: %.2f M events\n", path, shift, (double)packed.events / 1e6);
	print("encoded and compressed", &packed);
	printf("\n");
	if (only_in_use)
		return;
	print("columns", &plain);
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		printf(" %s %.2f", columns[i], (double)plain.column[i] / (double)plain.events);
	printf("\n");
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		try_setting(&settings[i], codec, &dump, shift, rounds);
}

int main(int argc, char **argv)
{
	unsigned shift = 4;
	int rounds = 5, option;
	bool only_in_use = false;

	clock_init(); /* the finest shift is its counter's */
	while ((option = getopt(argc, argv, "n:s:t")) != -1) {
		if (option == 'n')
			rounds = atoi(optarg);
		else if (option == 's')
			shift = (unsigned)atoi(optarg);
		else if (option == 't')
			only_in_use = true;
		else
			return 2;
	}
	for (int i = optind; i < argc; i++)
		run(argv[i], shift, rounds, only_in_use);
	return 0;
}
