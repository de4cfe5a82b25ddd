"""psql: what it prints, on both outputs, is what is compared. `PSQL` names another one than the system's."""
import os
import re
import signal
import subprocess
import time

import compat
from compat import SQL

PSQL = os.environ.get("PSQL", "psql")
VERSION = re.search(r"(\d+)\.(\d+)", subprocess.run([PSQL, "--version"], capture_output=True, text=True).stdout)
MAJOR = int(VERSION[1])
SHOWN = re.compile(r"^(?:psql:[^:]*:\d+: )?(ERROR|FATAL):\s+(\w{5}): (.*)$", re.M)


class Failed(Exception):
    """What psql said on its other output."""


def describe(error):
    if not isinstance(error, Failed):
        return {"message": str(error)}
    text = str(error)
    found = SHOWN.search(text)
    field = {name: re.search(rf"^{name}:\s+(.*)$", text, re.M) for name in ("DETAIL", "HINT")}
    return {
        "sqlstate": found and found[2],
        "message": found[3] if found else text,
        "detail": field["DETAIL"] and field["DETAIL"][1],
        "hint": field["HINT"] and field["HINT"][1],
        "class": None,
    }


def step(name, action):
    compat.step(name, action, describe)


def psql(*commands, target=(), environment=None, script=None, more=()):
    """(stdout, stderr, exit code)"""
    arguments = [PSQL, "-X", "-v", "VERBOSITY=verbose", *target, *more]
    for command in commands:
        arguments += ["-c", command]
    changed = {**os.environ, **(environment or {})}
    done = subprocess.run(arguments, input=script or "", capture_output=True, text=True, env=changed, timeout=90)
    return done.stdout, done.stderr, done.returncode


def run(*commands, **how):
    out, err, code = psql(*commands, **how)
    if code != 0:
        raise Failed(err)
    return [out, err]


def keywords():
    dsn = (
        f"host={compat.HOST} port={compat.PORT} user={compat.USER} dbname={compat.DATABASE} sslmode=verify-full"
        f" sslrootcert={compat.AUTHORITY} channel_binding=require"
    )
    return run(SQL["count"], target=[dsn])


def certificate():
    names = {"PGUSER": "user", "PGSSLCERT": "sslcert", "PGSSLKEY": "sslkey"}
    changed = {name: compat.CERTIFIED[key] for name, key in names.items()}
    return run(SQL["count"], environment={**changed, "PGPASSWORD": ""}, more=["-w"])


def since(major, conninfo):
    if MAJOR < major:
        raise compat.Skip(f"psql {major} brought it")
    return run(SQL["count"], target=[conninfo])


def bind():
    if MAJOR < 16:
        raise compat.Skip("psql 16 brought it")
    text = SQL["extended"]
    return run(script=f"{text} \\bind 3 'note 7' \\g\n")


def parsed():
    if MAJOR < 18:
        raise compat.Skip("psql 18 brought it")
    return run(script=f"{SQL['prepared']} \\parse by_id\n\\bind_named by_id 1 \\g\n\\bind_named by_id 2 \\g\n\\close_prepared by_id\n")


def pipeline():
    if MAJOR < 18:
        raise compat.Skip("psql 18 brought it")
    queries = "".join(f"{SQL['prepared']} \\bind {number} \\sendpipeline\n" for number in (1, 2, 3))
    return run(script=f"\\startpipeline\n{queries}\\endpipeline\n")


def prepared():
    return run("PREPARE by_id (int) AS " + SQL["prepared"], "EXECUTE by_id (1)", "EXECUTE by_id (2)")


def batch():
    script = "".join(
        SQL["insert"].replace("$1", str(number)).replace("$2", f"'{text}'") + ";\n"
        for number, text in ((1, "one"), (2, "zwei"), (3, ""))
    )
    return [run(script=script), run(SQL["several"]), run(SQL["several"], more=["-1"])]


def gexec():
    return run(script="SELECT format('SELECT %s AS made', id) FROM public.notes WHERE id < 4 ORDER BY id \\gexec\n")


