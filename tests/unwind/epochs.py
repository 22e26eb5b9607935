#!/usr/bin/python3
"""More code at one address, in turn, than a trace has regions for: each stack names the right one.

    epochs.py --library build/lib/libmemprof.so --report build/bin/memprof-report [--plugins N]

The plugins are copies of one library, so that only their path tells them apart; which of them asked
for a block is told by the block's size.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")


def build(folder, count):
    program = os.path.join(folder, "epochs")
    first = os.path.join(folder, "plugin1.so")
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O2", "-fno-builtin",
                    os.path.join(PROGRAMS, "epochs.c"), "-o", program, "-ldl"], check=True)
    subprocess.run(["gcc", "-O2", "-fno-builtin", "-DFRAME=16", "-shared", "-fPIC",
                    os.path.join(PROGRAMS, "plugin.c"), "-o", first], check=True)
    plugins = [os.path.join(folder, f"plugin{i}.so") for i in range(1, count + 1)]
    for plugin in plugins[1:]:
        shutil.copy(first, plugin)
    return [program, *plugins]


def record(command, library, trace):
    """How often a plugin lay where the one before had been."""
    done = subprocess.run(command, check=True, capture_output=True, text=True,
                          env={**os.environ, "LD_PRELOAD": os.path.abspath(library),
                               "MEMPROF_QUIET": "1", "MEMPROF_OUT": trace})
    return int(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--report", required=True)
    parser.add_argument("--plugins", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memprof-epochs-") as folder:
        trace = os.path.join(folder, "trace.bin")
        same = record(build(folder, options.plugins), options.library, trace)
        said = json.loads(subprocess.run([options.report, "--format=json", trace], check=True,
                                         capture_output=True).stdout)
    wrong, right = [], 0
    for site in said["sites"]:
        names = [frame["function"] for frame in site["stack"]]
        if "plugin_keep" not in names:
            continue
        at = names.index("plugin_keep")
        module = os.path.basename(site["stack"][at]["module"])
        if module != f"plugin{site['live_bytes']}.so" or "main" not in names[at:]:
            wrong.append((module, site["live_bytes"], names))
        else:
            right += 1
    print(f"{options.plugins} plugins, {same} at the address of the one before: "
          f"{right} stacks name the right one")
    for module, size, names in wrong[:5]:
        print(f"wrong: {size} bytes of {module}: {' < '.join(names)}")
    return 0 if right == options.plugins and same > options.plugins // 2 and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
