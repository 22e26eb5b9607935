/* Names as the linker has them into names as people wrote them. */
#ifndef ANALYZER_DEMANGLE_H
#define ANALYZER_DEMANGLE_H

/*
 * The demangled form of a C++ or Rust (v0 and legacy) symbol, with parameters; a suffix "@plt" or
 * "@VERSION" is kept. NULL when `name` is not mangled, is longer than DEMANGLE_MAX_BYTES, makes a
 * result longer than DEMANGLE_RESULT_MAX_BYTES, or nests too deeply: the raw name is then what
 * there is. The caller frees the result. Thread-safe.
 */
char *demangle(const char *name);

#define DEMANGLE_MAX_BYTES	  4096
#define DEMANGLE_RESULT_MAX_BYTES (64 * 1024)

#endif
