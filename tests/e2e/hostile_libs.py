"""Libraries loaded in unusual ways, auditors, other allocators, and programs the recorder cannot
see into: each runs as it would, and what cannot be recorded is said, not guessed."""

import os
import shutil
import subprocess

from cases_truth import known_names, known_stacks, truth
from harness import ALLOCATORS, Skip, check, compare_sites, equal, sound, truth_of

SANITIZERS = ("libasan.so.8", "libasan.so.6")

AUDITOR = r"""
#define _GNU_SOURCE
#include <link.h>
#include <stdlib.h>
unsigned la_version(unsigned version) { return version; }
unsigned la_objopen(struct link_map *map, Lmid_t space, uintptr_t *cookie)
{
	free(malloc(100)); /* of the auditor's own libc */
	return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}
uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to,
	unsigned *flags, const char *name)
{
	free(malloc(10));
	return symbol->st_value;
}
"""

OWN_MALLOC = r"""
#include <stdio.h>
#include <string.h>
static char arena[48 << 20];
static unsigned long used;
OURS void *malloc(unsigned long bytes)
{
	unsigned long at = used;
	used += (bytes + 31) & ~15ul;
	*(unsigned long *)(arena + at) = bytes;
	return arena + at + 16;
}
OURS void free(void *block) { (void)block; }
OURS void *calloc(unsigned long count, unsigned long bytes) { return malloc(count * bytes); }
OURS void *realloc(void *old, unsigned long bytes)
{
	void *block = malloc(bytes);
	if (old) memcpy(block, old, bytes);
	return block;
}
int main(void)
{
	for (int i = 0; i < 200000; i++) memset(malloc(200), i, 200);
	printf("%d\n", used > 200000 * 200);
	return 5;
}
"""


def compile_c(bench, name, source, *flags):
    compiler = shutil.which("cc")
    if not compiler:
        raise Skip("there is no cc")
    path = os.path.join(bench.work, name)
    subprocess.run([compiler, "-O1", "-g", "-w", "-fno-builtin", "-xc", "-", "-o", path, *flags],
                   input=source.encode(), check=True)
    return path


def plugin(bench, name):
    return bench.program(f"libplugin_{name}.so")


def hosts(bench, *arguments, foreign=False):
    """hosts.c; its own calls exact, whatever the loader allocates beside."""
    run = bench.record([bench.program("hosts"), *arguments])
    sound(run)
    told = truth_of(run.stdout)
    report = bench.read(run.traces[0])
    equal("end", report["process"]["end"], "exit")
    equal("lost_events", report["totals"]["lost_events"], 0)
    problems = compare_sites(report, told, ("hosts", "libplugin_one.so", "libplugin_two.so",
                                            "libplugin_three.so"))
    check(not problems, "\n".join(problems))
    if foreign:
        equal("foreign_frees", report["totals"]["foreign_frees"], told["foreign_frees"])
    return report, told


def unload(bench):
    """One thread loads and unloads two libraries by turns, which come to lie at one address, while
    main allocates in a third: each has its name."""
    third = os.path.join(bench.work, "libplugin_three.so")
    shutil.copy(plugin(bench, "two"), third)
    report, told = hosts(bench, "unload", plugin(bench, "one"), plugin(bench, "two"), third)
    check(told["same_address"] > 100, "the libraries were not mapped to one address")
    known_names(report, told)
    return f"{told['same_address']} times at one address"


def audited(bench):
    """Under an auditor, which has a libc and a heap of its own and sees every binding."""
    env = {"LD_AUDIT": compile_c(bench, "auditor.so", AUDITOR, "-shared", "-fPIC")}
    if bench.run(["/bin/true"], env=env).status:
        raise Skip("LD_AUDIT does not work here")
    for program in ("mix", "stacks"):
        run = bench.record([bench.program(program)], env=env)
        sound(run)
        report, told = bench.read(run.traces[0]), truth_of(run.stdout)
        equal(f"{program}: lost_events", report["totals"]["lost_events"], 0)
        for key in ("allocations", "frees", "reallocs", "bytes_allocated", "live_bytes_end"):
            equal(f"{program}: {key}", report["totals"][key], told[key])


def static_tls_limit(bench, run):
    """The most bytes of static TLS a library may have to be loaded by hosts.c."""
    low, high = 0, 8192
    while high - low > 16:
        middle = (low + high) // 2 // 8 * 8
        path = compile_c(bench, f"tls{middle}.so", f"""
            __attribute__((tls_model("initial-exec"))) __thread char room[{middle}];
            char *own_room(void) {{ return room; }}""", "-shared", "-fPIC")
        done = run([bench.program("hosts"), "static-tls", path])
        if done.status == 0:
            low = middle
        else:
            check(b"static TLS" in done.stderr, f"status {done.status}: {done.stderr}")
            high = middle
    return low


