/*
 * MEMPROF_START=0: nothing is recorded before memprof_start() and after memprof_stop(). A block
 * from before that is freed while recording is foreign; one from within that is freed after the
 * end stays live in the report.
 */
#include "truth.h"

extern void memprof_start(void) __attribute__((weak));
extern void memprof_stop(void) __attribute__((weak));

int main(int argc, char **argv)
{
	void *before = malloc(100), *within, *more;

	(void)argv;
	free(malloc(200));
	if (memprof_start && argc == 1)
		memprof_start();
	free(before);
	truth.foreign_frees++;
	within = truth_malloc(300);
	more = truth_malloc(400);
	truth_free(more, 400);
	if (memprof_stop && argc == 1)
		memprof_stop();
	free(within);
	before = malloc(500);
	free(before);
	truth_print(1, &truth);
	return 0;
}