def copy_in():
    rows = "".join(f"{number}\tcopied {number}\n" for number in range(101, 181))
    return [
        run(script=f"{SQL['copy_in']};\n{rows}\\.\n"),
        run(script="\\copy (SELECT id, body FROM public.sink ORDER BY id) TO STDOUT CSV HEADER\n"),
    ]


def cursor():
    return run(script=f"\\set FETCH_COUNT 3\n{SQL['cursor']};\n")


def declared():
    return run("BEGIN", "DECLARE part SCROLL CURSOR FOR " + SQL["cursor"], "FETCH 4 FROM part", "MOVE -2 FROM part", "FETCH ALL FROM part", "COMMIT")


def cancel():
    running = subprocess.Popen(
        [PSQL, "-X", "-v", "VERBOSITY=verbose", "-c", SQL["sleep"]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # psql passes Ctrl-C on once it is connected and waits; before that it would only end.
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=90)
    raise Failed(err)


def block(*texts):
    out, err, _ = psql(script="".join(text + ";\n" for text in texts))
    # How much is said of the refusal is another step's matter.
    return [out, [found[1] for found in SHOWN.findall(err)]]


def inserted(number):
    return SQL["insert"].replace("$1", str(number)).replace("$2", "'x'")


def transaction():
    sunk = SQL["sunk"].replace("$1", "201").replace("$2", "209")
    return block("BEGIN", inserted(201), "SAVEPOINT s", SQL["locked"], "ROLLBACK TO s", inserted(202), "COMMIT", sunk)


def failed_transaction():
    sunk = SQL["sunk"].replace("$1", "211").replace("$2", "219")
    return block("BEGIN", inserted(211), SQL["locked"], SQL["one"], "COMMIT", sunk)


def rolled_back_by_psql():
    """ON_ERROR_ROLLBACK sets savepoints by itself."""
    return block("\\set ON_ERROR_ROLLBACK on\nBEGIN", inserted(221), SQL["locked"], inserted(222), "COMMIT")


DESCRIBED = (
    "\\d", "\\dt+", "\\d public.books", "\\d+ public.books", "\\d+ public.shelf", "\\d public.books_id_seq", "\\di", "\\dv",
    "\\ds", "\\dn", "\\dT+ public.*", "\\df public.*", "\\dp public.books", "\\sv public.shelf", "\\dd public.notes", "\\encoding",
)


def the_end():
    compat.wait("grant")
    wait = max(compat.NOTICE_WAIT / 2, 0.1)
    step("notice", lambda: run(f"SELECT pg_sleep({wait})"))
    compat.wait("end")
    step("end", lambda: run(SQL["sleep"]))
    compat.wait("again")
    step("reconnect", lambda: run(SQL["count"]))


compat.version(VERSION[0], VERSION[0])
step("connect_keywords", keywords)
step("connect_uri", lambda: run(SQL["count"], target=[compat.URI]))
step("connect_service", lambda: run(SQL["count"], target=["service=compat"]))
step("connect_certificate", certificate)
step("connect_direct_tls", lambda: since(17, "sslnegotiation=direct"))
step("connect_newest_protocol", lambda: since(18, "max_protocol_version=latest"))
step("simple", lambda: run(SQL["first"]))
step("types", lambda: [run(SQL["types"]), run(SQL["types"], more=["-x"]), run(SQL["types"], more=["--csv"])])
step("extended", bind)
step("prepared", prepared)
step("prepared_by_name", parsed)
step("pipeline", pipeline)
step("batch", batch)
step("batch_gexec", gexec)
step("copy_out", lambda: run(SQL["copy_out"]))
step("copy_in", copy_in)
step("cursor", cursor)
step("cursor_declared", declared)
step("listen", lambda: run(SQL["listen"]))
step("cancel", cancel)
for name in ("error_detail", "error_hint", "error_name", "denied"):
    step(name, lambda: run(SQL[name]))
step("transaction", transaction)
step("failed_transaction", failed_transaction)
step("transaction_rolled_back_by_psql", rolled_back_by_psql)
for command in DESCRIBED:
    step(f"own_{command}", lambda: run(command))
the_end()
