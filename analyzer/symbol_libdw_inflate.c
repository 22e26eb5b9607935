/*
 * The copy has all bytes of the file at the same offsets, with holes where compressed sections
 * were; the inflated ones and a new section table stand behind. (System V ABI, chapter 4, "Section
 * Compression".) With libdeflate only, which takes a third of zlib's time.
 */
#include "symbol_libdw_inflate.h"

#ifdef HAVE_LIBDEFLATE

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (UINT64_C(1) << 32)
#define RATIO_MAX      1032 /* DEFLATE cannot do better */
#define SECTIONS_MAX   65000

struct copy {
	const uint8_t *from; /* the whole file, mapped */
	size_t from_bytes;
	int fd;	      /* the copy */
	uint64_t end; /* of it so far */
	Elf64_Ehdr head;
	Elf64_Shdr *sections;
	struct libdeflate_decompressor *inflater;
};

static bool put(const struct copy *copy, const void *bytes, size_t count, uint64_t offset)
{
	const char *from = bytes;

	while (count > 0) {
		ssize_t n = pwrite(copy->fd, from, count, (off_t)offset);

		if (n <= 0)
			return false;
		from += n;
		offset += (uint64_t)n;
		count -= (size_t)n;
	}
	return true;
}

static bool is_compressed(const struct copy *copy, const Elf64_Shdr *section)
{
	return (section->sh_flags & SHF_COMPRESSED) && section->sh_type != SHT_NOBITS &&
	       section->sh_offset <= copy->from_bytes &&
	       section->sh_size <= copy->from_bytes - section->sh_offset &&
	       section->sh_size > sizeof(Elf64_Chdr);
}

/* What is asked for are functions, inlined calls and lines. */
static bool is_needed(const char *name)
{
	static const char *const not [] = {
	    ".debug_loc",      ".debug_loclists",     ".debug_macro",
	    ".debug_macinfo",  ".debug_frame",	      ".debug_pubnames",
	    ".debug_pubtypes", ".debug_gnu_pubnames", ".debug_gnu_pubtypes"};

	for (size_t i = 0; i < sizeof(not ) / sizeof(*not ); i++)
		if (strcmp(name, not [i]) == 0)
			return false;
	return true;
}

/* Inflates a section at the end of the copy. */
static bool inflate_section(struct copy *copy, Elf64_Shdr *section)
{
	const uint8_t *from = copy->from + section->sh_offset;
	uint64_t packed = section->sh_size - sizeof(Elf64_Chdr);
	Elf64_Chdr head;
	void *to;
	bool good;

	memcpy(&head, from, sizeof(head));
	if (head.ch_type != ELFCOMPRESS_ZLIB || head.ch_size == 0 ||
	    head.ch_size > FILE_BYTES_MAX - copy->end || head.ch_size / RATIO_MAX > packed ||
	    ftruncate(copy->fd, (off_t)(copy->end + head.ch_size)) != 0)
		return false;
	to = mmap(NULL, head.ch_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, copy->fd,
		  (off_t)copy->end);
	if (to == MAP_FAILED)
		return false;
	good = libdeflate_zlib_decompress(copy->inflater, from + sizeof(head), packed, to,
					  head.ch_size, NULL) == LIBDEFLATE_SUCCESS;
	munmap(to, head.ch_size);
	section->sh_flags &= ~(Elf64_Xword)SHF_COMPRESSED;
	section->sh_addralign = head.ch_addralign;
	section->sh_offset = copy->end;
	section->sh_size = head.ch_size;
	/* Sections begin on pages, for mmap. */
	copy->end = (copy->end + head.ch_size + 4095) & ~UINT64_C(4095);
	return good;
}

