/*
 * Says where it was called from, and what the caller says about that place: one line
 * "ADDRESS|FUNCTION;LINE|FUNCTION;LINE", innermost first. ADDRESS is the file address of the call.
 * A frame's function that begins with "~" is given by a part of its name.
 */
#include <link.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

void mark(const char *functions, int line, int line1, int line2);

static int find_bias(struct dl_phdr_info *info, size_t bytes, void *bias)
{
	(void)bytes;
	*(uintptr_t *)bias = info->dlpi_addr;
	return 1; /* the first is the program */
}

void mark(const char *functions, int line, int line1, int line2)
{
	const int lines[] = {line, line1, line2};
	uintptr_t address = (uintptr_t)__builtin_return_address(0) - 1;
	uintptr_t bias = 0;
	int at = 0;

	dl_iterate_phdr(find_bias, &bias);
	printf("%lx|", (unsigned long)(address - bias));
	for (; *functions; functions++) {
		if (*functions == '|')
			printf(";%d", lines[at++]);
		putchar(*functions);
	}
	printf(";%d\n", lines[at]);
}
