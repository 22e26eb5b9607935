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
#include "ring.h"

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
    "shape", "time",  "address",     "size",	 "definition",
    "fresh", "extra", "address low", "size low", "released"};

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

/* The head of the segment that follows `last`, of `count` words, all of one ring. */
static struct trace_events next_head(const struct trace_events *last, size_t count)
{
	return (struct trace_events){.from = last->to, .to = last->to + count};
}

struct sums {
	uint64_t events, ns, bytes, column[TRACE_COLUMNS];
};

static struct sums encode_all(struct codec *codec, const struct dump *dump, unsigned shift,
			      bool compress)
{
	struct sums sums = {0};
	struct trace_events head = {0};
	const uint64_t *words;
	size_t at = 0, count, bytes;

	while ((words = next_ring(dump, &at, &count))) {
		uint64_t start = clock_monotonic_ns();

		head = next_head(&head, count);
		encode_words(codec, words, count, shift, compress, &head, &bytes);
		sums.ns += clock_monotonic_ns() - start;
		sums.events += head.events;
		sums.bytes += bytes;
		for (size_t i = 0; i < TRACE_COLUMNS; i++)
			sums.column[i] += head.column_bytes[i];
	}
	return sums;
}

static struct sums compress_all(ZSTD_CCtx *zstd, struct codec *codec, const struct dump *dump,
				unsigned shift)
{
	static uint8_t packed[PACKED_MAX];
	struct sums sums = {0};
	struct trace_events head = {0};
	const uint64_t *words;
	size_t at = 0, count, bytes;

	while ((words = next_ring(dump, &at, &count))) {
		const void *plain;
		uint64_t start;

		head = next_head(&head, count);
		plain = encode_words(codec, words, count, shift, false, &head, &bytes);
		start = clock_monotonic_ns();

		sums.bytes += ZSTD_compress2(zstd, packed, sizeof(packed), plain, bytes);
		sums.ns += clock_monotonic_ns() - start;
		sums.events += head.events;
	}
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
	struct sums best = {0};

	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, setting->level);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 15);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, setting->hash_log);
	if (setting->step)
		ZSTD_CCtx_setParameter(zstd, ZSTD_c_targetLength, setting->step);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_literalCompressionMode, setting->literals);
	for (int round = 0; round < rounds; round++)
		keep_best(&best, compress_all(zstd, codec, dump, shift), round);
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
			keep_best(&plain, encode_all(codec, &dump, shift, false), round);
		keep_best(&packed, encode_all(codec, &dump, shift, true), round);
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
