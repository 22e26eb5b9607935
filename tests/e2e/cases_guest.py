"""The recorder in the program's house: what a program can see of it, and what happens when the
house is not as expected (bad settings, no room on the disk, descriptors closed)."""

import glob
import json
import os
import re
import socket
import subprocess

from harness import Failure, Skip, check, compare, equal, sound, truth_of

LOW_DESCRIPTORS = 100  # a program's own use is below; the recorder's must not be


def unseen(bench):
    """errno, threads, children, handlers, signal mask and low descriptors are as without."""
    bare = json.loads(bench.run([bench.program("guest")]).stdout)
    run = bench.record([bench.program("guest")])
    sound(run)
    recorded = json.loads(run.stdout)
    equal("errno survives the allocator", (bare["errno"], recorded["errno"]), (1, 1))
    equal("tasks without the recorder", bare["tasks"], 1)
    for key in ("tasks", "children", "handlers", "mask", "lowest"):
        equal(key, recorded[key], bare[key])
    extra = set(recorded["fds"]) - set(bare["fds"])
    check(not set(bare["fds"]) - set(recorded["fds"]), "descriptors are missing")
    check(all(fd >= LOW_DESCRIPTORS for fd in extra), f"low descriptors are taken: {extra}")


def descriptors(bench, how):
    """Every descriptor is closed, or is the program's own file: nothing is written there. With
    "fill" none is left for the recorder to open its file again, and the loss must be exact."""
    truth_file = os.path.join(bench.work, "truth")
    mine = os.path.join(bench.work, "mine")
    run = bench.record([bench.program("guest"), how, truth_file, mine])
    sound(run)
    report = bench.read(run.traces[0])
    equal("end", report["process"]["end"], "exit")
    if how != "close":
        with open(mine, "rb") as file:
            equal("the program's own file", file.read(), b"mine\n")
    with open(truth_file, "rb") as file:
        told = truth_of(file.read())
    if how != "fill":
        compare(report, told, ("guest",))
        return None
    totals = report["totals"]
    recorded = totals["allocations"] + totals["frees"]
    equal("recorded and lost calls", recorded + totals["lost_events"],
          told["allocations"] + told["frees"])
    return f"{recorded} calls recorded, {totals['lost_events']} counted as lost"


def plain_mix(bench, env, directory=None):
    """mix under settings; its truth, and what the run left in `directory`."""
    run = bench.record([bench.program("mix"), "5000"], env=env, cwd=directory)
    equal("status", run.status, 0)
    return run, truth_of(run.stdout)


def out_patterns(bench):
    """Each pattern of MEMPROF_OUT makes the file it says."""
    host = socket.gethostname()
    table = (("a.%p", r"a\.{pid}"), ("b.%e.bin", r"b\.mix\.bin"),
             ("c.%h", "c\\." + re.escape(host)),
             ("d.%q{WHO}", r"d\.me"), ("e.%n", r"e\.\d+"),
             ("f.100%%", r"f\.100%"), (None, r"memprof\.mix\.{pid}\.bin"))
    for pattern, expected in table:
        directory = bench.fresh("out")
        env = {"WHO": "me", "MEMPROF_OUT": pattern or ""}
        argv = [bench.program("mix"), "5000"]
        if pattern is None:
            run = bench.run(argv, env={"LD_PRELOAD": bench.lib, "MEMPROF_QUIET": "1"},
                            cwd=directory)
        else:
            run = bench.record(argv, env=env, cwd=directory)
        equal(f"status with {pattern}", run.status, 0)
        told = truth_of(run.stdout)
        files = os.listdir(directory)
        equal(f"files made by {pattern}", len(files), 1)
        wanted = expected.replace("{pid}", str(told["pid"]))
        check(re.fullmatch(wanted, files[0]), f"{pattern} made {files[0]}, not {wanted}")
        compare(bench.read(os.path.join(directory, files[0])), told, ("mix",))
    directory = bench.fresh("out")
    for _ in range(3):
        plain_mix(bench, {"MEMPROF_OUT": "same.%n.bin"}, directory)
    equal("three runs with %n", len(os.listdir(directory)), 3)


BAD_SETTINGS = (("MEMPROF_DEPTH", "many"), ("MEMPROF_DEPTH", "-1"), ("MEMPROF_UNWIND", "magic"),
                ("MEMPROF_CHILDREN", "perhaps"), ("MEMPROF_START", "2x"), ("MEMPROF_QUIET", "?"),
                ("MEMPROF_COMPRESS", "bzip3"), ("MEMPROF_OUT", "a.%y.bin"))


def bad_settings(bench):
    """A bad value: one line on stderr that names it, no recording, the program unharmed."""
    bare = bench.run([bench.program("stacks")]).stdout
    problems = []
    for name, value in BAD_SETTINGS:
        run = bench.record([bench.program("stacks")], env={name: value, "MEMPROF_QUIET": "0"}
                           if name != "MEMPROF_QUIET" else {name: value})
        lines = run.stderr.decode().splitlines()
        if run.status != 0 or strip_pid(run.stdout) != strip_pid(bare):
            problems.append(f"{name}={value}: the program did not run unharmed")
        if len(lines) != 1 or name not in lines[0] or not lines[0].startswith("memprof"):
            problems.append(f"{name}={value}: stderr is {lines}")
        if run.traces:
            problems.append(f"{name}={value}: recorded all the same")
    check(not problems, "\n".join(problems))


def strip_pid(text):
    return re.sub(rb'"pid":\d+', b"", text)


