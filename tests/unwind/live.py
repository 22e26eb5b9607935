#!/usr/bin/python3
"""Reads a running process' trace again and again while its stack nodes move from windows into
packed segments: each time all stacks are whole.

    live.py --library build/lib/libmemprof.so --report build/bin/memprof-report [--seconds N]
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "wander.c")
HEADER_BYTES, SEGMENT_MAGIC, PACKED = 4096, 0x1a676573fd706d89, 9


def packed_count(trace):
    """PACKED segments: heads stand at multiples of 64 (include/memprof/trace.h)."""
    with open(trace, "rb") as file:
        data = file.read()
    mark = struct.pack("=QI", SEGMENT_MAGIC, PACKED)
    count, at = 0, data.find(mark, HEADER_BYTES)
    while at >= 0:
        count += at % 64 == 0
        at = data.find(mark, at + 1)
    return count


def faults(report, trace):
    """What is wrong with what is read now; how many stacks there were."""
    done = subprocess.run([report, "--format=json", "--top=0", trace], capture_output=True)
    if done.returncode != 0:
        return [done.stderr.decode(errors="replace")], 0
    said = json.loads(done.stdout)
    found = [f"damage: {said['damage']}"] if said["damage"]["bad_segments"] else []
    for site in said["sites"]:
        names = [frame["function"] for frame in site["stack"]]
        if names[0] == "onward" and names.count("onward") != 41 or "main" not in names:
            found.append("a stack ends early: " + " < ".join(map(str, names)))
    if not any(site["stack"][0]["function"] == "onward" for site in said["sites"]):
        found.append("no stack of the program")
    if said["process"]["end"] != "running":
        found.append("it does not run")
    return found, len(said["sites"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--report", required=True)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    wrong, reads, moved, sites = [], 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="memprof-live-") as folder:
        program, trace = os.path.join(folder, "wander"), os.path.join(folder, "trace.bin")
        subprocess.run(["gcc", "-D_GNU_SOURCE", "-O2", "-g", "-fno-builtin", "-w", SOURCE, "-o",
                        program], check=True)
        child = subprocess.Popen([program], env={**os.environ,
                                                "LD_PRELOAD": os.path.abspath(options.library),
                                                "MEMPROF_QUIET": "1", "MEMPROF_OUT": trace})
        try:
            while not os.path.exists(trace) or packed_count(trace) == 0:
                time.sleep(0.01)
            end = time.monotonic() + options.seconds
            while time.monotonic() < end or reads < 3:
                before = packed_count(trace)
                found, sites = faults(options.report, trace)
                wrong += found
                moved += packed_count(trace) > before
                reads += 1
        finally:
            child.kill()
            child.wait()
    print(f"{reads} reads, {moved} while chunks were packed, the last of {sites} stacks: "
          f"{len(wrong)} faults")
    for line in wrong[:5]:
        print(line)
    return 1 if wrong or not moved else 0


if __name__ == "__main__":
    sys.exit(main())
