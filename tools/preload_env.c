#include "preload_env.h"

#include "say.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libmemprof.so"

static char link_directory[PATH_MAX]; /* empty: none was made */

/* Directory of this executable without the last slash; false where /proc is missing. */
static bool own_directory(char *directory)
{
	ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX - 1);
	if (length <= 0)
		return false;
	directory[length] = '\0';
	char *slash = strrchr(directory, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

void preload_env_command(const char *name, char *path)
{
	char directory[PATH_MAX];
	if (own_directory(directory) &&
	    snprintf(path, PATH_MAX, "%s/%s", directory, name) < PATH_MAX && !access(path, X_OK))
		return;
	snprintf(path, PATH_MAX, "%s", name);
}

/* The build tree and an installation differ only in the directory's name. */
static bool find_library(char *path)
{
	static const char *const places[] = {"../lib", "../" MEMPROF_LIBDIR};
	char directory[PATH_MAX], candidate[PATH_MAX];
	if (own_directory(directory))
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
			if (snprintf(candidate, PATH_MAX, "%s/%s/" LIBRARY, directory, places[i]) <
				PATH_MAX &&
			    realpath(candidate, path) && !access(path, R_OK))
				return true;
	return realpath(MEMPROF_FULL_LIBDIR "/" LIBRARY, path) && !access(path, R_OK);
}

static bool fits_list(const char *path)
{
	return !path[strcspn(path, " \t\n:")];
}

/* Replaces `path` by that of a link to it which LD_PRELOAD can name. */
static bool make_link(char *path)
{
	const char *temporary = getenv("TMPDIR");
	char link[PATH_MAX];
	if (!temporary || *temporary != '/' || !fits_list(temporary))
		temporary = "/tmp";
	if (snprintf(link_directory, sizeof(link_directory), "%s/memprof.XXXXXX", temporary) >=
		(int)sizeof(link_directory) - 32 ||
	    !mkdtemp(link_directory)) {
		link_directory[0] = '\0';
		return false;
	}
	snprintf(link, sizeof(link), "%.*s/" LIBRARY, PATH_MAX - 32, link_directory);
	if (symlink(path, link)) {
		preload_env_fini();
		return false;
	}
	strcpy(path, link);
	return true;
}

void preload_env_fini(void)
{
	char link[PATH_MAX];
	if (!*link_directory)
		return;
	snprintf(link, sizeof(link), "%.*s/" LIBRARY, PATH_MAX - 32, link_directory);
	unlink(link);
	rmdir(link_directory);
	link_directory[0] = '\0';
}

/* Is this very library in the list already, as for a program that runs memprof itself? */
static bool in_list(const char *list, const char *path)
{
	size_t length = strlen(path);
	for (const char *at = list; *at;) {
		size_t entry = strcspn(at, " :");
		if (entry == length && !strncmp(at, path, length))
			return true;
		at += entry;
		at += strspn(at, " :");
	}
	return false;
}

/* Those insist on being first in the list, and end the program when they are not. */
static bool has_sanitizer(const char *list)
{
	static const char *const names[] = {"libasan.", "libtsan.", "liblsan.", "libhwasan.",
					    "libclang_rt."};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strstr(list, names[i]))
			return true;
	return false;
}

static bool set_list(const char *path)
{
	const char *old = getenv("LD_PRELOAD");
	char *list;
	if (!old || !*old)
		return !setenv("LD_PRELOAD", path, 1);
	if (in_list(old, path))
		return true;
	if (asprintf(&list, "%s:%s", path, old) < 0)
		return false;
	int error = setenv("LD_PRELOAD", list, 1);
	free(list);
	return !error;
}

bool preload_env_set(void)
{
	char path[PATH_MAX];
	if (!find_library(path)) {
		say(LIBRARY " is neither beside this command (../lib, ../" MEMPROF_LIBDIR
			    ") nor in " MEMPROF_FULL_LIBDIR ": build or install memprof again");
		return false;
	}
	if (!fits_list(path) && !make_link(path)) {
		say("%s: LD_PRELOAD cannot name a path with a space or a colon, and no link to it "
		    "could be made in a temporary directory (%s): move memprof elsewhere",
		    path, strerror(errno));
		return false;
	}
	if (getenv("LD_PRELOAD") && has_sanitizer(getenv("LD_PRELOAD"))) {
		say("LD_PRELOAD=%s: a sanitizer replaces malloc itself, so that nothing can be "
		    "recorded: run the program either with it or with memprof",
		    getenv("LD_PRELOAD"));
		preload_env_fini();
		return false;
	}
	if (!set_list(path)) {
		say("cannot set LD_PRELOAD: %s", strerror(errno));
		return false;
	}
	return true;
}
