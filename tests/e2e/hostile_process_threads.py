"""Threads that are interrupted, cancelled, short-lived and many."""

import os

from harness import check, compare, equal, sound, truth_of

RING_BYTES = 68 << 10


def program(bench, way, count, allocator=None):
    run = bench.record([bench.program("threadstorm"), way, str(count)], allocator=allocator)
    sound(run)
    return truth_of(run.stdout), run.traces[0]


def own_calls(report):
    """Mallocs and frees of the program itself: those of blocks whose site lies in it."""
    own = [s for s in report["sites"]
           if any(f["function"] in ("call_malloc", "call_free") for f in s["stack"])]
    allocations = sum(s["allocations"] for s in own)
    return allocations, allocations - sum(s["live_blocks"] for s in own)


def interrupted(bench, way, count, left):
    """Each call is an event or counted as lost and none is both; those that were left half-way,
    `left` at most, are either. A thread's ring is taken over when it is gone."""
    told, trace = program(bench, way, count, allocator=bench.library("safe_alloc"))
    report = bench.read(trace)
    totals = report["totals"]
    seen = sum(own_calls(report)) + totals["foreign_frees"] + totals["lost_events"]
    left = left(told)
    check(told["calls"] <= seen <= told["calls"] + left,
          f"{told['calls']} calls, {seen} recorded or counted as lost, {left} left half-way: "
          f"{totals}")
    return told, report, trace


def timers(bench, way):
    told, report, _ = interrupted(bench, way, 500000,
                                  lambda t: t["handled"] // 16 + 4 if way == "jumps" else 0)
    check(told["handled"] > 100, f"only {told['handled']} handlers ran")
    lost = report["totals"]["lost_events"]
    check(lost <= 2 * told["handled"], f"{lost} events lost in {told['handled']} handlers")
    return f"{told['handled']} handlers, {lost} events lost and said so"


def cancelled(bench, way, count=1000):
    told, report, trace = interrupted(bench, way, count, lambda t: count)
    equal("threads", report["process"]["threads"], count + 1)
    check(os.path.getsize(trace) < 20 * RING_BYTES + 8 * told["calls"],
          f"the trace of {count} threads, one at a time, has {os.path.getsize(trace)} bytes")


def own_truth(bench, way, count):
    told, trace = program(bench, way, count)
    report = bench.read(trace)
    compare(report, told, ("threadstorm",), totals=False)
    equal("threads", report["process"]["threads"], count + 1)
    return report, trace


def short(bench, count=10000):
    _, trace = own_truth(bench, "short", count)
    check(os.path.getsize(trace) < 200 * RING_BYTES,
          f"{count} threads, 8 at a time, made a trace of {os.path.getsize(trace)} bytes")
    return f"{os.path.getsize(trace)} bytes of trace"


def starved(bench):
    """No memory for another thread's ring: recording stops, and the report says when and why."""
    told, trace = program(bench, "starved", 1000)
    report = bench.read(trace)
    compare(report, told, ("threadstorm",), totals=False)
    stopped = report["process"]["stopped"]
    check(stopped and 0 < stopped["time_s"] <= report["totals"]["duration_s"] + 1, f"{stopped}")
    check("ring" in stopped["why"], f"{stopped}")
    text = bench.run([bench.report_tool, trace]).stdout.decode()
    check("Recording stopped at " in text, f"the text does not say it: {text[:500]}")


CASES = {
    "threads.timers": lambda b: timers(b, "timers"),
    "threads.timers_and_jumps": lambda b: timers(b, "jumps"),
    "threads.cancelled": lambda b: cancelled(b, "deferred"),
    "threads.cancelled_anywhere": lambda b: cancelled(b, "async"),
    "threads.ended_by_handler": lambda b: cancelled(b, "handler"),
    "threads.starved": starved,
    "threads.10000_short": short,
    "threads.2000_live": lambda b: own_truth(b, "live", 2000) and None,
}