/* The bytes between compressed sections; those are sorted by offset in all files there are. */
static bool copy_rest(struct copy *copy)
{
	uint64_t at = 0;

	for (size_t i = 0; i < copy->head.e_shnum; i++) {
		const Elf64_Shdr *section = &copy->sections[i];

		if (!is_compressed(copy, section))
			continue;
		if (section->sh_offset < at)
			return false;
		if (!put(copy, copy->from + at, section->sh_offset - at, at))
			return false;
		at = section->sh_offset + section->sh_size;
	}
	copy->end = (copy->from_bytes + 4095) & ~UINT64_C(4095);
	return at != 0 && put(copy, copy->from + at, copy->from_bytes - at, at);
}

static bool make_copy(struct copy *copy, Elf *elf, size_t names)
{
	if (!copy_rest(copy))
		return false;
	for (size_t i = 0; i < copy->head.e_shnum; i++) {
		Elf64_Shdr *section = &copy->sections[i];
		const char *name = elf_strptr(elf, names, section->sh_name);

		if (!is_compressed(copy, section))
			continue;
		if (!name || !is_needed(name))
			section->sh_type = SHT_NOBITS;
		else if (!inflate_section(copy, section))
			return false;
	}
	copy->head.e_shoff = copy->end;
	return put(copy, copy->sections, copy->head.e_shnum * sizeof(*copy->sections), copy->end) &&
	       put(copy, &copy->head, sizeof(copy->head), 0);
}

/* Whether it is the file that is looked for, of a kind that is understood; reads its tables. */
static bool read_tables(struct copy *copy, Elf *elf, const uint8_t *build_id, size_t id_bytes)
{
	const void *id;
	ssize_t bytes = dwelf_elf_gnu_build_id(elf, &id);

	if (bytes <= 0 || (size_t)bytes != id_bytes || memcmp(id, build_id, id_bytes) != 0 ||
	    copy->from_bytes < sizeof(copy->head))
		return false;
	memcpy(&copy->head, copy->from, sizeof(copy->head));
	if (copy->head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    copy->head.e_ident[EI_DATA] !=
		(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB) ||
	    copy->head.e_shentsize != sizeof(*copy->sections) || copy->head.e_shnum == 0 ||
	    copy->head.e_shnum > SECTIONS_MAX || copy->head.e_shoff > copy->from_bytes ||
	    copy->head.e_shnum * sizeof(*copy->sections) > copy->from_bytes - copy->head.e_shoff)
		return false;
	copy->sections = malloc(copy->head.e_shnum * sizeof(*copy->sections));
	if (!copy->sections)
		return false;
	memcpy(copy->sections, copy->from + copy->head.e_shoff,
	       copy->head.e_shnum * sizeof(*copy->sections));
	return true;
}

static int inflate_file(int fd, size_t bytes, const uint8_t *build_id, size_t id_bytes)
{
	struct copy copy = {.from_bytes = bytes, .fd = -1};
	void *from = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	Elf *elf = NULL;
	size_t names;
	bool good;

	if (from == MAP_FAILED)
		return -1;
	copy.from = from;
	copy.inflater = libdeflate_alloc_decompressor();
	elf_version(EV_CURRENT);
	elf = elf_memory(from, bytes);
	copy.fd = memfd_create("memprof-debug", MFD_CLOEXEC);
	good = elf && copy.inflater && copy.fd >= 0 && elf_getshdrstrndx(elf, &names) == 0 &&
	       read_tables(&copy, elf, build_id, id_bytes) && make_copy(&copy, elf, names);
	if (!good && copy.fd >= 0) {
		close(copy.fd);
		copy.fd = -1;
	}
	if (elf)
		elf_end(elf);
	libdeflate_free_decompressor(copy.inflater);
	free(copy.sections);
	munmap(from, bytes);
	return copy.fd;
}

int libdw_inflate(const char *path, const uint8_t *build_id, size_t build_id_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), copy = -1;
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    (uint64_t)st.st_size < FILE_BYTES_MAX)
		copy = inflate_file(fd, (size_t)st.st_size, build_id, build_id_bytes);
	close(fd);
	return copy;
}

#else

int libdw_inflate(const char *path, const uint8_t *build_id, size_t build_id_bytes)
{
	(void)path, (void)build_id, (void)build_id_bytes;
	return -1;
}

#endif
