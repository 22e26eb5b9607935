"""Programs of the distribution: the same output and exit status with and without recording, a
report that is sound, symbolised, and counts what an independent counter counts.

The counted and the recorded run get the very same environment, byte for byte (a program may copy
it to its heap): one symbolic link is the preload, and is turned from the counter to the recorder.
Addresses are not randomised, because some programs' hash tables depend on them.
"""

import glob
import os
import shutil
import socket
import subprocess
import time
import urllib.request

from harness import Failure, Skip, check, equal, read_counts

SAME = ("allocations", "frees", "reallocs", "bytes_allocated", "foreign_frees", "failed",
        "live_bytes_end", "live_blocks_end")

SQL = """
create table t(id integer primary key, name text, value real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into t select i, 'name ' || (i * 7919 % 10007), i / 3.0 from n;
create index by_name on t(name);
select count(*), sum(value), min(name), max(name) from t;
select name, count(*) c from t group by name order by c desc, name limit 5;
select a.id, b.id from t a join t b on a.name = b.name and a.id < b.id order by 1, 2 limit 5;
"""

PYTHON = """
import collections, json, re
class Node:
    def __init__(self, key, rest): self.key, self.rest = key, rest
head = None
for i in range(20000): head = Node('key %d' % (i % 997), head)
seen = collections.Counter()
while head: seen[head.key] += 1; head = head.rest
text = json.dumps(sorted(seen.items()))
print(len(text), len(re.findall(r'key \\d+5', text)), json.loads(text)[:2])
print(sum(len(str(2 ** n)) for n in range(600)))
"""

PERL = """
my %h; for my $i (1..20000) { push @{$h{$i % 1013}}, "v$i" x ($i % 7); }
my $s = join ',', map { "$_=" . scalar @{$h{$_}} } sort { $a <=> $b } keys %h;
my $n = () = $s =~ /1\\d=2/g; print length($s), " $n\\n";
"""

CPLUSPLUS = """
#include <map>
#include <string>
#include <vector>
#include <algorithm>
int main(int argc, char **argv)
{
	std::map<std::string, std::vector<int>> m;
	for (int i = 0; i < argc; i++) m[argv[i]].push_back(i);
	return std::all_of(m.begin(), m.end(), [](auto &e) { return e.second.size() == 1; });
}
"""

GIT = """
git status --short --branch && git log --stat --format='%H %an %s' && git diff HEAD~3 HEAD --stat &&
git gc --quiet --prune=now && git fsck --full && git count-objects -v | grep -v size && ls .git
"""


def have(program):
    path = shutil.which(program, path="/usr/bin:/usr/sbin:/bin:/sbin")
    if not path:
        raise Skip(f"{program} is not installed")
    return path


class Twins:
    """One program run three times: bare, counted, recorded, all in the same place."""

    def __init__(self, bench, prepare=None):
        self.bench = bench
        self.prepare = prepare
        self.link = os.path.join(bench.work, "preload.so")
        self.out = os.path.join(bench.work, "out")
        self.cwd = os.path.join(bench.work, "cwd")
        self.env = {"LANG": "C", "HOME": bench.work, "MEMPROF_QUIET": "1",
                    "MEMPROF_OUT": os.path.join(self.out, "memprof.%e.%p.bin"),
                    "COUNT_OUT": os.path.join(self.out, "count")}

    def run(self, how, argv, env=None):
        shutil.rmtree(self.cwd, ignore_errors=True)
        shutil.rmtree(self.out, ignore_errors=True)
        os.mkdir(self.cwd)
        os.mkdir(self.out)
        if self.prepare:
            self.prepare(self.cwd)
        settings = {**self.env, **(env or {})}
        library = {"bare": None, "counted": self.bench.counter, "recorded": self.bench.lib}[how]
        if library:
            if os.path.lexists(self.link):
                os.unlink(self.link)
            os.symlink(library, self.link)
            settings["LD_PRELOAD"] = self.link
        run = self.bench.run(argv, env=settings, cwd=self.cwd, fixed_addresses=True)
        run.traces = sorted(glob.glob(os.path.join(self.out, "memprof.*")))
        run.counts = read_counts(self.env["COUNT_OUT"])
        return run


