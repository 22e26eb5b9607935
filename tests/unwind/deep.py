#!/usr/bin/python3
"""Which stacks are cut: those that were deeper than MEMPROF_DEPTH, and no others.

    deep.py --library build/lib/libmemprof.so --report build/bin/memprof-report
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "deep.c")
LIMITS = [16, 100, 256]


def site_of(command, library, report, trace, limit, backend):
    subprocess.run(command, check=True,
                   env={**os.environ, "LD_PRELOAD": os.path.abspath(library), "MEMPROF_QUIET": "1",
                        "MEMPROF_OUT": trace, "MEMPROF_DEPTH": str(limit),
                        "MEMPROF_UNWIND": backend})
    said = json.loads(subprocess.run([report, "--format=json", trace], check=True,
                                     capture_output=True).stdout)
    os.remove(trace)
    return [site for site in said["sites"] if site["bytes"] == 4321][0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--report", required=True)
    options = parser.parse_args()
    wrong = checked = 0
    with tempfile.TemporaryDirectory(prefix="memprof-deep-") as folder:
        program = os.path.join(folder, "deep")
        subprocess.run(["gcc", "-O2", "-g", "-fno-builtin", "-fno-omit-frame-pointer", SOURCE, "-o",
                        program], check=True)

        def site(depth, limit, backend):
            return site_of([program, str(depth)], options.library, options.report,
                           os.path.join(folder, "trace.bin"), limit, backend)

        for backend in ("auto", "libunwind"):
            more = len(site(1, 256, backend)["stack"]) - 1  # frames beyond the nest
            for limit in LIMITS:
                for depth in (limit * 3 // 4 - more, limit * 7 // 8, limit - more,
                              limit - more + 1, limit * 2):
                    found = site(depth, limit, backend)
                    frames, cut = len(found["stack"]), found["truncated"]
                    good = cut == (depth + more > limit) and (cut or frames == depth + more)
                    good = good and limit * 3 // 4 <= frames <= limit
                    checked += 1
                    wrong += not good
                    if not good:
                        print(f"{backend}: {depth} calls deep, limit {limit}: {frames} frames, "
                              f"{'cut' if cut else 'whole'}")
    print(f"{checked} stacks, {wrong} wrong")
    return 1 if wrong or more < 1 else 0


if __name__ == "__main__":
    sys.exit(main())
