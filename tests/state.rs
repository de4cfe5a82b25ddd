//! Every spelling by which a session could change who it is, where names are looked up, how its text is read, or what
//! guards it: under a grant of everything, each is refused or leads back to what the session was opened with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/everything.rs"]
mod everything;
#[path = "support/postgres.rs"]
mod postgres;

use everything::everything;
use pgward::access::Operation;
use pgward::catalog::{Snapshot, resolve_with};
use pgward::policy::{Context, Verdict, decide};
use pgward::sql::{self, Limits};
use postgres::TestPostgres;
use tokio_postgres::NoTls;

/// Refused whatever the grant.
const REFUSED: &[&str] = &[
    // Where names are looked up.
    "SET search_path = hr",
    "SET SEARCH_PATH TO hr, public",
    "SET \"search_path\" = hr",
    "SET \"Search_Path\" = hr",
    "SET U&\"search\\005fpath\" = hr",
    "SET U&\"search!005fpath\" UESCAPE '!' = hr",
    "SET LOCAL search_path = hr",
    "SET SESSION search_path = hr",
    "SET search_path = ''",
    "SET search_path = pg_temp, public",
    "SET search_path TO 'public', 'hr'",
    "SET search_path = 'public, hr'",
    "SET search_path FROM CURRENT",
    "SET SCHEMA 'hr'",
    "SET LOCAL SCHEMA 'hr'",
    "BEGIN; SET LOCAL search_path = hr; COMMIT",
    "SAVEPOINT a; SET search_path = hr; ROLLBACK TO a",
    "SELECT set_config('search_path', 'hr', false)",
    "SELECT pg_catalog.set_config('search_path', '', false)",
    "SELECT set_config('SEARCH_PATH', 'hr', true)",
    "SELECT set_config(E'search\\x5fpath', 'hr', false)",
    "SELECT set_config(U&'search\\005fpath', 'hr', false)",
    "SELECT set_config($$search_path$$, 'hr', false)",
    "SELECT set_config('search' || '_path', 'hr', false)",
    "SELECT set_config('search_path'::text, 'hr', false)",
    "SELECT set_config($1, 'hr', false)",
    "SELECT set_config('search_path', $1, false)",
    "SELECT set_config(setting_name => 'search_path', new_value => 'hr', is_local => false)",
    "SELECT set_config(new_value => 'hr', is_local => false, setting_name => 'search_path')",
    "SELECT set_config(name, 'hr', false) FROM pg_settings WHERE name = 'search_path'",
    "SELECT * FROM set_config('search_path', 'hr', false)",
    "SELECT * FROM ROWS FROM (set_config('search_path', 'hr', false))",
    "VALUES (set_config('search_path', 'hr', false))",
    "WITH q AS (SELECT set_config('search_path', 'hr', false)) SELECT 1 FROM q",
    "SELECT CASE WHEN false THEN set_config('search_path', 'hr', false) END",
    "SELECT 1 ORDER BY set_config('search_path', 'hr', false)",
    "SELECT 1 LIMIT length(set_config('search_path', 'hr', false))",
    "SELECT count(*) FILTER (WHERE set_config('search_path', 'hr', false) = '') FROM t",
    "SELECT 1 FROM t TABLESAMPLE system (length(set_config('search_path', 'hr', false)))",
    "SELECT xmlelement(name a, set_config('search_path', 'hr', false))",
    "SELECT JSON_OBJECT('a': set_config('search_path', 'hr', false))",
    "SELECT * FROM JSON_TABLE('[]', '$' PASSING set_config('search_path', 'hr', false) AS x COLUMNS (a int))",
    "SELECT * FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS b text DEFAULT set_config('search_path', 'hr', false))",
    "SELECT - length(set_config('search_path', 'hr', false)) ^ 2",
    "SELECT @ length(set_config('search_path', 'hr', false))",
    "SELECT a[length(set_config('search_path', 'hr', false))] FROM arrays",
    "UPDATE arrays SET a[length(set_config('search_path', 'hr', false))] = 1",
    "UPDATE arrays SET (a[length(set_config('search_path', 'hr', false))]) = ROW(1)",
    "INSERT INTO arrays (a[length(set_config('search_path', 'hr', false))]) VALUES (1)",
    "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) WHERE set_config('search_path', 'hr', false) = '' DO NOTHING",
    "INSERT INTO t (a) VALUES (1) RETURNING set_config('search_path', 'hr', false)",
    "SELECT 1 IN ((SELECT length(set_config('search_path', 'hr', false))), (SELECT 2))",
    "SELECT ARRAY((SELECT set_config('search_path', 'hr', false)) UNION SELECT '')",
    "PREPARE q AS SELECT set_config('search_path', 'hr', false)",
    "EXECUTE q (set_config('search_path', 'hr', false))",
    "DECLARE c CURSOR FOR SELECT set_config('search_path', 'hr', false)",
    "COPY (SELECT set_config('search_path', 'hr', false)) TO STDOUT",
    "COPY t FROM STDIN WHERE set_config('search_path', 'hr', false) = ''",
    "EXPLAIN SELECT set_config('search_path', 'hr', false)",
    "EXPLAIN (ANALYZE) SELECT set_config('search_path', 'hr', false)",
    "CREATE VIEW w AS SELECT set_config('search_path', 'hr', false)",
    "CREATE TABLE w (a text DEFAULT set_config('search_path', 'hr', false))",
    "CREATE TABLE w AS SELECT set_config('search_path', 'hr', false)",
    "CREATE INDEX ON t ((set_config('search_path', 'hr', false)))",
    "CREATE TABLE w PARTITION OF parted FOR VALUES IN (length(set_config('search_path', 'hr', false)))",
    "ALTER TABLE t ALTER a TYPE text USING set_config('search_path', 'hr', false)",
    "UPDATE pg_settings SET setting = 'hr' WHERE name = 'search_path'",
    "UPDATE pg_catalog.pg_settings SET setting = 'hr'",
    "UPDATE ONLY (pg_settings) AS s SET setting = 'hr' WHERE s.name = 'search_path'",
    "MERGE INTO pg_settings USING t ON true WHEN MATCHED THEN UPDATE SET setting = 'hr'",
    "INSERT INTO pg_settings (name, setting) VALUES ('search_path', 'hr')",
    "ALTER ROLE postgres SET search_path = hr",
    "ALTER USER CURRENT_USER SET search_path = hr",
    "ALTER ROLE ALL IN DATABASE postgres SET search_path = hr",
    "ALTER ROLE postgres RESET ALL",
    "ALTER DATABASE postgres SET search_path = hr",
    "ALTER SYSTEM SET search_path = hr",
    "ALTER FUNCTION f() SET search_path = hr",
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql SET search_path = hr AS 'SELECT 1'",
    "DO $$ BEGIN SET search_path = hr; END $$",
    // How a text is read.
    "SET standard_conforming_strings = off",
    "SET standard_conforming_strings TO 'OFF'",
    "SET standard_conforming_strings = false",
    "SET standard_conforming_strings = 0",
    "SET standard_conforming_strings = DEFAULT",
    "SET standard_conforming_strings FROM CURRENT",
    "RESET standard_conforming_strings",
    "SELECT set_config('standard_conforming_strings', 'off', false)",
    "SET backslash_quote = on",
    "SET client_encoding = 'SJIS'",
    "SET NAMES 'SJIS'",
    "SET NAMES",
    "SET NAMES DEFAULT",
    "SET SESSION NAMES 'LATIN1'",
    "SET client_encoding TO DEFAULT",
    "RESET client_encoding",
    "SELECT set_config('client_encoding', 'SJIS', false)",
    "SET array_nulls = off",
    "SET transform_null_equals = on",
    // Who one is.
    "SET ROLE postgres",
    "SET ROLE \"none \"",
    "SET LOCAL ROLE postgres",
    "SET SESSION ROLE 'postgres'",
    "SET role = postgres",
    "SET \"ROLE\" TO postgres",
    "SET U&\"\\0072ole\" = postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SET LOCAL SESSION AUTHORIZATION 'postgres'",
    "SET SESSION AUTHORIZATION \"default\"",
    "SET session_authorization = postgres",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT set_config('role', 'none', false)",
    "SELECT set_config('session_authorization', 'postgres', false)",
    // What guards.
    "SET row_security = off",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SET session_replication_role = replica",
    "SET allow_system_table_mods = on",
    "SET zero_damaged_pages = on",
    "SET event_triggers = off",
    "SET check_function_bodies = off",
    "SET local_preload_libraries = 'x'",
    "SET dynamic_library_path = '/tmp'",
    "LOAD 'x'",
    "SET log_statement = none",
    "SET log_min_duration_statement = -1",
    "SET track_activities = off",
    "SET lo_compat_privileges = on",
    "SET temp_tablespaces = x",
    "SET work_mem = '10GB'",
    // What an application's row security looks at.
    "SET app.tenant = '2'",
    "SET \"app\".\"tenant\" = '2'",
    "SET \"app.tenant\" = '2'",
    "SET LOCAL app.tenant TO 2",
    "RESET app.tenant",
    "SELECT set_config('app.tenant', '2', true)",
    // What belongs to other sessions.
    "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'",
    "PREPARE TRANSACTION 'x'",
    "COMMIT PREPARED 'x'",
    "ROLLBACK PREPARED 'x'",
    "LISTEN c",
    "NOTIFY c, 'x'",
    "SHOW ALL",
    "SHOW hba_file",
    "SHOW app.secret",
    "SELECT current_setting($1)",
    "SELECT current_setting('app.' || 'secret')",
    "SELECT amname = current_setting($1) FROM (SELECT ''::text AS amname) pg_am",
    "SELECT pg_am.amname = current_setting($1) FROM pg_am AS pg_am (amname, oid)",
    "SELECT a.amname || current_setting($1) FROM pg_am a",
    "SELECT a.amname = upper(current_setting($1)) FROM pg_am a",
];