def unwritable(bench):
    """MEMPROF_OUT that cannot be made: one line on stderr, the program unharmed."""
    bare = bench.run([bench.program("stacks")]).stdout
    for path in ("/nonexistent/directory/x.bin", "/proc/x.bin", bench.work, "/dev/full/x"):
        run = bench.record([bench.program("stacks")],
                           env={"MEMPROF_OUT": path, "MEMPROF_QUIET": "0"})
        equal(f"{path}: status", run.status, 0)
        equal(f"{path}: stdout", strip_pid(run.stdout), strip_pid(bare))
        lines = run.stderr.decode().splitlines()
        check(len(lines) == 1 and path in lines[0], f"{path}: stderr is {lines}")


def end_block(bench):
    """The block at the end is on stderr, names the file and the next command; stdout is clean."""
    bare = bench.run([bench.program("stacks")]).stdout
    run = bench.record([bench.program("stacks")], env={"MEMPROF_QUIET": "0"})
    equal("stdout", strip_pid(run.stdout), strip_pid(bare))
    text = run.stderr.decode()
    check(run.traces and run.traces[0] in text or os.path.basename(run.traces[0]) in text,
          f"the block does not name the file: {text}")
    check("memprof-report" in text, f"the block does not name the next command: {text}")


def full_disk(bench):
    """A disk that fills up while recording: the program is unharmed, the loss is told."""
    if os.geteuid() != 0:
        raise Skip("needs root, to mount a small tmpfs")
    mount = bench.fresh("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", mount],
                      stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("cannot mount a tmpfs here")
    try:
        bare = truth_of(bench.run([bench.program("mix")]).stdout)
        run = bench.record([bench.program("mix")],
                           env={"MEMPROF_OUT": os.path.join(mount, "t.bin")})
        equal("status", run.status, 0)
        told = truth_of(run.stdout)
        equal("what the program did", {**told, "pid": 0}, {**bare, "pid": 0})
        traces = glob.glob(os.path.join(mount, "*"))
        equal("number of traces", len(traces), 1)
        process = bench.run([bench.report_tool, "--format=json", traces[0]])
        check(process.status in (0, 1), f"memprof-report's status is {process.status}: "
              f"{process.stderr.decode(errors='replace')}")
        totals = json.loads(process.stdout)["totals"]
        check(totals["allocations"] < told["allocations"], "the disk was not filled")
        check(totals["lost_events"] > 0, "events are missing and none is said to be lost")
        told_events = told["allocations"] + told["frees"] - told["reallocs"]
        read = totals["allocations"] + totals["frees"] - totals["reallocs"]
        return (f"{read} of {told_events} events recorded before the disk was full, "
                f"{totals['lost_events']} counted as lost")
    finally:
        subprocess.run(["umount", "-l", mount], check=False)


def bindings(bench):
    """Under recording the program's _Unwind_RaiseException still binds to libgcc_s."""
    log = os.path.join(bench.work, "bindings")
    run = bench.record([bench.program("exceptions")],
                       env={"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": log})
    equal("status", run.status, 0)
    lines = []
    for path in glob.glob(log + ".*"):
        with open(path, encoding="utf-8", errors="replace") as file:
            lines += [l for l in file if "symbol `_Unwind_" in l]
    raised = [l for l in lines if "_Unwind_RaiseException'" in l and "libstdc++" in l]
    check(raised, "no binding of _Unwind_RaiseException by libstdc++ was seen")
    for line in lines:
        who, whom = re.search(r"binding file (\S+) .* to (\S+) ", line).groups()
        if "libmemprof" in who or "libunwind" in who:
            continue
        check("libgcc_s" in whom, f"not bound to libgcc_s: {line.strip()}")


def quiet_children(bench):
    """Programs read what their children write: of a family only the first speaks, and each child's
    trace is there all the same."""
    script = "import subprocess; print(subprocess.run(['/bin/ls', '/nonexistent'], " \
             "capture_output=True).stderr)"
    argv = ["/usr/bin/python3", "-c", script]
    bare = bench.run(argv)
    run = bench.record(argv, env={"MEMPROF_QUIET": "0"})
    equal("stdout", run.stdout, bare.stdout)
    equal("closing lines", run.stderr.count(b"memprof: recorded "), 1)
    equal("traces", len(run.traces), 2)


def starved(bench):
    """Nothing can be mapped any more (ulimit -v): what was recorded is in the trace all the same."""
    script = "ulimit -v 120000; exec /usr/bin/python3 -c " \
             "'x = [bytearray(1000000) for i in range(1000)]'"
    run = bench.record(["/bin/sh", "-c", script])
    equal("status", run.status, 1)
    reports = [bench.read(trace) for trace in run.traces]
    python = [r for r in reports if "python" in r["process"]["exe"]]
    equal("traces of python", len(python), 1)
    equal("lost_events", python[0]["totals"]["lost_events"], 0)
    check(python[0]["totals"]["peak_bytes"] > 30000000, "the arrays are missing")


CASES = {
    "guest.quiet_children": quiet_children,
    "guest.starved": starved,
    "guest.unseen": unseen,
    "guest.close_all": lambda b: descriptors(b, "close"),
    "guest.reopen_all": lambda b: descriptors(b, "reopen"),
    "guest.fill_all": lambda b: descriptors(b, "fill"),
    "guest.out_patterns": out_patterns,
    "guest.bad_settings": bad_settings,
    "guest.unwritable": unwritable,
    "guest.end_block": end_block,
    "guest.full_disk": full_disk,
    "guest.bindings": bindings,
}
