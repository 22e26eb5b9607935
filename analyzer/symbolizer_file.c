/*
 * The vdso has no file: this process's own is copied to one in memory. It is the recorded one if
 * the build-id says so, which the caller checks as for every other file.
 */
#include "symbolizer_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_vdso(const char *path)
{
	return strcmp(path, "[vdso]") == 0 || strncmp(path, "linux-vdso.so", 13) == 0 ||
	       strncmp(path, "linux-vdso64.so", 15) == 0;
}

/* One past the last byte that the image's headers speak of. */
static size_t image_bytes(const ElfW(Ehdr) * ehdr)
{
	const ElfW(Phdr) *phdr = (const void *)((const char *)ehdr + ehdr->e_phoff);
	size_t end = ehdr->e_shoff + (size_t)ehdr->e_shnum * ehdr->e_shentsize;

	for (unsigned i = 0; i < ehdr->e_phnum; i++)
		if (phdr[i].p_type == PT_LOAD && phdr[i].p_offset + phdr[i].p_filesz > end)
			end = phdr[i].p_offset + phdr[i].p_filesz;
	return end;
}

static int open_vdso(void)
{
	const void *image = (const void *)getauxval(AT_SYSINFO_EHDR);
	size_t bytes;
	int fd;

	if (!image)
		return -ENOENT;
	bytes = image_bytes(image);
	fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, image, bytes) != (ssize_t)bytes) {
		close(fd);
		return -EIO;
	}
	return fd;
}

/* A path from a trace may name anything: only regular files that begin like ELF are taken. */
static int open_elf(const char *name)
{
	struct stat st;
	char magic[SELFMAG];
	int error = ENOEXEC;
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		error = errno;
	else if (S_ISREG(st.st_mode) && pread(fd, magic, SELFMAG, 0) == SELFMAG &&
		 memcmp(magic, ELFMAG, SELFMAG) == 0)
		return fd;
	close(fd);
	return -error;
}

static int debug_name(const char *sysroot, const uint8_t *id, size_t id_bytes, char *name,
		      size_t name_bytes)
{
	char hex[2 * SYMBOLIZER_BUILD_ID_MAX + 1];
	int bytes;

	if (id_bytes < 2 || id_bytes > SYMBOLIZER_BUILD_ID_MAX)
		return -ENOENT;
	for (size_t i = 0; i < id_bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	bytes = snprintf(name, name_bytes, "%s/usr/lib/debug/.build-id/%.2s/%s.debug", sysroot, hex,
			 hex + 2);
	return bytes < 0 || (size_t)bytes >= name_bytes ? -ENAMETOOLONG : 0;
}

/* What the kernel appends to the name of a deleted file is no part of the path. */
static int path_name(const char *sysroot, const char *path, char *name, size_t name_bytes)
{
	static const char deleted[] = " (deleted)";
	size_t bytes = strlen(path);
	int length;

	if (path[0] != '/')
		return -ENOENT;
	if (bytes > sizeof(deleted) && strcmp(path + bytes - (sizeof(deleted) - 1), deleted) == 0)
		bytes -= sizeof(deleted) - 1;
	if (bytes >= name_bytes)
		return -ENAMETOOLONG;
	length = snprintf(name, name_bytes, "%s%.*s", sysroot, (int)bytes, path);
	return length < 0 || (size_t)length >= name_bytes ? -ENAMETOOLONG : 0;
}

int symbolizer_file_open(enum symbolizer_place place, const char *sysroot, const char *path,
			 const uint8_t *build_id, size_t build_id_bytes, char *name,
			 size_t name_bytes)
{
	int error;

	if (is_vdso(path)) {
		snprintf(name, name_bytes, "[vdso]");
		return place == SYMBOLIZER_PLACE_PATH ? open_vdso() : -ENOENT;
	}
	if (place == SYMBOLIZER_PLACE_PATH)
		error = path_name(sysroot, path, name, name_bytes);
	else
		error = debug_name(sysroot, build_id, build_id_bytes, name, name_bytes);
	return error < 0 ? error : open_elf(name);
}
