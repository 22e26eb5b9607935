"""Processes made in awkward ways: each leaves its truth, and its trace says the same."""

import glob
import os
import shutil
import stat
import subprocess
import time

from harness import Failure, Skip, check, compare, differences, equal, sound, truth_of

ROUNDS = int(os.environ.get("MEMPROF_FORK_ROUNDS", "100"))
TREE = int(os.environ.get("MEMPROF_TREE", "25"))


def truths_in(directory):
    """What each process left: (pid, role) to its truth."""
    truths = {}
    for path in glob.glob(os.path.join(directory, "truth.*")):
        with open(path, "rb") as file:
            _, pid, role = os.path.basename(path).split(".", 2)
            truths[int(pid), role] = truth_of(file.read())
    return truths


def by_pid(bench, traces):
    """The report of each trace."""
    reports = {}
    for trace in traces:
        report = bench.read(trace)
        pid = report["process"]["pid"]
        check(pid not in reports, f"two traces of process {pid}")
        reports[pid] = report
    return reports


def own_modules(report, told):
    told["unknown"] = ("peak_bytes", "peak_blocks", "temporary")
    compare(report, told, ("storms",), totals=False)


def family(bench, how, argument="", allocator=None, check_child=None):
    """Runs a way of storms: every process has one trace, and each is as exact as can be. Of the
    parent, with its threads, what its own code allocated counts; of children all."""
    directory = bench.fresh("truths")
    run = bench.record([bench.program("storms"), how, directory, argument], allocator=allocator)
    sound(run, traces=len(run.traces))
    truths = truths_in(directory)
    reports = by_pid(bench, run.traces)
    equal("traces of processes", sorted(reports), sorted(pid for pid, _ in truths))
    calls = 0
    for (pid, role), told in truths.items():
        try:
            equal("end", reports[pid]["process"]["end"], "exit")
            if role == "parent":
                own_modules(reports[pid], told)
            elif check_child:
                check_child(reports[pid], told)
            else:
                compare(reports[pid], told, ("storms",))
        except Failure as failure:
            raise Failure(f"{role} {pid}: {failure}") from None
        calls += told["allocations"] + told["frees"]
    return f"{len(truths)} processes, {calls} calls, each in its own trace"


def went_on_in_hook(report, told):
    """The child of a handler's fork goes on in whatever that interrupted: that call, which was its
    parent's, may be in its trace, too."""
    keys = ("allocations", "frees", "foreign_frees")
    got = {key: report["totals"][key] for key in keys}
    over = sum(got.values()) - sum(told[key] for key in keys)
    check(over in (0, 1) and all(got[key] >= told[key] for key in keys),
          "\n".join(differences(got, told, keys)))
    equal("lost_events", report["totals"]["lost_events"], 0)


def forks_in_handlers(bench, how, count):
    return family(bench, how, str(count), allocator=bench.library("safe_alloc"),
                  check_child=went_on_in_hook)


def daemon(bench):
    """Nobody waits for a daemon; its traces are complete when it is gone."""
    directory = bench.fresh("truths")
    run = bench.record([bench.program("storms"), "daemon", directory])
    sound(run, traces=len(run.traces))
    deadline = time.monotonic() + 30
    reports, truths = {}, {}
    while time.monotonic() < deadline:
        truths = truths_in(directory)
        if len(truths) == 3:
            reports = by_pid(bench, glob.glob(os.path.join(run.directory, "*")))
            if all(r["process"]["end"] == "exit" for r in reports.values()):
                break
        time.sleep(0.05)
    equal("processes", (len(truths), len(reports)), (3, 3))
    for (pid, role), told in truths.items():
        try:
            compare(reports[pid], told, ("storms",))
        except Failure as failure:
            raise Failure(f"{role} {pid}: {failure}") from None


