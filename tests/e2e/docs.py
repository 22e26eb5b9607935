"""What the documents say is there: docs.py ROOT MEMPROF.

Links between them lead somewhere, manual pages are sound for groff, and each page, its command's help and
the recorder's table have the same options, exit statuses and variables. The architecture names each module.
"""
import fnmatch
import pathlib
import re
import subprocess
import sys

ROOT, MEMPROF = pathlib.Path(sys.argv[1]), sys.argv[2]
PAGES = sorted((ROOT / "docs/man").glob("*.1"))
wrong = []


def check(condition, message):
    if not condition:
        wrong.append(message)


for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            check((document.parent / target).exists(), f"{document.name}: no {target}")

check({page.stem for page in PAGES} == {"memprof", "memprof-report", "memprof-plot"},
      f"manual pages: {[page.name for page in PAGES]}")
for page in PAGES:
    groff = subprocess.run(["groff", "-ww", "-man", "-Tutf8", page], capture_output=True, text=True,
                           check=True)
    check(not groff.stderr, f"{page.name}: groff says: {groff.stderr}")

OPTION = r"(?<![\w-])--?[a-zA-Z][a-z-]*"


def shown(*arguments):
    return subprocess.run([MEMPROF, *arguments, "--help"], capture_output=True, text=True,
                          check=True).stdout


def offered(text):
    """Options that a help text lists, by the first column of its lines."""
    columns = re.findall(r"^ +(-.*?)(?:  |$)", text, re.MULTILINE)
    return {option for column in columns for option in re.findall(OPTION, column)}


def tags(page):
    """What the paragraphs of a manual page are headed by, one text a section."""
    sections = re.split(r"^\.S[HS] (.*)$", (ROOT / f"docs/man/{page}.1").read_text(),
                        flags=re.MULTILINE)
    heads = {name: re.findall(r"^\.TP\n(.*)", text, re.MULTILINE)
             for name, text in zip(sections[1::2], sections[2::2])}
    return {name: re.sub(r"\\f.", "", "\n".join(lines).replace("\\-", "-"))
            for name, lines in heads.items()}


def equal(what, page, is_there, told):
    check(is_there == told, f"{page}: {what}: not told: {sorted(is_there - told)}, "
                            f"not there: {sorted(told - is_there)}")


for command, page in (("run", "memprof"), ("report", "memprof-report"), ("plot", "memprof-plot")):
    text = shown(command)
    options = offered(text) | (offered(shown()) if command == "run" else set())
    equal("options", page, options, set(re.findall(OPTION, tags(page)["OPTIONS"])))
    statuses = set(re.findall(r"\b\d+\b", text[text.index("Exit status:"):]))
    equal("exit statuses", page, statuses, set(re.findall(r"\d+", tags(page)["EXIT STATUS"])))

VARIABLE = r"MEMPROF_[A-Z]+"
table = set(re.findall(f'"({VARIABLE})"', (ROOT / "preload/options.c").read_text()))
equal("variables", "memprof", table, set(re.findall(VARIABLE, tags("memprof")["OPTIONS"])))
equal("variables", "memprof run", table,
      set(re.findall(f'"({VARIABLE})"', (ROOT / "tools/run_options.c").read_text())))

names = re.findall(r"`([a-z_0-9*]+)`", (ROOT / "docs/architecture.md").read_text())
modules = [path for part in ("preload", "analyzer", "tools") for path in (ROOT / part).glob("*.c")]
for path in modules:
    check(any(fnmatch.fnmatch(path.stem, name) for name in names),
          f"architecture.md has no {path.relative_to(ROOT)}")
for family in set(name for name in names if "_" in name):
    check(fnmatch.filter([path.stem for path in modules], family),
          f"architecture.md has {family}, which is not there")

print("\n".join(wrong) or "the documents agree with what is there")
sys.exit(bool(wrong))
