"""psqlODBC by pyodbc: the whole scenario, as reporting tools and spreadsheets connect."""
import re
import subprocess
import threading


import pyodbc

import compat
from compat import SQL

READ = {name: text.replace("$1", "?").replace("$2", "?") for name, text in SQL.items()}
pyodbc.pooling = False


def describe(error):
    state, text = (error.args + ("",))[:2] if len(error.args) > 1 else (None, str(error))
    detail, hint = re.search(r"DETAIL:\s+(.*)", text), re.search(r"HINT:\s+(.*)", text)
    message = re.search(r"(?:ERROR|FATAL):\s+(.*?)(?:;|\n|$)", text)
    return {
        "sqlstate": state,
        "message": message[1] if message else re.sub(r"0x[0-9a-f]+", "0x", text),
        "detail": detail and detail[1],
        "hint": hint and hint[1],
    }


def step(name, action):
    compat.step(name, action, describe)


def connect(autocommit=True, **more):
    parts = {
        "Driver": "{PostgreSQL Unicode}", "Server": compat.HOST, "Port": compat.PORT, "Uid": compat.USER,
        "Pwd": "{" + compat.PASSWORD + "}", "Database": compat.DATABASE, "SSLmode": "verify-full",
        "pqopt": "{sslrootcert=" + compat.AUTHORITY + "}", **more,
    }
    return pyodbc.connect(";".join(f"{name}={value}" for name, value in parts.items()), autocommit=autocommit)


def rows(conn, text, *values):
    return [list(row) for row in conn.execute(text, *values).fetchall()]


def once(**more):
    conn = connect(**more)
    try:
        return rows(conn, SQL["count"])
    finally:
        conn.close()


def certificate():
    keys = f"sslrootcert={compat.AUTHORITY} sslcert={compat.CERTIFIED['sslcert']} sslkey={compat.CERTIFIED['sslkey']}"
    return once(Uid=compat.CERTIFIED["user"], Pwd="", pqopt="{" + keys + "}")


def unavailable(why):
    raise compat.Skip(why)


def prepared(conn):
    cursor = conn.cursor()
    return [[list(row) for row in cursor.execute(READ["prepared"], number).fetchall()] for number in (1, 2, 3)]


def types(conn):
    cursor = conn.execute(
        "SELECT id, small, big, exact, real8, yes, words, padded, bytes, day, at, plain, key, doc, many, mood, net FROM public.kinds"
        " WHERE id <> 2 ORDER BY id"
    )
    return [[list(column[:1]) + [column[1].__name__, *column[3:]] for column in cursor.description], [list(row) for row in cursor.fetchall()]]


def batch(conn):
    cursor = conn.cursor()
    cursor.executemany(READ["insert"], [(1, "one"), (2, "zwei"), (3, None)])
    cursor.fast_executemany = True
    cursor.executemany(READ["insert"], [(4, "four"), (5, "five")])
    cursor.execute(SQL["several"])
    answers = [[list(row) for row in cursor.fetchall()]]
    while cursor.nextset():
        answers.append([list(row) for row in cursor.fetchall()])
    return [answers, rows(conn, READ["sunk"], 1, 9)]


def by_parts():
    conn = connect(UseDeclareFetch="1", Fetch="3")
    try:
        return rows(conn, SQL["cursor"])
    finally:
        conn.close()


def cancel(conn):
    cursor = conn.cursor()
    timer = threading.Timer(0.5, cursor.cancel)
    timer.start()
    try:
        cursor.execute(SQL["sleep"])
        return "not cancelled"
    finally:
        timer.join()
        assert rows(conn, SQL["one"]) == [[1]]


def state(conn, text):
    try:
        conn.execute(text)
        return None
    except pyodbc.Error as error:
        return error.args[0]


def transaction(texts, first, last, **more):
    conn = connect(autocommit=False, **more)
    try:
        states = [state(conn, text) for text in texts]
        conn.commit()
        return [states, rows(conn, READ["sunk"], first, last)]
    finally:
        conn.close()


def catalog(name, *arguments, **more):
    def asked():
        cursor = main.cursor()
        getattr(cursor, name)(*arguments, **more)
        return [list(row) for row in cursor.fetchall()]

    step(f"own_{name}", asked)


def the_end():
    compat.wait("grant")
    conn = connect()
    step("notice", lambda: unavailable("pyodbc keeps no notices of the server"))
    compat.wait("end")
    step("end", lambda: rows(conn, SQL["sleep"]))
    step("after_end", lambda: rows(conn, SQL["one"]))
    compat.wait("again")
    step("reconnect", once)


package = subprocess.run(["dpkg-query", "-W", "-f=${Version}", "odbc-postgresql"], capture_output=True, text=True).stdout
compat.version(re.sub(r"^\d+:|-.*", "", package), re.sub(r"-.*|\+.*", "", subprocess.run(["dpkg-query", "-W", "-f=${Version}", "libpq5"], capture_output=True, text=True).stdout))
step("connect_keywords", once)
step("connect_uri", lambda: unavailable("ODBC has connection strings of its own"))
step("connect_service", lambda: once(pqopt="{service=compat}"))
step("connect_certificate", certificate)
main = connect()
step("simple", lambda: rows(main, SQL["first"]))
step("types", lambda: types(main))
step("extended", lambda: rows(main, READ["extended"], 3, "note 7"))
step("extended_in_text", lambda: once(UseServerSidePrepare="0"))
step("prepared", lambda: prepared(main))
step("batch", lambda: batch(main))
step("copy_out", lambda: unavailable("ODBC has no COPY"))
step("cursor", by_parts)
step("listen", lambda: main.execute(SQL["listen"]).rowcount)
step("cancel", lambda: cancel(main))
for name in ("error_detail", "error_hint", "error_name", "denied"):
    step(name, lambda: rows(main, SQL[name]))
step("denied_prepared", lambda: rows(main, READ["denied_prepared"], 1))
inserted = "INSERT INTO public.sink VALUES ({}, 'x')".format
step(
    "transaction",
    lambda: transaction((inserted(201), "SAVEPOINT s", SQL["locked"], "ROLLBACK TO s", inserted(202)), 201, 209, Protocol="7.4-0"),
)
step("transaction_rolled_back_by_the_driver", lambda: transaction((inserted(221), SQL["locked"], inserted(222)), 221, 229, Protocol="7.4-2"))
step("transaction_by_default", lambda: transaction((inserted(231), SQL["locked"], inserted(232)), 231, 239))
step("failed_transaction", lambda: transaction((inserted(211), SQL["locked"], SQL["one"]), 211, 219, Protocol="7.4-0"))
catalog("tables", schema="public")
catalog("columns", schema="public")
catalog("primaryKeys", "books", schema="public")
catalog("foreignKeys", "authors", schema="public", foreignTable="books", foreignSchema="public")
catalog("statistics", "books", schema="public")
catalog("rowIdColumns", "books", schema="public")
catalog("rowVerColumns", "books", schema="public")
catalog("procedures", schema="public")
catalog("getTypeInfo")
step("own_server_version", lambda: main.getinfo(pyodbc.SQL_DBMS_VER).split(".")[0])
main.close()
the_end()
