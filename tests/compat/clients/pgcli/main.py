"""pgcli: it asks the catalogs for everything that it completes, then runs what is typed; its own classes are used for both."""
import importlib.metadata

import psycopg
from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial

import compat
from compat import SQL


SPECIAL = PGSpecial()


def describe(error):
    if not isinstance(error, psycopg.Error):
        return {"message": str(error)}
    diag = error.diag
    message = diag.message_primary if diag.message_primary is not None else str(error)
    return {"sqlstate": error.sqlstate, "message": message, "detail": diag.message_detail, "hint": diag.message_hint}


def step(name, action):
    compat.step(name, action, describe)


def connect():
    return PGExecute(compat.DATABASE, compat.USER, compat.PASSWORD, compat.HOST, compat.PORT, sslmode="verify-full")


def run(execute, text):
    """What it shows: a table's rows, a status, or the error as text."""
    shown = []
    for title, rows, headers, status, _sql, success, _special in execute.run(text, pgspecial=SPECIAL, exception_formatter=formatted):
        shown.append([title, [list(row) for row in rows] if rows else None, headers, status, success])
    return shown


def formatted(error):
    return str(describe(error))


def refused(execute, text):
    """The error as it is, since pgcli shows its text in red and goes on."""
    for _ in execute.run(text):
        pass


def the_end():
    compat.wait("grant")
    execute = connect()
    heard = []
    execute.conn.add_notice_handler(lambda diag: heard.append(diag.message_primary))
    step("notice", lambda: compat.until_notice(lambda: run(execute, SQL["nap"]), heard))
    compat.wait("end")
    step("end", lambda: refused(execute, SQL["sleep"]))
    compat.wait("again")

    def again():
        execute.connect()
        return run(execute, SQL["count"])

    step("reconnect", again)


libpq = psycopg.pq.version()
compat.version(importlib.metadata.version("pgcli"), f"{libpq // 10000}.{libpq % 10000}")
step("connect_keywords", lambda: run(connect(), SQL["count"]))
step("connect_uri", lambda: run(PGExecute(dsn=compat.URI), SQL["count"]))
main = connect()
step("simple", lambda: run(main, SQL["first"]))
step("types", lambda: run(main, SQL["types"]))
step("batch", lambda: run(main, SQL["several"]))
step("listen", lambda: refused(main, SQL["listen"]))
for name in ("error_detail", "error_hint", "error_name", "denied"):
    step(name, lambda: refused(main, SQL[name]))
step("own_schemata", lambda: sorted(main.schemata()))
step("own_search_path", lambda: list(main.search_path()))
for name in ("tables", "views", "table_columns", "view_columns", "foreignkeys", "datatypes", "casing"):
    step(f"own_{name}", lambda: sorted(map(repr, getattr(main, name)())))
step("own_databases", lambda: len(main.databases()) > 2)
step("own_functions", lambda: len(list(main.functions())) > 1000)
step("own_full_databases", lambda: main.full_databases() is not None)
for command in ("\\d", "\\dt", "\\d books", "\\d+ books", "\\dv", "\\di", "\\ds", "\\dn", "\\dT", "\\df public.*", "\\du", "\\dx", "\\dp"):
    step(f"own_{command}", lambda: run(main, command))
main.conn.close()
the_end()
