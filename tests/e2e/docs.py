"""What the documents say is there: docs.py ROOT MEMPROF.

Links between them lead somewhere, manual pages are sound for groff, and memprof(1) and the launcher's
own help name the same options and variables.
"""
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


def plain(page):
    shown = subprocess.run(["groff", "-ww", "-man", "-Tutf8", "-P-c", page], capture_output=True,
                           text=True, check=True)
    check(not shown.stderr, f"{page.name}: groff says: {shown.stderr}")
    return re.sub(r".\x08", "", shown.stdout).replace("\u2010\n", "").replace("\u2212", "-")


for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            check((document.parent / target).exists(), f"{document.name}: no {target}")

check({page.stem for page in PAGES} == {"memprof", "memprof-report", "memprof-plot"},
      f"manual pages: {[page.name for page in PAGES]}")
pages = {page.stem: plain(page) for page in PAGES}

shown = subprocess.run([MEMPROF, "run", "--help"], capture_output=True, text=True,
                       check=True).stdout
for option in set(re.findall(r"--[a-z][a-z-]+", shown)):
    check(re.search(re.escape(option) + r"\b", pages["memprof"].replace("\u2010", "-")),
          f"memprof(1) has no {option}")
table = (ROOT / "preload/options.c").read_text()
for variable in set(re.findall(r'"(MEMPROF_[A-Z]+)"', table)):
    check(variable in pages["memprof"], f"memprof(1) has no {variable}")
    check(f'"{variable}"' in (ROOT / "tools/run_options.c").read_text(),
          f"memprof run has no option for {variable}")

print("\n".join(wrong) or "the documents agree with what is there")
sys.exit(bool(wrong))