def summed(figures):
    figures = list(figures)
    return {key: sum(f[key] for f in figures) for key in SAME}


def per_process(figures):
    calls = ((f["allocations"], f["frees"], f["foreign_frees"]) for f in figures)
    return sorted(c for c in calls if any(c))


def check_symbols(reports, names):
    """The stacks reach the program's start, and the functions known to allocate are named."""
    sites = [s for r in reports for s in r["sites"]]
    check(sites, "no sites")
    functions = {f["function"] for s in sites for f in s["stack"]}
    missing = [n for n in names if n not in functions]
    check(not missing, f"no frame is named {missing}; there are "
          f"{sorted(f for f in functions if f)[:20]}")
    calls = sum(s["allocations"] for s in sites)
    nameless = sum(s["allocations"] for s in sites if not any(f["function"] for f in s["stack"]))
    check(nameless <= calls // 100, f"{nameless} of {calls} allocations have no named frame")
    no_module = sum(s["allocations"] for s in sites for f in s["stack"][:1] if not f["module"])
    equal("allocations from code of no module", no_module, 0)


def real(bench, argv, names, env=None, prepare=None, counted=SAME, processes=1, peak=True):
    twins = Twins(bench, prepare)
    bare = twins.run("bare", argv, env)
    again = twins.run("counted", argv, env)
    recorded = twins.run("recorded", argv, env)
    for what, run in (("counted", again), ("recorded", recorded)):
        equal(f"status when {what}", run.status, bare.status)
        equal(f"stdout when {what}", run.stdout, bare.stdout)
        equal(f"stderr when {what}", run.stderr, bare.stderr)
    check(bare.stdout, "the program said nothing")
    check(processes is None or len(recorded.traces) == processes,
          f"{len(recorded.traces)} traces, should be {processes}")
    reports = [bench.read(t) for t in recorded.traces]
    for report in reports:
        equal("lost_events", report["totals"]["lost_events"], 0)
        check(report["process"]["end"] in ("exit", "exec"), f"end is {report['process']['end']}")
    check_symbols(reports, names)
    counts, totals = summed(again.counts), summed(r["totals"] for r in reports)
    problems = [f"{key}: recorded {totals[key]}, counted {counts[key]}" for key in counted
                if totals[key] != counts[key]]
    # A process that made no call has no trace, or one without events.
    seen = per_process(r["totals"] for r in reports)
    expected = per_process(again.counts)
    if seen != expected:
        problems.append(f"allocations, frees and foreign frees of each process: recorded {seen}, "
                        f"counted {expected}")
    if peak and len(reports) == 1:
        problems += [f"{key}: recorded {reports[0]['totals'][key]}, counted {again.counts[0][key]}"
                     for key in ("peak_bytes", "peak_blocks")
                     if reports[0]["totals"][key] != again.counts[0][key]]
    check(not problems, "\n".join(problems))
    return (f"{totals['allocations']} allocations in {len(reports)} processes, "
            f"{sum(len(r['sites']) for r in reports)} sites")


def sqlite(bench):
    return real(bench, [have("sqlite3"), ":memory:", SQL], ["sqlite3_step"])


def python(bench, env, peak=True):
    have("python3")
    return real(bench, ["/usr/bin/python3", "-B", "-c", PYTHON], ["Py_BytesMain"],
                env={"PYTHONHASHSEED": "0", **env}, peak=peak)


def perl(bench):
    return real(bench, [have("perl"), "-e", PERL], ["perl_run"],
                env={"PERL_HASH_SEED": "0", "PERL_PERTURB_KEYS": "0"})


def cc1plus(bench):
    """Hashes pointers, so where the recorder's own mappings lie moves an allocation or two: the
    counter stands behind the recorder in one and the same run, as for redis."""
    have("g++")
    path = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True,
                          check=True).stdout.strip()
    if not os.path.isabs(path):
        raise Skip("cc1plus is not installed")
    source = os.path.join(bench.fresh("source"), "x.ii")
    subprocess.run(["g++", "-E", "-x", "c++", "-", "-o", source], input=CPLUSPLUS.encode(),
                   check=True)
    argv = [path, "-fpreprocessed", source, "-quiet", "-O1", "-o", "-"]
    out = os.path.join(bench.fresh("both"), "count")
    bare = bench.run(argv)
    recorded = bench.record(argv, env={"LD_PRELOAD": f"{bench.lib} {bench.counter}",
                                       "COUNT_OUT": out})
    equal("status", recorded.status, bare.status)
    equal("stdout", recorded.stdout, bare.stdout)
    equal("stderr", recorded.stderr, bare.stderr)
    check(b".cfi_endproc" in bare.stdout, "no assembly came out")
    equal("number of traces", len(recorded.traces), 1)
    report, counts = bench.read(recorded.traces[0]), read_counts(out)
    equal("lost_events", report["totals"]["lost_events"], 0)
    check_symbols([report], [])
    equal("processes", len(counts), 1)
    for key, own in handed_on(bench, [path, "--version"]).items():
        equal(f"{key}, with the recorder's own {own}", report["totals"][key] + own, counts[0][key])
    return f"{report['totals']['allocations']} allocations, {len(report['sites'])} sites"


