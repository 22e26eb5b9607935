"""The commands on a real trace: what a user types, and what happens when the input is not one."""

import csv
import io
import os
import xml.etree.ElementTree

from harness import check, equal, sound

SVG_LIMIT = 200 * 1024


def recorded_mix(bench):
    run = bench.record([bench.program("mix"), "100000"])
    sound(run)
    return run.traces[0]


def plot(bench, trace, *options):
    return bench.run([os.path.join(bench.build, "bin", "memprof-plot"), *options, trace])


def plot_csv(bench):
    """The table's last row is the end, and the peak is in it to the byte."""
    trace = recorded_mix(bench)
    totals = bench.read(trace)["totals"]
    run = plot(bench, trace, "--format=csv")
    equal("status", run.status, 0)
    rows = list(csv.DictReader(io.StringIO(run.stdout.decode())))
    equal("columns", list(rows[0]), ["time_s", "live_bytes", "live_blocks", "rss_bytes"])
    times = [float(r["time_s"]) for r in rows]
    equal("times in order", times, sorted(times))
    equal("live bytes in the last row", int(rows[-1]["live_bytes"]), totals["live_bytes_end"])
    equal("live blocks in the last row", int(rows[-1]["live_blocks"]), totals["live_blocks_end"])
    equal("highest live bytes", max(int(r["live_bytes"]) for r in rows), totals["peak_bytes"])


def plot_svg(bench):
    """A sound picture below the size limit, with the command line in it."""
    picture = os.path.join(bench.work, "use.svg")
    run = plot(bench, recorded_mix(bench), "-o", picture)
    equal("status", run.status, 0)
    equal("stderr", run.stderr, b"")
    check(os.path.getsize(picture) < SVG_LIMIT, f"{os.path.getsize(picture)} bytes of SVG")
    with open(picture, encoding="utf-8") as file:
        text = file.read()
    check(xml.etree.ElementTree.fromstring(text).tag.endswith("svg"), "not an SVG document")
    check("mix" in text, "the command line is not in the picture")


def newest(bench):
    """Without a file: the newest memprof.*.bin of the directory."""
    directory = bench.fresh("newest")
    for program in ("mix", "stacks"):
        bench.record([bench.program(program)],
                     env={"MEMPROF_OUT": os.path.join(directory, "memprof.%e.%p.bin")})
    run = bench.run([bench.report_tool, "--format=json"], cwd=directory)
    equal("status", run.status, 0)
    traces = sorted(os.listdir(directory))
    names = [b"".join(word.encode() for word in traces if f".{program}." in word)
             for program in ("mix", "stacks")]
    sizes = [os.path.getsize(os.path.join(directory, name.decode())) for name in names]
    largest = b"; the largest is " + names[0] if sizes[0] > sizes[1] else b""
    equal("stderr", run.stderr,
          b"memprof-report: reading " + names[1] + b", the newest of 2" + largest + b"\n")
    check(b'e2e/stacks"' in run.stdout, "the report is not of the newest trace")
    run = bench.run([bench.report_tool], cwd=bench.fresh("empty"))
    equal("status in an empty directory", run.status, 2)


def text_report(bench):
    """The text names the heaviest site, and has colour neither in a pipe nor by NO_COLOR."""
    run = bench.run([bench.report_tool, recorded_mix(bench)], env={"NO_COLOR": "1"})
    equal("status", run.status, 0)
    equal("stderr", run.stderr, b"")
    check(b"mix.c" in run.stdout, "no source line in the text")
    check(b"\x1b" not in run.stdout, "escape sequences in a pipe")


def bad_input(bench):
    """One line that says what is wrong, the right status, never a crash."""
    trace = recorded_mix(bench)
    with open(trace, "rb") as file:
        data = file.read()
    cases = {"text": b"not a trace\n" * 1000, "empty": b"", "zeros": bytes(8192)}
    for name, content in cases.items():
        path = os.path.join(bench.work, name)
        with open(path, "wb") as file:
            file.write(content)
        refused(bench, [path], name)
    refused(bench, [os.path.join(bench.work, "missing")], "missing")
    refused(bench, [bench.work], "a directory")
    refused(bench, ["--no-such-option", trace], "--no-such-option")
    refused(bench, ["--format=pdf", trace], "--format=pdf")
    for number in ("--points=0", "--points=1000001", "--width=0", "--height=0", "--top=21"):
        run = bench.run([os.path.join(bench.build, "bin", "memprof-plot"), number, trace])
        equal(f"{number}: status", run.status, 2)
        check(run.stderr.startswith(b"memprof-plot: --"), f"{number}: stderr is {run.stderr}")
    run = bench.run([bench.report_tool, "--sysroot=/nonexistent", trace])
    equal("--sysroot=/nonexistent: status", run.status, 0)
    equal("--sysroot=/nonexistent: stderr", run.stderr, b"memprof-report: --sysroot: /nonexistent: "
          b"there is no such folder: no symbols will be found\n")
    for length in (100, 4096, len(data) // 3, len(data) * 2 // 3, len(data) - 1000):
        path = os.path.join(bench.work, f"cut{length}")
        with open(path, "wb") as file:
            file.write(data[:length])
        bench.read(path, expect=1)


def refused(bench, arguments, what):
    for tool in ("memprof-report", "memprof-plot"):
        run = bench.run([os.path.join(bench.build, "bin", tool), *arguments])
        equal(f"{tool}, {what}: status", run.status, 2)
        lines = run.stderr.decode().splitlines()
        check(lines and lines[0].startswith(f"{tool}: "), f"{tool}, {what}: stderr is {lines}")
        equal(f"{tool}, {what}: lines on stderr", len(lines), 1)
        equal(f"{tool}, {what}: stdout", run.stdout, b"")


CASES = {
    "tools.plot_csv": plot_csv,
    "tools.plot_svg": plot_svg,
    "tools.newest": newest,
    "tools.text_report": text_report,
    "tools.bad_input": bad_input,
}
