/*
 * Control of memprof from inside the recorded program. Nothing needs to be linked: without memprof
 * loaded the functions are not there, and calling them does nothing.
 *
 *     #include <memprof.h>
 *     ...
 *     memprof_start();           // with MEMPROF_START=0: record from here on
 *     work();
 *     memprof_stop();
 */
#ifndef MEMPROF_H
#define MEMPROF_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Weak, so NULL when the program runs without memprof; the macros below ask first. Any thread may
 * call them; they are signal-safe and leave errno alone.
 */

/* Begins recording, or goes on after memprof_stop(). Blocks allocated before are foreign. */
void memprof_start(void) __attribute__((weak));

/* Stops recording; the program's allocations until memprof_start() are not seen. */
void memprof_stop(void) __attribute__((weak));

/* 1 while allocations are being recorded, else 0. */
int memprof_is_recording(void) __attribute__((weak));

#ifndef MEMPROF_NO_MACROS
#define memprof_start()	       (memprof_start ? memprof_start() : (void)0)
#define memprof_stop()	       (memprof_stop ? memprof_stop() : (void)0)
#define memprof_is_recording() (memprof_is_recording ? memprof_is_recording() : 0)
#endif

#ifdef __cplusplus
}
#endif

#endif
