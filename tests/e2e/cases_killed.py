"""Killed means nothing lost: a program publishes what it has completed, SIGKILL comes at a random
moment, and the report must hold all of it and at most the one call of each thread that was on its
way. MEMPROF_KILL_RUNS sets the number of runs of each case (to run thousands by hand),
MEMPROF_KILL_SEED the moments."""

import glob
import os
import random
import shutil
import struct
import subprocess
import time

from harness import Failure, check, equal

RUNS = int(os.environ.get("MEMPROF_KILL_RUNS", "100"))
SEED = int(os.environ.get("MEMPROF_KILL_SEED", "1"))
SLOT_BYTES = 64
LONGEST_S = 0.05


def published(path, threads):
    with open(path, "rb") as file:
        data = file.read()
    slots = [struct.unpack_from("QQ", data, SLOT_BYTES * (1 + i)) for i in range(threads)]
    return sum(s[0] for s in slots), sum(s[1] for s in slots)


def wait_until_running(path, threads, process):
    """Returns when every worker of the program has begun."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with open(path, "rb") as file:
                data = file.read(8)
        except FileNotFoundError:
            data = b""
        if len(data) == 8 and struct.unpack("Q", data)[0] >= threads:
            return
        time.sleep(0.0005)
    raise Failure("the program's threads did not begin within 20 s")


def run_once(bench, threads, from_outside, delay_s):
    """One life and its end; returns published and reported calls."""
    directory = bench.fresh("killed")
    counts = os.path.join(directory, "published")
    env = dict(os.environ, LD_PRELOAD=bench.lib, MEMPROF_QUIET="1",
               MEMPROF_OUT=os.path.join(directory, "trace.%p.bin"))
    microseconds = 0 if from_outside else max(1, int(delay_s * 1e6))
    with subprocess.Popen([bench.program("killed"), counts, str(threads), str(microseconds)],
                          env=env, stdin=subprocess.DEVNULL) as process:
        try:
            if from_outside:
                wait_until_running(counts, threads, process)
                time.sleep(delay_s)
                process.kill()
            status = process.wait(30)
        finally:
            process.kill()
    equal("status of the killed program", status, -9)
    traces = glob.glob(os.path.join(directory, "trace.*"))
    equal("number of traces", len(traces), 1)
    report = bench.read(traces[0])
    equal("end", report["process"]["end"], "killed")
    equal("lost_events", report["totals"]["lost_events"], 0)
    own = [s for s in report["sites"] if any(f["function"] == "killed_worker" for f in s["stack"])]
    allocations = sum(s["allocations"] for s in own)
    live = sum(s["live_blocks"] for s in own)
    told = published(counts, 64)
    shutil.rmtree(directory)
    return told, (allocations, allocations - live)


def killed(bench, threads, from_outside):
    chance = random.Random(SEED * 1000 + threads * 2 + from_outside)
    calls, short, over = 0, 0, 0
    for number in range(RUNS):
        delay = chance.random() * LONGEST_S
        # When it kills itself, threads are not waited for: some may not have begun.
        told, read = run_once(bench, threads, from_outside, delay)
        calls += sum(told)
        for what, said, found in zip(("mallocs", "frees"), told, read):
            check(said <= found <= said + threads,
                  f"run {number} of {RUNS} (seed {SEED}, {delay * 1e3:.2f} ms): the program had "
                  f"completed {said} {what}, the report has {found} ({found - said:+d})")
        short += told == read
        over += told != read
    return (f"{RUNS} runs killed, {calls} completed calls published, 0 missing, 0 twice; in {over} "
            f"runs a call was on its way")


CASES = {
    "killed.inside_1_thread": lambda b: killed(b, 1, False),
    "killed.inside_8_threads": lambda b: killed(b, 8, False),
    "killed.outside_1_thread": lambda b: killed(b, 1, True),
    "killed.outside_8_threads": lambda b: killed(b, 8, True),
}
