"""Programs that state their own truth, compared with the report figure for figure."""

import glob
import os

from harness import (ALLOCATORS, COUNTS, Failure, Skip, check, compare, equal, find_stack,
                     names_in_order, show, sound, truth_of)


DTV_SLOT_BYTES = 16  # a thread's vector of TLS blocks has a slot for each module that has TLS


def baseline_totals(bench, argv, allocator, threads):
    """Totals of the baseline run, which must be what the independent counter sees of it.

    With threads, all blocks are the loader's TLS vectors, and those have a slot more for each
    library with TLS that the recorder brings and the counter does not: then, and only then, bytes
    may differ, by the same whole number of slots for every block."""
    run = bench.record(argv, allocator=allocator)
    sound(run)
    totals = bench.read(run.traces[0])["totals"]
    if allocator:
        return totals
    counts = bench.count(argv)[1]
    equal("processes of the baseline run", len(counts), 1)
    blocks = {"bytes_allocated": "allocations", "peak_bytes": "peak_blocks",
              "live_bytes_end": "live_blocks_end"}
    slots = 0
    if threads:
        slots = (totals["bytes_allocated"] - counts[0]["bytes_allocated"]) // (
            DTV_SLOT_BYTES * counts[0]["allocations"])
        check(0 <= slots <= 8, f"TLS vectors have {slots} slots more")
    for key in COUNTS:
        if key in totals:
            more = slots * DTV_SLOT_BYTES * counts[0][blocks[key]] if key in blocks else 0
            equal(f"the baseline run's {key}", totals[key], counts[0][key] + more)
    return totals


def truth(bench, program, *arguments, allocator=None, baseline=False, check_report=None,
          modules=(), totals=True, env=None, threads=False):
    """Records `program`, which prints its truth, and compares."""
    argv = [bench.program(program), *arguments]
    if allocator:
        allocator = ALLOCATORS[allocator]
    base = None
    if baseline:
        base = baseline_totals(bench, [argv[0], "baseline"], allocator, threads)
    run = bench.record(argv, allocator=allocator, env=env)
    sound(run)
    told = truth_of(run.stdout)
    report = bench.read(run.traces[0])
    equal("end", report["process"]["end"], "exit")
    equal("pid", report["process"]["pid"], told["pid"])
    compare(report, told, (program, *modules), base, totals)
    if check_report:
        check_report(report, told)


def known_stacks(report, told):
    """Every expected stack is there, frame for frame, with its figures, and is one site."""
    check(told["stacks"], "the program expects no stack")
    for expected in told["stacks"]:
        stack = expected["stack"]
        found = [s for s in find_stack(report, stack) if s["bytes"] == expected["bytes"]]
        if len(found) != 1:
            near = [show(s) for s in report["sites"] if s["bytes"] == expected["bytes"]]
            raise Failure(f"{len(found)} sites with {stack[:8]} and {expected['bytes']} bytes; "
                          f"with those bytes: {near}")
        equal(f"allocations at {stack[:3]}", found[0]["allocations"], expected["allocations"])
        files = {f["file"] for f in found[0]["stack"][:len(stack)]}
        equal(f"source file at {stack[0]}", {os.path.basename(f or "") for f in files},
              {"stacks.c"})


def known_names(report, told):
    """Every expected chain of names has sites that sum to its bytes."""
    for size, *names in told["names"]:
        sites = [s for s in report["sites"] if names_in_order(s, names)]
        total = sum(s["bytes"] for s in sites)
        wanted = sum(n[0] for n in told["names"] if n[1:] == names)
        if total != wanted:
            near = [f"{s['bytes']}: {show(s)}" for s in report["sites"]][:12]
            raise Failure(f"{names}: {total} bytes, should be {wanted}; sites: {near}")


def coroutine_stacks(report, told):
    known_names(report, told)
    for site in report["sites"]:
        functions = [f["function"] for f in site["stack"]]
        if "in_coroutine" in functions:
            check("main" not in functions and "coroutine" in functions,
                  f"a coroutine's stack goes on into its resumer's: {show(site)}")


def plugins(bench):
    paths = [bench.program(f"libplugin_{name}.so") for name in ("one", "two")]

    def right_plugin(report, told):
        known_names(report, told)
        check(told["same_address"] > 0, "the plugins were never mapped to one address")

    truth(bench, "loads", *paths, modules=[os.path.basename(p) for p in paths], totals=False,
          check_report=right_plugin)


