"""The report and the plot in a hostile house: no memory, strange files, strange names, secrets."""

import csv
import ctypes
import io
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import threading
import time
import unicodedata
import xml.etree.ElementTree

from harness import Failure, Skip, check, equal

MB = 1 << 20

COMMANDS = {"text": ("memprof-report",), "json": ("memprof-report", "-f", "json"),
            "folded": ("memprof-report", "-f", "folded"), "svg": ("memprof-plot",),
            "csv": ("memprof-plot", "-f", "csv")}


def tool(bench, name, *options):
    """The argument vector of a format."""
    command, *more = COMMANDS[name]
    return [os.path.join(bench.build, "bin", command), *more, *options]


def small_trace(bench):
    run = bench.record([bench.program("small")])
    equal("status", run.status, 0)
    return run.traces[0]


# ---- memory ----

def alloc_fail(bench, name, *options):
    """Each allocation of a command fails in turn: the same output, or one line and status 2."""
    run = bench.run([*tool(bench, name, *options), small_trace(bench)],
                    env={"LD_PRELOAD": bench.library("alloc_fail")}, timeout=250)
    said = run.stdout.decode(errors="replace").strip()
    check(run.status == 0, said)
    return said


# ---- bombs ----

class Measured:
    """A command that was run: status, output, seconds of processor time, megabytes resident."""

    def __init__(self, argv, address_space=None, timeout=120):
        def limit():
            if address_space:
                resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       preexec_fn=limit)
            end = time.monotonic() + timeout
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() > end:
                    process.kill()
                    os.wait4(process.pid, 0)
                    raise Failure(f"{argv}: still running after {timeout} s")
                time.sleep(0.005)
            process.returncode = self.status = os.waitstatus_to_exitcode(status)
            self.stdout_bytes = out.tell()
            err.seek(0)
            self.stderr = err.read().decode(errors="replace")
        self.seconds = usage.ru_utime + usage.ru_stime
        self.megabytes = usage.ru_maxrss // 1024


# kind: status, megabytes at most, seconds at most
BOMBS = {"counts": (1, 64, 2), "inflate": (1, 128, 5), "chain": (1, 128, 10),
         "cycle": (1, 128, 10), "names": (0, 128, 5), "threads": (0, 128, 5),
         "rings": (1, 600, 10), "stages": (1, 600, 10)}


def bomb(bench, kind):
    """A small file that claims much: bounded memory and time, in every format."""
    trace = os.path.join(bench.work, "bomb")
    made = bench.run([os.path.join(bench.build, "tests", "bomb_trace"), kind, trace])
    equal("bomb_trace", made.status, 0)
    status, megabytes, seconds = BOMBS[kind]
    most = [0, 0]
    for name in COMMANDS:
        run = Measured([*tool(bench, name), trace], address_space=2048 * MB)
        check(run.status == status, f"{name}: status {run.status}, {run.stderr[:500]}")
        check(run.megabytes <= megabytes, f"{name}: {run.megabytes} MB")
        check(run.seconds <= seconds, f"{name}: {run.seconds:.1f} s")
        equal(f"{name}: lines on stderr", run.stderr.count("\n"), status)
        most = [max(most[0], run.megabytes), max(most[1], run.seconds)]
    return f"{os.path.getsize(trace) // 1024} KB: {most[0]} MB, {most[1]:.2f} s"


def bomb_blocks(bench):
    """Live blocks do cost memory: when there is no more, one line says so."""
    trace = os.path.join(bench.work, "bomb")
    bench.run([os.path.join(bench.build, "tests", "bomb_trace"), "blocks", trace])
    for name in ("text", "svg"):
        run = Measured([*tool(bench, name), trace], address_space=512 * MB)
        equal("status", run.status, 2)
        check("not enough memory" in run.stderr and run.stderr.count("\n") == 1, run.stderr)
        check(run.stdout_bytes == 0, "something was reported")


