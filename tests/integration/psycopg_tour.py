"""psycopg 3 through pgward: queries, parameters, server-side cursor, pipeline, COPY, transactions with a denial inside."""
import psycopg
from psycopg import errors

with psycopg.connect(autocommit=True) as conn:
    assert conn.execute("SELECT count(*) FROM public.orders").fetchone() == (20,)
    assert conn.execute("SELECT name FROM public.customers WHERE id = %s", (2,)).fetchone() == ("cust 2",)
    try:
        conn.execute("SELECT * FROM hr.salaries")
        raise SystemExit("a forbidden table was read")
    except errors.InsufficientPrivilege as refused:
        assert refused.diag.message_detail and refused.diag.message_hint, refused.diag
    assert conn.execute("SELECT 1").fetchone() == (1,)

    with conn.transaction():
        with conn.cursor(name="fetched_in_parts") as cursor:
            cursor.execute("SELECT id FROM public.orders ORDER BY id")
            assert [row[0] for row in cursor.fetchmany(3)] == [1, 2, 3]
            assert len(cursor.fetchall()) == 17

    try:
        with conn.transaction():
            conn.execute("SELECT 1")
            try:
                with conn.transaction():
                    conn.execute("SELECT ssn FROM public.customers")
                raise SystemExit("a forbidden column was read")
            except errors.InsufficientPrivilege:
                pass
            assert conn.execute("SELECT 2").fetchone() == (2,), "the savepoint holds"
            conn.execute("SELECT ssn FROM public.customers")
        raise SystemExit("a forbidden column was read")
    except errors.InsufficientPrivilege:
        pass
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE

    with conn.cursor().copy("COPY (SELECT id, status FROM public.orders ORDER BY id) TO STDOUT") as copy:
        assert sum(1 for _ in copy.rows()) == 20

    if psycopg.Pipeline.is_supported():
        with conn.pipeline():
            first = conn.execute("SELECT 1")
            second = conn.execute("SELECT %s::int", (2,))
        assert (first.fetchone(), second.fetchone()) == ((1,), (2,))
        try:
            with conn.pipeline() as pipeline:
                conn.execute("SELECT 1")
                conn.execute("SELECT email FROM public.customers")
                conn.execute("SELECT 3")
                pipeline.sync()
            raise SystemExit("a forbidden column was read in a pipeline")
        except errors.InsufficientPrivilege:
            pass
        assert conn.execute("SELECT 4").fetchone() == (4,)

    assert "gr_" in str(conn.execute("SHOW pgward.grants").fetchall())
