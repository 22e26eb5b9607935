/*
 * Done once to the profile, not in each writer: what is not there no writer can let out. Many
 * stacks share a frame; a frame that is bare already stays as it is.
 */
#include "profile_bare.h"

#include "profile.h"

#include <stdint.h>
#include <string.h>

/* What a path in the name of a function is not made of. */
#define TOKEN_ENDS " \t\n()<>{},:;@\"'`*&=[]|!"

static const char operator_name[] = "operator/";

/* The last component, also of a path that ends in slashes; "" of the root. */
static char *last_component(char *path)
{
	size_t length = strlen(path);
	char *slash;

	while (length > 0 && path[length - 1] == '/')
		path[--length] = '\0';
	slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* Moves what follows the last slash of [from, end) to `from`; returns the name's new end of it. */
static char *drop_folders(char *from, char *end)
{
	char *slash = memrchr(from, '/', (size_t)(end - from));

	if (!slash)
		return end;
	memmove(from, slash + 1, strlen(slash + 1) + 1);
	return end - (slash + 1 - from);
}

/* "(lambda at /home/me/my app/a.cc:3:5)": a path up to the colon, with blanks in it perhaps. */
static void bare_places(char *name)
{
	static const char *const marks[] = {" at ", "@"};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		for (char *at = name; (at = strstr(at, marks[i])) != NULL;) {
			at += strlen(marks[i]);
			at = drop_folders(at, at + strcspn(at, ":()<>"));
		}
	}
}

static void bare_function(char *name)
{
	if (!strchr(name, '/'))
		return;
	bare_places(name);
	for (char *at = name; *at; at += strspn(at, TOKEN_ENDS)) {
		char *end = at + strcspn(at, TOKEN_ENDS);

		if (strncmp(at, operator_name, sizeof(operator_name) - 1) != 0)
			end = drop_folders(at, end);
		at = end;
	}
}

/* Frames and their strings are the analysis's own, const only to those who read the profile. */
static char *writable(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void bare_frame(struct profile_frame *frame)
{
	if (frame->file)
		frame->file = last_component(writable(frame->file));
	if (frame->module)
		frame->module = last_component(writable(frame->module));
	if (frame->function)
		bare_function(writable(frame->function));
}

static void bare_sites(struct profile_site *sites, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct profile_stack *stack = &sites[i].stack;
		const struct profile_frame *const *frames = profile_stack_frames(stack);

		for (size_t j = 0; j < stack->count; j++)
			bare_frame((struct profile_frame *)(uintptr_t)frames[j]);
	}
}

static void clear(const char *text)
{
	if (text)
		writable(text)[0] = '\0';
}

void profile_bare(struct profile *profile)
{
	struct profile_process *process = &profile->process;

	clear(process->cmdline);
	clear(process->host);
	if (process->exe) {
		char *exe = writable(process->exe), *last = last_component(exe);

		memmove(exe, last, strlen(last) + 1); /* it is freed by its beginning */
	}
	bare_sites(profile->sites, profile->site_count);
	bare_sites(profile->map_sites, profile->map_site_count);
}
