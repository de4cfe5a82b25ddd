"""psycopg 2: the whole scenario, with PREPARE in SQL, since the driver has no prepared statements of its own."""
import io
import threading

import psycopg2
import psycopg2.extensions
import psycopg2.extras

import compat
from compat import SQL

READ = {name: text.replace("$1", "%s").replace("$2", "%s") for name, text in SQL.items()}


def describe(error):
    if not isinstance(error, psycopg2.Error):
        return {"message": str(error)}
    diag = error.diag
    message = diag.message_primary if diag.message_primary is not None else str(error)
    return {"sqlstate": error.pgcode, "message": message, "detail": diag.message_detail, "hint": diag.message_hint}


def step(name, action):
    compat.step(name, action, describe)


def fetched(conn, text, values=None):
    with conn.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall()


def connect(dsn="", **more):
    conn = psycopg2.connect(dsn, **more)
    conn.autocommit = True
    return conn


def once(dsn="", **more):
    conn = connect(dsn, **more)
    try:
        return fetched(conn, SQL["count"])
    finally:
        conn.close()


def keywords():
    return once(
        host=compat.HOST, port=compat.PORT, user=compat.USER, password=compat.PASSWORD, dbname=compat.DATABASE,
        sslmode="verify-full", sslrootcert=compat.AUTHORITY,
    )


def direct_tls():
    if psycopg2.extensions.libpq_version() < 170000:
        raise compat.Skip("libpq 17 brought it")
    return once(sslnegotiation="direct")


def prepared(conn):
    with conn.cursor() as cursor:
        cursor.execute("PREPARE by_id (int) AS " + SQL["prepared"])
        answers = []
        for number in (1, 2, 3):
            cursor.execute("EXECUTE by_id (%s)", (number,))
            answers.append(cursor.fetchall())
        cursor.execute("DEALLOCATE by_id")
        return answers


def batch(conn):
    with conn.cursor() as cursor:
        cursor.executemany(READ["insert"], [(1, "one")])
        psycopg2.extras.execute_batch(cursor, READ["insert"], [(2, "zwei"), (3, None)])
        psycopg2.extras.execute_values(
            cursor, "INSERT INTO public.sink (id, body) VALUES %s", [(number, f"body {number}") for number in (4, 5, 6)]
        )
        cursor.execute(SQL["several"])
        return [cursor.rowcount, cursor.fetchall(), fetched(conn, READ["sunk"], (1, 9))]


def copy_out(conn):
    into = io.StringIO()
    with conn.cursor() as cursor:
        cursor.copy_expert(SQL["copy_out"], into)
    return into.getvalue()


def copy_in(conn):
    rows = io.StringIO("".join(f"{number}\tcopied {number}\n" for number in range(101, 181)))
    with conn.cursor() as cursor:
        cursor.copy_expert(SQL["copy_in"], rows)
        count = cursor.rowcount
    return [count, fetched(conn, READ["sunk"], (101, 103))]


def failed_copy_in(conn):
    with conn.cursor() as cursor:
        try:
            cursor.copy_expert(SQL["copy_in"], io.StringIO("101\tagain\n"))
        except psycopg2.Error as error:
            return [error.pgcode, fetched(conn, SQL["one"])]


def cursor(conn):
    conn.autocommit = False
    try:
        with conn, conn.cursor(name="by_parts", scrollable=True) as part:
            part.execute(SQL["cursor"])
            answers = [part.fetchmany(4), part.fetchmany(4)]
            part.scroll(-2)
            return [*answers, part.fetchall()]
    finally:
        conn.autocommit = True


def run(conn, text):
    with conn.cursor() as cursor:
        cursor.execute(text)
        return cursor.statusmessage


def cancel(conn):
    timer = threading.Timer(0.5, conn.cancel)
    timer.start()
    try:
        fetched(conn, SQL["sleep"])
        return "not cancelled"
    finally:
        timer.join()
        assert fetched(conn, SQL["one"]) == [(1,)]


def transaction(conn):
    states = []
    conn.autocommit = False
    with conn, conn.cursor() as cursor:
        cursor.execute(READ["insert"], (201, "before"))
        cursor.execute("SAVEPOINT s")
        try:
            cursor.execute(SQL["locked"])
        except psycopg2.Error as error:
            states.append(error.pgcode)
        cursor.execute("ROLLBACK TO SAVEPOINT s")
        cursor.execute(READ["insert"], (202, "after"))
    conn.autocommit = True
    return [states, conn.get_transaction_status(), fetched(conn, READ["sunk"], (201, 209))]


def failed_transaction(conn):
    answers = []
    for text in ("BEGIN", SQL["insert"].replace("$1", "211").replace("$2", "'x'"), SQL["locked"], SQL["one"], "COMMIT"):
        try:
            answers.append(run(conn, text))
        except psycopg2.Error as error:
            answers.append(error.pgcode)
        answers.append(conn.get_transaction_status())
    return [answers, fetched(conn, READ["sunk"], (211, 219))]


def the_end():
    compat.wait("grant")
    conn = connect()

    def nap():
        fetched(conn, SQL["nap"])

    step("notice", lambda: compat.until_notice(nap, conn.notices))
    compat.wait("end")
    step("end", lambda: fetched(conn, SQL["sleep"]))
    step("after_end", lambda: fetched(conn, SQL["one"]))
    compat.wait("again")
    step("reconnect", once)


libpq = psycopg2.extensions.libpq_version()
compat.version(psycopg2.__version__.split()[0], f"{libpq // 10000}.{libpq % 10000}")
step("connect_keywords", keywords)
step("connect_uri", lambda: once(compat.URI))
step("connect_service", lambda: once("service=compat"))
step("connect_certificate", lambda: once(**compat.CERTIFIED, password=""))
step("connect_direct_tls", direct_tls)
main = connect()
step("simple", lambda: fetched(main, SQL["first"]))
step("types", lambda: fetched(main, SQL["types"]))
step("extended", lambda: fetched(main, READ["extended"], (3, "note 7")))
step("prepared", lambda: prepared(main))
step("batch", lambda: batch(main))
step("copy_out", lambda: copy_out(main))
step("copy_in", lambda: copy_in(main))
step("failed_copy_in", lambda: failed_copy_in(main))
step("cursor", lambda: cursor(main))
step("listen", lambda: run(main, SQL["listen"]))
step("cancel", lambda: cancel(main))
for name in ("error_detail", "error_hint", "error_name", "denied"):
    step(name, lambda: fetched(main, SQL[name]))
step("transaction", lambda: transaction(main))
step("failed_transaction", lambda: failed_transaction(main))
step("reset", lambda: main.reset())
main.close()
the_end()
