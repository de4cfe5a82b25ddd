"""pgbench: makes its tables, and runs its scripts in every mode; what counts is that every transaction went through."""
import glob
import os
import re
import subprocess
import tempfile

import compat
from compat import SQL

PGBENCH = os.environ.get("PGBENCH", sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench"))[-1])
VERSION = re.search(r"\d+\.\d+", subprocess.run([PGBENCH, "--version"], capture_output=True, text=True).stdout)[0]
# Figures that are other ones in every run, and where the server is.
PASSING = re.compile(
    r"done in .*|.*of \d+ tuples .*|.*(latency|tps|connection time|conditions|duration|\.\.\.$|cannot|NOTICE|pgbench \().*\n?"
)


class Failed(Exception):
    pass


def describe(error):
    text = str(error)
    found = re.search(r"(?:ERROR|FATAL):\s+(.*)", text)
    detail, hint = re.search(r"DETAIL:\s+(.*)", text), re.search(r"HINT:\s+(.*)", text)
    return {
        "message": found[1] if found else text,
        "detail": detail and detail[1],
        "hint": hint and hint[1],
        "class": None,
    }


def step(name, action):
    compat.step(name, action, describe)


def pgbench(*arguments, target=()):
    done = subprocess.run([PGBENCH, *arguments, *target], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failed(done.stderr)
    return PASSING.sub("", done.stdout).split("\n")


def script(text, *arguments, **how):
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(text)
        file.flush()
        return [line for line in pgbench("-n", "-f", file.name, *arguments, **how) if file.name not in line]


def the_end():
    compat.wait("grant")
    compat.wait("end")
    step("end", lambda: script(SQL["sleep"] + ";", "-t", "1"))
    compat.wait("again")
    step("reconnect", lambda: script(SQL["count"] + ";", "-t", "1"))


compat.version(VERSION, VERSION)
one = SQL["count"] + ";"
step("connect_keywords", lambda: script(one, "-t", "1"))
step("connect_uri", lambda: script(one, "-t", "1", target=[compat.URI]))
step("connect_every_time", lambda: script(one, "-t", "5", "-C"))
step("own_init", lambda: pgbench("-i", "-s", "1", "-q"))
step("own_init_on_the_server", lambda: pgbench("-i", "-s", "1", "-q", "-I", "dtGvpf"))
for mode in ("simple", "extended", "prepared"):
    step(mode, lambda: pgbench("-n", "-M", mode, "-c", "2", "-t", "20"))
    step(f"{mode}_select", lambda: pgbench("-n", "-S", "-M", mode, "-c", "2", "-t", "50"))
    step(f"{mode}_gset", lambda: script(SQL["count"] + " \\gset\n\\if :count = 10\nSELECT 1;\n\\endif\n", "-M", mode, "-t", "5"))
pipeline = "\\startpipeline\n" + (SQL["count"] + ";\n") * 5 + "\\endpipeline\n"
for mode in ("extended", "prepared"):
    step(f"pipeline_{mode}", lambda: script(pipeline, "-M", mode, "-c", "2", "-t", "20"))
for name in ("error_detail", "error_hint", "denied"):
    step(name, lambda: script(SQL[name] + ";", "-t", "1"))
the_end()
