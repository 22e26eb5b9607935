/*
 * The scopes of functions that have no linkage name: gcc leaves it out where a local type, such as
 * a lambda, is among the template arguments. "std::_Function_base::...::_M_create<...>" then has to
 * be put together from the tree.
 */
#ifndef SYMBOL_LIBDW_SCOPES_H
#define SYMBOL_LIBDW_SCOPES_H

#include <elfutils/libdw.h>
#include <stdbool.h>

struct libdw_scopes;

/* NULL without memory. */
struct libdw_scopes *libdw_scopes_new(void);
void libdw_scopes_free(struct libdw_scopes *scopes);

/*
 * The name of a function with the namespaces, classes and functions that its declaration lies in.
 * NULL when it lies in none, or without memory. Lives as long as the scopes.
 */
const char *libdw_scopes_name(struct libdw_scopes *scopes, const Dwarf_Die *function);

/* Whether a unit is C: it has no scopes, and the linker's names are the source's. */
bool libdw_scopes_none(Dwarf_Die *unit);

#endif