def git(bench):
    have("git")
    template = os.path.join(bench.work, "template")
    env = {"GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
           "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A",
           "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_NOSYSTEM": "1",
           "HOME": bench.work, "PATH": "/usr/bin:/bin"}
    os.mkdir(template)

    def call(*arguments):
        subprocess.run(["git", *arguments], cwd=template, env=env, check=True,
                       stdout=subprocess.DEVNULL)

    call("init", "-q", "-b", "main")
    call("config", "pack.threads", "1")
    call("config", "index.threads", "1")
    for commit in range(8):
        for number in range(6):
            with open(os.path.join(template, f"file{number}"), "a", encoding="utf-8") as file:
                file.write("".join(f"line {commit} {number} {i * i}\n" for i in range(80)))
        call("add", ".")
        call("commit", "-q", "-m", f"Change {commit}")
    with open(os.path.join(template, "file0"), "a", encoding="utf-8") as file:
        file.write("not committed\n")

    def prepare(directory):
        os.rmdir(directory)
        shutil.copytree(template, directory, symlinks=True)

    # The counts of git are compared without bytes: names of temporary files carry the pid.
    return real(bench, ["/bin/sh", "-c", GIT], ["__libc_start_main_impl"], env=env,
                prepare=prepare, processes=None, counted=("foreign_frees", "failed"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if what():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise Failure(f"the server did not answer within {seconds} s")


def serve(bench, argv, preload, talk):
    """Starts a server, lets `talk` use and end it; its answers, status, stderr and traces."""
    directory = bench.fresh("server")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LD_", "MEMPROF_"))}
    if preload:
        env.update(LD_PRELOAD=preload, MEMPROF_QUIET="1",
                   COUNT_OUT=os.path.join(bench.work, "count"),
                   MEMPROF_OUT=os.path.join(directory, "memprof.%e.%p.bin"))
    with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, cwd=directory) as process:
        try:
            answers = talk(process)
            stderr = process.communicate(timeout=30)[1]
        finally:
            process.kill()
    return answers, process.returncode, stderr, sorted(glob.glob(directory + "/memprof.*"))


REDIS = (("set", "a", "1"), ("incrby", "a", "41"), ("rpush", "l", "x", "y", "z"),
         ("lrange", "l", "0", "-1"), ("hset", "h", "f", "v", "g", "w"), ("hlen", "h"),
         ("zadd", "z", "2", "b", "1", "a"), ("zrange", "z", "0", "-1"), ("eval", "return 6*7", "0"))


def handed_on(bench, argv):
    """What the recorder allocates for itself when this program starts (it loads libunwind): a
    counter stands behind it and counts what is handed on, in one and the same run."""
    out = os.path.join(bench.fresh("own"), "count")
    run = bench.record(argv, env={"LD_PRELOAD": f"{bench.lib} {bench.counter}", "COUNT_OUT": out})
    totals, counts = bench.read(run.traces[0])["totals"], read_counts(out)[0]
    return {key: counts[key] - totals[key] for key in ("allocations", "frees", "reallocs")}


def redis(bench):
    """Timers make no two runs alike, so the counter stands behind the recorder in one and the same
    run and counts what is handed on: the program's calls and the recorder's own, which are known
    but for one block of TLS at most for each thread."""
    server, client, load = have("redis-server"), have("redis-cli"), have("redis-benchmark")
    results = []
    for preload in (None, f"{bench.lib} {bench.counter}"):
        port = str(free_port())

        def ask(*words, on=port):
            return bench.run([client, "-p", on, *words]).stdout

        def talk(process, on=port, question=ask):
            wait_for(lambda: process.poll() is None and question("ping") == b"PONG\n")
            answers = [question(*words) for words in REDIS]
            flood = bench.run([load, "-p", on, "-n", "10000", "-q", "-r", "1000", "-t",
                               "set,get,lpush,lpop,hset,zadd"])
            answers.append(flood.status)
            answers.append(question("llen", "mylist"))
            question("shutdown", "nosave")
            return answers

        argv = [server, "--port", port, "--save", "", "--bind", "127.0.0.1"]
        results.append(serve(bench, argv, preload, talk))
    bare, recorded = results
    equal("answers", recorded[0], bare[0])
    equal("status", recorded[1], bare[1])
    equal("stderr", recorded[2], bare[2])
    equal("number of traces", len(recorded[3]), 1)
    report = bench.read(recorded[3][0])
    equal("lost_events", report["totals"]["lost_events"], 0)
    equal("end", report["process"]["end"], "exit")
    check_symbols([report], ["__libc_start_main_impl"])
    totals, own = report["totals"], handed_on(bench, [server, "--version"])
    check(totals["allocations"] > 50000, "too few allocations for that work")
    counts = read_counts(os.path.join(bench.work, "count"))
    equal("processes", len(counts), 1)
    for key, expected in own.items():
        more = counts[0][key] - totals[key] - expected
        check(0 <= more <= report["process"]["threads"],
              f"{key}: recorded {totals[key]}, counted {counts[0][key]}, of them {expected} the "
              f"recorder's own: {more:+d}")
    return f"{totals['allocations']} allocations, {len(report['sites'])} sites"


NGINX = """
daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log; worker_processes 1; user root;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s; gzip on;
  gzip_types *; gzip_min_length 1;
  server {{ listen 127.0.0.1:{port}; root {dir}; }} }}
"""


def nginx(bench):
    server = have("nginx")
    if os.geteuid() != 0:
        raise Skip("this configuration needs root")
    results = []
    for preload in (None, bench.lib):
        port, directory = free_port(), bench.fresh("nginx")
        with open(os.path.join(directory, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write(NGINX.format(dir=directory, port=port))
        with open(os.path.join(directory, "page.txt"), "w", encoding="utf-8") as file:
            file.write("a line of text\n" * 5000)

        def get(on=port):
            request = urllib.request.Request(f"http://127.0.0.1:{on}/page.txt",
                                             headers={"Accept-Encoding": "gzip"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers["Content-Encoding"], answer.read()

        def talk(process, ask=get):
            wait_for(ask)
            answers = [ask() for _ in range(50)]
            process.send_signal(3)  # SIGQUIT: end when done
            return answers

        results.append(serve(bench, [server, "-c", os.path.join(directory, "nginx.conf")],
                             preload, talk))
    bare, recorded = results
    equal("answers", recorded[0], bare[0])
    equal("status", recorded[1], bare[1])
    equal("stderr", recorded[2], bare[2])
    equal("number of traces", len(recorded[3]), 2)
    reports = [bench.read(trace) for trace in recorded[3]]
    for report in reports:
        equal("lost_events", report["totals"]["lost_events"], 0)
        equal("end", report["process"]["end"], "exit")
    check_symbols(reports, ["__libc_start_main_impl"])
    return f"{sum(r['totals']['allocations'] for r in reports)} allocations, master and worker"


CASES = {
    "real.sqlite3": sqlite,
    # Two counted runs differ in their peak, by the order of a set of addresses.
    "real.python3_malloc": lambda b: python(b, {"PYTHONMALLOC": "malloc"}, peak=False),
    "real.python3": lambda b: python(b, {}),
    "real.perl": perl,
    "real.cc1plus": cc1plus,
    "real.git": git,
    "real.redis": redis,
    "real.nginx": nginx,
}
