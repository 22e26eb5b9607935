"""Programs of other languages do their work unchanged, and what they take from the C heap is
counted as they count it themselves where they can."""

import os
import shutil
import subprocess

from harness import Skip, check, equal

GO = """
package main

import (
	"fmt"
	"sort"
	"sync"
)

func main() {
	counts := map[string]int{}
	for i := 0; i < 100000; i++ {
		counts[fmt.Sprint("key", i%997)] += i
	}
	keys := []string{}
	for key := range counts {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var group sync.WaitGroup
	var lock sync.Mutex
	sum := 0
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for i := 0; i < 500; i++ {
				length := take(100 + worker)
				lock.Lock()
				sum += length
				lock.Unlock()
			}
		}(worker)
	}
	group.Wait()
	fmt.Println(len(keys), counts[keys[3]], sum)
}
"""

GO_PLAIN = """
package main

func take(bytes int) int { return len(make([]byte, bytes)) }
"""

GO_C = """
package main

// #include <stdlib.h>
// #include <string.h>
// static char *take_in_c(int bytes) { return memset(malloc(bytes), 'x', bytes); }
import "C"
import "unsafe"

func take(bytes int) int {
	block := C.take_in_c(C.int(bytes))
	length := len(C.GoStringN(block, C.int(bytes)))
	C.free(unsafe.Pointer(block))
	return length
}
"""

RUST = """
use std::collections::BTreeMap;
#[inline(never)]
fn take(number: u32) -> Box<[u32; 77]> { Box::new([number; 77]) }
fn main() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for i in 0..50000u64 { *counts.entry(format!("key{}", i % 997)).or_insert(0) += i; }
    let threads: Vec<_> = (0..8u32).map(|t| std::thread::spawn(move || {
        (0..1000).map(|i| take(t * i)[5] as u64).sum::<u64>()
    })).collect();
    let sum: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
    // The usual message has a thread's number in it, which is never the same.
    std::panic::set_hook(Box::new(|info| eprintln!("panic at {}", info.location().unwrap())));
    let panicked = std::panic::catch_unwind(|| { let v: Vec<u8> = vec![]; v[1] }).is_err();
    println!("{} {:?} {} {}", counts.len(), counts.iter().next(), sum, panicked);
    std::process::exit(3);
}
"""

JAVA = """
import java.util.*;
public class Work {
    static int deep(int i) { return deep(i + 1) + 1; }
    public static void main(String[] words) throws Exception {
        Map<Integer, List<String>> map = new TreeMap<>();
        for (int i = 0; i < 100000; i++)
            map.computeIfAbsent(i % 997, k -> new ArrayList<>()).add("v" + i);
        long sum = 0;
        for (List<String> list : map.values()) for (String s : list) sum += s.hashCode();
        Thread[] threads = new Thread[4];
        long[] sums = new long[4];
        for (int t = 0; t < 4; t++) {
            final int k = t;
            threads[t] = new Thread(() -> { for (int i = 0; i < 2000000; i++) sums[k] += i ^ k; });
            threads[t].start();
        }
        for (Thread t : threads) t.join();
        try { ((Object)null).hashCode(); } catch (NullPointerException e) { sum++; }
        try { deep(0); } catch (StackOverflowError e) { sum++; }
        System.gc();
        java.util.zip.Deflater deflater = new java.util.zip.Deflater();
        deflater.setInput(new byte[1 << 20]);
        deflater.finish();
        sum += deflater.deflate(new byte[4096]);
        System.out.println(map.size() + " " + sum + " " + Arrays.toString(sums));
        System.exit(3);
    }
}
"""

NODE = """
const zlib = require('zlib'), { Worker } = require('worker_threads');
const map = new Map();
for (let i = 0; i < 100000; i++) { const k = 'key' + i % 997; map.set(k, (map.get(k) || 0) + i); }
console.log(map.size, [...map].slice(0, 3), zlib.deflateSync(Buffer.alloc(1 << 20)).length);
const code = 'require("worker_threads").parentPort.postMessage([..."abc"].map(x => x + x))';
new Worker(code, { eval: true }).on('message', m => { console.log(m); process.exit(3); });
"""

PERL = """
use threads; my %h; push @{$h{$_ % 1013}}, "v$_" x ($_ % 7) for 1..50000;
my @t = map { my $n = $_; 
    threads->create(sub { my $s = 0; $s += length("x" x $_) for 1..$n * 500; $s }) } 1..4;
print scalar(keys %h), " ", join(",", map { $_->join } @t), "\\n";
eval { die "caught" }; print $@ =~ /caught/ ? "died\\n" : ""; exit 3;
"""

PYTHON = """
import subprocess, sys, threading, zlib, ctypes, multiprocessing
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
sums = [0] * 4
def work(n):
    for i in range(20000): sums[n] += len(str(i)) * n
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
for i in range(1234): libc.free(libc.malloc(77777))
child = subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True)
pool = multiprocessing.get_context('fork').Pool(2)
print(sums, len(zlib.compress(bytes(1 << 20))), child.stdout, child.stderr, pool.map(abs, [-1, -2]))
pool.close(); pool.join()
sys.exit(3)
"""


