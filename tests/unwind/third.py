#!/usr/bin/python3
"""Where libunwind is wrong: the stack that memprof records is gdb's.

    third.py --library build/lib/libmemprof.so --report build/bin/memprof-report
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "without_cfi.c")
OUTERMOST = "main"


def build(folder, name, *flags):
    program = os.path.join(folder, name)
    subprocess.run(["gcc", "-O2", "-g", "-fno-builtin", "-fomit-frame-pointer", SOURCE, "-o",
                    program, *flags], check=True)
    return program


def up_to_main(names):
    return names[:names.index(OUTERMOST) + 1] if OUTERMOST in names else names


def of_gdb(program):
    said = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off",
                           "-ex", "break allocates", "-ex", "run", "-ex", "bt", program],
                          capture_output=True, text=True, check=True).stdout
    return up_to_main(re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\w+) \(", said, re.M))


def of_memprof(program, library, report, folder):
    trace = os.path.join(folder, "trace.bin")
    subprocess.run([program], check=True,
                   env={**os.environ, "LD_PRELOAD": os.path.abspath(library),
                        "MEMPROF_QUIET": "1", "MEMPROF_OUT": trace})
    said = json.loads(subprocess.run([report, "--format=json", trace], capture_output=True,
                                     check=True).stdout)
    stacks = [[frame["function"] for frame in site["stack"]] for site in said["sites"]]
    return up_to_main([stack for stack in stacks if "allocates" in stack][0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--report", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memprof-third-") as folder:
        program = build(folder, "without_cfi")
        wanted = of_gdb(program)
        if not wanted:
            print("gdb may not run programs here")
            return 77
        ours = of_memprof(program, options.library, options.report, folder)
        other = build(folder, "with_libunwind", "-DWITH_LIBUNWIND", "-lunwind")
        libunwinds = up_to_main(subprocess.run([other], capture_output=True, text=True,
                                               check=True).stdout.split())
    for who, stack in (("gdb", wanted), ("memprof", ours), ("libunwind", libunwinds)):
        print(f"{who:10} {' < '.join(stack)}")
    return 0 if ours == wanted and wanted[-1] == OUTERMOST and len(wanted) == 5 else 1


if __name__ == "__main__":
    sys.exit(main())
