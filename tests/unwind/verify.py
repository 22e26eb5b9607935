#!/usr/bin/python3
"""Runs programs under MEMPROF_UNWIND=verify: no stack may differ from libunwind's.

    verify.py --library build/lib/libmemprof.so [--scale N] [CASE...]

Every program is compiled here, by gcc and by clang where it is there, at several levels of
optimisation. The counts are read from the trace's header (include/memprof/trace.h). --scale makes
the programs run N times as long; docs/unwinding.md says which scale its figures are of. `work`, the
benchmark's programs at their full size, is run only when named.
"""

import argparse
import glob
import os
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(HERE, "programs")
BENCH = os.path.join(HERE, "..", "..", "tools", "bench.d")
FLAGS = ["-D_GNU_SOURCE", "-g", "-fno-builtin", "-w"]
HEADER_COUNTS = 192  # offset of unwind_checked in struct trace_header
PLUGINS = [["-DFRAME=16"], ["-DFRAME=80"], ["-DFRAME=48", "-DWITH_ALLOCA"],
           ["-DFRAME=40", "-fno-omit-frame-pointer"]]

PERL = r"""my %h; for my $i (1..$ARGV[0]) { $h{"k".($i % 5000)} .= "x$i";
if ($i % 7 == 0) { my @a = map { $_ * 2 } sort { $a <=> $b } (1..10); push @{$g{$i % 100}}, \@a; } }"""
PYTHON = """import json, sys
d = [{"id": i, "name": "n%d" % i, "tags": ["a", "b%d" % (i % 7)]} for i in range(int(sys.argv[1]))]
e = json.loads(json.dumps(d)); e.sort(key=lambda x: (x["name"], x["id"]))
def f(n): return [] if n == 0 else [f(n - 1)] * 2
f(30)"""
SQL = """create table t(id integer primary key, name text, k integer);
with recursive c(x) as (select 1 union all select x + 1 from c where x < %d)
insert into t select x, 'name' || x, x %% 97 from c;
create index i on t(k, name);
select k, count(*), group_concat(substr(name, 1, 5)) from t group by k having count(*) > 1;
select a.name, b.name from t a join t b on a.id = b.k order by a.name desc limit 50;"""


class Runner:
    def __init__(self, library, scale, folder):
        self.library = os.path.abspath(library)
        self.scale = scale
        self.folder = folder
        self.total = 0
        self.failed = []

    def build(self, source, compiler, flags, name=None, shared=False):
        output = os.path.join(self.folder, name or os.path.splitext(source)[0])
        command = [compiler, *FLAGS, *flags, os.path.join(PROGRAMS, source), "-o", output]
        command += ["-shared", "-fPIC"] if shared else ["-lpthread", "-ldl"]
        subprocess.run(command, check=True)
        return output

    def run(self, name, command, least, env=None, children=False, most_bytes=None):
        """`least` events must have been compared; all processes' counts are added. `most_bytes`:
        of the traces, which have all nodes uncompressed here."""
        traces = os.path.join(self.folder, "traces")
        shutil.rmtree(traces, ignore_errors=True)
        os.mkdir(traces)
        environment = dict(os.environ, LD_PRELOAD=self.library, MEMPROF_UNWIND="verify",
                           MEMPROF_OUT=traces + "/%p.%n.bin", MEMPROF_QUIET="0",
                           MEMPROF_CHILDREN="1" if children else "0")
        environment.update(env or {})
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, errors="replace")
        sums = [0, 0, 0, 0]
        size = 0
        for path in glob.glob(traces + "/*.bin"):
            size += os.path.getsize(path)
            with open(path, "rb") as trace:
                trace.seek(HEADER_COUNTS)
                sums = [a + b for a, b in zip(sums, struct.unpack("=4Q", trace.read(32)))]
        checked, mismatches, fallbacks, truncated = sums
        self.total += checked
        good = done.returncode == 0 and mismatches == 0 and checked >= least
        good = good and (most_bytes is None or size <= most_bytes)
        print(f"{'ok  ' if good else 'FAIL'} {name}: {checked} checked, {mismatches} mismatches, "
              f"{fallbacks} fallbacks, {truncated} truncated", flush=True)
        if not good:
            self.failed.append(name)
            print(f"     status {done.returncode}, at least {least} wanted, {size} bytes")
            print("".join("     " + line + "\n" for line in done.stderr.splitlines()[:20]))


def shapes(runner):
    for compiler in filter(shutil.which, ["gcc", "clang"]):
        for flags in (["-O0"], ["-O1"], ["-O2"], ["-O3"], ["-Os"], ["-O2", "-fomit-frame-pointer"],
                      ["-O2", "-fno-omit-frame-pointer"], ["-O3", "-mavx2", "-funroll-loops"]):
            if os.uname().machine != "x86_64" and "-mavx2" in flags:
                continue
            program = runner.build("shapes.c", compiler, flags)
            runner.run(f"shapes {compiler} {' '.join(flags)}",
                       [program, str(300 * runner.scale), "24"], 9000)


def depths(runner):
    program = runner.build("shapes.c", "gcc", ["-O2"])
    for depth, rounds in ((5, 40), (60, 40), (200, 40), (600, 5)):
        runner.run(f"depth {depth}", [program, str(rounds * runner.scale), str(depth)], 200)
    # If each stack had the nodes of its 256 frames to itself: 16 MB.
    program = runner.build("abyss.c", "gcc", ["-O2"])
    runner.run("abyss", [program, str(runner.scale), "4000"], 4000,
               most_bytes=3000000 * runner.scale)


