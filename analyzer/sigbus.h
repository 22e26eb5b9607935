/*
 * elfutils maps the programs and libraries that it looks symbols up in. Somebody may cut one short
 * meanwhile, a linker for one: the next access raises SIGBUS. (The trace itself is never mapped.)
 */
#ifndef SIGBUS_H
#define SIGBUS_H

/* From now on SIGBUS ends the command with one line and status 2. */
void sigbus_catch(void);

#endif
