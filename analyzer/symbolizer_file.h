/* Finds the object file of a recorded module. */
#ifndef SYMBOLIZER_FILE_H
#define SYMBOLIZER_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Where module files may lie, best first. */
enum symbolizer_place {
	SYMBOLIZER_PLACE_PATH,	   /* where it was when recorded, or the vdso of this process */
	SYMBOLIZER_PLACE_BUILD_ID, /* the debug file of its build-id: when the program is gone */
	SYMBOLIZER_PLACES,
};

/* Longest build-id that is believed; ld and lld write at most 20 bytes. */
#define SYMBOLIZER_BUILD_ID_MAX 64

/*
 * Opens the object file of a module at one place, read-only. `sysroot` is put before the path,
 * "" for none. Writes the name that it was opened by to `name`, which has `name_bytes` bytes.
 * Returns a descriptor that the caller closes, or -errno (-ENOEXEC: a file, but not ELF).
 */
int symbolizer_file_open(enum symbolizer_place place, const char *sysroot, const char *path,
			 const uint8_t *build_id, size_t build_id_bytes, char *name,
			 size_t name_bytes);

#endif
