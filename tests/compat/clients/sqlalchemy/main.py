"""SQLAlchemy on psycopg 3: Core, ORM, reflection, its pool before and after the end of a grant."""
import datetime
import decimal

import psycopg
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql

import compat
from compat import SQL

URL = sa.URL.create("postgresql+psycopg", compat.USER, compat.PASSWORD, compat.HOST, int(compat.PORT), compat.DATABASE)
TLS = {"sslmode": "verify-full", "sslrootcert": compat.AUTHORITY}
NAMED = {name: text.replace("$1", ":a").replace("$2", ":b") for name, text in SQL.items()}


def describe(error):
    own = getattr(error, "orig", error)
    if not isinstance(own, psycopg.Error):
        return {"message": str(error)}
    diag = own.diag
    message = diag.message_primary if diag.message_primary is not None else str(own)
    return {"sqlstate": own.sqlstate, "message": message, "detail": diag.message_detail, "hint": diag.message_hint}


def step(name, action):
    compat.step(name, action, describe)


def engine(url=URL, **more):
    return sa.create_engine(url, connect_args=TLS, **more)


def once(made):
    with made.connect() as conn:
        return [list(row) for row in conn.execute(sa.text(SQL["count"]))]


def rows(conn, text, **values):
    return [list(row) for row in conn.execute(sa.text(text), values)]


class Base(orm.DeclarativeBase):
    metadata = sa.MetaData(schema="public")


class Shop(Base):
    __tablename__ = "shops"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(40), unique=True)
    opened: orm.Mapped[datetime.date | None]
    tags: orm.Mapped[list[str]] = orm.mapped_column(postgresql.ARRAY(sa.Text), default=list)
    extra: orm.Mapped[dict] = orm.mapped_column(postgresql.JSONB, default=dict)
    kind: orm.Mapped[str] = orm.mapped_column(sa.Enum("big", "small", name="shop_kind", schema="public"), index=True)
    items: orm.Mapped[list["Item"]] = orm.relationship(back_populates="shop", cascade="all, delete-orphan")


class Item(Base):
    __tablename__ = "items"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    shop_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(Shop.id, ondelete="CASCADE"))
    price: orm.Mapped[decimal.Decimal] = orm.mapped_column(sa.Numeric(8, 2))
    shop: orm.Mapped[Shop] = orm.relationship(back_populates="items")
    __table_args__ = (sa.CheckConstraint("price >= 0", name="not_negative"),)


def mapped(made):
    with orm.Session(made) as session:
        session.add_all(
            Shop(name=f"shop {n}", kind="big" if n % 2 else "small", tags=["a", "b"], items=[Item(price=decimal.Decimal(n)) for _ in range(3)])
            for n in range(1, 6)
        )
        session.commit()
        found = session.scalars(
            sa.select(Shop).options(orm.selectinload(Shop.items)).where(Shop.tags.contains(["a"])).order_by(Shop.id)
        ).all()
        answers = [[shop.name, len(shop.items), shop.tags] for shop in found]
        found[0].extra = {"seen": True}
        session.delete(found[1])
        session.commit()
        answers.append(session.execute(sa.select(sa.func.count(), sa.func.sum(Item.price)).join(Item.shop).where(Shop.kind == "big")).all())
        answers.append(session.scalar(sa.select(Shop.extra["seen"].astext).where(Shop.id == found[0].id)))
        put = postgresql.insert(Shop).values(name="shop 1", kind="big", tags=[], extra={})
        session.execute(put.on_conflict_do_update(index_elements=[Shop.name], set_={"opened": datetime.date(2024, 2, 29)}))
        session.commit()
        answers.append(session.scalar(sa.select(Shop.opened).where(Shop.name == "shop 1")))
        return answers


def nested(made):
    with orm.Session(made) as session:
        session.execute(sa.text(NAMED["insert"]), {"a": 201, "b": "before"})
        states = []
        try:
            with session.begin_nested():
                session.execute(sa.text(SQL["locked"]))
        except sa.exc.DBAPIError as error:
            states.append(error.orig.sqlstate)
        session.execute(sa.text(NAMED["insert"]), {"a": 202, "b": "after"})
        session.commit()
        return [states, rows(session, NAMED["sunk"], a=201, b=209)]


def failed(made):
    with made.connect() as conn:
        states = []
        conn.execute(sa.text(NAMED["insert"]), {"a": 211, "b": "x"})
        for text in (SQL["locked"], SQL["one"]):
            try:
                conn.execute(sa.text(text))
            except sa.exc.DBAPIError as error:
                states.append(error.orig.sqlstate)
        conn.rollback()
        return [states, rows(conn, NAMED["sunk"], a=211, b=219)]