def cut_stacks(bench):
    """MEMPROF_DEPTH: deep stacks are cut at their outer end, and nothing is lost by it."""
    depth = 16

    def innermost(report, told):
        wanted = {}  # stacks that are alike as far as they are kept become one site
        for expected in told["stacks"]:
            inner = tuple(tuple(frame) for frame in expected["stack"][:depth - 4])
            wanted[inner] = wanted.get(inner, 0) + expected["bytes"]
        for inner, size in wanted.items():
            found = find_stack(report, inner)
            equal(f"sites with {inner[:4]}", [s["bytes"] for s in found], [size])
        deepest = max(len(s["stack"]) for s in report["sites"])
        check(deepest <= depth, f"a stack has {deepest} frames")

    truth(bench, "stacks", env={"MEMPROF_DEPTH": str(depth)}, check_report=innermost)


def sized_frees(report, told):
    equal("the recorder offers C23's sized frees", told["sized"], 1)


def processes(bench, how, count, status=0, ends=("exit",), env=None, forked_only=False,
              allocator=None):
    """Several processes: each trace has the truth that its process left in a file. What an
    allocator's libraries allocate at the start is in the processes that were executed; in forked
    ones it is inherited."""
    directory = bench.fresh("truths")
    program = bench.program("forks")
    base = baseline_totals(bench, [program, "baseline"], allocator, False) if allocator else None
    run = bench.record([program, how, directory], env=env, allocator=allocator)
    sound(run, status, count)
    truths, forked = {}, {}
    for path in glob.glob(os.path.join(directory, "truth.*")):
        with open(path, "rb") as file:
            pid, role = os.path.basename(path).split(".")[1:3]
            truths[int(pid), role == "leaf"] = truth_of(file.read())
            forked[int(pid)] = role in ("forked", "child")
    if not forked_only:
        equal("number of truths", len(truths), count)
    seen = set()
    for trace in run.traces:
        report = bench.read(trace)
        process = report["process"]
        leaf = " leaf " in process["cmdline"] or how in ("quick", "abort", "segv")
        key = (process["pid"], leaf)
        check(key in truths, f"no truth for the trace of {key}")
        check(key not in seen, f"two traces for {key}")
        seen.add(key)
        check(process["end"] in ends, f"end of {key} is {process['end']}, should be in {ends}")
        try:
            compare(report, truths[key], ("forks",), None if forked[process["pid"]] else base)
        except Failure as failure:
            raise Failure(f"process {key}: {failure}") from None
    return run


def exec_ends(bench):
    processes(bench, "exec", 2, ends=("exec", "exit"))


def signal_ends(bench, how, number):
    processes(bench, how, 1, status=-number, ends=("signal", "killed"))


def dormant(bench):
    """MEMPROF_START=0: nothing before memprof_start(), nothing after memprof_stop()."""
    truth(bench, "dormant", env={"MEMPROF_START": "0"})


def never_started(bench):
    run = bench.record([bench.program("dormant"), "never"], env={"MEMPROF_START": "0"})
    equal("status", run.status, 0)
    equal("stderr", run.stderr, b"")
    for trace in run.traces:
        equal("events", bench.read(trace)["totals"]["allocations"], 0)


def handlers(bench, *arguments):
    """A handler that allocates interrupts hooks at every point: each call of the program is either
    an event or counted as lost, and none is both. A call that a handler jumped out of is either."""
    run = bench.record([bench.program("handlers"), *arguments],
                       allocator=bench.library("safe_alloc"))
    sound(run)
    told = truth_of(run.stdout)
    totals = bench.read(run.traces[0])["totals"]
    seen = sum(totals[key] for key in ("allocations", "frees", "foreign_frees", "lost_events"))
    check(told["handled"] > 100, f"only {told['handled']} handlers ran")
    jumps = told["handled"] // 16 + 1 if arguments else 0
    check(told["calls"] <= seen <= told["calls"] + jumps,
          f"{told['calls']} calls, {seen} recorded or counted as lost: {totals}")
    check(totals["lost_events"] <= 2 * told["handled"], f"{totals['lost_events']} events lost")


