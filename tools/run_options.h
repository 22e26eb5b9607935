/*
 * The options of `memprof run`: one for each environment variable of the recorder, in a table. An
 * option does nothing but set its variable; the variables are then checked, whoever set them, by
 * the recorder's own parser, so that a mistake is told before the program runs instead of after.
 */
#ifndef RUN_OPTIONS_H
#define RUN_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "options.h" /* the recorder's: the same rules by construction */

/*
 * Reads options up to the program's name and sets their variables in the environment. Returns the
 * index of the program in argv (argc when none is named), -1 after a message on stderr, or -2 when
 * --help was asked for.
 */
int run_options_parse(int argc, char **argv);

/*
 * Reads every variable that is set now; strings of `options` point into the environment. Returns
 * false after a message on stderr.
 */
bool run_options_load(struct options *options);

/* Prints one line for each option. */
void run_options_help(FILE *out);

#endif
