#include "log.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "sys.h"

static bool log_quiet;
static dev_t log_device;
static ino_t log_inode;
static bool log_known;

void text_init(struct text *text, char *buffer, size_t bytes)
{
	text->at = buffer;
	text->end = buffer + bytes - 1;
}

void text_add_bytes(struct text *text, const char *bytes, size_t count)
{
	size_t room = (size_t)(text->end - text->at);

	if (count > room)
		count = room;
	memcpy(text->at, bytes, count);
	text->at += count;
}

void text_add(struct text *text, const char *string)
{
	text_add_bytes(text, string, strlen(string));
}

static void add_digits(struct text *text, uint64_t number, bool separated)
{
	char digits[32];
	char *at = digits + sizeof(digits);
	unsigned count = 0;

	do {
		if (separated && count && count % 3 == 0)
			*--at = ',';
		*--at = (char)('0' + number % 10);
		number /= 10;
		count++;
	} while (number);
	text_add_bytes(text, at, (size_t)(digits + sizeof(digits) - at));
}

void text_add_number(struct text *text, uint64_t number)
{
	add_digits(text, number, false);
}

void text_add_count(struct text *text, uint64_t number)
{
	add_digits(text, number, true);
}

/* Bytes of the character that begins here; 0: it is none (RFC 3629), or drives terminals. */
static size_t harmless(const unsigned char *s)
{
	size_t bytes = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] < ' ' || s[0] == 0x7f || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < bytes; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if (s[0] == 0xc2 && s[1] < 0xa0) /* the second set of controls */
		return 0;
	if (s[0] == 0xe2 && s[1] == 0x80) /* line separators, marks of direction (UAX 9) */
		return s[2] < 0x8b || (s[2] > 0x8f && s[2] < 0xa8) || s[2] > 0xae ? bytes : 0;
	return s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa0 ? 0 : bytes;
}

void text_add_printable(struct text *text, const char *string)
{
	while (*string) {
		size_t bytes = harmless((const unsigned char *)string);

		text_add_bytes(text, bytes ? string : "?", bytes ? bytes : 1);
		string += bytes ? bytes : 1;
	}
}

size_t text_end(struct text *text, const char *buffer)
{
	*text->at = 0;
	return (size_t)(text->at - buffer);
}

/* Raw fstat: the structure of the kernel is that of libc on the machines we know. */
static bool stderr_identity(dev_t *device, ino_t *inode)
{
	struct stat status;

	if (SYS2(fstat, 2, &status) < 0)
		return false;
	*device = status.st_dev;
	*inode = status.st_ino;
	return true;
}

/* A full pipe would block the program and one nobody reads would kill it by SIGPIPE: say nothing.
 */
static bool stderr_takes_text(void)
{
	struct pollfd poll = {.fd = 2, .events = POLLOUT};
	struct timespec now = {0, 0};

	return SYS5(ppoll, &poll, 1, &now, NULL, 0) == 1 && poll.revents == POLLOUT;
}

void log_init(bool quiet)
{
	log_quiet = quiet;
	log_known = stderr_identity(&log_device, &log_inode);
}

bool log_text(const char *text, size_t bytes)
{
	dev_t device;
	ino_t inode;

	if (log_quiet || !log_known || !stderr_identity(&device, &inode))
		return false;
	if (device != log_device || inode != log_inode || !stderr_takes_text())
		return false;
	return SYS3(write, 2, text, bytes) == (long)bytes;
}

void log_line(const char *message)
{
	char buffer[1024];
	struct text text;

	text_init(&text, buffer, sizeof(buffer) - 1);
	text_add(&text, "memprof: ");
	text_add(&text, message);
	text_add(&text, "");
	*text.at++ = '\n';
	log_text(buffer, (size_t)(text.at - buffer));
}
