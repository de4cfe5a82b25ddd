"""Django: migrations of its own applications and of one of ours, the ORM, inspectdb, and the usual ends."""
import io

import django
import psycopg
from django.conf import settings

import compat
from compat import SQL

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "HOST": compat.HOST, "PORT": compat.PORT, "USER": compat.USER,
            "PASSWORD": compat.PASSWORD, "NAME": compat.DATABASE,
            "OPTIONS": {"sslmode": "verify-full", "sslrootcert": compat.AUTHORITY},
        },
        "service": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"service": "compat"}, "NAME": compat.DATABASE},
        "prepared": {
            "ENGINE": "django.db.backends.postgresql", "HOST": compat.HOST, "PORT": compat.PORT, "USER": compat.USER,
            "PASSWORD": compat.PASSWORD, "NAME": compat.DATABASE,
            "OPTIONS": {"sslmode": "verify-full", "sslrootcert": compat.AUTHORITY, "server_side_binding": True, "pool": True},
        },
    },
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "django.contrib.postgres", "library"],
    MIGRATION_MODULES={"library": None},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    SECRET_KEY="only for this",
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.core.management.color import no_style  # noqa: E402
from django.db import DatabaseError, connection, connections, models, transaction  # noqa: E402
from library.models import Volume, Writer  # noqa: E402

READ = {name: text.replace("$1", "%s").replace("$2", "%s") for name, text in SQL.items()}


def describe(error):
    own = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
    if not isinstance(own, psycopg.Error):
        return {"message": str(error)}
    diag = own.diag
    message = diag.message_primary if diag.message_primary is not None else str(own)
    return {"sqlstate": own.sqlstate, "message": message, "detail": diag.message_detail, "hint": diag.message_hint}


def step(name, action):
    compat.step(name, action, describe)
    # A migration that failed leaves its connection in a transaction.
    if connection.in_atomic_block:
        connection.in_atomic_block = False
        connection.savepoint_ids = []
        connection.close()


def in_transactions(wanted):
    """Whether a migration is one transaction: what a database backend says that is ours but for this."""
    connection.features.can_rollback_ddl = wanted


def fetched(text, values=None, using="default"):
    with connections[using].cursor() as cursor:
        cursor.execute(text, values)
        return [list(row) for row in cursor.fetchall()] if cursor.description else cursor.rowcount


def managed(*arguments, **more):
    out = io.StringIO()
    call_command(*arguments, stdout=out, no_color=True, **more)
    return out.getvalue()


def mapped():
    ada, grace = Writer.objects.create(name="Ada"), Writer.objects.create(name="Grace")
    Volume.objects.bulk_create(Volume(writer=ada if n % 2 else grace, title=f"volume {n}", price=n, tags=["a", "b"]) for n in range(1, 21))
    volume = Volume.objects.select_related("writer").get(title="volume 3")
    volume.readers.add(ada, grace)
    answers = [
        volume.writer.name, [reader.name for reader in volume.readers.all()],
        list(Volume.objects.filter(tags__contains=["a"], price__gt=15).values_list("title", flat=True)),
        Volume.objects.filter(title__icontains="1").count(),
        list(Writer.objects.annotate(many=models.Count("volumes"), dearest=models.Max("volumes__price")).values_list("name", "many", "dearest")),
        Volume.objects.filter(price__lt=5).update(price=models.F("price") + 1),
        Writer.objects.get_or_create(name="Ada")[1], Writer.objects.update_or_create(name="Grace", defaults={"born": "1906-12-09"})[1],
        Volume.objects.filter(extra__a__isnull=True).exists(),
        [volume.title for volume in Volume.objects.iterator(chunk_size=7)][-1],
        Volume.objects.filter(writer=grace).delete()[0],
    ]
    Writer.objects.bulk_create([Writer(name="Ada", born="1815-12-10")], update_conflicts=True, unique_fields=["name"], update_fields=["born"])
    with transaction.atomic():
        answers.append(str(Writer.objects.select_for_update().get(name="Ada").born))
    return answers