def static_tls(bench):
    """The recorder's own few words are laid out at the start and leave the room that the loader
    keeps for libraries loaded later, but for what alignment takes."""
    bare = static_tls_limit(bench, bench.run)
    recorded = static_tls_limit(bench, bench.record)
    check(recorded >= bare - 64, f"{bare} bytes fit without the recorder, {recorded} with it")
    return f"{bare} bytes fit without the recorder, {recorded} with it"


def off(bench, argv, words, env=None, status=0, preload=None):
    """The program runs as without; one line says what cannot be seen and nothing is recorded."""
    bare = bench.run(argv)
    settings = {"MEMPROF_QUIET": "0", **(env or {})}
    run = bench.record(argv, env=settings, preload=preload)
    equal("status", (run.status, bare.status), (status, status))
    equal("stdout", run.stdout, bare.stdout)
    lines = [l for l in run.stderr.decode().splitlines() if l.startswith("memprof: ")]
    check(len(lines) == 1 and all(w in lines[0] for w in (*words, "recording is off")),
          f"stderr is {run.stderr.decode()}")
    equal("traces", run.traces, [])


def preloaded_before(bench, library):
    if bench.run(["/bin/true"], env={"LD_PRELOAD": library}).stderr:
        raise Skip(f"{library} is not installed")
    off(bench, ["/bin/echo", "a", "b"], (library, "before it in LD_PRELOAD"),
        preload=f"{library} {bench.lib}")


def sanitizer_before(bench):
    for library in SANITIZERS:
        if not bench.run(["/bin/true"], env={"LD_PRELOAD": library}).stderr:
            return off(bench, ["/bin/echo", "a"], (library, "sanitizer"),
                       env={"ASAN_OPTIONS": "detect_leaks=0"}, preload=f"{library} {bench.lib}")
    raise Skip("there is no libasan")


def forwarded(bench):
    """What comes before and hands each call on is no obstacle."""
    out = os.path.join(bench.fresh("count"), "count")
    run = bench.record([bench.program("mix")], preload=f"{bench.counter} {bench.lib}",
                       env={"COUNT_OUT": out})
    sound(run)
    told, totals = truth_of(run.stdout), bench.read(run.traces[0])["totals"]
    for key in ("allocations", "frees", "reallocs", "bytes_allocated"):
        equal(key, totals[key], told[key])


def own_malloc_hidden(bench):
    """Nothing tells beforehand; the report says that no allocation was seen."""
    program = compile_c(bench, "hidden", OWN_MALLOC,
                        '-DOURS=__attribute__((visibility("hidden")))')
    run = bench.record([program])
    sound(run, status=5)
    check(len(run.traces) == 1, "no trace")
    text = bench.run([bench.report_tool, run.traces[0]]).stdout.decode()
    check("an allocator of its own" in text, f"the report says: {text}")


def own_malloc(bench):
    program = compile_c(bench, "exported", OWN_MALLOC, "-DOURS=", "-rdynamic")
    off(bench, [program], ("malloc of its own",), status=5)


def under_valgrind(bench):
    valgrind = shutil.which("valgrind")
    if not valgrind:
        raise Skip("valgrind is not installed")
    # Of the launching script nothing is to be recorded: only the program below gets the preload.
    run = bench.record([valgrind, "-q", bench.program("mix"), "2000"],
                       env={"MEMPROF_QUIET": "0", "LD_PRELOAD": ""})
    equal("status of valgrind alone", run.status, 0)
    bare = run.stdout
    run = bench.record(["/bin/sh", "-c", 'LD_PRELOAD="$0" exec "$@"', bench.lib, valgrind, "-q",
                        bench.program("mix"), "2000"], env={"MEMPROF_QUIET": "0",
                                                           "LD_PRELOAD": ""}, timeout=200)
    equal("status", run.status, 0)
    equal("allocations", truth_of(run.stdout)["allocations"], truth_of(bare)["allocations"])
    lines = [l for l in run.stderr.decode().splitlines() if "recording is off" in l]
    check(len(lines) == 1 and "valgrind" in lines[0], f"stderr is {run.stderr.decode()}")


CASES = {
    "libs.deepbind": lambda b: hosts(b, "deepbind", plugin(b, "one"), foreign=True) and None,
    "libs.namespace": lambda b: hosts(b, "namespace", plugin(b, "one")) and None,
    "libs.unload": unload,
    "libs.audited": audited,
    "libs.bind_now": lambda b: truth(b, "stacks", env={"LD_BIND_NOW": "1"},
                                     check_report=known_stacks),
    "libs.static_tls": static_tls,
    "libs.forwarded": forwarded,
    "libs.own_malloc": own_malloc,
    "libs.own_malloc_hidden": own_malloc_hidden,
    "libs.valgrind": under_valgrind,
    "libs.sanitizer_before": sanitizer_before,
    **{f"libs.{name}_before": lambda b, l=library: preloaded_before(b, l)
       for name, library in ALLOCATORS.items() if library},
}
