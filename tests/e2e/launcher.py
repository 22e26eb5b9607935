"""What `memprof run` promises whoever starts it: launcher.py MEMPROF CC, a unittest.

The traces are looked at with a reader of a few header fields only (docs/trace-format.md), so that
these tests depend on nothing but the launcher and the recorder.
"""
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

MEMPROF, CC = sys.argv[1], sys.argv[2]
END_NONE, END_EXIT, END_EXEC, END_SIGNAL = range(4)


def trace_header(path):
    head = pathlib.Path(path).read_bytes()[:4096]
    return {"magic": head[:8], "pid": struct.unpack_from("=I", head, 72)[0],
            "end": struct.unpack_from("=I", head, 160)[0],
            "end_status": struct.unpack_from("=i", head, 164)[0],
            "end_clock": struct.unpack_from("=QQ", head, 168),
            "end_events": struct.unpack_from("=Q", head, 232)[0]}


class Launcher(unittest.TestCase):
    def setUp(self):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="memprof-launcher."))
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("MEMPROF_") and name != "LD_PRELOAD"}

    def start(self, *arguments, memprof=MEMPROF, **options):
        environment = {**self.environment, **options.pop("env", {})}
        return subprocess.Popen([memprof, *arguments], cwd=self.place, env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def run_it(self, *arguments, **options):
        process = self.start(*arguments, **options)
        process.out, process.err = process.communicate(timeout=60)
        return process

    def traces(self):
        return sorted(self.place.glob("*.bin"))

    def compile(self, name, source, *flags):
        subprocess.run([CC, "-xc", "-", "-o", self.place / name, *flags], input=source, text=True,
                       check=True)
        return f"./{name}"

    def script(self, name, text):
        (self.place / name).write_text(text)
        (self.place / name).chmod(0o755)
        return f"./{name}"

    def install_copy(self, where, library=None):
        """A copy of the launcher and the recorder, as if installed under `where`."""
        place = self.place / where
        (place / "bin").mkdir(parents=True)
        (place / "lib").mkdir()
        shutil.copy2(MEMPROF, place / "bin" / "memprof")
        own = pathlib.Path(MEMPROF).resolve().parent.parent / "lib" / "libmemprof.so"
        shutil.copy2(library or own, place / "lib" / "libmemprof.so")
        return str(place / "bin" / "memprof")

    def assert_refused(self, process, status, *words):
        self.assertEqual(process.returncode, status, process.err)
        lines = process.err.splitlines()
        self.assertEqual(len(lines), 1, process.err)
        self.assertTrue(lines[0].startswith("memprof: "), process.err)
        for word in words:
            self.assertIn(word, lines[0])
        self.assertEqual(process.out, "")
        self.assertEqual(self.traces(), [])

    # how it ends

    def test_exit_status_is_passed_on(self):
        for status in (0, 1, 7, 126, 127, 255):
            process = self.run_it("run", "-q", "sh", "-c", f"exit {status}")
            self.assertEqual(process.returncode, status)
            self.assertEqual(process.err, "")
        for trace in self.traces():
            self.assertEqual(trace_header(trace)["end"], END_EXIT)
        self.assertEqual(len(self.traces()), 6)

    def test_death_by_signal_is_passed_on_and_written_down(self):
        for name in ("KILL", "SEGV", "TERM", "ABRT", "INT", "USR1"):
            number = getattr(signal, f"SIG{name}")
            process = self.run_it("run", "-o", f"{name}.bin", "--", "sh", "-c",
                                  f"ulimit -c 0; kill -{name} $$")
            self.assertEqual(process.returncode, -number, process.err)
            header = trace_header(self.place / f"{name}.bin")
            self.assertEqual((header["end"], header["end_status"]), (END_SIGNAL, number))
            tick, monotonic = header["end_clock"]
            self.assertGreater(tick, 0)
            self.assertLess(abs(time.monotonic_ns() - monotonic), 60e9)
            self.assertIn(f"was killed by signal {int(number)},", process.err)
            trace = os.path.realpath(self.place / f"{name}.bin")
            self.assertIn(f"in {trace} (", process.err)
            self.assertIn(f"memprof-report {trace}\n", process.err)

    def test_closing_lines_for_a_program_that_closed_its_stderr(self):
        """The launcher's are the recorder's own, with the same figures written alike. How many
        samples of the resident size are among the events is a matter of time."""
        program = self.compile("program", "#include <stdlib.h>\n#include <unistd.h>\n"
                               "int main(int argc, char **argv) {\n"
                               "  for (int i = 0; i < 1234; i++) *(void *volatile *)argv = malloc(9);"
                               "\n  return argc > 1 ? close(2) : 0; }", "-O0")
        path = os.path.dirname(MEMPROF) + ":" + os.environ["PATH"]
        said = []
        for arguments in ([], ["close"]):
            process = self.run_it("run", "-o", "t.bin", program, *arguments, memprof="memprof",
                                  env={"PATH": path})
            self.assertEqual(process.returncode, 0)
            events = f"memprof: {trace_header(self.place / 't.bin')['end_events']:,} events, "
            self.assertIn(events, process.err)
            said.append(re.sub(r"RSS [\d.]+", "RSS", process.err.replace(events, "EVENTS ")))
        self.assertRegex(said[0], r"EVENTS .* 1,2\d\d blocks live at end\n"
                         rf"memprof: next: memprof-report {os.path.realpath(self.place)}/t.bin\n$")
        self.assertEqual(said[0], said[1])

    def test_quiet_after_a_kill(self):
        process = self.run_it("run", "--quiet", "sh", "-c", "kill -9 $$")
        self.assertEqual((process.returncode, process.err, process.out), (-9, "", ""))
        self.assertEqual(trace_header(self.traces()[0])["end"], END_SIGNAL)

    def test_killed_after_exec_marks_the_last_program(self):
        process = self.run_it("run", "sh", "-c", "exec python3 -c "
                              "'import os; os.kill(os.getpid(), 9)'")
        self.assertEqual(process.returncode, -9, process.err)
        ends = {trace.name.split(".")[1][:2]: trace_header(trace)["end"]
                for trace in self.traces()}
        self.assertEqual(ends.get("py"), END_SIGNAL, ends)
        self.assertIn(ends.get(os.path.basename(os.path.realpath("/bin/sh"))[:2]),
                      (END_EXEC, None), ends)

    def test_end_past_libc_is_written_down(self):
        program = self.compile("past", """
            #include <stdlib.h>
            #include <sys/syscall.h>
            #include <unistd.h>
            int main(void) { return malloc(10) ? (int)syscall(SYS_exit_group, 9) : 1; }""")
        process = self.run_it("run", program)
        self.assertEqual(process.returncode, 9, process.err)
        header = trace_header(self.traces()[0])
        self.assertEqual((header["end"], header["end_status"]), (END_EXIT, 9))
        self.assertIn("memprof-report ", process.err)
        self.assertNotIn("killed", process.err)

    def test_next_command_is_quoted_for_the_shell(self):
        process = self.run_it("run", "-o", "it's a trace.bin", "sh", "-c", "kill -9 $$")
        place = os.path.realpath(self.place)
        self.assertIn(f"memprof-report '{place}/it'\\''s a trace.bin'\n", process.err)

    def test_next_command_can_be_run(self):
        """Whoever tells it, from where the user stands, whatever PATH is."""
        for script in ("exit 0", "exec 2>&-", "kill -9 $$"):
            for path in ("", os.path.dirname(MEMPROF) + ":"):
                process = self.run_it("run", "-o", "t.bin", "sh", "-c", script,
                                      env={"PATH": path + os.environ["PATH"]})
                line = process.err.split("memprof: next: ")[1].split("\n")[0]
                moved = process.err.split(": it is ")
                if not path and script == "exit 0":
                    line = line.replace("memprof-report", moved[1].strip(), 1)
                else:
                    self.assertEqual(len(moved), 1, process.err)
                report = subprocess.run(["sh", "-c", line], cwd="/", capture_output=True,
                                        env={"PATH": path + os.environ["PATH"]}, check=False)
                self.assertEqual(report.returncode, 0, (line, report.stderr))

    # signals

    def start_and_wait(self, script, *options, **more):
        process = self.start("run", "-q", *options, "sh", "-c", script, **more)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def test_signals_to_the_launcher_are_forwarded(self):
        for name in ("TERM", "HUP", "USR1", "USR2", "ALRM"):
            process = self.start_and_wait(
                f"trap 'echo {name}; exit 3' {name}; echo ready; while :; do sleep 0.05; done")
            process.send_signal(getattr(signal, f"SIG{name}"))
            out, _ = process.communicate(timeout=30)
            self.assertEqual((process.returncode, out), (3, f"{name}\n"))

    def test_keyboard_signals_are_the_programs_own(self):
        process = self.start_and_wait("echo ready; sleep 0.5; exit 4")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGQUIT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 4)

    def test_keyboard_interrupt_of_the_group_ends_both(self):
        process = self.start_and_wait("echo ready; exec sleep 30", start_new_session=True)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, -signal.SIGINT)

    def state(self, pid):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    def test_stop_and_continue(self):
        process = self.start_and_wait("echo ready; sleep 0.3; exit 5", process_group=0)
        os.killpg(process.pid, signal.SIGTSTP)
        for _ in range(100):
            if self.state(process.pid) == "T":
                break
            time.sleep(0.02)
        self.assertEqual(self.state(process.pid), "T")
        os.killpg(process.pid, signal.SIGCONT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 5)

    def test_signal_state_of_the_program_is_what_it_was(self):
        show = ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]

        def strange():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])

        for prepare in (None, strange):
            bare = subprocess.run(show, capture_output=True, text=True, check=True,
                                  preexec_fn=prepare)
            process = self.run_it("run", "-q", *show, preexec_fn=prepare)
            self.assertEqual(process.returncode, 0, process.err)
            self.assertEqual(process.out, bare.stdout)

    # what the program gets

    def test_arguments_arrive_as_they_are(self):
        words = ["", " ", "a b", "'", '"', "*", "$HOME", "-o", "--", "\\", "new\nline", "\xff\u20ac"]
        process = self.run_it("run", "-q", "--", "python3", "-c",
                              "import sys; print(ascii(sys.argv[1:]))", *words)
        self.assertEqual(process.out, ascii(words) + "\n")

    def test_options_end_at_the_program(self):
        process = self.run_it("run", "-q", "echo", "--depth=0", "-o", "x")
        self.assertEqual((process.returncode, process.out), (0, "--depth=0 -o x\n"))

    def test_input_and_output_pass_through(self):
        text = "x" * 300000
        process = self.start("run", "-q", "cat", stdin=subprocess.PIPE)
        out, err = process.communicate(text, timeout=60)
        self.assertEqual((out, err, process.returncode), (text, "", 0))

    def test_each_option_sets_its_variable(self):
        table = {
            "--out=t.%p.bin": "MEMPROF_OUT=t.%p.bin", "--children": "MEMPROF_CHILDREN=1",
            "--no-children": "MEMPROF_CHILDREN=0", "--depth=17": "MEMPROF_DEPTH=17",
            "--unwind=fp": "MEMPROF_UNWIND=fp", "--sample=0": "MEMPROF_SAMPLE=0",
            "--mmap": "MEMPROF_MMAP=1", "--no-mmap": "MEMPROF_MMAP=0",
            "--compress=none": "MEMPROF_COMPRESS=none", "--dormant": "MEMPROF_START=0",
        }
        for option, variable in table.items():
            process = self.run_it("run", option, "--quiet", "env")
            lines = process.out.splitlines()
            self.assertIn(variable, lines, process.err)
            self.assertIn("MEMPROF_QUIET=1", lines)
        lines = self.run_it("run", "-q", "-d", "5", "-ut.%p", "env").err
        self.assertIn("MEMPROF_UNWIND=t.%p", lines)

    def test_preloads_that_are_there_stay_after_the_recorder(self):
        show = ["sh", "-c", "echo $LD_PRELOAD"]
        alone = self.run_it("run", "-q", *show).out.strip()
        self.assertTrue(alone.endswith("/libmemprof.so"), alone)
        process = self.run_it("run", "-q", *show, env={"LD_PRELOAD": "libm.so.6 libdl.so.2"})
        self.assertEqual(process.out.strip(), f"{alone}:libm.so.6 libdl.so.2", process.err)

    def test_a_recorder_that_is_there_is_not_added_again(self):
        process = self.run_it("run", "-q", MEMPROF, "run", "-q", "sh", "-c", "echo $LD_PRELOAD")
        self.assertEqual(process.out.count("libmemprof.so"), 1, process.out + process.err)

    def test_library_path_with_space_and_colon(self):
        temporary = self.place / "tmp"
        temporary.mkdir()
        memprof = self.install_copy("a place: odd")
        process = self.run_it("run", "-q", "sh", "-c", "exit 6", memprof=memprof,
                              env={"TMPDIR": str(temporary)})
        self.assertEqual((process.returncode, process.err), (6, ""))
        self.assertEqual(len(self.traces()), 1)
        self.assertEqual(list(temporary.iterdir()), [])

    def test_installed_tree_works(self):
        memprof = self.install_copy("installed")
        process = self.run_it("run", "-q", "true", memprof=memprof)
        self.assertEqual((process.returncode, process.err), (0, ""))
        self.assertEqual(len(self.traces()), 1)

    def test_library_missing(self):
        memprof = self.install_copy("broken")
        (self.place / "broken/lib/libmemprof.so").unlink()
        process = self.run_it("run", "true", memprof=memprof)
        if process.returncode != 0:  # 0: one is installed on this machine
            self.assert_refused(process, 2, "libmemprof.so", "build or install")

    # what cannot be recorded

    def test_missing_program(self):
        self.assert_refused(self.run_it("run", "no-such-program"), 127, "no such program in PATH")
        self.assert_refused(self.run_it("run", "./no-such"), 127, "no such program")
        self.assert_refused(self.run_it("run", ""), 127, "no such program")

    def test_not_executable(self):
        (self.place / "text").write_text("x")
        self.assert_refused(self.run_it("run", "./text"), 126, "./text", "not executable")
        self.assert_refused(self.run_it("run", "/"), 126, "directory")

    def test_static_programs(self):
        for flag in ("-static", "-static-pie"):
            program = self.compile("static", "int main(void) { return 0; }", flag)
            self.assert_refused(self.run_it("run", program), 2, "./static is statically linked",
                                "LD_PRELOAD has no effect")

    def test_script_of_a_static_interpreter(self):
        self.compile("static", "int main(void) { return 0; }", "-static")
        script = self.script("script", f"#! {self.place}/static -x\n")
        self.assert_refused(self.run_it("run", script), 2, "runs the script ./script",
                            "statically linked")

    def test_scripts(self):
        script = self.script("script", "#!/bin/sh\necho from $0 $1\nexit 9\n")
        process = self.run_it("run", "-q", script, "word")
        self.assertEqual((process.returncode, process.out), (9, "from ./script word\n"))
        script = self.script("plain", "echo plain\n")
        process = self.run_it("run", "-q", script)
        self.assertEqual((process.returncode, process.out), (0, "plain\n"))

    def test_script_without_its_interpreter(self):
        script = self.script("script", "#!/no/such/interpreter\n")
        self.assert_refused(self.run_it("run", script), 127, "/no/such/interpreter")

    def elf_copy(self, name, offset, value):
        """true(1) with bytes of its ELF header changed."""
        image = bytearray(pathlib.Path(shutil.which("true")).read_bytes())
        image[offset:offset + len(value)] = value
        (self.place / name).write_bytes(image)
        (self.place / name).chmod(0o755)
        return f"./{name}"

    def test_32_bit_and_foreign_programs(self):
        self.assert_refused(self.run_it("run", self.elf_copy("small", 4, b"\1")), 2,
                            "./small is a 32-bit program")
        self.assert_refused(self.run_it("run", self.elf_copy("other", 18, b"\xf3\0")), 2,
                            "./other is for another kind of machine")

    def test_damaged_programs_do_no_harm(self):
        whole = pathlib.Path(shutil.which("true")).read_bytes()
        for length in (4, 20, 63, 64, 100, 500, 3000):
            (self.place / "cut").write_bytes(whole[:length])
            (self.place / "cut").chmod(0o755)
            process = self.run_it("run", "./cut")
            self.assertNotEqual(process.returncode, 0)
            self.assertEqual(process.returncode < 0, "was killed" in process.err or
                             "no trace of" in process.err, process.err)

    @unittest.skipIf(os.geteuid() != 0, "giving a file away takes root")
    def test_setuid_program(self):
        shutil.copy2(shutil.which("true"), self.place / "own")
        (self.place / "own").chmod(0o4755)
        process = self.run_it("run", "-q", "./own")  # root's own: gains nothing
        self.assertEqual((process.returncode, process.err), (0, ""))
        for trace in self.traces():
            trace.unlink()
        os.chown(self.place / "own", 65534, 65534)
        (self.place / "own").chmod(0o4755)
        self.assert_refused(self.run_it("run", "./own"), 2, "gains privileges", "LD_PRELOAD")

    def test_sanitized_program(self):
        program = self.compile("sanitized", "int main(void) { return 0; }", "-fsanitize=address")
        self.assert_refused(self.run_it("run", program), 2, "libasan", "-fsanitize")

    @unittest.skipIf(not shutil.which("clang"), "clang is not installed")
    def test_program_with_a_sanitizer_inside(self):
        for kind in ("address", "thread"):
            subprocess.run(["clang", "-xc", "-", "-o", self.place / "inside",
                            f"-fsanitize={kind}"], input="int main(void) { return 0; }",
                           text=True, check=True)
            self.assert_refused(self.run_it("run", "./inside"), 2, f"{kind.capitalize()}Sanitizer",
                                "-fsanitize")

    def test_preloaded_sanitizer(self):
        process = self.run_it("run", "true", env={"LD_PRELOAD": "libasan.so.8"})
        self.assertEqual(process.returncode, 2)
        self.assertRegex(process.err, r"(?m)^memprof: LD_PRELOAD=libasan\.so\.8: a sanitizer")
        self.assertEqual(self.traces(), [])

    def test_valgrind(self):
        valgrind = self.script("valgrind", "#!/bin/sh\nexec \"$@\"\n")
        self.assert_refused(self.run_it("run", valgrind, "true"), 2, "valgrind",
                            "replaces malloc itself")

    def test_program_with_a_malloc_of_its_own(self):
        program = self.compile("own", """
            static char arena[1 << 20];
            static unsigned long used;
            void *malloc(unsigned long n) { used += n + 15 & ~15ul; return arena + used - n; }
            void free(void *block) { (void)block; }
            int main(void) { return malloc(10) ? 7 : 1; }""", "-w", "-fno-builtin")
        process = self.run_it("run", program)
        self.assertEqual(process.returncode, 7)
        self.assertIn("memprof: the program has a malloc of its own", process.err)
        self.assertEqual(self.traces(), [])

    def test_no_trace_is_said(self):
        self.compile("nothing.so", "", "-shared", "-fPIC")
        memprof = self.install_copy("mute", self.place / "nothing.so")
        process = self.run_it("run", "sh", "-c", "exit 3", memprof=memprof)
        self.assertEqual(process.returncode, 3)
        self.assertRegex(process.err, r"\Amemprof: no trace of sh was written[^\n]*\n\Z")

    # the place of the trace

    def test_old_trace_of_that_name_is_replaced(self):
        pids = set()
        for _ in range(2):
            process = self.run_it("run", "-q", "-o", "same.bin", "true")
            self.assertEqual((process.returncode, process.err), (0, ""))
            self.assertEqual(self.traces(), [self.place / "same.bin"])
            pids.add(trace_header(self.place / "same.bin")["pid"])
        self.assertEqual(len(pids), 2)

    def test_other_files_are_left_alone(self):
        for content in (b"", b"precious", b"y" * 8192):
            (self.place / "mine").write_bytes(content)
            self.assert_refused(self.run_it("run", "-o", "mine", "true"), 2, "mine",
                                "not a memprof trace")
            self.assertEqual((self.place / "mine").read_bytes(), content)

    def test_link_is_not_followed(self):
        self.run_it("run", "-q", "-o", "real.bin", "true")
        before = (self.place / "real.bin").read_bytes()
        (self.place / "link").symlink_to("real.bin")
        process = self.run_it("run", "-o", "link", "true")
        self.assertEqual(process.returncode, 2)
        self.assertEqual((self.place / "real.bin").read_bytes(), before)
        self.assertTrue((self.place / "link").is_symlink())

    def test_trace_of_a_running_program_is_left_alone(self):
        for script in ("echo ready; read line", "echo ready; exec cat"):
            first = self.start("run", "-q", "-o", "busy.bin", "sh", "-c", script,
                               stdin=subprocess.PIPE)
            self.assertEqual(first.stdout.readline(), "ready\n")
            pid = trace_header(self.place / "busy.bin")["pid"]
            second = self.run_it("run", "-o", "busy.bin", "true")
            first.communicate("done\n", timeout=30)
            self.assertEqual(second.returncode, 2, second.err)
            self.assertIn("busy.bin is being written by process", second.err)
            self.assertEqual(trace_header(self.place / "busy.bin")["pid"], pid)

    def test_directory_missing(self):
        self.assert_refused(self.run_it("run", "-o", "no/such/x.%p.bin", "true"), 2,
                            "no/such", "--out")

    # usage

    def test_bad_values_stop_before_the_program_runs(self):
        for option in ("--depth=0", "--depth=1025", "--depth=x", "--depth=", "--unwind=magic",
                       "--compress=lz4", "--sample=-1", "--out="):
            self.assert_refused(self.run_it("run", option, "echo", "ran"), 2,
                                option.split("=")[0], "use ")
        for variable in ("MEMPROF_CHILDREN", "MEMPROF_MMAP", "MEMPROF_QUIET", "MEMPROF_START",
                         "MEMPROF_DEPTH"):
            self.assert_refused(self.run_it("run", "echo", "ran", env={variable: "no"}), 2,
                                "in the environment", f"{variable}=no")

    def test_bad_pattern(self):
        for pattern in ("t.%x.bin", "t.%", "t.%q", "t.%q{}", "t.%q{HOME"):
            self.assert_refused(self.run_it("run", "-o", pattern, "echo", "ran"), 2, pattern)

    def test_usage_errors(self):
        for arguments in (["run", "--nonsense", "true"], ["run", "-x", "true"], ["run", "--out"],
                          ["run"], ["run", "--"], ["nonsense"]):
            self.assert_refused(self.run_it(*arguments), 2)
        self.assertEqual(self.run_it().returncode, 2)

    def test_help_and_version(self):
        for arguments in (["--help"], ["-h"], ["help"], ["run", "--help"], ["run", "-h"]):
            process = self.run_it(*arguments)
            self.assertEqual((process.returncode, process.err), (0, ""))
            self.assertTrue(process.out.startswith("Usage: memprof run"), process.out)
            self.assertLessEqual(max(map(len, process.out.splitlines())), 100)
        self.assertRegex(self.run_it("--version").out, r"\Amemprof \d+\.\d+\.\d+\n\Z")

    def test_report_and_plot_are_the_commands_beside(self):
        memprof = self.install_copy("here")
        for name in ("report", "plot"):
            self.script(f"here/bin/memprof-{name}",
                        "#!/bin/sh\nfor w; do echo \"<$w>\"; done\nexit 11\n")
            process = self.run_it(name, "-x", "a b", "", memprof=memprof)
            self.assertEqual((process.returncode, process.out), (11, "<-x>\n<a b>\n<>\n"))

    def test_messages_cannot_drive_the_terminal(self):
        process = self.run_it("run", "./\x1b[2Jevil\n")
        self.assertNotIn("\x1b", process.err)
        self.assertEqual(process.err.count("\n"), 1)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
