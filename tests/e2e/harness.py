"""What every end-to-end case needs: running a program bare, recorded or counted, reading its
report, and comparing the report with the program's own truth.

A comparison never forgives: figures are equal or the case fails. Where a run allocates more than
the program's own calls (libstdc++'s emergency pool, the loader's tables of threads), two rules
apply together, and an error would have to cancel itself out in both to stay hidden:

  totals  less the totals of the same program's "baseline" run, which starts and ends in the same
          way without the calls, are the truth; and that baseline equals what an independent counter
          (count_preload.c) saw of the same run, call for call;
  sites   whose innermost frame lies in the program's own modules sum to the truth.
"""

import ctypes
import glob
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

ADDITIVE = ("allocations", "frees", "reallocs", "bytes_allocated", "live_bytes_end",
            "live_blocks_end", "temporary", "foreign_frees", "failed", "mismatched_frees")
PEAK = ("peak_bytes", "peak_blocks")
# Of the site's keys, what the totals call them.
SITE_SUMS = {"allocations": "allocations", "bytes": "bytes_allocated", "peak_bytes": "peak_bytes",
             "peak_blocks": "peak_blocks", "live_bytes": "live_bytes_end",
             "live_blocks": "live_blocks_end", "temporary": "temporary"}
TOTALS = ("allocations", "frees", "reallocs", "bytes_allocated", "peak_bytes", "peak_blocks",
          "peak_time_s", "live_bytes_end", "live_blocks_end", "temporary", "foreign_frees",
          "failed", "duration_s", "events", "lost_events", "peak_rss_bytes")
COUNTS = ("allocations", "frees", "reallocs", "bytes_allocated", "peak_bytes", "peak_blocks",
          "live_bytes_end", "live_blocks_end", "foreign_frees", "failed", "table_full")
ALLOCATORS = {"glibc": None, "jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc_minimal.so.4",
              "mimalloc": "libmimalloc.so.2"}


ADDR_NO_RANDOMIZE = 0x0040000


def fix_addresses():
    """Turns address randomisation off for what is executed next: for programs that hash
    addresses and allocate by what comes out."""
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)


class Failure(Exception):
    """The case failed; the message says what differed."""


