"""OAUTHBEARER by libpq 18: the server says where to get a token, a hook gets one, and the second connection brings it."""

import ctypes
import glob
import os

import psycopg

library = glob.glob(os.path.join(os.environ["PYTHONPATH"], "psycopg_binary.libs", "libpq-*.so*"))
libpq = ctypes.CDLL(library[0])


class BearerRequest(ctypes.Structure):
    _fields_ = [
        ("openid_configuration", ctypes.c_char_p),
        ("scope", ctypes.c_char_p),
        ("poll", ctypes.c_void_p),
        ("cleanup", ctypes.c_void_p),
        ("token", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
    ]


asked = []


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def hook(kind, connection, data):
    if kind != 1:
        return 0
    request = ctypes.cast(data, ctypes.POINTER(BearerRequest)).contents
    asked.append((request.openid_configuration, request.scope))
    request.token = b"@TOKEN@"
    return 1


libpq.PQsetAuthDataHook(hook)
os.environ.pop("PGPASSWORD")
with psycopg.connect(oauth_issuer="@ISSUER@", oauth_client_id="psql", require_auth="oauth") as connection:
    assert connection.execute("SELECT count(*) FROM public.notes").fetchone() == (10,)
assert asked == [(b"@ISSUER@/.well-known/openid-configuration", b"openid")], asked
