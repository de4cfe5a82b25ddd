//! Statements by chance: what is allowed, what fails as it runs, what is refused.

use crate::random::Random;
use crate::step::{Denied, Name, Text};

/// Prepared statements, by whatever protocol.
pub const STATEMENTS: [&str; 4] = ["", "s", "r", "x"];
/// Portals and cursors.
pub const PORTALS: [&str; 4] = ["", "p", "q", "c"];

/// The rows that nobody may see.
pub const HIDDEN: &str = "hidden row";
/// The rows that may be seen while the second grant lives.
pub const EXTRA: &str = "extra row";

pub const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, body text);
CREATE TABLE sink (id int, body text);
CREATE TABLE uniq (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE extra (id int, body text);
CREATE TABLE secret (id int, body text);
INSERT INTO secret VALUES (1, 'hidden row');
ALTER TABLE t SET (autovacuum_enabled = off);
ALTER TABLE sink SET (autovacuum_enabled = off);
ALTER TABLE extra SET (autovacuum_enabled = off);";

pub const FILL: &str = "TRUNCATE t, sink, uniq, extra; INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 12) n; \
                        INSERT INTO extra VALUES (1, 'extra row')";

/// What is there at the end.
pub const CONTENTS: [&str; 4] = [
    "SELECT id, body FROM t ORDER BY id",
    "SELECT id, body FROM sink ORDER BY id, body",
    "SELECT id FROM uniq ORDER BY id",
    "SELECT id, body FROM extra ORDER BY id, body",
];

fn plain(sql: impl Into<String>) -> Text {
    Text { sql: sql.into(), ..Text::default() }
}

fn denied(sql: impl Into<String>) -> Text {
    Text { denied: Denied::Always, ..plain(sql) }
}

fn extra(sql: impl Into<String>) -> Text {
    Text { denied: Denied::WithoutExtra, ..plain(sql) }
}

fn one<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[random.below(of.len())]
}

/// A name that SQL can say.
fn statement_name(random: &mut Random) -> &'static str {
    one(random, &STATEMENTS[1..])
}

fn cursor_name(random: &mut Random) -> &'static str {
    one(random, &PORTALS[1..])
}

/// Any statement that may stand in a Query, alone or among others; no COPY FROM, whose data has to follow.
pub fn any(random: &mut Random) -> Text {
    match random.below(20) {
        0..=4 => query(random),
        5..=7 => write(random),
        8..=11 => transaction(random),
        12 => failing(random),
        13 => setting(random),
        14 | 15 => cursor(random),
        16 | 17 => prepared(random),
        18 => copy_out(random),
        _ => refused(random),
    }
}

/// What the extended protocol prepares most: queries, with parameters or without.
pub fn to_parse(random: &mut Random) -> Text {
    match random.below(16) {
        0..=4 => query(random),
        5 | 6 => plain("SELECT id, body FROM t WHERE id > $1 ORDER BY id"),
        7 => plain("INSERT INTO sink VALUES ($1, $2) RETURNING id"),
        8 => plain("SELECT n, 12 / ($1::int - n) FROM generate_series(1, 9) n"),
        9 => extra("SELECT id, body FROM extra WHERE id >= $1"),
        _ => any(random),
    }
}

fn query(random: &mut Random) -> Text {
    let n = random.below(14);
    match random.below(9) {
        0 => plain(format!("SELECT {n}")),
        1 => plain(format!("SELECT id, body FROM t WHERE id <= {n} ORDER BY id")),
        2 => plain("SELECT count(*) FROM sink"),
        3 => plain(format!("SELECT n FROM generate_series(1, {n}) n")),
        4 => plain("VALUES (1, 'one'), (2, NULL)"),
        5 => plain(format!("SELECT body FROM t WHERE id = {n} FOR UPDATE")),
        6 => plain("SHOW TimeZone"),
        7 => plain("EXPLAIN (COSTS OFF) SELECT 1"),
        _ => extra("SELECT id, body FROM extra ORDER BY id"),
    }
}

fn write(random: &mut Random) -> Text {
    let n = random.below(16);
    match random.below(9) {
        // Up to 12 the row is there.
        0 => plain(format!("INSERT INTO t VALUES ({n}, 'new')")),
        1 => plain(format!("INSERT INTO sink VALUES ({n}, 'sunk') RETURNING id, body")),
        2 => plain(format!("UPDATE t SET body = body || '+' WHERE id = {n}")),
        3 => plain(format!("DELETE FROM t WHERE id = {n} RETURNING *")),
        // Fails at the end of its transaction, where it is there twice.
        4 => plain(format!("INSERT INTO uniq VALUES ({})", n % 4)),
        5 => plain(format!("WITH w AS (INSERT INTO sink VALUES ({n}, 'with') RETURNING id) SELECT id FROM w")),
        6 => plain("TRUNCATE sink"),
        7 => extra(format!("INSERT INTO extra VALUES ({n}, 'more')")),
        _ => plain(format!("INSERT INTO sink SELECT n, 'many' FROM generate_series(1, {n}) n")),
    }
}