def batch(made):
    with made.begin() as conn:
        conn.execute(sa.text(NAMED["insert"]), [{"a": 1, "b": "one"}, {"a": 2, "b": "zwei"}, {"a": 3, "b": None}])
        sink = sa.table("sink", sa.column("id"), sa.column("body"), schema="public")
        made_ids = conn.execute(sa.insert(sink).returning(sink.c.id), [{"id": n, "body": "many"} for n in range(501, 700)]).all()
        return [len(made_ids), rows(conn, NAMED["sunk"], a=1, b=9)]


def streamed(made):
    with made.connect().execution_options(yield_per=4) as conn:
        return [[row[0] for row in part] for part in conn.execute(sa.text(SQL["cursor"])).partitions()]


def reflected(made):
    metadata = sa.MetaData()
    metadata.reflect(made, schema="public", views=True)
    return [[name, [[column.name, str(column.type), column.nullable, str(column.server_default and column.server_default.arg) if getattr(column.server_default, "arg", None) is not None else None] for column in table.columns]] for name, table in sorted(metadata.tables.items())]


def inspected(made, what):
    inspector = sa.inspect(made)
    answer = getattr(inspector, what)("books", schema="public")
    return sorted(map(repr, answer)) if isinstance(answer, list) else repr(answer)


def the_end():
    compat.wait("grant")
    made = engine(pool_size=1, max_overflow=0, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
    heard = []

    @sa.event.listens_for(made, "connect")
    def connected(conn, _record):
        conn.add_notice_handler(lambda diag: heard.append(diag.message_primary))

    def asked(name):
        with made.connect() as conn:
            return rows(conn, SQL[name])

    step("notice", lambda: compat.until_notice(lambda: asked("nap"), heard))
    compat.wait("end")
    step("end", lambda: asked("sleep"))
    compat.wait("again")
    # The pool sees that its connection is gone, and makes another.
    step("reconnect", lambda: asked("count"))


compat.version(sa.__version__, f"{psycopg.pq.version() // 10000}.{psycopg.pq.version() % 10000}")
step("connect_keywords", lambda: once(engine()))
step("connect_uri", lambda: once(sa.create_engine(compat.URI.replace("postgresql://", "postgresql+psycopg://"))))
step("connect_service", lambda: once(sa.create_engine("postgresql+psycopg://?service=compat")))
step("connect_certificate", lambda: once(sa.create_engine(URL.set(username=compat.CERTIFIED["user"], password=""), connect_args={**TLS, "sslcert": compat.CERTIFIED["sslcert"], "sslkey": compat.CERTIFIED["sslkey"]})))
main = engine()
auto = main.execution_options(isolation_level="AUTOCOMMIT")


def asked(name, **values):
    with auto.connect() as conn:
        return rows(conn, NAMED[name], **values)


step("simple", lambda: asked("first"))
step("types", lambda: asked("types"))
step("extended", lambda: asked("extended", a=3, b="note 7"))
step("batch", lambda: batch(main))
step("cursor", lambda: streamed(main))
step("listen", lambda: auto.connect().execute(sa.text(SQL["listen"])).returns_rows)
for name in ("error_detail", "error_hint", "error_name", "denied"):
    step(name, lambda: asked(name))
step("denied_prepared", lambda: asked("denied_prepared", a=1))
step("transaction", lambda: nested(main))
step("failed_transaction", lambda: failed(main))
step("own_create_all_in_a_transaction", lambda: Base.metadata.create_all(main))
Base.metadata.drop_all(auto)
# Each statement for itself.
step("own_create_all", lambda: Base.metadata.create_all(auto))
step("own_create_all_again", lambda: Base.metadata.create_all(main))
step("own_orm", lambda: mapped(main))
step("own_reflection", lambda: reflected(main))
for what in ("get_columns", "get_pk_constraint", "get_foreign_keys", "get_indexes", "get_unique_constraints", "get_check_constraints", "get_table_comment", "get_table_options"):
    step(f"own_{what}", lambda: inspected(main, what))
step("own_names", lambda: [sorted(getattr(sa.inspect(main), what)("public")) for what in ("get_table_names", "get_view_names", "get_sequence_names")])
step("own_view_definition", lambda: sa.inspect(main).get_view_definition("shelf", "public"))
step("own_enums", lambda: repr(sa.inspect(main).get_enums("public")))
step("own_domains", lambda: repr(sa.inspect(main).get_domains("public")))
step("own_schemas", lambda: sa.inspect(main).get_schema_names())
step("own_has_table", lambda: [sa.inspect(main).has_table(name, "public") for name in ("books", "nothing")])
step("own_drop_all", lambda: Base.metadata.drop_all(main))
main.dispose()
the_end()
