/* The architecture this is compiled for. */
#ifndef ARCH_H
#define ARCH_H

#if defined(__x86_64__)
#include "arch_x86_64.h"
#elif defined(__aarch64__)
#include "arch_aarch64.h"
#else
#error "memprof knows x86-64 and aarch64"
#endif

#endif