def tool(name, *folders):
    path = shutil.which(name, path=":".join([*folders, os.environ.get("PATH", ""), "/usr/bin"]))
    if not path:
        raise Skip(f"{name} is not installed")
    return path


def make(bench, name, text):
    path = os.path.join(bench.work, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def build(bench, argv, **env):
    done = subprocess.run(argv, cwd=bench.work, env={**os.environ, **env}, capture_output=True,
                          check=False)
    if done.returncode:
        raise Skip(f"{argv[0]} does not work here: {done.stderr.decode(errors='replace')[-200:]}")


def unchanged(bench, argv, status, traces=1, env=None):
    """Output and status as without; the reports, largest first."""
    bare = bench.run(argv, env=env)
    equal("status without the recorder", bare.status, status)
    check(bare.stdout, "the program said nothing")
    run = bench.record(argv, env=env)
    for what in ("status", "stdout", "stderr"):
        equal(what, getattr(run, what), getattr(bare, what))
    equal("number of traces", len(run.traces), traces)
    reports = [bench.read(trace) for trace in run.traces]
    for report in reports:
        equal("lost_events", report["totals"]["lost_events"], 0)
    return sorted(reports, key=lambda r: -r["totals"]["allocations"])


def allocations_in(report, function):
    return sum(s["allocations"] for s in report["sites"]
               if any(function in (f["function"] or "") for f in s["stack"][:3]))


def go(bench, kind, rest):
    compiler = tool("go", "/usr/lib/go/bin", "/usr/local/go/bin")
    make(bench, f"{kind}/main.go", GO)
    make(bench, f"{kind}/take.go", rest)
    program = os.path.join(bench.work, kind, "work")
    build(bench, [compiler, "build", "-o", program, f"./{kind}"], GO111MODULE="off",
          GOCACHE=os.path.join(bench.work, "cache"), GOPATH=bench.work,
          CGO_ENABLED="1" if kind == "cgo" else "0")
    return program


def go_static(bench):
    """The launcher says that nothing can be recorded; preloaded by hand, nothing is harmed."""
    program = go(bench, "plain", GO_PLAIN)
    unchanged(bench, [program], 0, traces=0)
    run = bench.run([os.path.join(bench.build, "bin", "memprof"), "run", program])
    equal("status of memprof run", run.status, 2)
    check(b"statically linked" in run.stderr, f"stderr is {run.stderr}")


def go_with_c(bench):
    report = unchanged(bench, [go(bench, "cgo", GO_C)], 0)[0]
    equal("allocations in C", allocations_in(report, "take_in_c"), 8 * 500)


def rust(bench):
    source = make(bench, "work.rs", RUST)
    program = os.path.join(bench.work, "work")
    build(bench, [tool("rustc"), "-O", "-g", "-o", program, source])
    report = unchanged(bench, [program], 3, env={"RUST_BACKTRACE": "1"})[0]
    equal("boxes", sum(s["allocations"] for s in report["sites"]
                       if s["bytes"] == s["allocations"] * 77 * 4 and
                       any("take" in (f["function"] or "") for f in s["stack"])), 8 * 1000)


def java(bench):
    source = make(bench, "Work.java", JAVA)
    build(bench, [tool("javac"), "-d", bench.work, source])
    report = unchanged(bench, [tool("java"), "-Xmx256m", "-cp", bench.work, "Work"], 3)[0]
    equal("end", report["process"]["end"], "exit")
    check(report["totals"]["allocations"] > 1000, "hardly an allocation was seen")


def node(bench):
    report = unchanged(bench, [tool("node"), make(bench, "work.js", NODE)], 3)[0]
    equal("end", report["process"]["end"], "exit")
    check(report["totals"]["allocations"] > 1000, "hardly an allocation was seen")


def perl(bench):
    env = {"PERL_HASH_SEED": "0", "PERL_PERTURB_KEYS": "0"}
    interpreter = tool("perl", "/usr/bin")
    if bench.run([interpreter, "-Mthreads", "-e", "1"]).status:
        raise Skip("this perl has no threads")
    report = unchanged(bench, [interpreter, make(bench, "work.pl", PERL)], 3, env=env)[0]
    equal("threads", report["process"]["threads"], 5)


def python(bench):
    """Threads, a child that is executed, two that are forked; the program's own 1,234 calls."""
    reports = unchanged(bench, ["/usr/bin/python3", make(bench, "work.py", PYTHON)], 3, traces=4)
    equal("calls through ctypes", sum(s["allocations"] for s in reports[0]["sites"]
                                      if s["bytes"] == 77777 * s["allocations"]), 1234)


CASES = {
    "lang.go_static": go_static,
    "lang.go_with_c": go_with_c,
    "lang.rust": rust,
    "lang.java": java,
    "lang.node": node,
    "lang.perl": perl,
    "lang.python": python,
}
