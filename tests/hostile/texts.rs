//! Texts that try to be read in two ways, or to reach by another way what they may not: no row of `secret` ever comes, and
//! nothing is written where it may not be.

use pgward::audit::{Event, RecordedVerdict};
use pgward::wire::encode::{parse, query, sync};

use crate::bench::{bind, execute, shape};
use crate::world::{Case, World, works};

pub const CASES: &[Case] = &[
    ("texts::hidden_statements", |world| Box::pin(run(world, HIDDEN))),
    ("texts::other_spellings_of_a_name", |world| Box::pin(run(world, SPELLINGS))),
    ("texts::ways_round_the_table", |world| Box::pin(run(world, WAYS))),
    ("texts::code_and_files", |world| Box::pin(run(world, CODE))),
    ("texts::statistics", |world| Box::pin(run(world, STATISTICS))),
    ("texts::strings_that_only_look_open", |world| Box::pin(strings_that_only_look_open(world))),
];

const HIDDEN: &[&str] = &[
    "SELECT 1; SELECT body FROM secret",
    "SELECT 1;;;\n\n;SELECT body FROM secret;",
    "SELECT $$ $$; SELECT body FROM secret --$$",
    "SELECT $a$ $b$ $a$; SELECT body FROM secret --$b$",
    "SELECT $a$a$$a$; SELECT body FROM secret -- $a$",
    r"SELECT '\'; SELECT body FROM secret --'",
    r"SELECT E'\\'; SELECT body FROM secret --'",
    r"SELECT E'a' 'b\'; SELECT body FROM secret --'",
    "SELECT 'a'\n'b'; SELECT body FROM secret",
    "SELECT 1 /* /* */ */; SELECT body FROM secret",
    "SELECT 1 /* ' */; SELECT body FROM secret -- '",
    "SELECT 1 -- comment\r; SELECT body FROM secret",
    "SELECT 1 --\n; SELECT body FROM secret",
    "SELECT \"a--\"\" \", 1; SELECT body FROM secret",
    "SELECT \"id\"\";\" FROM notes; SELECT body FROM secret",
    "SELECT 1 AS \"/*\"; SELECT body FROM secret --*/",
    "SELECT U&'\\0027'; SELECT body FROM secret --'",
    "BEGIN; SELECT body FROM secret; COMMIT",
    "COMMIT; SELECT body FROM secret",
    "ROLLBACK AND CHAIN; SELECT body FROM secret",
    "SELECT 1\u{0c}; SELECT body FROM secret",
    "SELECT 1 \u{a0}; SELECT body FROM secret",
    "\u{feff}SELECT body FROM secret",
];

const SPELLINGS: &[&str] = &[
    "SELECT body FROM SECRET",
    "SELECT body FROM \"secret\"",
    "SELECT body FROM public.secret",
    "SELECT body FROM postgres.public.secret",
    "SELECT body FROM U&\"\\0073ecret\"",
    "SELECT body FROM U&\"d!0073ecret\" UESCAPE '!'",
    "SELECT body FROM U&\"!0073ecret\" UESCAPE '!'",
    "SELECT body FROM/**/secret",
    "SELECT body FROM\u{0c}secret",
    "SELECT body FROM ONLY secret",
    "SELECT body FROM secret *",
    "SELECT body FROM (secret)",
    "SELECT body FROM secret AS notes",
    "SELECT notes.body FROM secret notes",
    "SELECT secret FROM secret",
    "SELECT (secret).body FROM secret",
    "SELECT body(secret) FROM secret",
    "SELECT row_to_json(s) FROM secret s",
    "TABLE secret",
    "TABLE public.secret",
];

const WAYS: &[&str] = &[
    "WITH notes AS (TABLE secret) SELECT body FROM notes",
    "WITH RECURSIVE x AS (SELECT body FROM secret UNION SELECT body FROM x) TABLE x",
    "WITH x AS (INSERT INTO sink SELECT * FROM secret RETURNING *) TABLE x",
    "WITH x AS (DELETE FROM secret RETURNING *) SELECT * FROM x",
    "SELECT (SELECT body FROM secret)",
    "SELECT ARRAY(SELECT body FROM secret)",
    "SELECT EXISTS (SELECT FROM secret WHERE body LIKE 'h%')",
    "SELECT id FROM notes ORDER BY (SELECT body FROM secret)",
    "SELECT id FROM notes GROUP BY id HAVING (SELECT body FROM secret) > 'a'",
    "SELECT id FROM notes LIMIT (SELECT length(body) FROM secret)",
    "SELECT id FROM notes, LATERAL (SELECT body FROM secret) x",
    "SELECT id FROM notes NATURAL JOIN secret",
    "SELECT id FROM notes JOIN secret USING (id)",
    "SELECT id FROM notes WHERE id IN (SELECT id FROM secret)",
    "SELECT id FROM notes WHERE (id, body) = (SELECT id, body FROM secret)",
    "SELECT CASE WHEN true THEN (TABLE secret LIMIT 1) END",
    "SELECT 1 UNION ALL SELECT id FROM secret",
    "VALUES ((SELECT body FROM secret))",
    "INSERT INTO sink SELECT * FROM secret",
    "INSERT INTO sink VALUES (1, (SELECT body FROM secret))",
    "INSERT INTO sink VALUES (1) RETURNING (SELECT body FROM secret)",
    "UPDATE sink SET body = (SELECT body FROM secret)",
    "UPDATE sink SET body = s.body FROM secret s",
    "DELETE FROM sink USING secret RETURNING secret.body",
    "MERGE INTO sink USING secret s ON false WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.body)",
    "COPY secret TO STDOUT",
    "COPY (SELECT body FROM secret) TO STDOUT",
    "COPY (DELETE FROM secret RETURNING *) TO STDOUT",
    "EXPLAIN ANALYZE SELECT body FROM secret",
    "EXPLAIN (ANALYZE, FORMAT json) DELETE FROM secret",
    "PREPARE x AS SELECT body FROM secret",
    "DECLARE c CURSOR WITH HOLD FOR SELECT body FROM secret",
    "CREATE TEMP VIEW v AS SELECT body FROM secret",
    "CREATE TEMP TABLE notes AS SELECT body FROM secret",
    "CREATE TEMP TABLE notes (LIKE secret INCLUDING ALL)",
    "SELECT body INTO TEMP notes FROM secret",
    "LOCK TABLE secret",
    "SELECT body FROM secret FOR UPDATE",
    "SELECT * FROM leaky",
    "SELECT leak()",
    "SELECT unlock()",
    "TRUNCATE secret",
    "ALTER TABLE secret RENAME TO notes",
    "GRANT ALL ON secret TO PUBLIC",
];

