#!/usr/bin/python3
"""The whole recorder built for aarch64 and run under qemu-user; the trace is read by this machine's
memprof-report, and the counts are the program's own.

    aarch64.py --report build/bin/memprof-report --root FOLDER

FOLDER has libzstd-dev and libunwind-dev of arm64 unpacked, as tools/setup aarch64 leaves it.
"""
import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "preload")
COMPILER = "aarch64-linux-gnu-gcc"
EMULATOR = "qemu-aarch64"
SYSTEM = "/usr/aarch64-linux-gnu"
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", '-DMEMPROF_VERSION="test"', "-g", "-O2", "-fPIC",
         "-fvisibility=hidden", "-fno-builtin", "-fexceptions", "-fno-omit-frame-pointer",
         "-fno-optimize-sibling-calls", "-fno-stack-protector",
         "-I" + os.path.join(SOURCES, "..", "include"), "-I" + SOURCES]
OWN = {"allocate", "release", "nest", "handler", "interrupted", "work", "main"}


def missing(root):
    """What this cannot run without."""
    for tool in (COMPILER, EMULATOR):
        if not shutil.which(tool):
            yield tool
    for name in ("lib/aarch64-linux-gnu/libzstd.a", "include/aarch64-linux-gnu/libunwind.h"):
        if not os.path.exists(os.path.join(root, "usr", name)):
            yield os.path.join(root, "usr", name)


def build(root, folder):
    library = os.path.join(folder, "libmemprof.so")
    include = os.path.join(folder, "include")  # of both architectures alike
    os.mkdir(include)
    for name in ("zstd.h", "xxhash.h"):
        shutil.copy(os.path.join("/usr/include", name), include)
    subprocess.run([COMPILER, *FLAGS, "-I" + include,
                    "-I" + os.path.join(root, "usr/include/aarch64-linux-gnu"), "-w", "-shared",
                    *sorted(glob.glob(SOURCES + "/*.c")), "-o", library,
                    "-Wl,--exclude-libs,ALL,-z,defs,-z,now,-z,nodelete",
                    os.path.join(root, "usr/lib/aarch64-linux-gnu/libzstd.a"), "-lpthread", "-ldl"],
                   check=True)
    return library


def report_of(report, trace):
    return json.loads(subprocess.run([report, "--format=json", trace], check=True,
                                     capture_output=True).stdout)


def differences(own, said):
    """`own`: the program's counts; `said`: the report's."""
    sites = [site for site in said["sites"]
             if site["stack"][site["site_frame"]]["function"] in OWN]
    # main's realloc is one more, of 22,222 bytes, and frees one
    found = {"allocations": sum(site["allocations"] for site in sites) - 1,
             "bytes": sum(site["bytes"] for site in sites) - 22222,
             "frees": sum(site["frees"] for site in sites) - 1}
    for name, count in found.items():
        if count != own[name]:
            yield f"{name}: {count}, but the program says {own[name]}"
    chains = [[frame["function"] for frame in site["stack"]] for site in sites]
    for depth in range(11):
        if not any(chain[:depth + 3] == ["allocate"] + ["nest"] * (depth + 1) + ["work"]
                   for chain in chains):
            yield f"no stack has {depth + 1} nest below work"
    # through the signal's frame to what it interrupted
    if not any(chain[:2] == ["allocate", "handler"] and "interrupted" in chain and
               chain[chain.index("interrupted") + 1] == "main" for chain in chains):
        yield "no stack goes from handler to interrupted"
    if said["process"]["threads"] != 5:
        yield f"{said['process']['threads']} threads instead of 5"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", required=True)
    parser.add_argument("--root", required=True)
    options = parser.parse_args()
    lacking = list(missing(options.root))
    if lacking:
        print(f"skipped, since there is no {', no '.join(lacking)}: tools/setup aarch64")
        return 77
    wrong = []
    with tempfile.TemporaryDirectory(prefix="memprof-aarch64-") as folder:
        library = build(options.root, folder)
        for level in ("-O0", "-O2", "-O2 -fomit-frame-pointer",
                      "-O2 -mbranch-protection=standard"):
            program = os.path.join(folder, "small")
            trace = os.path.join(folder, "trace.bin")
            subprocess.run([COMPILER, *level.split(), "-g", "-fno-builtin", "-D_GNU_SOURCE",
                            os.path.join(HERE, "programs", "small.c"), "-o", program, "-lpthread"],
                           check=True)
            own = json.loads(subprocess.run(
                [EMULATOR, "-L", SYSTEM, "-E", "LD_PRELOAD=" + library, "-E", "MEMPROF_QUIET=1",
                 "-E", "MEMPROF_OUT=" + trace, program], check=True, capture_output=True).stdout)
            said = report_of(options.report, trace)
            os.remove(trace)
            found = list(differences(own, said))
            print(f"{level}: {own['allocations']} allocations, {said['unwind']['fallbacks']} "
                  f"fallbacks, {len(found)} differences")
            wrong += found
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
