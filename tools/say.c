#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void say(const char *format, ...)
{
	char line[2048] = "memprof: ";
	size_t used = strlen(line);
	size_t room = sizeof(line) - 1; /* for the newline */
	int saved = errno;
	va_list arguments;
	va_start(arguments, format);
	int wanted = vsnprintf(line + used, room - used, format, arguments);
	va_end(arguments);
	if (wanted > 0)
		used = (size_t)wanted < room - used ? used + (size_t)wanted : room - 1;
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, line, used);
	(void)ignored;
	errno = saved;
}

const char *say_quoted(const char *text, char *buffer, size_t buffer_bytes)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_-+=.,/:@%";
	size_t used = 0;
	if (*text && strspn(text, safe) == strlen(text)) {
		snprintf(buffer, buffer_bytes, "%s", text);
		return buffer;
	}
	buffer[used++] = '\'';
	for (; *text && used + 6 < buffer_bytes; text++) {
		if (*text == '\'') {
			memcpy(buffer + used, "'\\''", 4);
			used += 4;
		} else {
			buffer[used++] = *text;
		}
	}
	buffer[used++] = '\'';
	buffer[used] = '\0';
	return buffer;
}
