"""What the Python programs share: the connection from the environment, one JSON line a step, the waits."""
import datetime
import decimal
import json
import os
import sys
import time

SQL = {name[4:].lower(): text for name, text in os.environ.items() if name.startswith("SQL_")}
HOST = os.environ["PGHOST"]
PORT = os.environ["PGPORT"]
DATABASE = os.environ["PGDATABASE"]
USER = os.environ["PGUSER"]
PASSWORD = os.environ["PGPASSWORD"]
AUTHORITY = os.environ["PGSSLROOTCERT"]
URI = os.environ["COMPAT_URI"]
CERTIFIED = {
    "user": os.environ["COMPAT_CERT_USER"],
    "sslcert": os.environ["COMPAT_CERT"],
    "sslkey": os.environ["COMPAT_CERT_KEY"],
}
NOTICE_WAIT = float(os.environ["COMPAT_NOTICE_WAIT"])


class Skip(Exception):
    """The client has no such thing."""


def emit(line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


def version(text, libpq=None):
    emit({"version": text, "libpq": libpq})


def shown(value):
    """A value as JSON: what the driver made of it, told apart where Python tells it apart."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {str(name): shown(item) for name, item in value.items()}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes " + bytes(value).hex()
    if isinstance(value, (float, decimal.Decimal, datetime.date, datetime.datetime, datetime.timedelta)):
        return repr(value)
    return f"{type(value).__name__} {value}"


def step(name, action, describe):
    """Runs one step and says what came of it; `describe` turns the driver's exception into fields."""
    try:
        emit({"step": name, "result": shown(action())})
    except Skip as why:
        emit({"step": name, "skip": str(why)})
    except Exception as error:  # noqa: BLE001: whatever a driver raises is what is compared
        fields = describe(error)
        fields.setdefault("class", type(error).__name__)
        emit({"step": name, "error": fields})


def wait(what):
    """Tells the runner what has to happen now, and goes on when it has."""
    emit({"wait": what})
    if not sys.stdin.readline():
        sys.exit("the runner is gone")


def until_notice(nap, notices):
    """Asks the server small things until a notice has come, or long enough."""
    begun = time.monotonic()
    while True:
        nap()
        if notices or time.monotonic() - begun > NOTICE_WAIT:
            return list(notices)
