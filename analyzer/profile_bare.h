/* Takes out of a profile what says where and for whom the program ran. */
#ifndef PROFILE_BARE_H
#define PROFILE_BARE_H

struct profile;

/*
 * For reports that leave the house: no command line, no host, and of every path (executable,
 * modules, sources, those within the names of functions) its last component. Figures, function
 * names and the pid stay. The strings are changed where they stand; call it once, when all symbols
 * are looked up.
 */
void profile_bare(struct profile *profile);

#endif
