"""The report and the plot in a hostile house: no memory, strange files, strange names, secrets."""

import os
import resource
import subprocess
import tempfile
import time

from harness import Failure, check, equal

MB = 1 << 20

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


# ---- bombs ----

class Measured:
    """A command that was run: status, output, seconds of processor time, megabytes resident."""

    def __init__(self, argv, address_space=None, timeout=120):
        def limit():
            if address_space:
                resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       preexec_fn=limit)
            end = time.monotonic() + timeout
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() > end:
                    process.kill()
                    os.wait4(process.pid, 0)
                    raise Failure(f"{argv}: still running after {timeout} s")
                time.sleep(0.005)
            process.returncode = self.status = os.waitstatus_to_exitcode(status)
            self.stdout_bytes = out.tell()
            err.seek(0)
            self.stderr = err.read().decode(errors="replace")
        self.seconds = usage.ru_utime + usage.ru_stime
        self.megabytes = usage.ru_maxrss // 1024


# kind: status, megabytes at most, seconds at most
BOMBS = {"counts": (1, 64, 2), "inflate": (1, 128, 5), "chain": (1, 128, 5),
         "cycle": (1, 128, 10), "names": (0, 128, 5), "threads": (0, 128, 5),
         "rings": (1, 600, 10)}


def bomb(bench, kind):
    """A small file that claims much: bounded memory and time, in every format."""
    trace = os.path.join(bench.work, "bomb")
    made = bench.run([os.path.join(bench.build, "tests", "bomb_trace"), kind, trace])
    equal("bomb_trace", made.status, 0)
    status, megabytes, seconds = BOMBS[kind]
    most = [0, 0]
    for name in COMMANDS:
        run = Measured([*tool(bench, name), trace], address_space=2048 * MB)
        check(run.status == status, f"{name}: status {run.status}, {run.stderr[:500]}")
        check(run.megabytes <= megabytes, f"{name}: {run.megabytes} MB")
        check(run.seconds <= seconds, f"{name}: {run.seconds:.1f} s")
        equal(f"{name}: lines on stderr", run.stderr.count("\n"), status)
        most = [max(most[0], run.megabytes), max(most[1], run.seconds)]
    return f"{os.path.getsize(trace) // 1024} KB: {most[0]} MB, {most[1]:.2f} s"


def bomb_blocks(bench):
    """Live blocks do cost memory: when there is no more, one line says so."""
    trace = os.path.join(bench.work, "bomb")
    bench.run([os.path.join(bench.build, "tests", "bomb_trace"), "blocks", trace])
    for name in ("text", "svg"):
        run = Measured([*tool(bench, name), trace], address_space=512 * MB)
        equal("status", run.status, 2)
        check("not enough memory" in run.stderr and run.stderr.count("\n") == 1, run.stderr)
        check(run.stdout_bytes == 0, "something was reported")


def own_limit(bench):
    """Without any limit set, the report takes no more than three quarters of the machine."""
    fifo = os.path.join(bench.work, "fifo")
    os.mkfifo(fifo)
    with subprocess.Popen([*tool(bench, "text"), "-o", fifo, small_trace(bench)],
                          stdin=subprocess.DEVNULL) as process:
        try:
            for _ in range(1000):  # it waits where it opens the FIFO
                with open(f"/proc/{process.pid}/limits", encoding="ascii") as file:
                    limits = [line.split() for line in file if line.startswith("Max data size")]
                if limits[0][3] != "unlimited":
                    break
                time.sleep(0.01)
        finally:
            process.kill()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    check(limits[0][3] != "unlimited" and int(limits[0][3]) <= memory * 3 / 4, limits)


def sparse(bench):
    """A file of terabytes with nothing in them is read as fast as a small one."""
    trace = small_trace(bench)
    os.truncate(trace, 4 << 40)
    run = Measured([*tool(bench, "json"), trace], timeout=60)
    equal("status", run.status, 0)
    check(run.seconds < 5, f"{run.seconds} s")


CASES = {
    **{f"reader.alloc_fail.{name}": lambda bench, name=name: alloc_fail(bench, name, "--no-symbols")
       for name in COMMANDS if name != "csv"},
    "reader.alloc_fail.csv": lambda bench: alloc_fail(bench, "csv"),
    "reader.alloc_fail.symbols": lambda bench: alloc_fail(bench, "text"),
    **{f"reader.bomb.{kind}": lambda bench, kind=kind: bomb(bench, kind) for kind in BOMBS},
    "reader.bomb.blocks": bomb_blocks,
    "reader.bomb.limit": own_limit,
    "reader.bomb.sparse": sparse,
}
