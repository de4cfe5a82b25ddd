"""asyncpg: the whole scenario; its own protocol, without libpq, always extended where there are parameters."""
import asyncio
import io
import ssl
import time

import asyncpg

import compat
from compat import SQL


def describe(error):
    if not isinstance(error, asyncpg.PostgresError):
        return {"message": str(error)}
    return {"sqlstate": error.sqlstate, "message": error.message, "detail": error.detail, "hint": error.hint}


async def step(name, action):
    try:
        result = await action()
    except Exception as error:  # noqa: BLE001
        failed = error

        def action_again():
            raise failed

        compat.step(name, action_again, describe)
    else:
        compat.step(name, lambda: result, describe)


def trust():
    return ssl.create_default_context(cafile=compat.AUTHORITY)


async def connect():
    return await asyncpg.connect(
        host=compat.HOST, port=int(compat.PORT), user=compat.USER, password=compat.PASSWORD, database=compat.DATABASE,
        ssl=trust(),
    )


async def once(**more):
    conn = await asyncpg.connect(**more) if more else await connect()
    try:
        return await conn.fetchval(SQL["count"])
    finally:
        await conn.close()


async def certificate():
    context = trust()
    context.load_cert_chain(compat.CERTIFIED["sslcert"], compat.CERTIFIED["sslkey"])
    return await once(
        host=compat.HOST, port=int(compat.PORT), user=compat.CERTIFIED["user"], password="", database=compat.DATABASE,
        ssl=context,
    )


async def service():
    raise compat.Skip("asyncpg reads no service file")


async def pool():
    async with asyncpg.create_pool(compat.URI, min_size=2, max_size=3) as pool:
        answers = await asyncio.gather(*[pool.fetchval(SQL["prepared"], number) for number in range(1, 8)])
        return sorted(answers)


def rows(records):
    return [list(record.items()) for record in records]


async def simple(conn):
    return await conn.execute(SQL["first"])


async def types(conn):
    return rows(await conn.fetch(SQL["types"]))


async def prepared(conn):
    statement = await conn.prepare(SQL["prepared"])
    described = [[str(p) for p in statement.get_parameters()], [str(a) for a in statement.get_attributes()]]
    return [described, *[await statement.fetchval(number) for number in (1, 2, 3)]]


async def batch(conn):
    await conn.executemany(SQL["insert"], [(1, "one"), (2, "zwei"), (3, None)])
    several = await conn.execute(SQL["several"])
    return [several, rows(await conn.fetch(SQL["sunk"], 1, 9))]


async def failed_batch(conn):
    try:
        await conn.executemany(SQL["insert"], [(7, "seven"), (1, "again")])
    except asyncpg.PostgresError as error:
        return [error.sqlstate, rows(await conn.fetch(SQL["sunk"], 1, 9))]


async def copy_out(conn):
    into = io.BytesIO()
    text = SQL["copy_out"].removeprefix("COPY (").removesuffix(") TO STDOUT")
    tag = await conn.copy_from_query(text, output=into)
    binary = io.BytesIO()
    await conn.copy_from_table("notes", output=binary, format="binary")
    return [tag, into.getvalue(), binary.getvalue()]


async def copy_in(conn):
    records = [(number, f"copied {number}") for number in range(101, 181)]
    tag = await conn.copy_records_to_table("sink", records=records, columns=["id", "body"])
    return [tag, rows(await conn.fetch(SQL["sunk"], 101, 103))]


async def failed_copy_in(conn):
    try:
        await conn.copy_records_to_table("sink", records=[(101, "again")], columns=["id", "body"])
    except asyncpg.PostgresError as error:
        return [error.sqlstate, await conn.fetchval(SQL["one"])]


async def cursor(conn):
    async with conn.transaction():
        part = await conn.cursor(SQL["cursor"])
        answers = [rows(await part.fetch(4))]
        await part.forward(2)
        answers.append(rows(await part.fetch(10)))
        answers.append([record["id"] async for record in conn.cursor(SQL["cursor"], prefetch=3)])
        return answers


async def listen(conn):
    await conn.add_listener("jobs", lambda *_: None)
    return "listening"


async def cancel(conn):
    try:
        await asyncio.wait_for(conn.execute(SQL["sleep"]), 0.5)
    except asyncio.TimeoutError:
        return ["timed out", await conn.fetchval(SQL["one"])]


async def transaction(conn):
    states = []
    async with conn.transaction():
        await conn.execute(SQL["insert"], 201, "before")
        try:
            async with conn.transaction():
                await conn.fetch(SQL["locked"])
        except asyncpg.PostgresError as error:
            states.append(error.sqlstate)
        await conn.execute(SQL["insert"], 202, "after")
    return [states, conn.is_in_transaction(), rows(await conn.fetch(SQL["sunk"], 201, 209))]


async def failed_transaction(conn):
    answers = []
    for text in ("BEGIN", SQL["insert"].replace("$1", "211").replace("$2", "'x'"), SQL["locked"], SQL["one"], "COMMIT"):
        try:
            answers.append(await conn.execute(text))
        except asyncpg.PostgresError as error:
            answers.append(error.sqlstate)
    return [answers, rows(await conn.fetch(SQL["sunk"], 211, 219))]


async def introspection(conn):
    """asyncpg asks the catalogs itself for types that it does not know."""
    await conn.execute("CREATE TYPE public.pair AS (a int, b public.mood)")
    await conn.reload_schema_state()
    row = await conn.fetchrow("SELECT ROW(1, 'ok')::public.pair AS pair, ARRAY['sad']::public.mood[] AS moods")
    described = await conn.fetchval("SELECT ROW(1, 'ok')::public.pair")
    await conn.execute("DROP TYPE public.pair")
    return [list(row.items()), list(described.items())]


async def notices(conn):
    heard = []
    conn.add_log_listener(lambda _, message: heard.append({"sqlstate": message.sqlstate, "message": message.message}))
    begun = time.monotonic()
    while not heard and time.monotonic() - begun <= compat.NOTICE_WAIT:
        await conn.execute(SQL["nap"])
        await asyncio.sleep(0)
    return heard


async def the_end():
    compat.wait("grant")
    conn = await connect()
    await step("notice", lambda: notices(conn))
    compat.wait("end")
    await step("end", lambda: conn.execute(SQL["sleep"]))
    await step("after_end", lambda: conn.execute(SQL["one"]))
    compat.wait("again")
    await step("reconnect", once)


async def main():
    compat.version(asyncpg.__version__)
    await step("connect_keywords", once)
    await step("connect_uri", lambda: once(dsn=compat.URI))
    await step("connect_service", service)
    await step("connect_certificate", certificate)
    await step("connect_pool", pool)
    conn = await connect()
    steps = (
        simple, types, prepared, batch, failed_batch, copy_out, copy_in, failed_copy_in, cursor, listen, cancel, transaction,
        failed_transaction,
    )
    for action in steps:
        name = {"failed_batch": "batch_that_fails"}.get(action.__name__, action.__name__)
        await step(name, lambda action=action: action(conn))
    await step("extended", lambda: conn.fetch(SQL["extended"], 3, "note 7"))
    await step("own_types", lambda: introspection(conn))
    for name in ("error_detail", "error_hint", "error_name", "denied"):
        await step(name, lambda name=name: conn.fetch(SQL[name]))
    await step("denied_prepared", lambda: conn.fetch(SQL["denied_prepared"], 1))
    await step("reset", conn.reset)
    await conn.close()
    await the_end()


asyncio.run(main())
