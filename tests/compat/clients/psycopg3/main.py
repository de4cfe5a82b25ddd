"""psycopg 3: the whole scenario."""
import threading

import psycopg
from psycopg import pq

import compat
from compat import SQL

READ = {name: text.replace("$1", "%s").replace("$2", "%s") for name, text in SQL.items()}


def describe(error):
    if not isinstance(error, psycopg.Error):
        return {"message": str(error)}
    diag = error.diag
    message = diag.message_primary if diag.message_primary is not None else str(error)
    return {"sqlstate": error.sqlstate, "message": message, "detail": diag.message_detail, "hint": diag.message_hint}


def step(name, action):
    compat.step(name, action, describe)


def connect(**more):
    return psycopg.connect("", autocommit=True, **more)


def keywords():
    with connect(
        host=compat.HOST, port=compat.PORT, user=compat.USER, password=compat.PASSWORD, dbname=compat.DATABASE,
        sslmode="verify-full", sslrootcert=compat.AUTHORITY, channel_binding="require",
    ) as conn:
        return conn.execute(SQL["count"]).fetchall()


def uri():
    with psycopg.connect(compat.URI) as conn:
        return conn.execute(SQL["count"]).fetchall()


def service():
    with psycopg.connect("service=compat") as conn:
        return conn.execute(SQL["count"]).fetchall()


def certificate():
    with connect(**compat.CERTIFIED, password="") as conn:
        return conn.execute(SQL["count"]).fetchall()


def direct_tls():
    if pq.version() < 170000:
        raise compat.Skip("libpq 17 brought it")
    with connect(sslnegotiation="direct") as conn:
        return conn.execute(SQL["count"]).fetchall()


def newest_protocol():
    if pq.version() < 180000:
        raise compat.Skip("libpq 18 brought it")
    with connect(max_protocol_version="latest") as conn:
        return conn.execute(SQL["count"]).fetchall()


def types(conn):
    return [conn.execute(SQL["types"]).fetchall(), conn.cursor(binary=True).execute(SQL["types"], prepare=True).fetchall()]


def prepared(conn):
    return [conn.execute(READ["prepared"], (number,), prepare=True).fetchall() for number in (1, 2, 3)]


def pipeline(conn):
    if not psycopg.Pipeline.is_supported():
        raise compat.Skip("libpq 14 brought it")
    with conn.pipeline():
        cursors = [conn.execute(READ["prepared"], (number,)) for number in range(1, 8)]
    return [cursor.fetchall() for cursor in cursors]


def pipeline_with_a_failure(conn):
    states = []
    with conn.cursor() as cursor:
        try:
            with conn.pipeline() as pipe:
                conn.execute(READ["prepared"], (1,))
                conn.execute(SQL["locked"])
                conn.execute(READ["prepared"], (2,))
                pipe.sync()
        except psycopg.Error as error:
            states.append(error.sqlstate)
        states.append(cursor.execute(SQL["one"]).fetchall())
    return states


def batch(conn):
    with conn.cursor() as cursor:
        cursor.executemany(READ["insert"], [(1, "one"), (2, "zwei"), (3, None)])
        answers = [cursor.rowcount]
        cursor.execute(SQL["several"])
        while True:
            answers.append(cursor.fetchall())
            if not cursor.nextset():
                break
    answers.append(conn.execute(READ["sunk"], (1, 9)).fetchall())
    return answers


def copy_out(conn):
    with conn.cursor().copy(SQL["copy_out"]) as copy:
        return b"".join(bytes(block) for block in copy)


def copy_in(conn):
    with conn.cursor() as cursor:
        with cursor.copy(SQL["copy_in"]) as copy:
            for number in range(101, 181):
                copy.write_row((number, f"copied {number}"))
        count = cursor.rowcount
    return [count, conn.execute(READ["sunk"], (101, 103)).fetchall()]