/// Allowed under any grant: nothing changes, or nothing that matters.
const HARMLESS: &[&str] = &[
    "SET search_path = DEFAULT",
    "SET search_path TO \"$user\", public",
    "SET search_path = public",
    "RESET search_path",
    "RESET ALL",
    "DISCARD ALL",
    "DISCARD PLANS",
    "DISCARD TEMP",
    "RESET ROLE",
    "SET ROLE NONE",
    "SET role TO DEFAULT",
    "RESET SESSION AUTHORIZATION",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET standard_conforming_strings = on",
    "SET client_encoding = 'utf-8'",
    "SET NAMES 'UTF8'",
    "SET TIME ZONE 'UTC'",
    "SET TIME ZONE LOCAL",
    "SET TIME ZONE INTERVAL '1' HOUR",
    "SET LOCAL datestyle TO ISO, DMY",
    "SET row_security = on",
    "SET default_transaction_read_only = on",
    "SET transaction_isolation = 'serializable'",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
    "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
    "SET TRANSACTION READ ONLY",
    "SET pgward.reason = 'incident 7'",
    "SELECT set_config('timezone', 'UTC', false)",
    "SELECT set_config('application_name', $1, false)",
    "SELECT current_setting('server_version'), current_setting('TimeZone', true)",
    "SELECT a.amname <> current_setting($1::varchar) FROM pg_catalog.pg_am a",
    "SELECT pg_catalog.pg_am.amname != current_setting($1) FROM pg_catalog.pg_am",
    "SHOW search_path",
    "SHOW TRANSACTION ISOLATION LEVEL",
    "UNLISTEN *",
    "SET CONSTRAINTS ALL DEFERRED",
];

