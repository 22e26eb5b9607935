"""What was built, not what it does: exported names, and who includes whom."""

import glob
import os
import re

from harness import check, equal

EXPORTED = set("""
    malloc free calloc realloc reallocarray posix_memalign aligned_alloc memalign valloc pvalloc
    malloc_usable_size free_sized free_aligned_sized cfree
    mmap mmap64 munmap mremap dlclose fork _Fork vfork
    execve execv execvp execvpe execl execle execlp fexecve execveat posix_spawn posix_spawnp
    _exit _Exit quick_exit
    """.split())
EXPORTED_PATTERN = re.compile(r"memprof_[a-z_]+|_Z(nw|na|dl|da)[a-zA-Z0-9_]+")
# Every one of these must be there.
NEEDED = set("""
    malloc free calloc realloc reallocarray posix_memalign aligned_alloc memalign valloc pvalloc
    malloc_usable_size free_sized free_aligned_sized mmap mmap64 munmap mremap
    _Znwm _Znam _ZnwmRKSt9nothrow_t _ZnamRKSt9nothrow_t _ZnwmSt11align_val_t _ZnamSt11align_val_t
    _ZnwmSt11align_val_tRKSt9nothrow_t _ZnamSt11align_val_tRKSt9nothrow_t
    _ZdlPv _ZdaPv _ZdlPvm _ZdaPvm _ZdlPvRKSt9nothrow_t _ZdaPvRKSt9nothrow_t
    _ZdlPvSt11align_val_t _ZdaPvSt11align_val_t _ZdlPvmSt11align_val_t _ZdaPvmSt11align_val_t
    _ZdlPvSt11align_val_tRKSt9nothrow_t _ZdaPvSt11align_val_tRKSt9nothrow_t
    memprof_start memprof_stop
    """.split())
# What a writer may see; text_* and write_* of its own family come on top.
WRITERS_SEE = {"writer.h", "profile.h", "out.h", "escape.h", "ticks.h"}


def exports(bench):
    run = bench.run(["nm", "-D", "--defined-only", bench.lib])
    equal("nm's status", run.status, 0)
    names = {line.split()[-1].split("@")[0] for line in run.stdout.decode().splitlines()}
    odd = sorted(n for n in names if n not in EXPORTED and not EXPORTED_PATTERN.fullmatch(n))
    check(not odd, f"exported without being on the list: {odd}")
    check(not NEEDED - names, f"not exported: {sorted(NEEDED - names)}")
    needed = bench.run(["readelf", "-d", bench.lib]).stdout.decode()
    libraries = set(re.findall(r"\(NEEDED\).*\[(.*)\]", needed))
    odd = {l for l in libraries if not re.match(r"(libc|ld-linux.*|libpthread|libdl)\.so", l)}
    check(not odd, f"the recorder brings libraries into the program: {odd}")


def includes(path):
    with open(path, encoding="utf-8") as file:
        return re.findall(r'^\s*#\s*include\s+"([^"]+)"', file.read(), re.MULTILINE)


def sources(bench, directory):
    return sorted(glob.glob(os.path.join(bench.source, directory, "*.[ch]")))


def include_graph(bench):
    """preload/ and analyzer/ share include/ only; agg_* and write_* see no reader."""
    problems = []
    for directory in ("preload", "analyzer"):
        own = {os.path.basename(p) for p in sources(bench, directory)}
        check(own, f"{directory}/ has no sources")
        for path in sources(bench, directory):
            for name in includes(path):
                shared = os.path.exists(os.path.join(bench.source, "include", name))
                if name not in own and not shared:
                    problems.append(f"{path}: {name} is neither of {directory}/ nor of include/")
    for path in sources(bench, "analyzer"):
        base = os.path.basename(path)
        for name in includes(path):
            family = re.match(r"(agg|write|text)_", base)
            kind = family.group(1) if family else ""
            if kind == "agg" and name.startswith("trace_"):
                problems.append(f"{base} includes {name}: aggregates see no reader")
            if kind == "write" and name not in WRITERS_SEE and not re.match(r"(write|text)[_.]",
                                                                            name):
                problems.append(f"{base} includes {name}: writers see the profile only")
    for path in sources(bench, "preload"):
        base = os.path.basename(path)
        for name in includes(path):
            if name == "interpose.h" and not re.match(r"interpose|control", base):
                problems.append(f"{base} includes {name}: nobody includes the hooks")
            if name == "lifecycle.h" and not base.startswith(("lifecycle", "interpose_", "start.",
                                                              "control.")):
                problems.append(f"{base} includes {name}: lifecycle stands above all but the hooks")
    check(not problems, "\n".join(problems))


CASES = {
    "build.exports": exports,
    "build.include_graph": include_graph,
}
