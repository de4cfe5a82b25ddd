//! Wall three: sessions that log in to PostgreSQL as roles of their own, made by a broker that is no superuser.

use std::process::Command;
use std::sync::Once;
use std::time::Duration;

use tokio_postgres::Client;

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, Setup, binary, config, connect, wait_until};

pub const CASES: &[Case] = &[
    ("roles::a_session_has_exactly_its_grants_privileges", exactly_the_grants),
    ("roles::what_is_out_of_scope_postgresql_refuses", postgresql_refuses),
    ("roles::writing_reaches_what_stands_behind_a_row", writing_reaches_behind),
    ("roles::two_sessions_of_one_principal", two_sessions),
    ("roles::many_sessions_come_and_go_at_once", many_sessions),
    ("roles::grants_come_and_go", grants_come_and_go),
    ("roles::read_only_where_the_grants_are", read_only_where_grants_are),
    ("roles::a_new_table_that_a_pattern_means", new_table),
    ("roles::made_objects_go_to_the_broker", made_objects),
    ("roles::schema_changes_in_a_transaction", schema_changes),
    ("roles::a_crash_leaves_roles_that_the_next_start_removes", crash),
    ("roles::another_pgward_is_left_alone", another_pgward),
    ("roles::sigterm_leaves_no_role", sigterm),
    ("roles::no_role_no_session", no_role_no_session),
    ("roles::check_says_what_a_broker_lacks", check_says),
];

/// How long a role may outlive what it was for.
const SOON: Duration = Duration::from_secs(10);

static VAULT: Once = Once::new();

fn proxy(bench: &Bench) -> Proxy {
    VAULT.call_once(|| {
        bench.postgres.run("postgres", "CREATE DATABASE vault");
        bench.postgres.run("vault", include_str!("vault.sql"));
    });
    Proxy::start(bench, &|setup| config(setup, &Scopes { more: more(setup), ..Scopes::default() }))
}

