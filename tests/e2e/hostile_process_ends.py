"""Every way a process ends, while its other threads allocate: the report has all that the program
had completed and at most the one call of each thread that was on its way; output and status are
those of the program alone."""

import os
import struct
import subprocess

from harness import Skip, check, equal

THREADS = 4
SLOTS = 64
SLOT_BYTES = 64
CGROUP = "/sys/fs/cgroup/memory"
OOM_BYTES = 96 << 20

# way: threads beside main, status, end in the report and its status there
WAYS = {
    "return": (THREADS, 0, "exit", 0),
    "exit": (THREADS, 3, "exit", 3),
    "_exit": (THREADS, 4, "exit", 4),
    "_Exit": (THREADS, 5, "exit", 5),
    "quick": (THREADS, 6, "exit", 6),
    "thread": (0, 0, "exit", 0),
    "abort": (THREADS, -6, "killed", None),
    "crash": (THREADS, -11, "killed", None),
    "crash_exit": (THREADS, 44, "exit", 44),
    "crash_again": (THREADS, -11, "killed", None),
    "crash_jump": (THREADS, 45, "exit", 45),
    "bad_free": (THREADS, -6, "killed", None),
    "kill": (THREADS, -9, "killed", None),
    "terminate": (THREADS, -15, "killed", None),
    "exec": (THREADS, 0, "exec", None),
}


def published(path):
    with open(path, "rb") as file:
        data = file.read()
    slots = [struct.unpack_from("QQ", data, SLOT_BYTES * (1 + i)) for i in range(SLOTS)]
    return sum(s[0] for s in slots), sum(s[1] for s in slots)


def compare_published(bench, trace, counts, slack, end, end_status):
    """Nothing that was published is missing, nothing is there twice."""
    report = bench.read(trace)
    equal("end", report["process"]["end"], end)
    if end_status is not None:
        equal("end_status", report["process"]["end_status"], end_status)
    equal("lost_events", report["totals"]["lost_events"], 0)
    own = [s for s in report["sites"]
           if any((f["function"] or "").startswith("endings_") for f in s["stack"])]
    allocations = sum(s["allocations"] for s in own)
    found = (allocations, allocations - sum(s["live_blocks"] for s in own))
    for what, said, got in zip(("mallocs", "frees"), published(counts), found):
        check(said > 500, f"only {said} {what} were published")
        check(said <= got <= said + slack, f"the program had completed {said} {what}, the report "
              f"has {got} ({got - said:+d})")
    return f"{found[0]} mallocs and {found[1]} frees, none missing, none twice"


def ends(bench, way):
    threads, status, end, end_status = WAYS[way]
    counts = os.path.join(bench.work, "published")
    argv = [bench.program("endings"), counts, str(threads), way]
    bare = bench.run(argv)
    equal("status without recording", bare.status, status)
    os.unlink(counts)
    run = bench.record(argv)
    equal("status", run.status, status)
    equal("stdout", run.stdout, bare.stdout)
    equal("stderr", run.stderr, bare.stderr)
    own = [t for t in run.traces if os.path.basename(t).startswith("memprof.endings.")]
    equal("traces", (len(own), len(run.traces)), (1, 2 if way == "exec" else 1))
    return compare_published(bench, own[0], counts, threads, end, end_status)


def out_of_memory(bench):
    """The OOM killer of a memory cgroup."""
    group = os.path.join(CGROUP, f"memprof-e2e-{os.getpid()}")
    try:
        os.mkdir(group)
        with open(os.path.join(group, "memory.limit_in_bytes"), "w", encoding="ascii") as file:
            file.write(str(OOM_BYTES))
    except OSError as error:
        raise Skip(f"no memory cgroup can be made here: {error}") from None
    directory = bench.fresh("traces")
    trace = os.path.join(directory, "trace")
    counts = os.path.join(bench.work, "published")
    env = dict(os.environ, LD_PRELOAD=bench.lib, MEMPROF_OUT=trace, MEMPROF_QUIET="1")
    try:
        join = f"echo $$ > {group}/tasks && exec \"$@\""
        with subprocess.Popen(["/bin/sh", "-c", join, "sh", "/usr/bin/env",
                               f"LD_PRELOAD={bench.lib}", bench.program("endings"), counts, "1",
                               "hog"], env={**env, "LD_PRELOAD": ""},
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            try:
                equal("status", process.wait(60), -9)
            finally:
                process.kill()
    finally:
        os.rmdir(group)
    return compare_published(bench, trace, counts, 2, "killed", None)


CASES = {f"ends.{way}": (lambda b, w=way: ends(b, w)) for way in WAYS}
CASES["ends.out_of_memory"] = out_of_memory
