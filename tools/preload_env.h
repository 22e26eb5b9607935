/* Where memprof's own files are, and how the recorder gets into LD_PRELOAD. */
#ifndef PRELOAD_ENV_H
#define PRELOAD_ENV_H

#include <stdbool.h>

/*
 * Puts the recorder first into LD_PRELOAD, before what is there already: an allocator that is
 * preloaded must come after the recorder to be recorded, and it stays the next one in line.
 * The list has no quoting (ld.so(8)), so a library whose path holds a space or a colon is named
 * through a private link in a temporary directory; preload_env_fini() removes that. Returns false
 * after a message on stderr.
 */
bool preload_env_set(void);
void preload_env_fini(void);

/* Path of another command beside this one, PATH_MAX bytes of the caller's; its bare name if the
 * place of this one is unknown. */
void preload_env_command(const char *name, char *path);

#endif
