"""Killed at named points of the recorder: between any two steps of a flush, of the growth of the
file, of a thread's beginning and end, of a library's entry. The program has published what it had
completed; all of it is in the report and nothing is twice, and the file is sound.

MEMPROF_POINT_RUNS sets the number of runs (1,000 by hand), MEMPROF_KILL_SEED the moments."""

import glob
import os
import random
import re
import shutil
import struct
import subprocess

from cases_killed import published
from harness import Failure, check, equal

RUNS = int(os.environ.get("MEMPROF_POINT_RUNS", "100"))
SEED = int(os.environ.get("MEMPROF_KILL_SEED", "1"))
ALIVE_US = 60000  # it kills itself when the point has not come by then
SLOTS = 64
POINTS = (
    # name, the greatest of the counts to choose from
    ("event.written", 20000), ("event.committed", 20000),
    ("flush.encoded", 120), ("flush.staged", 120), ("flush.packed", 30), ("append.reserved", 30),
    ("append.part", 200), ("flush.written", 30), ("release.unstaged", 30), ("release.moved", 120),
    ("flush.released", 120),
    ("map.reserved", 14), ("map.mapped", 14), ("map.headed", 14),
    ("thread.named", 60), ("thread.inherited", 40), ("thread.flushed", 40),
    ("module.numbered", 6), ("module.written", 6), ("trace.created", 1),
    ("window given", 7), ("before append", 6), ("after append", 6), ("window taken back", 6),
    ("window zeroed", 5), ("resident.reading", 5),
)
START_NS, LATEST_NS = 40, 152  # in the trace's header
AFTER_START = 10  # passings that may come before the program has its handler,
PARTS_AFTER_START = 60  # and of append.part, which each append passes several times
NODES = ("window", "before", "after")  # of these none comes so early


def names_in_sources(bench):
    names = set()
    for path in glob.glob(os.path.join(bench.source, "preload", "*.[ch]")):
        with open(path, encoding="utf-8") as file:
            for call in re.findall(r"(?:STOP|NODE_FILE)_POINT\(([^()]*)\)", file.read()):
                names |= set(re.findall(r'"([a-z. ]+)"', call))
    return names


def covered(bench):
    """Every point of the sources is in the table, and passed; what is nothing in the library that
    is installed has no string there either."""
    names = {p[0] for p in POINTS}
    equal("points without a run", names_in_sources(bench) - names - {"end.flushed"}, set())
    run = bench.run([bench.program("killed"), os.path.join(bench.work, "published"), "4",
                     str(10 * ALIVE_US), bench.library("plugin_one"), "60"],
                    env={"LD_PRELOAD": bench.library("memprof_stops"), "MEMPROF_QUIET": "1",
                         "MEMPROF_STOP_AT": "list:1"})
    equal("points never passed", names - set(run.stderr.decode().splitlines()), set())
    with open(bench.lib, "rb") as file:
        check(b"flush.encoded" not in file.read(), "the installed library has stop points")


