"""Files and limits: what becomes of a recording whose descriptors, paths, disk space or rights are
taken away while it goes on. The program's output, status and files are always its own; the counts
are exact, or what is missing is in lost_events."""

import os
import resource
import shutil
import stat
import subprocess

from harness import Skip, check, compare_sites, equal, sound, truth_of

ROOM_SOFT, ROOM_HARD = 1024, 4096  # descriptors, as on most systems: more may be had


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def limit_descriptors(soft, hard):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < hard:
        raise Skip(f"only {most} descriptors may be had here")
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def calls_of(figures):
    """With those frees whose allocation was lost."""
    return figures["allocations"] + figures["frees"] + figures["foreign_frees"]


def exact(report, told, program):
    problems = compare_sites(report, told, (program,))
    equal("lost_events", report["totals"]["lost_events"], 0)
    check(not problems, "\n".join(problems))


def accounted(report, told):
    """Something is missing, and all of it is counted as lost."""
    totals = report["totals"]
    lost = totals["lost_events"]
    check(lost > 0, "nothing was lost: the test does not test")
    # The loader's TLS vector of the thread may be there too, and samples of the resident size.
    more = calls_of(totals) + lost - calls_of(told)
    check(0 <= more <= 4 + 100 * totals["duration_s"],
          f"{calls_of(told)} calls, {calls_of(totals)} recorded, {lost} lost: {more:+d}")
    return f"{calls_of(totals)} calls recorded, {lost} counted as lost"


def house(bench, how, argument="", loss=False, prepare=None, env=None, read=None):
    """houses.c, bare and recorded: alike; the report exact, or exact about its loss."""
    argv = [bench.program("houses"), how, argument]
    bare = truth_of(bench.run(argv, prepare=prepare).stdout) if not env else None
    run = bench.record(argv, prepare=prepare, env=env)
    equal("status", run.status, 0)
    equal("stderr", run.stderr, b"")
    told = truth_of(run.stdout)
    if bare:
        equal("what the program did", {**told, "pid": 0}, {**bare, "pid": 0})
    report = bench.read(read or run.traces[0])
    equal("end", report["process"]["end"], "exit")
    return accounted(report, told) if loss else exact(report, told, "houses")


def dup_race(bench):
    """One thread puts its file in the place of every descriptor while four others' rings are
    written: not a byte comes into that file, and no event is lost."""
    own = os.path.join(bench.work, "own")
    run = bench.record([bench.program("takers"), "dup", own, "1.5"],
                       prepare=limit_descriptors(ROOM_SOFT, ROOM_HARD))
    sound(run)
    with open(own, "rb") as file:
        equal("the program's own file", file.read(64), b"mine\n")
    told = truth_of(run.stdout)
    exact(bench.read(run.traces[0]), told, "takers")
    return f"{told['allocations']} allocations meanwhile"


def close_race(bench):
    """One thread closes the trace's descriptor over and over, four miss it at once: it is opened
    again, once."""
    run = bench.record([bench.program("takers"), "close", bench.work, "1.5"],
                       prepare=limit_descriptors(ROOM_SOFT, ROOM_HARD))
    sound(run)
    told = truth_of(run.stdout)
    check(told["left"] <= 1, f"{told['left']} descriptors of the trace at the end")
    exact(bench.read(run.traces[0]), told, "takers")


def changed_directory(bench):
    """The trace is named relative to where the program began, and opened again from elsewhere."""
    directory = bench.fresh("out")
    run = bench.record([bench.program("houses"), "chdir_and_close", "/"], cwd=directory,
                       env={"MEMPROF_OUT": "t.bin"})
    sound(run, traces=0)
    equal("files", os.listdir(directory), ["t.bin"])
    exact(bench.read(os.path.join(directory, "t.bin")), truth_of(run.stdout), "houses")


def chroot(bench, how, loss):
    need_root()
    return house(bench, how, bench.fresh("root"), loss)


def dropped(bench, how, loss):
    """Root that becomes nobody may go on writing to what is open, and cannot open it again."""
    need_root()
    if bench.run([bench.program("houses"), "drop", ""]).status:
        raise Skip("cannot change the user here")
    return house(bench, how, "", loss)


