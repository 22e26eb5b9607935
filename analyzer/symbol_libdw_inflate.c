/*
 * The copy is a file in memory with all bytes of the debug file at the same offsets and holes where
 * compressed sections were; behind those lies the room for the inflated ones, a hole too, and a new
 * section table. (System V ABI, chapter 4, "Section Compression".) libelf maps it privately, and
 * the sections are inflated right there, into large pages laid over the room: filling the file
 * itself, page by page, takes a third as long again as inflating. With libdeflate only, which takes
 * a third of zlib's time.
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
#define ROOM_ALIGN     UINT64_C(65536) /* the largest pages that kernels are built for */

/* A section that is still to be inflated. */
struct packed {
	size_t index;
	const uint8_t *from; /* the stream */
	size_t bytes;
};

struct libdw_inflate {
	uint8_t *from; /* the whole debug file, mapped */
	size_t from_bytes;
	int fd;		 /* the copy */
	uint64_t start;	 /* of the room for inflated sections */
	uint64_t end;	 /* of the copy so far */
	Elf64_Ehdr head; /* the copy's */
	Elf64_Shdr *sections;
	struct packed *packed;
	size_t packed_count;
};

void libdw_inflate_free(struct libdw_inflate *inflate)
{
	if (!inflate)
		return;
	free(inflate->packed);
	free(inflate->sections);
	munmap(inflate->from, inflate->from_bytes);
	free(inflate);
}

/* ---- the copy ---- */

static bool put(const struct libdw_inflate *inflate, const void *bytes, size_t count,
		uint64_t offset)
{
	const char *from = bytes;

	while (count > 0) {
		ssize_t n = pwrite(inflate->fd, from, count, (off_t)offset);

		if (n <= 0)
			return false;
		from += n;
		offset += (uint64_t)n;
		count -= (size_t)n;
	}
	return true;
}

static bool is_compressed(const struct libdw_inflate *inflate, const Elf64_Shdr *section)
{
	return (section->sh_flags & SHF_COMPRESSED) && section->sh_type != SHT_NOBITS &&
	       section->sh_offset <= inflate->from_bytes &&
	       section->sh_size <= inflate->from_bytes - section->sh_offset &&
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

/* Gives a section its place at the end of the copy. */
static bool place_section(struct libdw_inflate *inflate, size_t index)
{
	Elf64_Shdr *section = &inflate->sections[index];
	const uint8_t *from = inflate->from + section->sh_offset;
	size_t bytes = section->sh_size - sizeof(Elf64_Chdr);
	Elf64_Chdr head;

	memcpy(&head, from, sizeof(head));
	if (head.ch_type != ELFCOMPRESS_ZLIB || head.ch_size == 0 ||
	    head.ch_size > FILE_BYTES_MAX - inflate->end || head.ch_size / RATIO_MAX > bytes)
		return false;
	inflate->packed[inflate->packed_count++] =
	    (struct packed){index, from + sizeof(head), bytes};
	section->sh_flags &= ~(Elf64_Xword)SHF_COMPRESSED;
	section->sh_addralign = head.ch_addralign;
	section->sh_offset = inflate->end;
	section->sh_size = head.ch_size;
	inflate->end = (inflate->end + head.ch_size + 15) & ~UINT64_C(15);
	return true;
}

/* The bytes between compressed sections; those are sorted by offset in all files there are. */
static bool copy_rest(struct libdw_inflate *inflate)
{
	uint64_t at = 0;

	for (size_t i = 0; i < inflate->head.e_shnum; i++) {
		const Elf64_Shdr *section = &inflate->sections[i];

		if (!is_compressed(inflate, section))
			continue;
		if (section->sh_offset < at)
			return false;
		if (!put(inflate, inflate->from + at, section->sh_offset - at, at))
			return false;
		at = section->sh_offset + section->sh_size;
	}
	return at != 0 && put(inflate, inflate->from + at, inflate->from_bytes - at, at);
}

static bool make_copy(struct libdw_inflate *inflate, Elf *elf, size_t names)
{
	if (!copy_rest(inflate))
		return false;
	inflate->start = inflate->end = (inflate->from_bytes + ROOM_ALIGN - 1) & ~(ROOM_ALIGN - 1);
	for (size_t i = 0; i < inflate->head.e_shnum; i++) {
		Elf64_Shdr *section = &inflate->sections[i];
		const char *name = elf_strptr(elf, names, section->sh_name);

		if (!is_compressed(inflate, section))
			continue;
		/* libdwfl may read others before they are there. */
		if (!name || strncmp(name, ".debug_", 7) != 0)
			return false;
		if (!is_needed(name))
			section->sh_type = SHT_NOBITS;
		else if (!place_section(inflate, i))
			return false;
	}
	inflate->end = (inflate->end + ROOM_ALIGN - 1) & ~(ROOM_ALIGN - 1);
	inflate->head.e_shoff = inflate->end;
	return put(inflate, inflate->sections, inflate->head.e_shnum * sizeof(*inflate->sections),
		   inflate->end) &&
	       put(inflate, &inflate->head, sizeof(inflate->head), 0);
}

/* Whether it is the file that is looked for, of a kind that is understood; reads its tables. */
static bool read_tables(struct libdw_inflate *inflate, Elf *elf, const uint8_t *build_id,
			size_t id_bytes)
{
	Elf64_Ehdr *head = &inflate->head;
	const void *id;
	ssize_t bytes = dwelf_elf_gnu_build_id(elf, &id);

	if (bytes <= 0 || (size_t)bytes != id_bytes || memcmp(id, build_id, id_bytes) != 0 ||
	    inflate->from_bytes < sizeof(*head))
		return false;
	memcpy(head, inflate->from, sizeof(*head));
	if (head->e_ident[EI_CLASS] != ELFCLASS64 ||
	    head->e_ident[EI_DATA] !=
		(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB) ||
	    head->e_type == ET_REL || head->e_shentsize != sizeof(*inflate->sections) ||
	    head->e_shnum == 0 || head->e_shnum > SECTIONS_MAX ||
	    head->e_shoff > inflate->from_bytes ||
	    head->e_shnum * sizeof(*inflate->sections) > inflate->from_bytes - head->e_shoff)
		return false;
	inflate->sections = malloc(head->e_shnum * sizeof(*inflate->sections));
	inflate->packed = calloc(head->e_shnum, sizeof(*inflate->packed));
	if (!inflate->sections || !inflate->packed)
		return false;
	memcpy(inflate->sections, inflate->from + head->e_shoff,
	       head->e_shnum * sizeof(*inflate->sections));
	return true;
}

static bool copy_file(struct libdw_inflate *inflate, const uint8_t *build_id, size_t id_bytes)
{
	Elf *elf;
	size_t names;
	bool good;

	elf_version(EV_CURRENT);
	elf = elf_memory((char *)inflate->from, inflate->from_bytes);
	if (!elf)
		return false;
	inflate->fd = memfd_create("memprof-debug", MFD_CLOEXEC);
	good = inflate->fd >= 0 && elf_getshdrstrndx(elf, &names) == 0 &&
	       read_tables(inflate, elf, build_id, id_bytes) && make_copy(inflate, elf, names);
	if (!good && inflate->fd >= 0)
		close(inflate->fd);
	elf_end(elf);
	return good;
}

int libdw_inflate_begin(const char *path, const uint8_t *build_id, size_t build_id_bytes,
			struct libdw_inflate **result)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct libdw_inflate *inflate = calloc(1, sizeof(*inflate));
	struct stat st;
	void *from = MAP_FAILED;

	if (fd >= 0 && inflate && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    (uint64_t)st.st_size < FILE_BYTES_MAX)
		from = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
	if (from == MAP_FAILED) {
		free(inflate);
		return -1;
	}
	inflate->from = from;
	inflate->from_bytes = (size_t)st.st_size;
	if (!copy_file(inflate, build_id, build_id_bytes)) {
		libdw_inflate_free(inflate);
		return -1;
	}
	*result = inflate;
	return inflate->fd;
}