def becomes(bench, kind):
    """exec of what cannot be recorded: it runs as ever, and the trace of what it was says so."""
    program = os.path.join(bench.work, kind)
    if kind == "static":
        shutil.copy(bench.program("still_static"), program)
    else:
        if os.geteuid() != 0:
            raise Skip("needs root, to make a program of another user")
        os.chmod(bench.work, 0o755)
        shutil.copy(bench.program("still"), program)
        os.chown(program, 65534, 65534)
        os.chmod(program, 0o755 | stat.S_ISUID)
    directory = bench.fresh("truths")
    run = bench.record([bench.program("storms"), "exec", directory, program])
    sound(run)
    equal("stdout", run.stdout, b"told seven\n")
    report = bench.read(run.traces[0])
    equal("end", report["process"]["end"], "exec")
    compare(report, next(iter(truths_in(directory).values())), ("storms",))


def compare_leaves(bench, traces, directory, count):
    truths = truths_in(directory)
    equal("leaves", len(truths), count)
    found = 0
    for trace in traces:
        report = bench.read(trace)
        process = report["process"]
        equal(f"lost_events of {process['exe']}", report["totals"]["lost_events"], 0)
        check(process["end"] in ("exit", "exec"), f"{trace}: end is {process['end']}")
        if os.path.basename(process["exe"]) == "forks":
            compare(report, truths[process["pid"], "leaf"], ("forks",))
            found += 1
    equal("traces of leaves", found, count)


def make_tree(bench):
    """make -j8 with shells in between."""
    directory = bench.fresh("truths")
    makefile = os.path.join(bench.work, "Makefile")
    with open(makefile, "w", encoding="ascii") as file:
        file.write("all: " + " ".join(f"t{i}" for i in range(TREE)) + "\nt%:\n"
                   f"\t@echo $@ | tr t n; {bench.program('forks')} leaf {directory}; "
                   "x=$$(expr 1 + 1) && test $$x = 2\n")
    argv = ["make", "-j8", "--no-print-directory", "-f", makefile]
    bare = bench.run(argv)
    for path in glob.glob(os.path.join(directory, "*")):
        os.unlink(path)
    run = bench.record(argv)
    sound(run, traces=len(run.traces))
    equal("stdout", sorted(run.stdout.split()), sorted(bare.stdout.split()))
    compare_leaves(bench, run.traces, directory, TREE)
    names = [os.path.basename(t).split(".")[1] for t in run.traces]
    for name in ("expr", "tr"):
        equal(f"traces of {name}", names.count(name), TREE)
    return f"{len(run.traces)} processes recorded"


def shell_tree(bench):
    """A shell script of pipelines, subshells and substitutions; nested shells."""
    directory = bench.fresh("truths")
    script = f"""i=0
while [ $i -lt {TREE} ]; do
    echo $i | tr 1 2 | cat
    x=$(expr $i + 1); (y=$x; echo "sub $y")
    sh -c 'echo nested; "$0" leaf "$1"; exit 3' {bench.program('forks')} {directory} || echo $?
    i=$x
done
exit 5
"""
    argv = ["/bin/sh", "-c", script]
    bare = bench.run(argv)
    for path in glob.glob(os.path.join(directory, "*")):
        os.unlink(path)
    run = bench.record(argv)
    sound(run, status=5, traces=len(run.traces))
    equal("stdout", run.stdout, bare.stdout)
    compare_leaves(bench, run.traces, directory, TREE)
    names = [os.path.basename(t).split(".")[1] for t in run.traces]
    for name in ("expr", "tr", "cat"):
        equal(f"traces of {name}", names.count(name), TREE)
    return f"{len(run.traces)} processes recorded"


CASES = {
    "process.fork_of_threads": lambda b: family(b, "threads", str(ROUNDS)),
    "process.vfork_allocates": lambda b: family(b, "vfork"),
    "process.fork_then_vfork": lambda b: family(b, "fork_vfork"),
    "process.clone_vm": lambda b: family(b, "clone"),
    "process.daemon": daemon,
    "process.fork_in_handler": lambda b: forks_in_handlers(b, "handler", 80),
    "process._Fork_in_handler": lambda b: forks_in_handlers(b, "_Handler", 80),
    "process.exec_static": lambda b: becomes(b, "static"),
    "process.exec_setuid": lambda b: becomes(b, "setuid"),
    "process.make_tree": make_tree,
    "process.shell_tree": shell_tree,
}