def unlinked(bench, how):
    """The trace's name is another file now: that stays what it is, the program unharmed."""
    directory = bench.fresh("out")
    path = os.path.join(directory, "t.bin")
    run = bench.record([bench.program("houses"), how, path], env={"MEMPROF_OUT": path})
    equal("status", run.status, 0)
    equal("stderr", run.stderr, b"")
    equal("calls", truth_of(run.stdout)["allocations"], 150000)
    equal("files", os.listdir(directory), ["t.bin"])
    with open(path, "rb") as file:
        equal("the program's own file", file.read(), b"mine\n")


def few_descriptors(bench, soft, hard):
    """At the floor of RLIMIT_NOFILE the numbers are above it; without any there, nothing is taken
    from the program, and one line says so."""
    argv = [bench.program("houses"), "nothing", ""]
    run = bench.record(argv, prepare=limit_descriptors(soft, hard), env={"MEMPROF_QUIET": "0"})
    equal("status", run.status, 0)
    lines = run.stderr.decode().splitlines()
    if hard > ROOM_SOFT:
        exact(bench.read(run.traces[0]), truth_of(run.stdout), "houses")
        return
    equal("traces", run.traces, [])
    check(len(lines) == 1 and "descriptor" in lines[0] and "recording is off" in lines[0],
          f"stderr is {lines}")


def read_only(bench):
    """A file system that cannot be written: one line, the program unharmed."""
    need_root()
    mount = bench.fresh("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1M", "none", mount],
                      stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("cannot mount a tmpfs here")
    try:
        run = bench.record([bench.program("houses"), "nothing", ""],
                           env={"MEMPROF_OUT": os.path.join(mount, "t.bin"), "MEMPROF_QUIET": "0"})
    finally:
        subprocess.run(["umount", "-l", mount], check=False)
    equal("status", run.status, 0)
    equal("calls", truth_of(run.stdout)["allocations"], 150000)
    lines = run.stderr.decode().splitlines()
    check(len(lines) == 1 and "read-only" in lines[0], f"stderr is {lines}")


def no_proc(bench):
    """A file system without /proc: recorded, under the name the program was called by."""
    need_root()
    argv = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec env LD_PRELOAD="$0" '
            '"$@"', bench.lib, bench.program("houses"), "nothing", ""]
    out = bench.fresh("out")
    run = bench.run(argv, env={"MEMPROF_OUT": os.path.join(out, "t.%e.bin"), "MEMPROF_QUIET": "1"})
    if run.status and b"unshare" in run.stderr:
        raise Skip("cannot unshare the mounts here")
    equal("status", run.status, 0)
    equal("stderr", run.stderr, b"")
    equal("files", os.listdir(out), ["t.houses.bin"])
    report = bench.read(os.path.join(out, "t.houses.bin"))
    exact(report, truth_of(run.stdout), "houses")
    equal("exe", report["process"]["exe"], bench.program("houses"))


def planted(bench):
    """Whatever was put where the trace is to be: it stays as it is, and no trace is made."""
    directory = bench.fresh("out")
    other = os.path.join(directory, "other")
    with open(other, "wb") as file:
        file.write(b"precious\n" * 2000)

    def make(path, kind):
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            os.mkdir(path)
        elif kind == "device":
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        elif kind == "socket":
            os.mknod(path, 0o666 | stat.S_IFSOCK)
        elif kind == "hard link":
            os.link(other, path)
        else:
            os.symlink({"link": other, "dangling link": directory + "/nothing",
                        "link to a device": "/dev/null"}[kind], path)

    kinds = ["fifo", "directory", "socket", "hard link", "link", "dangling link",
             "link to a device"] + (["device"] if os.geteuid() == 0 else [])
    for kind in kinds:
        path = os.path.join(directory, kind)
        make(path, kind)
        before = os.lstat(path)
        run = bench.record([bench.program("houses"), "nothing", ""],
                           env={"MEMPROF_OUT": path, "MEMPROF_QUIET": "0"})
        after = os.lstat(path)
        equal(f"{kind}: status", run.status, 0)
        lines = run.stderr.decode().splitlines()
        check(len(lines) == 1 and path in lines[0] and "recording is off" in lines[0],
              f"{kind}: stderr is {lines}")
        for field in ("st_ino", "st_mode", "st_size", "st_mtime_ns", "st_nlink"):
            equal(f"{kind}: {field}", getattr(after, field), getattr(before, field))
    check(not os.path.exists(directory + "/nothing"), "a dangling link was followed")
    with open(other, "rb") as file:
        equal("the file linked to", file.read(), b"precious\n" * 2000)