def own_limit(bench):
    """Without any limit set, the report takes no more than three quarters of the machine."""
    fifo = os.path.join(bench.work, "fifo")
    os.mkfifo(fifo)
    with subprocess.Popen([*tool(bench, "text"), "-o", fifo, small_trace(bench)],
                          stdin=subprocess.DEVNULL) as process:
        try:
            for _ in range(1000):  # it waits where it opens the FIFO
                with open(f"/proc/{process.pid}/limits", encoding="ascii") as file:
                    limits = [line.split() for line in file if line.startswith("Max data size")]
                if limits[0][3] != "unlimited":
                    break
                time.sleep(0.01)
        finally:
            process.kill()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    check(limits[0][3] != "unlimited" and int(limits[0][3]) <= memory * 3 / 4, limits)


def sparse(bench):
    """A file of terabytes with nothing in them is read as fast as a small one."""
    trace = small_trace(bench)
    os.truncate(trace, 4 << 40)
    run = Measured([*tool(bench, "json"), trace], timeout=60)
    equal("status", run.status, 0)
    check(run.seconds < 5, f"{run.seconds} s")


# ---- names ----

# What drives terminals, breaks lines, fields and markup, or deceives the reader.
HOSTILE = [b"\033]0;pwned\007", b"\033[2J\033[31mred", b"<script>alert(1)</script>", b"a\nb\rc\td",
           b"q\"uo'te\\back", b"\xff\xfe\xed\xa0\x80\xf4\x90\x80\x80", "\u202eevil\u2066\u200b".encode(),
           b"semi;colon 123", b"\xc2\x9b31m\xc2\x85", b"_Z<script>", b"%s%n%99999d", b"]]>&lt;<!--",
           b"=1+1", b"__\"><img src=x onerror=alert(1)>", b"\x7f\x08\x08\x08\x01", b"../../../etc"]
LONG = b"L" * 65536
SVG = "{http://www.w3.org/2000/svg}"
INERT = {SVG + name for name in ("svg", "title", "desc", "rect", "text", "line", "path", "circle",
                                 "g")}