def integrity():
    Writer.objects.create(name="Ada")


def nested():
    states = []
    with transaction.atomic():
        fetched(READ["insert"], (201, "before"))
        try:
            with transaction.atomic():
                fetched(SQL["locked"])
        except DatabaseError as error:
            states.append(error.__cause__.sqlstate)
        fetched(READ["insert"], (202, "after"))
    return [states, fetched(READ["sunk"], (201, 209))]


def failed():
    states = []
    try:
        with transaction.atomic():
            fetched(READ["insert"], (211, "x"))
            for text in (SQL["locked"], SQL["one"]):
                try:
                    fetched(text)
                except DatabaseError as error:
                    states.append(error.__cause__.sqlstate if error.__cause__ else type(error).__name__)
    except DatabaseError as error:
        states.append(type(error).__name__)
    return [states, fetched(READ["sunk"], (211, 219))]


def the_end():
    compat.wait("grant")
    connection.close()
    connection.ensure_connection()
    heard = []
    connection.connection.add_notice_handler(lambda diag: heard.append(diag.message_primary))
    step("notice", lambda: compat.until_notice(lambda: fetched(SQL["nap"]), heard))
    compat.wait("end")
    step("end", lambda: fetched(SQL["sleep"]))
    compat.wait("again")

    def again():
        # What Django does at the end of every request.
        connection.close_if_unusable_or_obsolete()
        return fetched(SQL["count"])

    step("reconnect", again)


libpq = psycopg.pq.version()
compat.version(django.__version__, f"{libpq // 10000}.{libpq % 10000}")
step("connect_keywords", lambda: fetched(SQL["count"]))
step("connect_service", lambda: fetched(SQL["count"], using="service"))
step("simple", lambda: fetched(SQL["first"]))
step("types", lambda: fetched(SQL["types"]))
step("extended", lambda: fetched(READ["extended"], (3, "note 7")))
step("extended_bound_by_the_server", lambda: fetched(READ["extended"], (3, "note 7"), using="prepared"))
connections["prepared"].close_pool()
step("own_check", lambda: managed("check", database=["default"]))
step("own_migrate", lambda: managed("migrate", "library", run_syncdb=True, verbosity=1))
step("own_migrate_again", lambda: managed("migrate", "library", run_syncdb=True, verbosity=1))
step("own_migrate_contenttypes", lambda: managed("migrate", "contenttypes", "0001", verbosity=1))
step("own_migrate_sessions", lambda: managed("migrate", "sessions", verbosity=1))
step("own_showmigrations", lambda: managed("showmigrations"))
step("own_orm", mapped)
step("own_integrity_error", integrity)
step("own_sequences", lambda: [connection.introspection.get_sequences(connection.cursor(), "library_writer"), connection.ops.sequence_reset_sql(no_style(), [Writer])])
step("own_inspectdb", lambda: managed("inspectdb", include_views=True))
step("own_sqlflush", lambda: sorted(managed("sqlflush").splitlines()))
step("own_dumpdata", lambda: managed("dumpdata", "library"))
step("own_flush", lambda: managed("flush", interactive=False, inhibit_post_migrate=True))
in_transactions(False)
step("own_migrate_that_drops_a_column", lambda: managed("migrate", "contenttypes", "0002", verbosity=1))
step("own_migrate_that_drops_a_table", lambda: managed("migrate", "sessions", "zero", verbosity=1))
in_transactions(True)
step("own_migrate_in_transactions", lambda: managed("migrate", "auth", "0001", verbosity=1))
for name in ("error_detail", "error_hint", "error_name", "denied"):
    step(name, lambda: fetched(SQL[name]))
step("denied_prepared", lambda: fetched(READ["denied_prepared"], (1,)))
step("transaction", nested)
step("failed_transaction", failed)
the_end()