def run_once(bench, order, threads):
    """One life: what was published, what the report says, whether the point came."""
    directory = bench.fresh("points")
    counts = os.path.join(directory, "published")
    env = dict(os.environ, LD_PRELOAD=bench.library("memprof_stops"), MEMPROF_QUIET="1",
               MEMPROF_OUT=os.path.join(directory, "trace.%p.bin"), MEMPROF_STOP_AT=order)
    # The many stacks make reports slow: only where nodes matter.
    depth = "60" if order.startswith(NODES + ("map",)) else "3"
    with subprocess.Popen([bench.program("killed"), counts, str(threads), str(ALIVE_US),
                           bench.library("plugin_one"), depth], env=env, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as process:
        try:
            stderr = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    equal("status of the killed program", process.returncode, -9)
    equal("stderr", stderr, b"")
    traces = glob.glob(os.path.join(directory, "trace.*"))
    equal("number of traces", len(traces), 1)
    report = bench.read(traces[0])
    equal("end", report["process"]["end"], "killed")
    equal("lost_events", report["totals"]["lost_events"], 0)
    own = [s for s in report["sites"]
           if any((f["function"] or "").startswith("killed_") for f in s["stack"])]
    for site in own:
        names = [f["function"] for f in site["stack"]]
        check("killed_worker" in names or "killed_short" in names,
              f"a stack ends too early: {names}")
    allocations = sum(s["allocations"] for s in own)
    told = published(counts, SLOTS) if os.path.exists(counts) else (0, 0)
    shutil.rmtree(directory)
    return told, (allocations, allocations - sum(s["live_blocks"] for s in own))


def compare_run(bench, order, threads, slack):
    told, read = run_once(bench, order, threads)
    for what, said, found in zip(("mallocs", "frees"), told, read):
        check(said <= found <= said + threads + slack, f"the program had completed {said} {what}, "
              f"the report has {found} ({found - said:+d})")
    return told


def raced(bench):
    """One thread waits at a point while others overtake it, two make one chunk of stack nodes; a
    kill comes then, at once or a little later."""
    chance = random.Random(SEED)
    calls = 0
    for number in range(24):
        name = ("window given", "map.headed", "append.reserved", "module.numbered", "thread.named",
                "before append")[number % 6]
        order = f"{name}:{chance.randint(1, 5)}:wait,"
        order += ("window taken back:1" if number % 12 == 0 else
                  f"{chance.choice(POINTS)[0]}:{chance.randint(5, 30)}")
        try:
            calls += sum(compare_run(bench, order, 4, 8))
        except Failure as failure:
            raise Failure(f"killed at {order}: {failure}") from None
    return f"{calls} completed calls published, none missing"


def jumped_out(bench):
    """Instead of a kill, a signal whose handler leaves by siglongjmp: the recorder goes on."""
    chance = random.Random(SEED)
    calls = 0
    for name, most in POINTS[:-1]:
        early = 0 if name.startswith(NODES) else AFTER_START
        if name == "append.part":
            early = PARTS_AFTER_START
        if most <= early:
            continue
        for threads in (1, 4):
            order = f"{name}:{chance.randint(early + 1, most)}:jump"
            try:
                calls += sum(compare_run(bench, order, threads, 9))
            except Failure as failure:
                raise Failure(f"jump at {order}, {threads} threads: {failure}") from None
    return f"{calls} completed calls published, none missing"


def jumped_out_of_sample(bench):
    """The resident size is looked at again after a look that was left half-way."""
    directory = bench.fresh("sample")
    trace = os.path.join(directory, "trace")
    bench.run([bench.program("killed"), os.path.join(directory, "published"), "1", "300000"],
              env={"LD_PRELOAD": bench.library("memprof_stops"), "MEMPROF_QUIET": "1",
                   "MEMPROF_OUT": trace, "MEMPROF_STOP_AT": "resident.reading:4:jump"})
    with open(trace, "rb") as file:
        head = file.read(4096)
    start, latest = (struct.unpack_from("=Q", head, at)[0] for at in (START_NS, LATEST_NS))
    check(latest - start > 150e6, f"the last look was {(latest - start) / 1e6:.0f} ms after the start")


def killed_at(bench, names):
    chance = random.Random(f"{SEED} {names}")
    points = [p for p in POINTS if re.split("[. ]", p[0])[0] in names]
    runs = max(len(points), RUNS * len(points) // len(POINTS))
    calls = 0
    for number in range(runs):
        name, most = points[number % len(points)]
        threads = (1, 4)[number // len(points) % 2]
        order = f"{name}:{int(most ** chance.random()) if most > 1 else 1}"
        try:
            calls += sum(compare_run(bench, order, threads, 8))
        except Failure as failure:
            raise Failure(f"run {number} of {runs} (seed {SEED}), killed at {order}, {threads} "
                          f"threads: {failure}") from None
    return f"{runs} runs killed at named points, {calls} completed calls published, none missing"


CASES = {
    "points.covered": covered,
    "points.event": lambda b: killed_at(b, ("event",)),
    "points.flush": lambda b: killed_at(b, ("flush", "append", "release")),
    "points.growth": lambda b: killed_at(b, ("map", "trace")),
    "points.threads": lambda b: killed_at(b, ("thread",)),
    "points.nodes": lambda b: killed_at(b, NODES),
    "points.samples": lambda b: killed_at(b, ("resident",)),
    "points.races": raced,
    "points.jumps": jumped_out,
    "points.jump_out_of_sample": jumped_out_of_sample,
    "points.modules": lambda b: killed_at(b, ("module",)),
}