def check_characters(name, text):
    """Nothing but what is seen as it stands, and line ends."""
    for character in set(text):
        check(character == "\n" or unicodedata.category(character) not in
              ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp"), f"{name}: {character!r} comes out raw")


def check_text(name, output, colour=False):
    text = output.decode("utf-8")
    if colour:
        check("\033[" in text, f"{name}: no colour at all")
        text = re.sub(r"\033\[[0-9;]*m", "", text)
    check_characters(name, text)


def check_json(name, output):
    text = output.decode("utf-8")
    check_characters(name, text)
    return json.loads(text)


def check_folded(name, output):
    text = output.decode("utf-8")
    check_characters(name, text)
    for line in text.splitlines():
        check(re.fullmatch(r"[^;]+(;[^;]+)* [0-9]+", line), f"{name}: {line[:300]!r}")
    return text.splitlines()


def check_svg(name, output):
    text = output.decode("utf-8")
    check_characters(name, text)
    for element in xml.etree.ElementTree.fromstring(text).iter():
        check(element.tag in INERT, f"{name}: <{element.tag}>")
        for key in element.attrib:
            check(not key.startswith("on") and "href" not in key and key != "style",
                  f"{name}: attribute {key}")


def check_csv(name, output):
    text = output.decode("utf-8")
    check_characters(name, text)
    for row in list(csv.reader(io.StringIO(text)))[1:]:
        check(len(row) == 4 and all(re.fullmatch(r"[0-9.]+", field) for field in row), row)


CHECKS = {"text": check_text, "json": check_json, "folded": check_folded, "svg": check_svg,
          "csv": check_csv}


def hostile_host():
    """In a namespace of its own, the host has a name that clears the screen."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x04000000) == 0:  # CLONE_NEWUTS
        name = b"host\033[2J<b>\"'\n\xff"
        libc.sethostname(name, len(name))


def build_names(bench):
    """A program and its library with a function and a source file of each hostile name; returns
    the program. The names are put in the place of others as long, after compiling."""
    names = [name.ljust(40, b"z") for name in HOSTILE] + [LONG]
    placeholders = [b"P%02d" % i + b"_" * (len(name) - 3) for i, name in enumerate(names)]
    source = b"#include <stdlib.h>\n#include <string.h>\n#include <sys/prctl.h>\n"
    for i, placeholder in enumerate(placeholders):
        source += (b'#line 1 "/src/' + placeholder[:200] + b'.c"\n'
                   b"static __attribute__((noinline)) void *%s(void)\n"
                   b"{ void *volatile p = malloc(%d); return p; }\n" % (placeholder, 1000 + i))
    source += b"void all(void) {" + b"".join(b"%s();" % p for p in placeholders) + b"}\n"
    main = (b'#include <sys/prctl.h>\nvoid all(void);\n'
            b'int main(void) { prctl(PR_SET_NAME, "\\033[2J<b>;\\n\\""); all(); return 0; }\n')
    folder = os.path.join(os.fsencode(bench.work), b"dir\033[2J<b>\"';\n\xff")
    os.mkdir(folder)
    library = os.path.join(folder, b"libmod\033]0;x\007<i>;&.so")
    program = os.path.join(folder, b"prog\033[7m<u>\n'\";\xff\xe2\x80\xae")
    flags = ["-O1", "-g", "-fno-builtin", "-fno-optimize-sibling-calls"]
    for code, output, more in ((source, library, ["-fPIC", "-shared", "-Wl,-soname,libnames.so"]),
                               (main, program, [b"-Wl,-rpath," + folder, library])):
        with open(os.path.join(bench.work, "names.c"), "wb") as file:
            file.write(code)
        built = bench.run(["cc", *flags, "names.c", "-o", output, *more])
        equal("cc " + built.stderr.decode(errors="replace")[:500], built.status, 0)
    os.symlink(library, os.path.join(folder, b"libnames.so"))
    with open(library, "r+b") as file:
        image = file.read()
        for name, placeholder in zip(names, placeholders):
            check(placeholder in image, "the compiler dropped a name")
            image = image.replace(placeholder, name)
            image = image.replace(placeholder[:200] + b".c", name[:200] + b".c")
        file.seek(0)
        file.write(image)
    return program


def record_names(bench):
    """The trace of the program with hostile names, arguments, thread and host."""
    if not shutil.which("cc"):
        raise Skip("no compiler here")
    program = build_names(bench)
    arguments = [name for name in HOSTILE] + [LONG]
    folder = os.fsencode(bench.fresh("traces"))
    run = bench.run([program, *arguments], prepare=hostile_host,
                    env={"LD_PRELOAD": bench.lib,
                         "MEMPROF_OUT": os.path.join(folder, b"memprof.%e.bin")})
    equal("status", run.status, 0)
    check_text("the recorder's lines", run.stderr)
    equal("its lines", run.stderr.count(b"\n"), 3)
    return os.path.join(folder, os.listdir(folder)[0])


def names(bench):
    """Hostile names of everything come out harmless in every format, and are all there."""
    trace = record_names(bench)
    outputs = {}
    for name, verify in CHECKS.items():
        for options in ((), ("--confidential",), ("-n", "0"), ("--no-symbols",)):
            if name == "svg" and options == ("-n", "0"):
                options = ("--by-stack",)
            run = bench.run([*tool(bench, name), *options, trace])
            equal(f"{name} {options}", (run.status, run.stderr), (0, b""))
            outputs[name, options] = verify(f"{name} {options}", run.stdout)
    run = bench.run([*tool(bench, "text"), "--color=always", "--full-stacks", "-n", "0", trace])
    check_text("text in colour", run.stdout, colour=True)
    functions = {frame["function"] for site in outputs["json", ("-n", "0")]["sites"]
                 for frame in site["stack"]}
    for wanted in (HOSTILE[2].decode(), HOSTILE[4].decode(), HOSTILE[0].decode()):
        check(any(f and f.startswith(wanted) for f in functions), f"{wanted!r} is not in the JSON")
    equal("sites in the folded stacks", len(outputs["folded", ("-n", "0")]),
          sum(site["peak_bytes"] > 0 for site in outputs["json", ("-n", "0")]["sites"]))


def messages(bench):
    """What the commands say about files of hostile names."""
    for name in HOSTILE:
        path = os.path.join(os.fsencode(bench.fresh("file")), name.replace(b"/", b"_"))
        with open(path, "wb") as file:
            file.write(b"no trace")
        for format_ in COMMANDS:
            run = bench.run([*tool(bench, format_), path])
            equal("status", run.status, 2)
            check_text(f"{name!r}", run.stderr)
            equal("lines", run.stderr.count(b"\n"), 1)
    for option in ("--format", "--sysroot", "--sort", "--fail-if", "--"):
        run = bench.run([*tool(bench, "text"), option.encode() + b"=\033[2J\n\xff"])
        check_text(option, run.stderr)


# ---- files ----

def cut_module(bench):
    """A program that is cut and written again while its symbols are read: no SIGBUS."""
    program = os.path.join(bench.work, "program")
    shutil.copy(bench.program("small"), program)
    trace = bench.record([program]).traces[0]
    with open(program, "rb") as file:
        whole = file.read()
    stop = threading.Event()

    def cut():
        with open(program, "r+b", buffering=0) as file:
            while not stop.is_set():
                file.truncate(4096)
                time.sleep(0.0005)
                file.seek(0)
                file.write(whole)
                time.sleep(0.004)

    thread = threading.Thread(target=cut)
    thread.start()
    statuses = {0: 0, 2: 0}
    try:
        for _ in range(300):
            if statuses[2] == 5:
                break
            run = bench.run([*tool(bench, "text"), trace])
            check(run.status in statuses, f"status {run.status}: {run.stderr[:200]}")
            equal("lines on stderr", run.stderr.count(b"\n"), run.status // 2)
            statuses[run.status] += 1
    finally:
        stop.set()
        thread.join()
    if not statuses[2]:
        raise Skip("it was never met half-way")
    return f"{statuses[2]} of {sum(statuses.values())} runs met it"


def cut_trace(bench):
    """A trace that gets shorter, longer or other while it is read: status 0, 1 or 2, no signal."""
    run = bench.record([bench.program("threads"), "4"])
    equal("status", run.status, 0)
    with open(run.traces[0], "rb") as file:
        whole = file.read()
    stop = threading.Event()

    def cut():
        step = 0
        with open(run.traces[0], "r+b", buffering=0) as file:
            while not stop.is_set():
                step += 1
                file.truncate(step * 7919 % len(whole))
                file.seek(0)
                file.write(whole)

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        for _ in range(60):
            read = bench.run([*tool(bench, "json"), "--no-symbols", run.traces[0]])
            check(read.status in (0, 1, 2), f"status {read.status}")
            if read.status != 2:
                json.loads(read.stdout)
    finally:
        stop.set()
        thread.join()


def no_files(bench):
    """What is no regular file with a trace in it is refused with one line, at once."""
    empty, fifo, link = (os.path.join(bench.work, name) for name in ("empty", "fifo", "link"))
    with open(empty, "wb"):
        pass
    os.mkfifo(fifo)
    os.symlink(fifo, link)
    trace = small_trace(bench)
    paths = [empty, fifo, link, bench.work, "/dev/zero", "/dev/null", "/dev/tty", "/dev/stdin",
             "/proc/self/mem", "/proc/kmsg", "/proc/self/maps", "/etc/passwd", "/nonexistent",
             os.path.join(trace, "below"), "x" * 5000, bench.lib]
    for path in paths:
        for name in COMMANDS:
            run = Measured([*tool(bench, name), path], timeout=20)
            equal(f"{path[:60]}: status", run.status, 2)
            equal(f"{path[:60]}: lines", run.stderr.count("\n"), 1)
            check(run.seconds < 2 and run.megabytes < 64, path)


def truncated_output(bench):
    """Output that cannot be written is said, never taken for a report."""
    trace = small_trace(bench)
    for name in COMMANDS:
        run = bench.run([*tool(bench, name), "-o", "/dev/full", *(["-f", "svg"] if name == "svg"
                                                                   else []), trace])
        equal(f"{name}: status", run.status, 2)
        equal(f"{name}: lines", run.stderr.count(b"\n"), 1)


# ---- secrets ----

SECRET = "XyzzySecret"


def secret_host():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x04000000) == 0:  # CLONE_NEWUTS
        libc.sethostname(SECRET.encode(), len(SECRET))


def record_secret(bench):
    """A program whose folders, arguments, environment and host are secret; functions are not."""
    folder = os.path.join(bench.work, f"{SECRET} in folder")
    source = os.path.join(folder, "source")
    os.makedirs(source)
    with open(os.path.join(source, "plug.c"), "w", encoding="ascii") as file:
        file.write("#include <stdlib.h>\nvoid *plug(void) { void *volatile p = malloc(77);"
                   " return p; }\n")
    with open(os.path.join(source, "main.cc"), "w", encoding="ascii") as file:
        file.write("#include <algorithm>\n#include <cstdlib>\n#include <sys/mman.h>\n"
                   'extern "C" void *plug(void);\n'
                   "template <class F> __attribute__((noinline)) void *call(F f) { return f(); }\n"
                   "int main() {\n  plug();\n"
                   "  call([] { void *volatile p = std::malloc(99); return p; });\n"
                   "  mmap(0, 8192, 3, 34, -1, 0);\n  void *volatile bad = new int[3];\n"
                   "  std::free(bad);\n}\n")
    compilers = ["clang", "clang++"] if shutil.which("clang++") else ["cc", "c++"]
    program = os.path.join(folder, "program")
    for argv in ([compilers[0], "-g", "-O0", "-fPIC", "-shared", os.path.join(source, "plug.c"), "-o",
                  os.path.join(folder, "libplug.so")],
                 [compilers[1], "-g", "-O0", os.path.join(source, "main.cc"), "-o", program,
                  os.path.join(folder, "libplug.so"), f"-Wl,-rpath,{folder}"]):
        built = bench.run(argv)
        if built.status:
            raise Skip("no compiler here: " + built.stderr.decode(errors="replace")[:200])
    trace = os.path.join(folder, f"{SECRET}.bin")
    run = bench.run([program, SECRET, f"--password={SECRET}"], cwd=folder, prepare=secret_host,
                    env={"LD_PRELOAD": bench.lib, "MEMPROF_OUT": trace, "MEMPROF_QUIET": "1",
                         "TOKEN": SECRET})
    equal("status", run.status, 0)
    return trace, folder


def confidential(bench):
    """--confidential lets no folder, argument or host out, in any format, with symbols or without,
    with files there or gone; without it they are told, so the test can fail."""
    trace, folder = record_secret(bench)
    told = set()
    variants = ((), ("--no-symbols",), ("-n", "0"), ("--by-stack",))
    for gone in (False, True):
        if gone:  # what is missing is named in warnings
            os.remove(os.path.join(folder, "libplug.so"))
        for name in COMMANDS:
            more = (("--full-stacks", "--color=always"), ("--section=warnings,maps,leaks",)) \
                if name == "text" else ()
            for options in variants + more:
                if name in ("svg", "csv") and options == ("-n", "0"):
                    continue
                argv = [*tool(bench, name), *options]
                if SECRET.encode() in bench.run([*argv, trace]).stdout:
                    told.add(name)
                run = bench.run([*argv, "--confidential", trace])
                equal(f"{name} {options}: status", run.status, 0)
                check(SECRET.encode() not in run.stdout, f"{name} {options}: the secret is out")
                if not gone and name in ("text", "json", "folded") and "--no-symbols" not in argv:
                    check(b"plug" in run.stdout or "warnings" in str(options),
                          f"{name} {options}: functions are gone")
    equal("formats that tell it otherwise", told - {"folded"}, {"text", "json", "svg"})


def content(bench):
    """A trace, compressed or not, holds nothing of what the program's memory held."""
    for compress in ("zstd", "none"):
        word = f"Xyzzy{compress}Content"
        trace = os.path.join(bench.work, f"content{compress}")
        env = {"LD_PRELOAD": bench.lib, "MEMPROF_OUT": trace, "MEMPROF_QUIET": "1",
               "MEMPROF_COMPRESS": compress, "TOKEN": word}
        run = subprocess.run([bench.program("marked")], input=word.encode(), env=env, check=False,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        equal("status", (run.returncode, run.stderr), (0, b""))
        with open(trace, "rb") as file:
            image = file.read()
        check(b"marked" in image, "this is no trace of the program")
        # Eight bytes of it in a row, at any of its places, in any word or column.
        for at in range(len(word)):
            piece = (word * 2)[at:at + 8].encode()
            for part in (piece, piece[::-1]):
                check(part not in image, f"{part!r} is in the trace (compress={compress})")


# ---- sanitizers ----

SANITIZED = {"memprof-report": "report_sanitized", "memprof-plot": "plot_sanitized"}


def sanitized(bench):
    """The commands built with ASan, UBSan and LSan say the same of recorded traces, whole, killed
    and cut ones, in every format."""
    traces = [small_trace(bench)]
    for program, *arguments in (("mix", "3000"), ("threads", "2"), ("templates",), ("news",),
                                ("exceptions",), ("loads",), ("forks",)):
        traces += bench.record([bench.program(program), *arguments]).traces[:1]
    with open(traces[1], "rb") as file:
        image = file.read()
    for cut in (len(image) // 3, len(image) - 5000):
        traces.append(os.path.join(bench.work, f"cut{cut}"))
        with open(traces[-1], "wb") as file:
            file.write(image[:cut])
    runs = 0
    for trace in traces:
        for name in COMMANDS:
            plain = tool(bench, name, "-n", "20")
            twin = [os.path.join(bench.build, "tests", SANITIZED[os.path.basename(plain[0])]),
                    *plain[1:]]
            want, got = bench.run([*plain, trace]), bench.run([*twin, trace])
            message = got.stderr.decode(errors="replace")
            equal(f"{name} {trace}: {message[:2000]}: status", got.status, want.status)
            check(want.status in (0, 1), f"{trace}: {want.stderr}")
            check(got.stdout == want.stdout, f"{name} {trace}: another output")
            runs += 1
    return f"{len(traces)} traces, {runs} runs"


CASES = {
    **{f"reader.alloc_fail.{name}": lambda bench, name=name: alloc_fail(bench, name, "--no-symbols")
       for name in COMMANDS if name != "csv"},
    "reader.alloc_fail.csv": lambda bench: alloc_fail(bench, "csv"),
    "reader.alloc_fail.symbols": lambda bench: alloc_fail(bench, "text"),
    **{f"reader.bomb.{kind}": lambda bench, kind=kind: bomb(bench, kind) for kind in BOMBS},
    "reader.bomb.blocks": bomb_blocks,
    "reader.bomb.limit": own_limit,
    "reader.bomb.sparse": sparse,
    "reader.files.cut_module": cut_module,
    "reader.files.cut_trace": cut_trace,
    "reader.files.no_files": no_files,
    "reader.files.full_disk": truncated_output,
    "reader.secrets.confidential": confidential,
    "reader.secrets.content": content,
    "reader.sanitized": sanitized,
    "reader.names.all": names,
    "reader.names.messages": messages,
}