fn more(setup: &Setup) -> String {
    let Setup { upstream_port, certs, dir, .. } = setup;
    let (certs, dir) = (certs.display(), dir.display());
    let database = |name: &str, user: &str| {
        format!(
            "[[database]]\nname = \"{name}\"\n\
             upstream = \"postgresql://{user}@localhost:{upstream_port}/vault?sslmode=verify-full&sslrootcert={certs}/ca.crt\"\n\
             password_file = \"{dir}/admin_password\"\nregion = \"us-east\"\nprovision = \"role\"\n"
        )
    };
    let scope = |name: &str, database: &str, allow: &str| {
        format!(
            "[[scope]]\nname = \"{name}\"\ndatabase = \"{database}\"\nregions = [\"us-east\"]\nrequesters = [\"@dev\"]\n\
             approvers = [\"@dba\"]\nmax_duration = \"8h\"\n{allow}\n"
        )
    };
    let on = |what: &str, operations: &str| format!("[[scope.allow]]\non = [{what}]\ndo = [{operations}]\n");
    [
        database("vault", "vault_broker"),
        database("locked", "vault_nobody"),
        scope(
            "vault-some",
            "vault",
            &format!(
                "{}[[scope.allow]]\non = [\"app.people\"]\ncolumns = [\"id\", \"name\"]\ndo = [\"select\", \"update\"]\n\
                 [[scope.allow]]\nfunctions = [\"app.order_count\", \"pg_catalog.pg_sleep\"]\n",
                on("\"app.orders\", \"app.v_orders\"", "\"select\"")
            ),
        ),
        scope("vault-read", "vault", &on("\"app.orders\"", "\"select\"")),
        scope("vault-all", "vault", &on("\"app.*\"", "\"select\"")),
        scope("vault-write", "vault", &on(
                "\"app.orders\", \"app.people\", \"app.v_orders\", \"app.parts\"",
                "\"select\", \"insert\", \"update\", \"delete\"",
            )),
        scope("vault-ddl", "vault", &on("\"app.*\"", "\"select\", \"insert\", \"ddl\"")),
        scope("locked-read", "locked", &on("\"app.orders\"", "\"select\"")),
    ]
    .concat()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// A session, and the role that it is logged in as.
async fn session(proxy: &Proxy) -> (Client, String) {
    let client = connect(proxy, &proxy.credentials("alice", "vault")).await;
    let role = client.query_one("SELECT current_user::text", &[]).await.unwrap().get(0);
    (client, role)
}

fn exists(bench: &Bench, role: &str) -> bool {
    bench.postgres.run("vault", &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'")) == "1"
}

fn is_gone(bench: &Bench, role: &str) {
    wait_until(role, SOON, || !exists(bench, role));
}

/// Roles of the pgward processes that have one of these roles.
fn roles_of_process(bench: &Bench, role: &str) -> String {
    let process = format!(
        "(SELECT shobj_description(oid, 'pg_authid')::json->>'process' FROM pg_roles WHERE rolname = '{role}')"
    );
    bench.postgres.run("vault", &format!("SELECT {process}"))
}

fn count_of_process(bench: &Bench, process: &str) -> usize {
    let sql = format!(
        "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pgward\\_%' \
         AND shobj_description(oid, 'pg_authid')::json->>'process' = '{process}'"
    );
    bench.postgres.run("vault", &sql).parse().unwrap()
}

/// Every privilege that the role has in schemas of the application, by whatever way.
fn privileges(bench: &Bench, role: &str) -> String {
    let sql = format!(
        "SELECT string_agg(said, ' ' ORDER BY said) FROM (
           SELECT format('%s:%s', c.oid::regclass, p) FROM pg_class c,
             unnest(ARRAY['SELECT','INSERT','UPDATE','DELETE','TRUNCATE','REFERENCES','TRIGGER']) p
           WHERE relnamespace::regnamespace::text IN ('app', 'hidden', 'public') AND relkind IN ('r', 'v')
             AND has_table_privilege('{role}', c.oid, p)
           UNION ALL
           SELECT format('%s.%s:%s', c.oid::regclass, attname, p) FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid,
             unnest(ARRAY['SELECT','INSERT','UPDATE','REFERENCES']) p
           WHERE relnamespace::regnamespace::text IN ('app', 'hidden', 'public') AND relkind IN ('r', 'v') AND attnum > 0
             AND has_column_privilege('{role}', c.oid, attnum, p) AND NOT has_table_privilege('{role}', c.oid, p)
           UNION ALL
           SELECT format('%s:%s', c.oid::regclass, p) FROM pg_class c, unnest(ARRAY['SELECT','UPDATE','USAGE']) p
           WHERE relnamespace::regnamespace::text IN ('app', 'hidden', 'public') AND relkind = 'S'
             AND has_sequence_privilege('{role}', c.oid, p)
           UNION ALL
           SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace::regnamespace::text IN ('app', 'hidden', 'public')
             AND has_function_privilege('{role}', oid, 'EXECUTE')
           UNION ALL
           SELECT format('%s:%s', nspname, p) FROM pg_namespace, unnest(ARRAY['USAGE','CREATE']) p
           WHERE nspname IN ('app', 'hidden') AND has_schema_privilege('{role}', oid, p)
           UNION ALL
           SELECT 'TEMP' WHERE has_database_privilege('{role}', current_database(), 'TEMP')
         ) said(said)"
    );
    bench.postgres.run("vault", &sql)
}

fn exactly_the_grants(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-some", "30m");
    let role = run(async {
        let (client, role) = session(&proxy).await;
        tokio::task::block_in_place(|| {
            let expected = "app.order_count() app.orders:SELECT app.people.id:SELECT app.people.id:UPDATE \
                            app.people.name:SELECT app.people.name:UPDATE app:USAGE app.v_orders:SELECT";
            let sorted = |text: &str| {
                let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
                words.sort();
                words
            };
            assert_eq!(sorted(&privileges(bench, &role)), sorted(expected));
            let attributes = format!(
                "SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit, \
                 rolvaliduntil > now() AND rolvaliduntil < now() + interval '31 minutes', \
                 (SELECT left(rolpassword, 19) FROM pg_authid a WHERE a.oid = r.oid) \
                 FROM pg_roles r WHERE rolname = '{role}'"
            );
            assert_eq!(bench.postgres.run("vault", &attributes), "t|f|f|f|f|f|1|t|SCRAM-SHA-256$4096:");
            let settings = format!("SELECT array_to_string(rolconfig, ' ') FROM pg_roles WHERE rolname = '{role}'");
            let settings = bench.postgres.run("vault", &settings);
            for setting in ["statement_timeout=3600000", "idle_in_transaction_session_timeout=900000"] {
                assert!(settings.contains(setting), "{settings}");
            }
            let mark = format!(
                "SELECT m->>'principal', m->>'database', (m->>'session') LIKE 'se\\_%' \
                 FROM (SELECT shobj_description(oid, 'pg_authid')::json FROM pg_roles WHERE rolname = '{role}') x(m)"
            );
            assert_eq!(bench.postgres.run("vault", &mark), "alice|vault|t");
            let log = bench.postgres.log();
            assert!(
                !log.lines().any(|line| line.contains("CREATE ROLE")
                    && line.contains(&role)
                    && !line.contains("SCRAM-SHA-256$"))
            );
        });
        let rows = client.query("SELECT id FROM app.orders", &[]).await.unwrap();
        assert_eq!(rows.len(), 10);
        client.query_one("SELECT app.order_count()", &[]).await.unwrap();
        client.batch_execute("UPDATE app.people SET name = 'ann' WHERE id = 1").await.unwrap();
        role
    });
    is_gone(bench, &role);
    let opened = proxy.audit(&["--text", "nothing-like-this"]);
    assert!(opened.is_empty());
    let records = proxy.audit(&[]);
    let said = format!("logged in to the database as role {role}");
    assert!(records.iter().any(|record| record["detail"] == said.as_str()), "the journal names the role");
}

/// What policy would refuse is tried past it, as the role itself.
fn postgresql_refuses(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-some", "30m");
    run(async {
        let (_client, role) = session(&proxy).await;
        tokio::task::block_in_place(|| {
            for statement in [
                "PERFORM 1 FROM app.secrets",
                "PERFORM 1 FROM hidden.more",
                "PERFORM email FROM app.people",
                "PERFORM p FROM app.people p",
                "PERFORM app.secret_count()",
                "PERFORM app.order_code(1)",
                "PERFORM nextval('app.orders_id_seq')",
                "INSERT INTO app.orders (amount) VALUES (1)",
                "UPDATE app.orders SET amount = 1",
                "UPDATE app.people SET email = 'x'",
                "DELETE FROM app.orders",
                "TRUNCATE app.orders",
                "ALTER TABLE app.orders ADD COLUMN x int",
                "DROP TABLE app.orders",
                "CREATE TABLE app.mine (id int)",
                "CREATE TABLE public.mine (id int)",
                "CREATE TEMP TABLE mine (id int)",
                "CREATE SCHEMA mine",
                "CREATE ROLE mine",
                "PERFORM pg_read_file('PG_VERSION')",
                "PERFORM 1 FROM pg_authid",
            ] {
                let sql = format!(
                    "DO $$ BEGIN SET LOCAL ROLE \"{role}\"; {statement}; RAISE 'it ran'; \
                     EXCEPTION WHEN insufficient_privilege THEN RAISE NOTICE 'refused'; END $$"
                );
                // Panics where the exception is another one.
                bench.postgres.run("vault", &sql);
            }
        });
    });
}

fn writing_reaches_behind(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-write", "30m");
    run(async {
        let (client, role) = session(&proxy).await;
        // A serial column, a default and a CHECK that call functions nobody else may call, an identity column.
        let row = client.query_one("INSERT INTO app.orders (amount) VALUES (5) RETURNING id, code", &[]).await.unwrap();
        let id: i32 = row.get(0);
        client.execute("DELETE FROM app.orders WHERE id = $1", &[&id]).await.unwrap();
        client
            .batch_execute("INSERT INTO app.people (name) VALUES ('cy'); DELETE FROM app.people WHERE name = 'cy'")
            .await
            .unwrap();
        // Through a view, and into a partition that has a CHECK of its own.
        let row = client.query_one("INSERT INTO app.v_orders (amount) VALUES (6) RETURNING id", &[]).await.unwrap();
        let id: i32 = row.get(0);
        client.execute("DELETE FROM app.v_orders WHERE id = $1", &[&id]).await.unwrap();
        client.batch_execute("INSERT INTO app.parts VALUES (1, 5); DELETE FROM app.parts WHERE id = 1").await.unwrap();
        let has = tokio::task::block_in_place(|| privileges(bench, &role));
        for behind in ["app.is_amount(integer)", "app.order_code(integer)", "app.orders_id_seq:USAGE"] {
            assert!(has.contains(behind), "{has}");
        }
        assert!(!has.contains("people_id_seq") && !has.contains("order_count"), "{has}");
    });
}

fn two_sessions(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-read", "30m");
    let roles = run(async {
        let ((one, first), (other, second)) = tokio::join!(session(&proxy), session(&proxy));
        assert_ne!(first, second);
        for client in [&one, &other] {
            client.batch_execute("SELECT id FROM app.orders").await.unwrap();
        }
        drop(one);
        tokio::task::block_in_place(|| is_gone(bench, &first));
        other.batch_execute("SELECT id FROM app.orders").await.unwrap();
        assert!(tokio::task::block_in_place(|| exists(bench, &second)));
        [first, second]
    });
    roles.iter().for_each(|role| is_gone(bench, role));
}

/// Sessions open and close while tables come and go, so that privileges are compared all the time.
fn many_sessions(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-all", "30m");
    proxy.grant("alice", "vault-write", "30m");
    let alice = proxy.credentials("alice", "vault");
    run(async {
        let mut tasks = tokio::task::JoinSet::new();
        let (proxy, alice) = (std::sync::Arc::new(proxy), std::sync::Arc::new(alice));
        for _ in 0..8 {
            let (proxy, alice) = (std::sync::Arc::clone(&proxy), std::sync::Arc::clone(&alice));
            tasks.spawn(async move {
                for _ in 0..5 {
                    let client = connect(&proxy, &alice).await;
                    client.batch_execute("SELECT count(*) FROM app.orders").await.unwrap();
                    client.batch_execute("UPDATE app.people SET name = name WHERE id = 1").await.unwrap();
                }
            });
        }
        for number in 0..6 {
            let sql = format!("SET ROLE vault_owner; CREATE TABLE app.passing{number} (id int)");
            tokio::task::block_in_place(|| bench.postgres.run("vault", &sql));
            let drop = format!("DROP TABLE app.passing{number}");
            tokio::task::block_in_place(|| bench.postgres.run("vault", &drop));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        let (_client, role) = session(&proxy).await;
        let process = tokio::task::block_in_place(|| roles_of_process(bench, &role));
        tokio::task::block_in_place(|| {
            wait_until("one session and two grants are left", SOON, || count_of_process(bench, &process) == 3);
        });
        assert!(!proxy.log().contains("ERROR"), "{}", proxy.log());
    });
}

fn grants_come_and_go(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-read", "20m");
    run(async {
        let (client, role) = session(&proxy).await;
        let insert = "INSERT INTO app.orders (amount) VALUES (1)";
        assert!(client.batch_execute(insert).await.is_err());
        assert!(!tokio::task::block_in_place(|| privileges(bench, &role)).contains("INSERT"));
        let second = tokio::task::block_in_place(|| proxy.grant("alice", "vault-write", "40m"));
        client.batch_execute(insert).await.unwrap();
        tokio::task::block_in_place(|| {
            assert!(privileges(bench, &role).contains("app.orders:INSERT"));
            let until =
                format!("SELECT rolvaliduntil > now() + interval '30 minutes' FROM pg_roles WHERE rolname = '{role}'");
            assert_eq!(bench.postgres.run("vault", &until), "t", "VALID UNTIL follows the later grant");
            proxy.revoke(&second);
        });
        let refused = client.batch_execute(insert).await.unwrap_err();
        assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{refused:?}");
        tokio::task::block_in_place(|| {
            wait_until("the privileges are gone", SOON, || !privileges(bench, &role).contains("INSERT"));
        });
        client.batch_execute("SELECT id FROM app.orders").await.unwrap();
        // And once more: the grant's role is made anew.
        tokio::task::block_in_place(|| proxy.grant("alice", "vault-write", "40m"));
        client.batch_execute("DELETE FROM app.orders WHERE amount = 1 AND id > 10").await.unwrap();
    });
}

fn read_only_where_grants_are(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-read", "20m");
    run(async {
        let (client, _) = session(&proxy).await;
        let is_read_only =
            async || -> String { client.query_one("SHOW transaction_read_only", &[]).await.unwrap().get(0) };
        assert_eq!(is_read_only().await, "on");
        let second = tokio::task::block_in_place(|| proxy.grant("alice", "vault-write", "20m"));
        assert_eq!(is_read_only().await, "off");
        client.batch_execute("RESET ALL").await.unwrap();
        client.batch_execute("BEGIN; UPDATE app.orders SET amount = amount WHERE id = 1; COMMIT").await.unwrap();
        tokio::task::block_in_place(|| proxy.revoke(&second));
        assert_eq!(is_read_only().await, "on");
    });
}

fn new_table(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-all", "30m");
    run(async {
        let (client, _) = session(&proxy).await;
        client.batch_execute("SELECT id FROM app.orders").await.unwrap();
        tokio::task::block_in_place(|| {
            bench.postgres.run("vault", "SET ROLE vault_owner; CREATE TABLE app.late (id int)");
        });
        client.batch_execute("SELECT id FROM app.late").await.unwrap();
        tokio::task::block_in_place(|| bench.postgres.run("vault", "DROP TABLE app.late"));
        client.batch_execute("SELECT id FROM app.orders").await.unwrap();
    });
}

fn made_objects(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-ddl", "30m");
    let role = run(async {
        let (client, role) = session(&proxy).await;
        client.batch_execute("CREATE TABLE app.made (id int)").await.unwrap();
        client.batch_execute("INSERT INTO app.made VALUES (1)").await.unwrap();
        client.batch_execute("ALTER TABLE app.made ADD COLUMN body text").await.unwrap();
        // What it does not own it cannot change, whatever policy says.
        let refused = client.batch_execute("ALTER TABLE app.people ADD COLUMN x int").await.unwrap_err();
        assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{refused:?}");
        role
    });
    is_gone(bench, &role);
    let owner = "SELECT relowner::regrole FROM pg_class WHERE oid = 'app.made'::regclass";
    assert_eq!(bench.postgres.run("vault", owner), "pgward_made_by_vault_broker");
    let can = "SELECT rolcanlogin OR rolsuper OR rolcreaterole OR has_table_privilege(oid, 'app.orders', 'SELECT') \
               FROM pg_roles WHERE rolname = 'pgward_made_by_vault_broker'";
    assert_eq!(bench.postgres.run("vault", can), "f", "what was made there runs with nobody's rights");
    // The next session under a grant that means it has its privileges.
    run(async {
        let (client, _) = session(&proxy).await;
        client.batch_execute("INSERT INTO app.made VALUES (2, 'again')").await.unwrap();
    });
    bench.postgres.run("vault", "DROP TABLE app.made");
}

/// A session that is a role of its own sees what its transaction makes, and may do with it what its grant allows; what is taken
/// back is gone, and what PostgreSQL does not let the role change stays as it is.
fn schema_changes(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-ddl", "30m");
    let code = |error: tokio_postgres::Error| error.code().map(|state| state.code().to_owned());
    run(async {
        let (mut client, _) = session(&proxy).await;
        let transaction = client.transaction().await.unwrap();
        transaction.batch_execute("CREATE SEQUENCE app.numbers START 5").await.unwrap();
        transaction.batch_execute("CREATE TABLE app.passing (id int, body text)").await.unwrap();
        transaction.batch_execute("ALTER SEQUENCE app.numbers OWNED BY app.passing.id").await.unwrap();
        transaction.batch_execute("INSERT INTO app.passing VALUES (1, 'one')").await.unwrap();
        transaction.batch_execute("ALTER TABLE app.passing RENAME COLUMN body TO words").await.unwrap();
        transaction.batch_execute("ALTER TABLE app.passing RENAME TO kept").await.unwrap();
        let words: String = transaction.query_one("SELECT words FROM app.kept", &[]).await.unwrap().get(0);
        assert_eq!(words, "one");
        // What the old name meant is not there any more; and that fails the transaction for good.
        let gone = transaction.query("SELECT body FROM app.passing", &[]).await.unwrap_err();
        assert_eq!(code(gone).as_deref(), Some("42501"));
        transaction.rollback().await.unwrap();
        assert_eq!(code(client.query("SELECT 1 FROM app.kept", &[]).await.unwrap_err()).as_deref(), Some("42501"));
        // Of what it did not make it is not the owner, in a transaction or out of it.
        let transaction = client.transaction().await.unwrap();
        transaction.batch_execute("CREATE TABLE app.passing (id int)").await.unwrap();
        let refused = transaction.batch_execute("ALTER SEQUENCE app.orders_id_seq RESTART").await.unwrap_err();
        assert_eq!(code(refused).as_deref(), Some("42501"));
        transaction.rollback().await.unwrap();
    });
    let left = "SELECT count(*) FROM pg_class WHERE relname IN ('numbers', 'passing', 'kept')";
    assert_eq!(bench.postgres.run("vault", left), "0");
}

fn crash(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-read", "30m");
    run(async {
        let (_client, role) = session(&proxy).await;
        tokio::task::block_in_place(|| {
            let process = roles_of_process(bench, &role);
            assert!(count_of_process(bench, &process) >= 2, "the session's role and the grant's");
            proxy.crash_and_restart();
            wait_until("the roles that were left are gone", Duration::from_secs(40), || {
                count_of_process(bench, &process) == 0
            });
        });
    });
}

fn another_pgward(bench: &Bench) {
    let (first, second) = (proxy(bench), proxy(bench));
    first.grant("alice", "vault-read", "30m");
    run(async {
        let (client, role) = session(&first).await;
        tokio::task::block_in_place(|| {
            // It looks for roles that were left over as it starts.
            second.crash_and_restart();
            second.grant("alice", "vault-read", "30m");
        });
        let (_other, _) = session(&second).await;
        client.batch_execute("SELECT id FROM app.orders").await.unwrap();
        assert!(tokio::task::block_in_place(|| exists(bench, &role)));
    });
}

fn sigterm(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "vault-read", "30m");
    run(async {
        let (_client, role) = session(&proxy).await;
        tokio::task::block_in_place(|| {
            let process = roles_of_process(bench, &role);
            proxy.signal("TERM");
            wait_until("the process is gone", Duration::from_secs(30), || !proxy.is_running());
            assert_eq!(count_of_process(bench, &process), 0);
        });
    });
}

fn no_role_no_session(bench: &Bench) {
    let proxy = proxy(bench);
    proxy.grant("alice", "locked-read", "30m");
    let (_, err, ok) = proxy.sql(&proxy.credentials("alice", "locked"), "SELECT 1");
    assert!(
        !ok && err.contains("FATAL") && err.contains("no role could be made for this session on \"locked\""),
        "{err}"
    );
    assert!(!err.contains("vault_nobody"), "the cause is in the log alone: {err}");
    assert!(proxy.log().contains("42501"), "{}", proxy.log());
}

fn check_says(bench: &Bench) {
    let proxy = proxy(bench);
    let check = |config: &std::path::Path| {
        let output = Command::new(binary()).args(["check", "--config"]).arg(config).output().unwrap();
        (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.success())
    };
    let path = proxy.setup.dir.join("proxy.toml");
    let (err, ok) = check(&path);
    assert!(!ok, "{err}");
    assert!(err.contains("ALTER ROLE \"vault_nobody\" CREATEROLE;"), "{err}");
    assert!(err.contains("GRANT SELECT ON TABLE \"app\".\"orders\" TO \"vault_nobody\" WITH GRANT OPTION;"), "{err}");
    // The broker of the other database has what it needs.
    assert!(!err.contains("\"vault_broker\" may not") && !err.contains("TO \"vault_broker\""), "{err}");
    let text = std::fs::read_to_string(&path).unwrap();
    let without = |from: &str, to: &str, text: &str| {
        let start = text.find(from).unwrap();
        let end = text[start + 1..].find(to).map_or(text.len(), |at| start + 1 + at);
        format!("{}{}", &text[..start], &text[end..])
    };
    let text = without("[[database]]\nname = \"locked\"", "[[scope]]", &text);
    let text = without("[[scope]]\nname = \"locked-read\"", "[[scope]]", &text);
    let text = text.replace("vault_broker@", "pgw_admin@");
    let other = proxy.setup.dir.join("other.toml");
    std::fs::write(&other, text).unwrap();
    let (err, ok) = check(&other);
    assert!(ok, "{err}");
    assert!(err.contains("warning: ") && err.contains("\"pgw_admin\" is a superuser"), "{err}");
}