fn transaction(random: &mut Random) -> Text {
    let name = one(random, &["a", "b", "\"C d\""]);
    plain(match random.below(16) {
        0..=2 => "BEGIN".to_owned(),
        3 => one(random, &["BEGIN READ ONLY", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ"]).to_owned(),
        4 | 5 => one(random, &["COMMIT", "END"]).to_owned(),
        6 => one(random, &["ROLLBACK", "ABORT"]).to_owned(),
        7 => one(random, &["COMMIT AND CHAIN", "ROLLBACK AND CHAIN"]).to_owned(),
        8..=10 => format!("SAVEPOINT {name}"),
        11 | 12 => format!("ROLLBACK TO {name}"),
        13 => format!("RELEASE {name}"),
        14 => one(random, &["SET CONSTRAINTS ALL IMMEDIATE", "SET TRANSACTION READ ONLY"]).to_owned(),
        _ => "SET LOCAL TimeZone = 'Asia/Tokyo'".to_owned(),
    })
}

fn failing(random: &mut Random) -> Text {
    plain(one(
        random,
        &[
            "SELECT 1 / 0",
            "SELECT 10 / (5 - n) FROM generate_series(1, 9) n",
            "SELECT 'x'::int",
            "INSERT INTO t VALUES (1, 'again')",
            "INSERT INTO t VALUES (NULL, 'none')",
            "SELECT (SELECT id FROM t)",
        ],
    ))
}

fn setting(random: &mut Random) -> Text {
    plain(one(
        random,
        &[
            "SET TimeZone = 'Europe/Berlin'",
            "SET TimeZone = 'nowhere'",
            "SET DateStyle = 'SQL, DMY'",
            "RESET TimeZone",
            "RESET ALL",
            "DISCARD ALL",
            "DISCARD PLANS",
            "DISCARD TEMP",
            "SET work_mem = '8MB'",
            "SET pgward.reason = 'because'",
        ],
    ))
}

fn cursor(random: &mut Random) -> Text {
    let name = cursor_name(random);
    let uses = |sql: String| Text { uses: Some(Name::Portal(name)), ..plain(sql) };
    match random.below(12) {
        0..=2 => {
            let how = one(random, &["CURSOR", "SCROLL CURSOR", "NO SCROLL CURSOR", "CURSOR WITH HOLD"]);
            let inner = query_for_cursor(random);
            Text { sql: format!("DECLARE {name} {how} FOR {}", inner.sql), gives: Some(Name::Portal(name)), ..inner }
        }
        3..=5 => uses(format!("FETCH {} FROM {name}", one(random, &["1", "3", "ALL", "0", "NEXT"]))),
        6 => uses(format!("FETCH {} FROM {name}", one(random, &["PRIOR", "FIRST", "LAST", "ABSOLUTE 2"]))),
        7 => uses(format!("MOVE {} IN {name}", one(random, &["2", "ALL", "BACKWARD 1"]))),
        8 | 9 => plain(format!("CLOSE {name}")),
        _ => plain("CLOSE ALL"),
    }
}

fn query_for_cursor(random: &mut Random) -> Text {
    match random.below(6) {
        0 | 1 => plain("SELECT id, body FROM t ORDER BY id"),
        2 => plain("SELECT n FROM generate_series(1, 7) n"),
        3 => plain("SELECT 12 / (4 - n) FROM generate_series(1, 7) n"),
        4 => extra("SELECT id, body FROM extra ORDER BY id"),
        _ => denied("SELECT id, body FROM secret"),
    }
}

fn prepared(random: &mut Random) -> Text {
    let name = statement_name(random);
    match random.below(8) {
        0..=2 => {
            let inner = match random.below(6) {
                0 => plain("SELECT id, body FROM t WHERE id < $1 ORDER BY id"),
                1 => plain("INSERT INTO sink VALUES (77, 'prepared')"),
                2 => plain("SELECT 5 / ($1::int)"),
                3 => extra("SELECT id, body FROM extra"),
                4 => denied("SELECT body FROM secret"),
                _ => plain("SELECT 'prepared'"),
            };
            Text { sql: format!("PREPARE {name} AS {}", inner.sql), gives: Some(Name::Statement(name)), ..inner }
        }
        3..=5 => {
            let arguments = one(random, &["", "(3)", "(0)"]);
            Text { uses: Some(Name::Statement(name)), ..plain(format!("EXECUTE {name}{arguments}")) }
        }
        6 => plain(format!("DEALLOCATE {name}")),
        _ => plain("DEALLOCATE ALL"),
    }
}

fn copy_out(random: &mut Random) -> Text {
    match random.below(5) {
        0 => plain("COPY (SELECT id, body FROM t ORDER BY id) TO STDOUT"),
        1 => plain("COPY (SELECT n FROM generate_series(1, 3) n) TO STDOUT (FORMAT binary)"),
        2 => plain("COPY (SELECT 12 / (4 - n) FROM generate_series(1, 7) n) TO STDOUT"),
        3 => extra("COPY (SELECT body FROM extra ORDER BY id) TO STDOUT"),
        _ => denied("COPY secret TO STDOUT"),
    }
}

pub fn copy_in(random: &mut Random) -> Text {
    match random.below(7) {
        0..=2 => plain("COPY sink FROM STDIN"),
        3 => plain("COPY sink (body, id) FROM STDIN (FORMAT csv)"),
        4 => plain("COPY t FROM STDIN"),
        5 => extra("COPY extra FROM STDIN"),
        _ => denied("COPY secret FROM STDIN"),
    }
}

pub fn refused(random: &mut Random) -> Text {
    denied(one(
        random,
        &[
            "SELECT body FROM secret",
            "INSERT INTO secret VALUES (2, 'mine')",
            "SELECT nothing FROM t",
            "SELECT * FROM no_such_table",
            "SELEC 1",
            "NOTIFY somebody",
            "SET search_path = pg_catalog",
            "EXPLAIN SELECT body FROM secret",
            "DO $$ BEGIN END $$",
            "PREPARE TRANSACTION 'two'",
            "WITH w AS (DELETE FROM secret RETURNING body) SELECT body FROM w",
        ],
    ))
}