def churn(runner):
    """The benchmark's loop: few stacks, made again and again."""
    program = runner.build(os.path.join(BENCH, "churn.c"), "gcc", ["-O2"], "churn")
    for depth in (5, 24, 60, 100, 200):
        for threads in (1, 2):
            runner.run(f"churn depth {depth}, threads {threads}",
                       [program, str(5000 * runner.scale), str(threads), str(depth), "100"],
                       5000 * threads)


def leaps(runner):
    for compiler in filter(shutil.which, ["gcc", "clang"]):
        for level in ("-O0", "-O2"):
            program = runner.build("leaps.c", compiler, [level])
            runner.run(f"leaps {compiler} {level}", [program, str(500 * runner.scale)], 5000)


def edges(runner):
    for compiler in filter(shutil.which, ["gcc", "clang"]):
        program = runner.build("edges.c", compiler, ["-O2"])
        runner.run(f"edges {compiler}", [program, str(100 * runner.scale)], 300)
        for flags in ["-O0"], ["-O2"], ["-O2", "-fno-omit-frame-pointer"]:
            program = runner.build("spawn.c", compiler, flags)
            runner.run(f"spawn {compiler} {' '.join(flags)}",
                       [program, str(5000 * runner.scale)], 5000)
            for how in "auto", "fp":  # nothing is compared: it lives
                runner.run(f"spawn {compiler} {' '.join(flags)}, {how}",
                           [program, str(5000 * runner.scale)], 0, env={"MEMPROF_UNWIND": how})


def storm(runner):
    for compiler in filter(shutil.which, ["g++", "clang++"]):
        for level in ("-O0", "-O2"):
            program = runner.build("storm.cpp", compiler, [level])
            runner.run(f"storm {compiler} {level}", [program, str(500 * runner.scale)], 5000)


def reload(runner):
    program = runner.build("reload.c", "gcc", ["-O2"])
    compilers = list(filter(shutil.which, ["gcc", "clang"]))
    plugins = [runner.build("plugin.c", compiler, ["-O2", *flags], f"plugin{i}{compiler}.so", True)
               for compiler in compilers for i, flags in enumerate(PLUGINS)]
    runner.run("reload", [program, str(100 * runner.scale), *plugins], 5000)


def nocfi(runner):
    program = runner.build("nocfi.c", "gcc", ["-O2"])
    runner.run("nocfi", [program, str(500 * runner.scale)], 1000)


def redis(runner):
    """A server under load, its allocator linked in as Debian does."""
    if not shutil.which("redis-server"):
        return
    socket = os.path.join(runner.folder, "redis.sock")
    load = (f"for i in $(seq 50); do [ -S {socket} ] && break; sleep 0.1; done;"
            f"redis-benchmark -s {socket} -t set,lpush,hset -n {2000 * runner.scale} -P 16 -r 1000"
            f" -d 64 -q >/dev/null; redis-cli -s {socket} shutdown nosave")
    client = subprocess.Popen(["sh", "-c", load], stderr=subprocess.DEVNULL)
    runner.run("redis-server", ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "",
                                "--dir", runner.folder], 100)
    client.wait()


def real(runner):
    """Programs of the system, on inputs made here."""
    scale = runner.scale
    if shutil.which("sqlite3"):
        runner.run("sqlite3", ["sqlite3", ":memory:", SQL % (1000 * scale)], 5000)
    if shutil.which("perl"):
        runner.run("perl", ["perl", "-e", PERL, str(5000 * scale)], 2000)
    runner.run("python3", ["/usr/bin/python3", "-c", PYTHON, str(100 * scale)], 5000,
               env={"PYTHONMALLOC": "malloc"})
    source = os.path.join(PROGRAMS, "storm.cpp")
    runner.run("g++", ["g++", "-O1", "-c", source, "-o", "/dev/null"], 20000, children=True)
    if shutil.which("clang"):
        runner.run("clang", ["clang", "-O2", "-c", os.path.join(PROGRAMS, "shapes.c"), "-w",
                             "-D_GNU_SOURCE", "-o", "/dev/null"], 20000, children=True)
    if shutil.which("git"):
        root = os.path.join(runner.folder, "repository")
        subprocess.run(["git", "init", "-q", root], check=True)
        runner.run("git status", ["git", "-C", root, "status"], 50, children=True)


def work(runner):
    """What tools/bench runs."""
    subprocess.run([sys.executable, os.path.join(BENCH, "gen.py")], cwd=runner.folder, check=True)
    os.chdir(runner.folder)
    runner.run("work sqlite", ["sqlite3", ":memory:", "-cmd", ".read work.sql", ".quit"], 100000)
    runner.run("work perl", ["perl", os.path.join(BENCH, "work.pl")], 100000)
    runner.run("work cc1plus", ["g++", "-std=c++20", "-O0", "-c", os.path.join(BENCH, "work.cpp"),
                                "-o", "/dev/null"], 100000, children=True)
    runner.run("work python", ["/usr/bin/python3", os.path.join(BENCH, "work.py")], 100000,
               env={"PYTHONMALLOC": "malloc"})


NORMAL = {case.__name__: case
          for case in (shapes, depths, churn, leaps, edges, storm, reload, nocfi, redis, real)}
CASES = dict(NORMAL, work=work)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memprof-unwind-") as folder:
        runner = Runner(options.library, options.scale, folder)
        for name in options.cases or NORMAL:
            CASES[name](runner)
    print(f"{runner.total} stacks compared, {len(runner.failed)} cases failed")
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