CASES = {
    "truth.handlers": handlers,
    "truth.handlers_that_jump": lambda b: handlers(b, "jump"),
    "truth.mix": lambda b: truth(b, "mix"),
    "truth.hooked": lambda b: truth(b, "hooked", check_report=sized_frees),
    "truth.news": lambda b: truth(b, "news", baseline=True),
    "truth.news_failures": lambda b: truth(b, "news", "failures", baseline=True),
    "truth.new_handler": lambda b: truth(b, "newhandler", baseline=True),
    "truth.new_handler_that_jumps": lambda b: truth(b, "newhandler", "jumps", baseline=True),
    "truth.threads": lambda b: truth(b, "threads", baseline=True, threads=True),
    "truth.threadexit": lambda b: truth(b, "threadexit", baseline=True, threads=True),
    "truth.handback": lambda b: truth(b, "handback", baseline=True, threads=True),
    "truth.handback_bursts": lambda b: truth(b, "handback", "bursts", baseline=True, threads=True),
    "truth.exceptions": lambda b: truth(b, "exceptions", baseline=True),
    "truth.jumps": lambda b: truth(b, "jumps", check_report=coroutine_stacks),
    "truth.stacks": lambda b: truth(b, "stacks", check_report=known_stacks),
    "truth.cut_stacks": cut_stacks,
    "truth.templates": lambda b: truth(b, "templates", baseline=True, check_report=known_names),
    "truth.plugins": plugins,
    "truth.fork": lambda b: processes(b, "fork", 3),
    "truth.fork_many": lambda b: processes(b, "many", 31),
    "truth.fork_after_title": lambda b: processes(b, "title", 2),
    "truth.fork_not_followed": lambda b: processes(b, "many", 1, env={"MEMPROF_CHILDREN": "0"},
                                                   forked_only=True),
    "truth.vfork": lambda b: processes(b, "vfork", 4),
    "truth.spawn": lambda b: processes(b, "spawn", 2),
    "truth.exec": exec_ends,
    "truth.exec_not_followed": lambda b: processes(b, "exec", 1, env={"MEMPROF_CHILDREN": "0"},
                                                   ends=("exec",), forked_only=True),
    "truth._exit": lambda b: processes(b, "quick", 1, status=5),
    "truth.abort": lambda b: signal_ends(b, "abort", 6),
    "truth.segv": lambda b: signal_ends(b, "segv", 11),
    "truth.dormant": dormant,
    "truth.never_started": never_started,
}

# Programs with unusual frames under each unwinder; "verify" compares the two on every event.
def unwound(bench, how, program, baseline=False, check_report=None):
    def agree(report, told):
        if check_report:
            check_report(report, told)
        if how == "verify":
            unwind = report["unwind"]
            check(unwind["checked"] > 0, "no stack was compared with libunwind's")
            equal("stacks that differ from libunwind's", unwind["mismatches"], 0)

    with open(os.path.join(bench.source, "preload", "unwind.c"), encoding="utf-8") as file:
        if f'"{how}"' not in file.read():
            raise Skip(f"the recorder has no unwinder called {how}")
    truth(bench, program, baseline=baseline, env={"MEMPROF_UNWIND": how}, check_report=agree)


for _how in ("libunwind", "verify"):
    CASES[f"{_how}.stacks"] = lambda b, h=_how: unwound(b, h, "stacks", check_report=known_stacks)
    CASES[f"{_how}.jumps"] = lambda b, h=_how: unwound(b, h, "jumps",
                                                       check_report=coroutine_stacks)
    CASES[f"{_how}.exceptions"] = lambda b, h=_how: unwound(b, h, "exceptions", baseline=True)

# (program, arguments) under every allocator of the table.
UNDER_ALLOCATORS = (("mix", "100000"), ("hooked", "no-pvalloc"), ("news",), ("threads",),
                    ("fork",))


def under(name, program, *arguments):
    def run(bench):
        if bench.run(["/bin/true"], env={"LD_PRELOAD": ALLOCATORS[name]}).stderr:
            raise Skip(f"{ALLOCATORS[name]} is not installed")
        if program == "fork":
            processes(bench, program, 3, allocator=ALLOCATORS[name])
        else:
            truth(bench, program, *arguments, allocator=name, baseline=True,
                  threads=program == "threads")

    return run


for _name, _library in ALLOCATORS.items():
    if _library:
        for _row in UNDER_ALLOCATORS:
            CASES[f"{_name}.{_row[0]}"] = under(_name, *_row)
