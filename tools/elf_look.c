/*
 * Reads ELF headers (gABI chapters 4 and 5) with pread, bounding everything: the file may be
 * anything at all. What makes no sense is left at its innocent value; the kernel has the last word.
 */
#include "elf_look.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM_HEADERS 128 /* more are not looked at */
#define DYNAMIC_ENTRIES 512
#define STRINGS_BYTES	(1 << 20) /* of names of dynamic symbols, at a time */

struct dynamic {
	ElfW(Dyn) entries[DYNAMIC_ENTRIES];
	size_t count;
};

static bool read_at(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	return offset < INT64_MAX && pread(fd, buffer, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* Reads a NUL-terminated string of the file, cut to what fits. */
static void read_string(int fd, char *buffer, size_t bytes, uint64_t offset)
{
	ssize_t got = offset < INT64_MAX ? pread(fd, buffer, bytes - 1, (off_t)offset) : 0;
	buffer[got > 0 ? got : 0] = '\0';
}

/* Where the byte at a virtual address stands in the file; 0 when no segment holds it. */
static uint64_t file_offset(const ElfW(Phdr) * headers, size_t count, uint64_t address)
{
	for (size_t i = 0; i < count; i++) {
		const ElfW(Phdr) *header = &headers[i];
		if (header->p_type == PT_LOAD && address >= header->p_vaddr &&
		    address - header->p_vaddr < header->p_filesz)
			return header->p_offset + (address - header->p_vaddr);
	}
	return 0;
}

static void read_dynamic(int fd, const ElfW(Phdr) * header, struct dynamic *dynamic)
{
	size_t bytes = header->p_filesz;
	if (bytes > sizeof(dynamic->entries))
		bytes = sizeof(dynamic->entries);
	bytes -= bytes % sizeof(dynamic->entries[0]);
	if (read_at(fd, dynamic->entries, bytes, header->p_offset))
		dynamic->count = bytes / sizeof(dynamic->entries[0]);
}

static uint64_t dynamic_value(const struct dynamic *dynamic, int64_t tag)
{
	for (size_t i = 0; i < dynamic->count && dynamic->entries[i].d_tag != DT_NULL; i++)
		if (dynamic->entries[i].d_tag == tag)
			return dynamic->entries[i].d_un.d_val;
	return 0;
}

static void find_sanitizer(int fd, const struct dynamic *dynamic, uint64_t strings,
			   struct elf_look *look)
{
	static const char *const names[] = {"libasan.",	  "libtsan.",	      "liblsan.",
					    "libhwasan.", "libclang_rt.asan", "libclang_rt.tsan"};
	for (size_t i = 0; i < dynamic->count && dynamic->entries[i].d_tag != DT_NULL; i++) {
		char needed[sizeof(look->sanitizer)];
		if (dynamic->entries[i].d_tag != DT_NEEDED)
			continue;
		read_string(fd, needed, sizeof(needed), strings + dynamic->entries[i].d_un.d_val);
		for (size_t name = 0; name < sizeof(names) / sizeof(names[0]); name++)
			if (!strncmp(needed, names[name], strlen(names[name])))
				strcpy(look->sanitizer, needed);
	}
}

/*
 * clang links its sanitizers statically; what they offer to libraries is in the dynamic symbols.
 * Pieces overlap by more than a name, so that none is cut.
 */
static void find_static_sanitizer(int fd, const struct dynamic *dynamic, uint64_t strings,
				  struct elf_look *look)
{
	static const struct {
		const char *symbol, *name;
	} known[] = {{"\0__asan_init", "AddressSanitizer"},
		     {"\0__tsan_init", "ThreadSanitizer"},
		     {"\0__msan_init", "MemorySanitizer"},
		     {"\0__hwasan_init", "HWAddressSanitizer"}};
	uint64_t bytes = dynamic_value(dynamic, DT_STRSZ);
	char *piece = malloc(STRINGS_BYTES);
	for (uint64_t at = 0; piece && at < bytes && !*look->sanitizer; at += STRINGS_BYTES - 64) {
		size_t wanted = bytes - at < STRINGS_BYTES ? bytes - at : STRINGS_BYTES;
		ssize_t got = pread(fd, piece, wanted, (off_t)(strings + at));
		for (size_t i = 0; got > 0 && i < sizeof(known) / sizeof(known[0]); i++)
			if (memmem(piece, (size_t)got, known[i].symbol,
				   strlen(known[i].symbol + 1) + 2))
				strcpy(look->sanitizer, known[i].name);
		if (got < STRINGS_BYTES)
			break;
	}
	free(piece);
}

static void look_at_segments(int fd, const ElfW(Ehdr) * elf, struct elf_look *look)
{
	ElfW(Phdr) headers[PROGRAM_HEADERS];
	struct dynamic dynamic = {.count = 0};
	size_t count = elf->e_phnum < PROGRAM_HEADERS ? elf->e_phnum : PROGRAM_HEADERS;
	if (elf->e_phentsize != sizeof(headers[0]) ||
	    !read_at(fd, headers, count * sizeof(headers[0]), elf->e_phoff))
		return;
	for (size_t i = 0; i < count; i++) {
		if (headers[i].p_type == PT_INTERP)
			read_string(fd, look->interpreter, sizeof(look->interpreter),
				    headers[i].p_offset);
		if (headers[i].p_type == PT_DYNAMIC)
			read_dynamic(fd, &headers[i], &dynamic);
	}
	if (!*look->interpreter)
		/* ld.so, run as a command, has no interpreter either, but is no PIE */
		look->is_static =
		    elf->e_type == ET_EXEC || (dynamic_value(&dynamic, DT_FLAGS_1) & DF_1_PIE);
	uint64_t strings = file_offset(headers, count, dynamic_value(&dynamic, DT_STRTAB));
	if (strings)
		find_sanitizer(fd, &dynamic, strings, look);
	if (strings && strings < INT64_MAX / 2 && !*look->sanitizer)
		find_static_sanitizer(fd, &dynamic, strings, look);
}

/* The machine this launcher itself was built for. */
static uint16_t own_machine(void)
{
	ElfW(Ehdr) own = {.e_machine = EM_NONE};
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (!read_at(fd, &own, sizeof(own), 0))
			own.e_machine = EM_NONE;
		close(fd);
	}
	return own.e_machine;
}

static void look_at(int fd, struct elf_look *look)
{
	ElfW(Ehdr) elf;
	look->bits = 32;
	if (!read_at(fd, &elf, sizeof(elf), 0) || elf.e_ident[EI_CLASS] != ELFCLASS64)
		return;
	look->bits = 64;
	uint16_t machine = own_machine();
	look->same_machine = machine == EM_NONE || elf.e_machine == machine;
	if (look->same_machine)
		look_at_segments(fd, &elf, look);
}

int elf_look(const char *path, struct elf_look *look, char *head, size_t head_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	memset(look, 0, sizeof(*look));
	read_string(fd, head, head_bytes, 0);
	int is_elf = !memcmp(head, ELFMAG, SELFMAG);
	if (is_elf)
		look_at(fd, look);
	close(fd);
	return is_elf;
}