const CODE: &[&str] = &[
    "DO $$ BEGIN PERFORM body FROM secret; END $$",
    "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT body FROM secret'",
    "SELECT query_to_xml('SELECT body FROM secret', true, true, '')",
    "SELECT table_to_xml('secret', true, true, '')",
    "SELECT cursor_to_xml('c', 1, true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT ts_stat('SELECT body::tsvector FROM secret')",
    "SELECT * FROM ts_stat('SELECT to_tsvector(body) FROM secret')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_get(1)",
    "SELECT pg_stat_file('/etc/passwd')",
    "COPY sink FROM '/etc/passwd'",
    "COPY sink FROM PROGRAM 'id'",
    "COPY sink TO PROGRAM 'cat > /tmp/x'",
    "COPY notes TO '/tmp/x'",
    "LOAD 'evil'",
    "CREATE EXTENSION dblink",
    "SELECT dblink('dbname=postgres', 'SELECT 1')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    "SELECT pg_reload_conf()",
    "SELECT pg_sleep_until('tomorrow'), pg_advisory_lock(1)",
    "SELECT nextval('x')",
    "SELECT pg_notify('x', 'y')",
    "NOTIFY x",
    "LISTEN x",
    "PREPARE TRANSACTION 'x'",
    "CALL p()",
    "VACUUM secret",
    "CLUSTER secret",
    "CREATE TRIGGER t BEFORE INSERT ON sink EXECUTE FUNCTION leak()",
    "CREATE RULE r AS ON SELECT TO notes DO INSTEAD SELECT * FROM secret",
    "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = leak)",
    "CREATE CAST (int AS text) WITH FUNCTION leak()",
    "SECURITY LABEL ON TABLE secret IS 'x'",
    "REASSIGN OWNED BY postgres TO postgres",
    "IMPORT FOREIGN SCHEMA x FROM SERVER y INTO public",
];

/// What the planner knows of a table are values of its rows (as in CVE-2024-4317).
const STATISTICS: &[&str] = &[
    "SELECT most_common_vals FROM pg_stats",
    "SELECT most_common_vals FROM pg_stats_ext",
    "SELECT * FROM pg_stats_ext_exprs",
    "SELECT stxdmcv FROM pg_statistic_ext_data",
    "SELECT stavalues1 FROM pg_statistic",
    "SELECT query FROM pg_stat_activity",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT umoptions FROM pg_user_mapping",
    "SELECT subconninfo FROM pg_subscription",
    "SELECT setting FROM pg_hba_file_rules",
    "SELECT * FROM pg_file_settings",
];

/// Each by both protocols: denied, recorded as denied, the session goes on.
async fn run(world: World, texts: &[&str]) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    let before = bench.ask("SELECT count(*) FROM secret").await;
    for text in texts {
        let said = raw.ask(&[query(text)]).await;
        let expected = ["E(42501) Z(I)", "E(0A000) Z(I)", "E(42P01) Z(I)"];
        assert!(expected.contains(&shape(&said).as_str()), "{text}: {}", shape(&said));
        let said = raw.ask(&[parse("", text), bind("", "", &[]), execute("", 0), sync()]).await;
        let expected = ["E(42501) Z(I)", "E(0A000) Z(I)", "E(42P01) Z(I)", "E(42601) Z(I)"];
        assert!(expected.contains(&shape(&said).as_str()), "{text}: {}", shape(&said));
    }
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
    let records = bench.records(Event::Statement);
    let denied = records.iter().filter(|record| record.verdict == Some(RecordedVerdict::Deny)).count();
    assert!(denied >= texts.len() * 2, "{denied} of {} are recorded as denied", texts.len() * 2);
    assert_eq!(bench.ask("SELECT count(*) FROM secret").await, before);
    works(&bench).await;
}

/// Strings and comments that hold a statement are no statements: they are answered as PostgreSQL answers them.
async fn strings_that_only_look_open(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    for text in [
        "SELECT '; SELECT body FROM secret'",
        "SELECT $x$; SELECT body FROM secret$x$",
        r"SELECT E'\'; SELECT body FROM secret --'",
        "SELECT 1 /* /* */ ; SELECT body FROM secret */",
        "SELECT 1 -- ; SELECT body FROM secret",
        "SELECT 1 AS \"; SELECT body FROM secret\"",
        "SELECT U&'\\0027; SELECT body FROM secret'",
        "SELECT 'a''; SELECT body FROM secret --'",
    ] {
        let said = raw.query(text).await;
        assert_eq!(shape(&said), "T D C(SELECT 1) Z(I)", "{text}");
        assert!(!said[1].holds("hidden"), "{text}");
    }
}