class Skip(Exception):
    """The case cannot run here; the message says why."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(what, got, expected):
    check(got == expected, f"{what}: {got!r}, should be {expected!r}")


class Run:
    """A finished program: its output, status (negative: signal) and the traces it left."""

    def __init__(self, process, stdout, stderr, traces):
        self.status = process.returncode
        self.stdout = stdout
        self.stderr = stderr
        self.traces = traces


class Bench:
    """A scratch directory and the build under test. Use as a context manager."""

    def __init__(self, build, source):
        self.build = os.path.abspath(build)
        self.source = os.path.abspath(source)
        self.lib = os.path.join(self.build, "lib", "libmemprof.so")
        self.report_tool = os.path.join(self.build, "bin", "memprof-report")
        self.counter = os.path.join(self.build, "tests", "e2e", "libcount_preload.so")
        self.verbose = False

    def __enter__(self):
        self.work = tempfile.mkdtemp(prefix="memprof-e2e.")
        self.runs = 0
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and os.environ.get("MEMPROF_E2E_KEEP"):
            print(f"kept {self.work}", file=sys.stderr)
        else:
            shutil.rmtree(self.work, ignore_errors=True)

    def program(self, name):
        return os.path.join(self.build, "tests", "e2e", name)

    def library(self, name):
        return os.path.join(self.build, "tests", "e2e", f"lib{name}.so")

    def fresh(self, name):
        """A new empty directory below the scratch directory."""
        path = os.path.join(self.work, f"{name}.{self.runs}")
        self.runs += 1
        os.mkdir(path)
        return path

    def run(self, argv, env=None, cwd=None, timeout=120, fixed_addresses=False, prepare=None):
        """Runs without any preload of ours, in a clean environment; `prepare` is called in the
        process that becomes the program."""
        full = {k: v for k, v in os.environ.items()
                if not k.startswith(("MEMPROF_", "LD_", "COUNT_", "MALLOC_"))}
        full.update(env or {})
        with subprocess.Popen(argv, env=full, cwd=cwd or self.work,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE,
                              preexec_fn=fix_addresses if fixed_addresses else prepare) as process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise Failure(f"{argv[0]}: still running after {timeout} s") from None
        return Run(process, stdout, stderr, [])

    def record(self, argv, env=None, allocator=None, preload=None, **options):
        """Runs under the recorder; the traces are in a directory of their own."""
        directory = self.fresh("traces")
        library = preload or self.lib
        settings = {"LD_PRELOAD": f"{library} {allocator}" if allocator else library,
                    "MEMPROF_OUT": os.path.join(directory, "memprof.%e.%p.bin"),
                    "MEMPROF_QUIET": "1"}
        settings.update(env or {})
        run = self.run(argv, env=settings, **options)
        run.directory = directory
        run.traces = sorted(glob.glob(os.path.join(directory, "*")))
        return run

    def count(self, argv, env=None, **options):
        """Runs under the independent counter: the run, and the counts of each process."""
        directory = self.fresh("counts")
        settings = {"LD_PRELOAD": self.counter, "COUNT_OUT": os.path.join(directory, "count")}
        settings.update(env or {})
        run = self.run(argv, env=settings, **options)
        return run, read_counts(settings["COUNT_OUT"])

    def read(self, trace, expect=0, options=()):
        """The report of a trace, its invariants checked."""
        run = self.run([self.report_tool, "--format=json", "-n", "0", *options, trace])
        message = run.stderr.decode(errors="replace")
        check(run.status == expect, f"memprof-report {os.path.basename(trace)}: status "
              f"{run.status}, should be {expect}: {message}")
        try:
            report = json.loads(run.stdout)
        except ValueError as error:
            raise Failure(f"memprof-report's JSON: {error}") from None
        check_invariants(report)
        return report


def read_counts(prefix):
    """What the counter left in the files of that prefix, one dictionary a process."""
    counts = []
    for path in sorted(glob.glob(prefix + ".*")):
        with open(path, "rb") as file:
            words = struct.unpack(f"{len(COUNTS)}Q", file.read())
        counts.append(dict(zip(COUNTS, words)))
        equal("the counter's table overflowed", counts[-1]["table_full"], 0)
    return counts


def check_invariants(report):
    """What holds for every sound report, whatever was recorded."""
    equal("schema", report["schema"], "memprof-report/1")
    totals = report["totals"]
    for key in TOTALS:
        check(key in totals, f"totals lack {key}")
    for key in ("pid", "exe", "cmdline", "threads", "end"):
        check(key in report["process"], f"process lacks {key}")
    for site, total in SITE_SUMS.items():
        equal(f"sum of {site} over the sites", sum(s[site] for s in report["sites"]),
              totals[total])
    equal("allocations - frees", totals["allocations"] - totals["frees"],
          totals["live_blocks_end"])
    check(totals["peak_bytes"] >= totals["live_bytes_end"], "the end lies above the peak")


def sound(run, status=0, traces=1):
    """A recorded program that ended as it should and left so many traces."""
    check(run.status == status, f"the program's status is {run.status}, should be {status}; "
          f"stderr: {run.stderr.decode(errors='replace')[-500:]}")
    equal("stderr", run.stderr, b"")
    equal("number of traces", len(run.traces), traces)


def truth_of(text):
    try:
        return json.loads(text)
    except ValueError:
        raise Failure(f"the program did not state its truth: {text[:200]!r}") from None


def differences(got, truth, keys):
    unknown = truth.get("unknown", ())
    return [f"{key} is {got[key]}, truth {truth[key]} ({got[key] - truth[key]:+d})"
            for key in keys if key not in unknown and got[key] != truth[key]]


def own_sites(report, modules):
    """Sums over the sites whose innermost frame lies in one of the modules (base names)."""
    sums = dict.fromkeys(SITE_SUMS.values(), 0)
    for site in report["sites"]:
        module = site["stack"][0]["module"] if site["stack"] else None
        if module and os.path.basename(module) in modules:
            for key, total in SITE_SUMS.items():
                sums[total] += site[key]
    return sums


def compare_totals(totals, truth, baseline=None):
    """Totals equal the truth, after what start and end allocate is taken off. What the start
    allocates is held when the program's own calls peak, so peaks are taken off likewise."""
    keys = ADDITIVE + PEAK
    got = {key: totals[key] - (baseline[key] if baseline else 0) for key in keys}
    return differences(got, truth, keys)


def compare_sites(report, truth, modules):
    library = {"allocations": truth.get("library_allocations", 0),
               "bytes_allocated": truth.get("library_bytes", 0)}
    sums = own_sites(report, modules)
    for key, value in library.items():
        sums[key] += value
    return differences(sums, truth, ("allocations", "bytes_allocated", "live_bytes_end",
                                     "live_blocks_end"))


def compare(report, truth, modules, baseline=None, totals=True):
    problems = compare_totals(report["totals"], truth, baseline) if totals else []
    problems = [f"totals: {p}" for p in problems]
    problems += [f"own sites: {p}" for p in compare_sites(report, truth, modules)]
    if report["totals"]["lost_events"]:
        problems.append(f"lost_events is {report['totals']['lost_events']}")
    if "threads" in truth and report["process"]["threads"] != truth["threads"]:
        problems.append(f"threads is {report['process']['threads']}, truth {truth['threads']}")
    check(not problems, "\n".join(problems))


def frames_of(site):
    return [(f["function"], f["line"]) for f in site["stack"]]


def find_stack(report, expected):
    """The site whose innermost frames are exactly the expected (function, line) pairs."""
    wanted = [tuple(frame) for frame in expected]
    return [s for s in report["sites"] if frames_of(s)[:len(wanted)] == wanted]


def names_in_order(site, names):
    """Do the names occur in the stack, innermost first, others allowed in between?"""
    functions = iter(f["function"] or "" for f in site["stack"])
    return all(any(name == function for function in functions) for name in names)


def show(site):
    return " < ".join(f"{f['function'] or hex(f['offset'])}:{f['line']}"
                      for f in site["stack"][:12])
