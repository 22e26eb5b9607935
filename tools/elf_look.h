/* The few facts about an executable file that decide whether it can be recorded. */
#ifndef ELF_LOOK_H
#define ELF_LOOK_H

#include <stdbool.h>
#include <stddef.h>

struct elf_look {
	int bits;	       /* 32 or 64; of a 32-bit file nothing else is known */
	bool same_machine;     /* as this launcher */
	bool is_static;	       /* no loader is asked for; the loader itself does not count */
	char interpreter[256]; /* path of the loader; empty when there is none */
	char sanitizer[32];    /* its library's soname, or the name of one linked in; or empty */
};

/*
 * Looks at the file. Returns 1 and fills `look` when it is an ELF executable; 0 when it is
 * something else, with its first bytes, NUL-terminated, in head (head_bytes of the caller's);
 * -errno when it cannot be read.
 */
int elf_look(const char *path, struct elf_look *look, char *head, size_t head_bytes);

#endif
