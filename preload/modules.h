/*
 * Which executable and libraries lie where, told to the trace when code of theirs is first met in a
 * stack. dlopen is not watched: wrapping it would change whose RUNPATH is searched.
 *
 * Code epochs keep an address that two libraries had in turn apart: unloading a range gives its
 * addresses a new epoch, and a library that comes back to its old place gets its old one.
 */
#ifndef MODULES_H
#define MODULES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Set once anything was unloaded; until then every address has epoch 0. */
extern atomic_bool modules_any_unloaded;

/* Takes the executable's path, for the module that has no name. Once a process. */
void modules_init(const char *executable);

/*
 * Writes the modules now loaded to the trace. Takes the loader's lock: only from the library's
 * constructor.
 */
void modules_note_all(void);

/* In a forked child, with its own file open: writes what the parent knew. */
void modules_forked(void);

/*
 * Makes sure the module that holds `pc`, if any, is known to the trace. Any thread, any signal
 * context; lock-free where the C library has _dl_find_object (glibc 2.35).
 */
void modules_note(uintptr_t pc);

/* Code epoch of `pc`. Any thread. */
uint32_t modules_epoch(uintptr_t pc);

/* Finds out what a dlclose that has just returned unmapped. */
void modules_unloaded(void);

#endif
