/*
 * A timer's handler allocates and frees while the program does, so that it interrupts hooks at
 * every point. To be run over safe_alloc, which may be entered at any moment. Some handlers leave
 * by longjmp, out of whatever they interrupted.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define ROUNDS	   2000000
#define INTERVAL   100 /* us */
#define KEPT	   64
#define JUMP_EVERY 16

static uint64_t calls; /* mallocs and frees that returned; one instruction each */
static volatile uint64_t handled;
static volatile sig_atomic_t may_jump;
static sigjmp_buf out;

static void done(unsigned count)
{
	__atomic_fetch_add(&calls, count, __ATOMIC_SEQ_CST);
}

static void handler(int signal)
{
	static void *kept;
	void *block = malloc(100);

	(void)signal;
	free(kept);
	done(kept ? 2 : 1);
	kept = block;
	handled++;
	if (may_jump && handled % JUMP_EVERY == 0)
		siglongjmp(out, 1);
}

static void set_timer(int interval)
{
	struct itimerval timer = {{0, interval}, {0, interval}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* What is jumped out of happened or not: each jump leaves `calls` short by one call at most. */
static void round_of(void **slots, unsigned i)
{
	void **slot = &slots[i % KEPT];

	if (*slot) { /* not after a jump out of its malloc */
		free(*slot);
		*slot = NULL;
		done(1);
	}
	*slot = malloc(i % 500);
	done(1);
}

int main(int argc, char **argv)
{
	static void *slots[KEPT];
	static volatile unsigned i;
	struct sigaction action = {.sa_handler = handler};
	char line[200];
	int jumps = argc > 1 && strcmp(argv[1], "jump") == 0;

	for (i = 0; i < KEPT; i++)
		slots[i] = malloc(1);
	done(KEPT);
	sigaction(SIGALRM, &action, NULL);
	set_timer(INTERVAL);
	i = 0;
	sigsetjmp(out, 1);
	may_jump = jumps;
	while (i < ROUNDS) {
		unsigned now = i;

		i = now + 1;
		round_of(slots, now);
	}
	may_jump = 0;
	set_timer(0);
	snprintf(line, sizeof(line), "{\"calls\": %llu, \"handled\": %llu}\n",
		 (unsigned long long)calls, (unsigned long long)handled);
	return write(1, line, strlen(line)) < 0;
}