def failed_copy_in(conn):
    try:
        with conn.cursor().copy(SQL["copy_in"]) as copy:
            copy.write("101\tagain\n")
    except psycopg.Error as error:
        return [error.sqlstate, conn.execute(SQL["one"]).fetchall()]


def cursor(conn):
    with conn.transaction(), conn.cursor(name="by_parts", scrollable=True) as part:
        part.execute(SQL["cursor"])
        answers = [part.fetchmany(4), part.fetchmany(4)]
        part.scroll(-2)
        return [*answers, part.fetchall()]


def listen(conn):
    return conn.execute(SQL["listen"]).statusmessage


def cancel(conn):
    timer = threading.Timer(0.5, conn.cancel)
    timer.start()
    try:
        conn.execute(SQL["sleep"])
        return "not cancelled"
    finally:
        timer.join()
        assert conn.execute(SQL["one"]).fetchone() == (1,)


def transaction(conn):
    states = []
    with conn.transaction():
        conn.execute(READ["insert"], (201, "before"))
        try:
            with conn.transaction():
                conn.execute(SQL["locked"])
        except psycopg.Error as error:
            states.append(error.sqlstate)
        conn.execute(READ["insert"], (202, "after"))
    return [states, conn.info.transaction_status.name, conn.execute(READ["sunk"], (201, 209)).fetchall()]


def failed_transaction(conn):
    answers = []
    for text in ("BEGIN", SQL["insert"].replace("$1", "211").replace("$2", "'x'"), SQL["locked"], SQL["one"], "COMMIT"):
        try:
            answers.append(conn.execute(text).statusmessage)
        except psycopg.Error as error:
            answers.append(error.sqlstate)
        answers.append(conn.info.transaction_status.name)
    return [answers, conn.execute(READ["sunk"], (211, 219)).fetchall()]


def the_end():
    compat.wait("grant")
    notices = []
    conn = connect()
    conn.add_notice_handler(lambda diag: notices.append({"sqlstate": diag.sqlstate, "message": diag.message_primary}))
    step("notice", lambda: compat.until_notice(lambda: conn.execute(SQL["nap"]), notices))
    compat.wait("end")
    step("end", lambda: conn.execute(SQL["sleep"]).fetchall())
    step("after_end", lambda: conn.execute(SQL["one"]).fetchall())
    compat.wait("again")

    def reconnect():
        with connect() as again:
            return again.execute(SQL["count"]).fetchall()

    step("reconnect", reconnect)


compat.version(psycopg.__version__, f"{pq.version() // 10000}.{pq.version() % 10000}")
step("connect_keywords", keywords)
step("connect_uri", uri)
step("connect_service", service)
step("connect_certificate", certificate)
step("connect_direct_tls", direct_tls)
step("connect_newest_protocol", newest_protocol)
with connect() as main:
    main.prepare_threshold = None
    step("simple", lambda: psycopg.ClientCursor(main).execute(SQL["first"]).fetchall())
    step("types", lambda: types(main))
    step("extended", lambda: main.execute(READ["extended"], (3, "note 7")).fetchall())
    step("prepared", lambda: prepared(main))
    step("pipeline", lambda: pipeline(main))
    step("pipeline_with_a_failure", lambda: pipeline_with_a_failure(main))
    step("batch", lambda: batch(main))
    step("copy_out", lambda: copy_out(main))
    step("copy_in", lambda: copy_in(main))
    step("failed_copy_in", lambda: failed_copy_in(main))
    step("cursor", lambda: cursor(main))
    step("listen", lambda: listen(main))
    step("cancel", lambda: cancel(main))
    for name in ("error_detail", "error_hint", "error_name", "denied"):
        step(name, lambda: main.execute(SQL[name]).fetchall())
    step("denied_prepared", lambda: main.execute(READ["denied_prepared"], (1,), prepare=True).fetchall())
    step("transaction", lambda: transaction(main))
    step("failed_transaction", lambda: failed_transaction(main))
    step("reset", lambda: main.execute("DISCARD ALL").statusmessage)
the_end()
