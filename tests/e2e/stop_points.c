/*
 * What a recorder built with MEMPROF_STOP_POINTS does at its named points.
 *
 *   MEMPROF_STOP_AT=NAME:COUNT[:WHAT][,...]
 *
 * At the COUNT-th passing of NAME ("any": of all points together), by whichever thread: "kill", the
 * whole process by SIGKILL; "wait", this thread sleeps 20 ms, so that others overtake it; "jump",
 * a signal, whose handler may leave by longjmp. MEMPROF_STOP_AT=list:1 is for the tests: every
 * name is written to stderr as it is passed for the first time.
 */
#include "stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sys.h"

#define ORDERS_MAX 4
#define NAMES_MAX  64

static struct order {
	char name[32];
	unsigned long count;
	char what;
	atomic_ulong passed;
} orders[ORDERS_MAX];
static unsigned order_count;
static bool asked;
static const char *_Atomic seen[NAMES_MAX];

static const char *setting(void)
{
	for (char **at = environ; at && *at; at++)
		if (strncmp(*at, "MEMPROF_STOP_AT=", 16) == 0)
			return *at + 16;
	return "";
}

/* The first point is passed before there are threads. */
static void read_orders(void)
{
	const char *at = setting();

	asked = environ != NULL;
	while (*at && order_count < ORDERS_MAX) {
		struct order *order = &orders[order_count++];
		size_t length = strcspn(at, ":");

		memcpy(order->name, at, length < 31 ? length : 31);
		order->what = 'k';
		for (at += length + (at[length] == ':'); *at >= '0' && *at <= '9'; at++)
			order->count = order->count * 10 + (unsigned long)(*at - '0');
		if (*at == ':')
			order->what = at[1];
		at += strcspn(at, ",");
		at += *at == ',';
	}
}

static void list(const char *name)
{
	for (unsigned i = 0; i < NAMES_MAX; i++) {
		const char *expected = NULL;

		if (atomic_compare_exchange_strong(&seen[i], &expected, name)) {
			char line[64] = "";

			/* In one piece: others write, too. */
			SYS3(write, 2, line, stpcpy(stpncpy(line, name, 60), "\n") - line);
			return;
		}
		if (expected == name || strcmp(expected, name) == 0)
			return;
	}
}

static void obey(char what)
{
	struct timespec while_others_work = {0, 20000000};

	if (what == 'w')
		SYS2(nanosleep, &while_others_work, NULL);
	else if (what == 'j')
		SYS3(tgkill, SYS0(getpid), SYS0(gettid), SIGUSR2);
	else
		SYS2(kill, SYS0(getpid), SIGKILL);
}

void stop_point(const char *name)
{
	if (!asked)
		read_orders();
	for (unsigned i = 0; i < order_count; i++) {
		struct order *order = &orders[i];

		if (strcmp(order->name, "list") == 0)
			list(name);
		else if ((strcmp(order->name, "any") == 0 || strcmp(order->name, name) == 0) &&
			 atomic_fetch_add(&order->passed, 1) + 1 == order->count)
			obey(order->what);
	}
}
