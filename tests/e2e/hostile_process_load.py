"""Load: everything at once for a while, and stress-ng's stressors. Nothing is lost, and what the
recorder takes in memory does not grow.

MEMPROF_SOAK_SECONDS sets the length of the soak (600 by hand)."""

import glob
import os
import shutil
import subprocess
import time

from harness import Skip, check, compare, equal, truth_of

SOAK_S = float(os.environ.get("MEMPROF_SOAK_SECONDS", "10"))
ROUNDS_A_SECOND = os.environ.get("MEMPROF_SOAK_ROUNDS", "10000")
STRESS_S = 3


def resident(pid, trace):
    """RSS of the process, of the trace's mappings and of the recorder's own image, in KiB."""
    total = ours = 0
    try:
        with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
            name = ""
            for line in file:
                fields = line.split()
                if "-" in fields[0]:
                    name = fields[5] if len(fields) > 5 else ""
                elif fields[0] == "Rss:":
                    total += int(fields[1])
                    if name == trace or "libmemprof" in name:
                        ours += int(fields[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
    return (total, ours) if total else None


def watch(process, trace):
    """What is resident, each 1/40 of the time."""
    samples = []
    start = time.monotonic()
    while process.poll() is None and time.monotonic() - start < SOAK_S + 60:
        sample = resident(process.pid, trace)
        if sample:
            samples.append((time.monotonic() - start, *sample))
        time.sleep(SOAK_S / 40)
    return [s for s in samples if s[0] < SOAK_S * 0.98]


def median(values):
    return sorted(values)[len(values) // 2]


def flat(what, samples, index, slack):
    """The last quarter is where the second was."""
    quarter = len(samples) // 4
    before = median([s[index] for s in samples[quarter:2 * quarter]])
    after = median([s[index] for s in samples[-quarter:]])
    check(after <= before + slack, f"{what} grew from {before} to {after} KiB")
    return f"{what} {before} then {after} KiB"


def soak(bench):
    directory, truths = bench.fresh("traces"), bench.fresh("truths")
    trace = os.path.join(directory, "trace")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MEMPROF_", "LD_"))}
    env.update(LD_PRELOAD=bench.lib, MEMPROF_OUT=trace, MEMPROF_QUIET="1")
    argv = [bench.program("soak"), str(SOAK_S), bench.library("plugin_one"), ROUNDS_A_SECOND,
            truths]
    with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        samples = watch(process, trace)
        try:
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    equal("status and stderr", (process.returncode, stderr), (0, b""))
    told = truth_of(stdout)
    report = bench.read(trace)
    compare(report, told, ("soak",), totals=False)
    equal("end", report["process"]["end"], "exit")
    children = compare_children(bench, directory, truths)
    told_rss = [flat("resident in all", samples, 1, 2048),
                flat("of the recorder's mappings", samples, 2, 256)]
    return (f"{told['allocations'] + told['frees']} calls of 8 threads in {SOAK_S:.0f} s, "
            f"{report['totals']['events']} events, none lost; {told['signals']} signals, "
            f"{children} children; {', '.join(told_rss)}; "
            f"{os.path.getsize(trace) >> 20} MiB of trace")


def compare_children(bench, directory, truths):
    """All children do the same."""
    saved = glob.glob(os.path.join(truths, "truth.*"))
    traces = glob.glob(os.path.join(directory, "trace.*"))
    equal("traces of children", len(traces), len(saved))
    with open(saved[0], "rb") as file:
        told = truth_of(file.read())
    for path in traces:
        compare(bench.read(path), told, ("soak",))
    return len(traces)


def stress(bench, *arguments):
    """stress-ng's own checks pass and nothing is lost. Its workers may be killed as it ends."""
    program = shutil.which("stress-ng")
    if not program:
        raise Skip("stress-ng is not installed")
    argv = [program, *arguments, "--timeout", str(STRESS_S), "--quiet", "--verify",
            "--temp-path", bench.work]
    bare = bench.run(argv)
    equal("status without recording", bare.status, 0)
    run = bench.record(argv)
    equal("status", run.status, 0)
    equal("stdout", run.stdout, bare.stdout)
    equal("stderr", run.stderr, bare.stderr)
    events = 0
    for trace in run.traces:
        totals = bench.read(trace)["totals"]
        equal("lost_events", totals["lost_events"], 0)
        events += totals["events"]
    check(events > 10000, f"only {events} events were recorded")
    return f"{events} events of {len(run.traces)} processes"


CASES = {
    "load.soak": soak,
    "load.stress_malloc": lambda b: stress(b, "--malloc", "2", "--malloc-pthreads", "2",
                                           "--malloc-max", "2000"),
    "load.stress_threads": lambda b: stress(b, "--pthread", "1", "--pthread-max", "64"),
}