def private(bench):
    """Traces are for their owner alone, whatever the umask; and an old trace's other name keeps
    what it held."""
    directory = bench.fresh("out")
    path, kept = os.path.join(directory, "t.bin"), os.path.join(directory, "kept.bin")
    for mask in (0, 0o777):
        run = bench.record([bench.program("houses"), "nothing", ""], env={"MEMPROF_OUT": path},
                           prepare=lambda m=mask: os.umask(m) and None)
        sound(run, traces=0)
        mode = stat.S_IMODE(os.stat(path).st_mode)
        equal(f"mode with umask {mask:o}", mode, 0o600 & ~mask)
        if mask == 0:
            os.link(path, kept)
            shutil.copy(kept, bench.work + "/copy")
    with open(kept, "rb") as file, open(bench.work + "/copy", "rb") as copy:
        check(file.read() == copy.read(), "the old trace was written over")
    check(not os.path.samefile(path, kept), "the old trace was not replaced")


def misspelt(bench):
    """A name that is nearly a setting's: one line that says which, and all is recorded; children
    do not say it again."""
    argv = ["/bin/sh", "-c", "/bin/true; /bin/true; echo $MEMPROF_DETPH"]
    for name, meant in (("MEMPROF_DETPH", "MEMPROF_DEPTH"), ("MEMPROF_QUEIT", "MEMPROF_QUIET")):
        run = bench.record(argv, env={name: "3", "MEMPROF_QUIET": "0"})
        lines = [l for l in run.stderr.decode().splitlines() if name in l]
        equal("status", run.status, 0)
        check(len(lines) == 1 and meant in lines[0], f"stderr is {run.stderr}")
        equal("traces", len(run.traces), 3)
    equal("quiet", bench.record(argv, env={"MEMPROF_DETPH": "3"}).stderr, b"")


def filtered(bench, env=None):
    """Once it runs, the recorder makes no system call but those of the documented list: any other
    ends this program by SIGSYS."""
    argv = [bench.program("filters")]
    if bench.run(argv).status:
        raise Skip("seccomp filters do not work here")
    run = bench.record(argv, env=env)
    sound(run)
    report = bench.read(run.traces[0])
    equal("end", report["process"]["end"], "exit")
    exact(report, truth_of(run.stdout), "filters")


def started_filtered(bench):
    """The same for a program that is started with the filter on."""
    argv = [bench.program("filters"), bench.program("threads")]
    if bench.run(argv).status:
        raise Skip("the filter does not let this program pass without the recorder either")
    run = bench.record(argv)
    sound(run, traces=2)
    reports = [bench.read(trace) for trace in run.traces]
    equal("ends", [r["process"]["end"] for r in reports], ["exec", "exit"])
    exact(reports[1], truth_of(run.stdout), "threads")


CASES = {
    "files.system_calls_to_start": started_filtered,
    "settings.misspelt": misspelt,
    "files.system_calls": filtered,
    "files.dup_race": dup_race,
    "files.close_race": close_race,
    "files.close": lambda b: house(b, "close"),
    "files.chdir": changed_directory,
    "files.locked_in": lambda b: chroot(b, "lock_in", True),
    "files.chroot": lambda b: chroot(b, "chroot", False),
    "files.chroot_and_close": lambda b: chroot(b, "chroot_and_close", True),
    "files.drop_root": lambda b: dropped(b, "drop", False),
    "files.drop_root_and_close": lambda b: dropped(b, "drop_and_close", True),
    "files.unlinked": lambda b: unlinked(b, "unlink"),
    "files.unlinked_and_closed": lambda b: unlinked(b, "unlink_and_close"),
    "files.read_only": read_only,
    "files.no_proc": no_proc,
    "files.proc_hidden": lambda b: need_root() or house(b, "hide_proc"),
    "files.planted": planted,
    "files.private": private,
    "limits.file_size": lambda b: house(b, "fsize", "157000", loss=True),
    "limits.file_size_for_a_while": lambda b: house(b, "fsize_for_a_while", "0", loss=True),
    "limits.no_file_size": lambda b: house(b, "fsize", "0", loss=True),
    "limits.descriptors": lambda b: house(b, "nofile", "3"),
    "limits.few_descriptors": lambda b: few_descriptors(b, 4, ROOM_HARD),
    "limits.no_descriptors": lambda b: few_descriptors(b, 4, 4),
}