/* ---- inflating ---- */

/*
 * Fresh memory, in large pages where the kernel has them, in place of libelf's mapping of the room
 * for sections; elf_end() unmaps it. What cannot be had is done without.
 */
static void lay_pages(const struct libdw_inflate *inflate, uint8_t *image)
{
	uint8_t *room = image + inflate->start;
	size_t bytes = inflate->end - inflate->start;

	if (mmap(room, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return;
	madvise(room, bytes, MADV_HUGEPAGE);
#ifdef MADV_POPULATE_WRITE
	madvise(room, bytes, MADV_POPULATE_WRITE);
#endif
}

/* Where libelf has mapped the copy; NULL: not mapped. */
static uint8_t *find_image(const struct libdw_inflate *inflate, Elf *elf)
{
	size_t first = inflate->packed_count ? inflate->packed[0].index : 0, bytes;
	Elf_Data *data = elf_rawdata(elf_getscn(elf, first), NULL);
	uint8_t *image = (uint8_t *)elf_rawfile(elf, &bytes);

	if (!image || bytes < inflate->end || !data ||
	    data->d_buf != image + inflate->sections[first].sh_offset)
		return NULL;
	return image;
}

void libdw_inflate_finish(struct libdw_inflate *inflate, Elf *elf)
{
	struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
	uint8_t *image = find_image(inflate, elf);

	if (image && inflater)
		lay_pages(inflate, image);
	for (size_t i = 0; image && inflater && i < inflate->packed_count; i++) {
		const struct packed *packed = &inflate->packed[i];
		const Elf64_Shdr *section = &inflate->sections[packed->index];
		uint8_t *to = image + section->sh_offset;

		/* Nothing rather than something wrong. */
		if (libdeflate_zlib_decompress(inflater, packed->from, packed->bytes, to,
					       section->sh_size, NULL) != LIBDEFLATE_SUCCESS)
			memset(to, 0, section->sh_size);
	}
	libdeflate_free_decompressor(inflater);
}

#else

int libdw_inflate_begin(const char *path, const uint8_t *build_id, size_t build_id_bytes,
			struct libdw_inflate **result)
{
	(void)path, (void)build_id, (void)build_id_bytes, (void)result;
	return -1;
}

void libdw_inflate_finish(struct libdw_inflate *inflate, Elf *elf)
{
	(void)inflate, (void)elf;
}

void libdw_inflate_free(struct libdw_inflate *inflate)
{
	(void)inflate;
}

#endif
