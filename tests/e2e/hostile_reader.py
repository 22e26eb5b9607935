"""The report and the plot in a hostile house: no memory, strange files, strange names, secrets."""

import os

from harness import check, equal

COMMANDS = {"text": ("memprof-report",), "json": ("memprof-report", "-f", "json"),
            "folded": ("memprof-report", "-f", "folded"), "svg": ("memprof-plot",),
            "csv": ("memprof-plot", "-f", "csv")}


def tool(bench, name, *options):
    """The argument vector of a format."""
    command, *more = COMMANDS[name]
    return [os.path.join(bench.build, "bin", command), *more, *options]


def small_trace(bench):
    run = bench.record([bench.program("small")])
    equal("status", run.status, 0)
    return run.traces[0]


# ---- memory ----

def alloc_fail(bench, name, *options):
    """Each allocation of a command fails in turn: the same output, or one line and status 2."""
    run = bench.run([*tool(bench, name, *options), small_trace(bench)],
                    env={"LD_PRELOAD": bench.library("alloc_fail")}, timeout=250)
    said = run.stdout.decode(errors="replace").strip()
    check(run.status == 0, said)
    return said


CASES = {
    **{f"reader.alloc_fail.{name}": lambda bench, name=name: alloc_fail(bench, name, "--no-symbols")
       for name in COMMANDS if name != "csv"},
    "reader.alloc_fail.csv": lambda bench: alloc_fail(bench, "csv"),
    "reader.alloc_fail.symbols": lambda bench: alloc_fail(bench, "text"),
}
