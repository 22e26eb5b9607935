#!/usr/bin/python3
"""End-to-end tests: real programs under the real recorder, read by the real report.

    run.py --build BUILD CASE...     run cases by name ("all" or a prefix ending in "*", too)
    run.py --list                    print the names of all cases

Status 0: all passed; 1: a case failed, stdout says what differed; 77: all were skipped.
MEMPROF_E2E_KEEP=1 keeps the scratch directory of a case that failed.
"""

import argparse
import glob
import importlib
import os
import sys
import time
import traceback

from harness import Bench, Failure, Skip

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = [importlib.import_module(os.path.basename(path)[:-len(".py")])
           for kind in ("cases_*.py", "hostile_*.py")
           for path in sorted(glob.glob(os.path.join(HERE, kind)))]
CASES = {name: case for module in MODULES for name, case in module.CASES.items()}
SKIPPED = 77


def run_case(name, build, source):
    start = time.monotonic()
    result, detail = "ok", ""
    try:
        with Bench(build, source) as bench:
            detail = CASES[name](bench) or ""
    except Skip as skip:
        result, detail = "skipped", str(skip)
    except Failure as failure:
        result, detail = "FAILED", str(failure)
    except Exception:  # a broken case is a failed case
        result, detail = "FAILED", traceback.format_exc()
    print(f"{result:8}{name} ({time.monotonic() - start:.1f} s)", flush=True)
    if detail and isinstance(detail, str):
        print("        " + detail.replace("\n", "\n        "), flush=True)
    return result


def select(patterns):
    names = []
    for pattern in patterns:
        if pattern == "all":
            found = list(CASES)
        elif pattern.endswith("*"):
            found = [n for n in CASES if n.startswith(pattern[:-1])]
        else:
            found = [pattern] if pattern in CASES else []
        if not found:
            sys.exit(f"run.py: {pattern}: no such case: see --list")
        names += found
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", help="the build directory")
    parser.add_argument("--list", action="store_true", help="print the names of all cases")
    parser.add_argument("cases", nargs="*", default=["all"])
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(CASES))
        return 0
    source = os.path.dirname(os.path.dirname(HERE))
    results = [run_case(name, arguments.build, source) for name in select(arguments.cases)]
    if "FAILED" in results:
        return 1
    return SKIPPED if set(results) == {"skipped"} else 0


if __name__ == "__main__":
    sys.exit(main())
