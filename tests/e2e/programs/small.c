/* Three calls and a mapping: the smallest trace that has something in every list of the report. */
#include <stdlib.h>
#include <sys/mman.h>

int main(void)
{
	char *block = malloc(100);
	void *map;

	free(malloc(5));
	block = realloc(block, 2000);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return block == NULL || map == MAP_FAILED;
}
