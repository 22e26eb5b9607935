/*
 * The next allocator: what each hooked name would have meant without us. Found by dlsym(RTLD_NEXT)
 * at the first use of each; until then, and while dlsym itself allocates, calls go to the bootstrap
 * arena.
 */
#ifndef REAL_H
#define REAL_H

#include <stddef.h>
#include <sys/types.h>

/* X(result, name, parameters): called as real.name(...). May be NULL for names marked optional. */
#define REAL_FUNCTIONS(X)                                                                          \
	X(void *, malloc, (size_t))                                                                \
	X(void, free, (void *))                                                                    \
	X(void *, calloc, (size_t, size_t))                                                        \
	X(void *, realloc, (void *, size_t))                                                       \
	X(void *, reallocarray, (void *, size_t, size_t))                                          \
	X(int, posix_memalign, (void **, size_t, size_t))                                          \
	X(void *, aligned_alloc, (size_t, size_t))                                                 \
	X(void *, memalign, (size_t, size_t))                                                      \
	X(void *, valloc, (size_t))                                                                \
	X(void *, pvalloc, (size_t))                                                               \
	X(size_t, malloc_usable_size, (void *))                                                    \
	X(void, free_sized, (void *, size_t))                                                      \
	X(void, free_aligned_sized, (void *, size_t, size_t))                                      \
	X(void *, mmap, (void *, size_t, int, int, int, off_t))                                    \
	X(int, munmap, (void *, size_t))                                                           \
	X(void *, mremap, (void *, size_t, size_t, int, ...))                                      \
	X(int, dlclose, (void *))                                                                  \
	X(int, execve, (const char *, char *const *, char *const *))                               \
	X(int, execvpe, (const char *, char *const *, char *const *))                              \
	X(int, fexecve, (int, char *const *, char *const *))                                       \
	X(int, execveat, (int, const char *, char *const *, char *const *, int))                   \
	X(void, quick_exit, (int))                                                                 \
	X(pid_t, _Fork, (void))

struct real {
#define REAL_MEMBER(result, name, parameters) result(*name) parameters;
	REAL_FUNCTIONS(REAL_MEMBER)
#undef REAL_MEMBER
};

extern struct real real;

/* Finds all of them. Any thread; the loader's lock may be taken by dlsym. */
void real_find(void);

/* Whether dlsym is at work further up this thread's stack: serve from the bootstrap arena. */
int real_is_finding(void);

/*
 * The next definition of `name`, also where the caller at `caller` got it privately (dlopen with
 * RTLD_LOCAL); NULL when there is none.
 */
void *real_find_for(const char *name, void *caller);

/* True when the functions are there: finds them at the first call. */
static inline int real_ready(void)
{
	if (__builtin_expect(real.malloc != NULL, 1))
		return 1;
	if (real_is_finding())
		return 0;
	real_find();
	return real.malloc != NULL;
}

#endif
