"""pgAdmin: the queries by which it fills its tree and its panels, rendered for objects of the test's database.

Templates that only make or change objects are left out, and so are those that fail on PostgreSQL itself for want of a value."""
import collections
import os
import re

import jinja2
import psycopg
from psycopg import sql

import compat
from compat import SQL

HOME = os.environ["OUT"]
SERVER = 150000
READING = re.compile(r"^(nodes|node|properties|count|acl|stats|coll_stats|coll_table_stats|get_[a-z_]+|functions|depend[a-z]*|dependen[a-z]+|defacl|type|tables|columns|schemas|databases|roles|role|indexes|sequences|views|handlers|validators|templates|parser|dictionaries|tokens|index_constraint_cols|is_catalog|show_[a-z]+|vacuum_settings|allowed_indexes|enums|additional_properties|attributes|publications|primary_keys|objectquery|has_oids|default)$")
CHANGING = re.compile(r"^\s*(CREATE|ALTER|DROP|GRANT|REVOKE|INSERT|UPDATE|DELETE|TRUNCATE|COMMENT|DO|REFRESH|REINDEX|CLUSTER|VACUUM|SECURITY|LOCK|BEGIN|COMMIT|CALL|SET)\b", re.I)


def describe(error):
    if not isinstance(error, psycopg.Error):
        return {"message": str(error)}
    diag = error.diag
    message = diag.message_primary if diag.message_primary is not None else str(error)
    return {"sqlstate": error.sqlstate, "message": message, "detail": diag.message_detail, "hint": diag.message_hint}


def step(name, action):
    compat.step(name, action, describe)


def connect():
    return psycopg.connect("", autocommit=True, prepare_threshold=None)


def rows(conn, text):
    cursor = conn.execute(text)
    return sorted(map(repr, cursor.fetchall())) if cursor.description else cursor.statusmessage


def templates():
    """(its name, the file) of the template that pgAdmin takes for this server's version."""
    found = collections.defaultdict(dict)
    for folder, _, files in os.walk(HOME):
        for file in files:
            path = os.path.relpath(os.path.join(folder, file), HOME)
            if not path.endswith(".sql") or "/ppas/" in path or "/gpdb" in path:
                continue
            place = path.split("/templates/")[-1]
            parts = place.split("/")
            version = next((part for part in parts if re.fullmatch(r"default|\d+(_\d+)?_plus", part)), None)
            number = 0 if version in (None, "default") else int(float(version.removesuffix("_plus").replace("_", ".")) * 10000)
            if number <= SERVER:
                name = "/".join(part for part in parts if part not in (version, "sql", "pg"))
                found[name][number] = path
    return sorted((name.removesuffix(".sql"), by_version[max(by_version)]) for name, by_version in found.items())


def identifiers(conn):
    text = """SELECT (SELECT oid FROM pg_database WHERE datname = current_database()), 'public'::regnamespace::oid, 'public.books'::regclass::oid,
        'public.shelf'::regclass::oid, 'public.books_id_seq'::regclass::oid, 'public.books_title'::regclass::oid, 'public.mood'::regtype::oid,
        (SELECT oid FROM pg_constraint WHERE conname = 'books_author_id_fkey'), (SELECT oid FROM pg_roles WHERE rolname = current_user)"""
    names = ("did", "scid", "tid", "vid", "seid", "idx", "tyid", "cid", "rid")
    return {name: int(value) for name, value in zip(names, conn.execute(text).fetchone())}


def context(known):
    oids = {**known, "gid": 1, "sid": 1, "exid": 1, "clid": 2, "fnid": 0, "foid": known["tid"]}
    # Whatever a template calls the object that it is about.
    for name in ("oid", "obj_id", "table_id", "table_oid", "relid", "object_id", "objid", "rel_oid"):
        oids[name] = known["tid"]
    return {
        **oids, "schema_oid": known["scid"], "parent_id": known["scid"], "scoid": known["scid"], "schema": "public", "schema_name": "public",
        "nspname": "public", "table": "books", "table_name": "books", "name": "books", "relname": "books", "tname": "books", "show_sys_objects": False,
        "show_system_objects": False, "datlastsysoid": 16383, "last_system_oid": 16383, "datistemplate": False, "db_restrictions": None,
        "data": {"name": "books", "schema": "public", "table": "books", "relname": "books", "oid": known["tid"]}, "is_pgstattuple": False,
        "seqid": known["seid"], "type_id": known["tyid"], "where_clause": "1 = 1", "catalog_name": "pg_catalog", "dbname": compat.DATABASE,
    }


def environment(conn):
    loader = jinja2.FileSystemLoader(sorted({folder for folder, names, _ in os.walk(HOME) if folder.endswith("/templates")}))
    made = jinja2.Environment(loader=loader, extensions=["jinja2.ext.do"])
    quoted = lambda _conn, *names: ".".join(sql.Identifier(str(name)).as_string(conn) for name in names if name)  # noqa: E731
    literal = lambda value, _conn=None, *_: sql.Literal(str(value) if not isinstance(value, int) else value).as_string(conn)  # noqa: E731
    made.filters.update(
        qtIdent=lambda names, *_: quoted(None, *(names if isinstance(names, (list, tuple)) else [names])), qtLiteral=literal,
        qtTypeIdent=lambda name, *_: name, hasAny=lambda data, keys: any(key in (data or {}) for key in keys),
    )
    made.globals.update(conn=conn, _=lambda text: text, gettext=lambda text: text)
    return made


def rendered(made, path, values):
    """The statements of a template; nothing where it cannot be rendered by itself, or only changes things."""
    try:
        text = made.get_template(path.split("/templates/", 1)[1]).render(values).strip()
    except Exception:  # noqa: BLE001: pgAdmin gives it what we do not know of
        return None
    bare = re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.S).strip()
    return text if bare and not CHANGING.match(bare) else None


with open(os.path.join(HOME, "version")) as file:
    compat.version(file.read(), f"{psycopg.pq.version() // 10000}.{psycopg.pq.version() % 10000}")
main = connect()
step("connect_keywords", lambda: rows(main, SQL["count"]))
# What it says first on every connection.
step("connect_settings", lambda: main.execute("SET DateStyle=ISO; SET client_min_messages=notice; SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'; SET client_encoding='utf-8';").statusmessage)
made, values = environment(main), context(identifiers(main))
for name, path in templates():
    text = rendered(made, path, values) if READING.match(os.path.basename(name)) else None
    # What other databases there are differs while others are tested.
    if text and name not in ("databases/nodes", "sqlautocomplete/databases"):
        step(f"own_try {name}", lambda: rows(main, text))
main.close()
compat.wait("grant")
main = connect()
heard = []
main.add_notice_handler(lambda diag: heard.append(diag.message_primary))
step("notice", lambda: compat.until_notice(lambda: main.execute(SQL["nap"]), heard))
compat.wait("end")
step("end", lambda: rows(main, SQL["sleep"]))
compat.wait("again")
step("reconnect", lambda: rows(connect(), SQL["count"]))
