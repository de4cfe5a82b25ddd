"""What libpq 18 asks of pgward: protocol 3.2 with a long cancel key, 3.0 as ever, direct TLS, a cancel request over each."""

import threading
import time

import psycopg
from psycopg import pq

assert pq.version() >= 180000, pq.version()


def cancelled(connection):
    """A statement is cancelled by the key of this connection, and the connection lives on."""
    stopper = threading.Timer(0.5, connection.cancel_safe)
    stopper.start()
    begun = time.monotonic()
    try:
        connection.execute("SELECT pg_sleep(30)")
        raise AssertionError("not cancelled")
    except psycopg.errors.QueryCanceled:
        connection.rollback()
    stopper.join()
    assert time.monotonic() - begun < 20
    assert connection.execute("SELECT 42").fetchone() == (42,)


for options, version in [
    ({"min_protocol_version": "3.2"}, 30002),
    ({"max_protocol_version": "latest", "sslnegotiation": "direct"}, 30002),
    ({"max_protocol_version": "3.0"}, 30000),
]:
    with psycopg.connect(**options) as connection:
        found = connection.pgconn.full_protocol_version
        assert found == version, (options, found)
        cancelled(connection)

try:
    psycopg.connect(sslnegotiation="direct", sslmode="prefer")
    raise AssertionError("direct TLS that may fall back to none")
except psycopg.OperationalError:
    pass
