/*
 * Fills every sort of memory with the word given, frees some of it, and ends. The word reaches the
 * program by standard input, so that neither its arguments nor its file hold it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void fill(void *block, size_t bytes, const char *word)
{
	size_t length = strlen(word);

	for (size_t i = 0; i < bytes; i++)
		((char *)block)[i] = word[i % length];
}

/* Blocks written over while on the stack lies the word too, in the place of saved registers. */
static void *deep(int depth, const char *word)
{
	char local[256];
	void *block;

	fill(local, sizeof(local), word);
	block = depth > 0 ? deep(depth - 1, local) : malloc(4096);
	if (block != NULL)
		fill(block, 4096, word);
	return local[0] == 0 ? NULL : block;
}

int main(void)
{
	static char word[64];
	void *map;

	if (fgets(word, sizeof(word), stdin) == NULL)
		return 1;
	word[strcspn(word, "\n")] = '\0';
	for (int i = 1; i < 3000; i++) {
		char *block = i % 3 ? malloc((size_t)i) : calloc(1, (size_t)i);
		char *aligned = aligned_alloc(64, 128);

		if (block == NULL || aligned == NULL)
			return 1;
		fill(block, (size_t)i, word);
		fill(aligned, 128, word);
		block = realloc(block, (size_t)i * 2);
		fill(block, (size_t)i * 2, word);
		free(aligned);
		if (i % 2)
			free(block);
		if (deep(i % 20, word) == NULL)
			return 1;
	}
	map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return 1;
	fill(map, 65536, word);
	return 0;
}
