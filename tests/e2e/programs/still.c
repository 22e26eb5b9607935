/*
 * Linked statically, or installed setuid: recorded in neither case, and to work all the same. Says
 * what it was given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	char *text = malloc(100);

	if (!text)
		return 1;
	strcpy(text, argc > 1 ? argv[1] : "nothing");
	printf("told %s\n", text);
	free(text);
	return 0;
}