/// Allowed only where a grant lets one write.
const WRITING: &[&str] = &[
    "BEGIN READ WRITE",
    "START TRANSACTION READ WRITE",
    "SET TRANSACTION READ WRITE",
    "SET transaction_read_only = off",
    "SET default_transaction_read_only = off",
    "SET default_transaction_read_only TO DEFAULT",
    "RESET default_transaction_read_only",
    "RESET transaction_read_only",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE",
];

#[tokio::test]
async fn no_spelling_changes_what_a_session_was_opened_with() {
    let server = TestPostgres::start();
    let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", "postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    let schema = "CREATE SCHEMA hr; CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE arrays (a int[]);
        CREATE TABLE parted (a int) PARTITION BY LIST (a)";
    client.batch_execute(schema).await.unwrap();
    let snapshot = Snapshot::load(&client).await.unwrap();
    let (all, reading) = (everything(&snapshot, &Operation::ALL), everything(&snapshot, &[Operation::Select]));
    let mut wrong = Vec::new();
    let mut check = |text: &str, context: &Context, expected: bool| {
        let found = judge(text, &snapshot, context);
        if found.is_ok() != expected {
            wrong.push(format!("{text}: {found:?}"));
        }
    };
    REFUSED.iter().for_each(|text| check(text, &all, false));
    HARMLESS.iter().for_each(|text| check(text, &reading, true));
    WRITING.iter().for_each(|text| check(text, &all, true));
    WRITING.iter().for_each(|text| check(text, &reading, false));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every statement of the text has to be read and allowed; else why not.
fn judge(text: &str, snapshot: &Snapshot, context: &Context) -> Result<(), String> {
    let statements = sql::read(text, &Limits::default()).map_err(|unreadable| unreadable.to_string())?;
    for statement in statements {
        let resolved = resolve_with(snapshot, &statement.action, &[]);
        if let Verdict::Deny(denial) = decide(&statement, text, &resolved, context) {
            assert!(denial.rule.sqlstate() == "42501", "{text}");
            return Err(format!("{}: {}", denial.rule.as_str(), denial.message));
        }
    }
    Ok(())
}
