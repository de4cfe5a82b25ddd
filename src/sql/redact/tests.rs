//! What goes and what stays; and that a planted secret never stays, whatever stands around it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: &str) {
    assert_eq!(redacted(text), expected, "{text}");
}

#[test]
fn what_the_words_say() {
    check("ALTER ROLE a PASSWORD 'x' VALID UNTIL 'y'", "ALTER ROLE a PASSWORD '***' VALID UNTIL 'y'");
    check("CREATE USER a ENCRYPTED PASSWORD $$x$$; SELECT 'x'", "CREATE USER a ENCRYPTED PASSWORD '***'; SELECT 'x'");
    check(
        "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password 'x')",
        "CREATE USER MAPPING FOR a SERVER s OPTIONS (user '***', password '***')",
    );
    check("ALTER SUBSCRIPTION s CONNECTION 'host=x password=y' ", "ALTER SUBSCRIPTION s CONNECTION '***' ");
    check("COPY t TO PROGRAM 'curl -u a:b x'", "COPY t TO PROGRAM '***'");
    check("SET app.jwt_secret = 'abc'", "SET app.jwt_secret = '***'");
    check("SET DateStyle = 'ISO'", "SET DateStyle = 'ISO'");
    check("ALTER DATABASE d SET app.key TO 'abc'", "ALTER DATABASE d SET app.key TO '***'");
    check("ALTER ROLE a SET search_path = 'abc'", "ALTER ROLE a SET search_path = 'abc'");
    check("ALTER ROLE a PASSWORD 'x", "ALTER ROLE a PASSWORD'***'");
}

#[test]
fn what_the_syntax_says() {
    check("SELECT 'x'", "SELECT 'x'");
    check(
        "SELECT a FROM users WHERE password = 'x' AND a = 'y'",
        "SELECT a FROM users WHERE password = '***' AND a = 'y'",
    );
    check("INSERT INTO u (name, password) VALUES ('a', 'x')", "INSERT INTO u (name, password) VALUES ('a', '***')");
    check("UPDATE u SET name = 'n', pwd = E'x\\'y'", "UPDATE u SET name = 'n', pwd = '***'");
    check("SELECT dblink_connect('c', 'host=a')", "SELECT dblink_connect('***', '***')");
    check(
        "SELECT * FROM dblink('host=a', 'SELECT 1') AS t(a int)",
        "SELECT * FROM dblink('***', 'SELECT 1') AS t(a int)",
    );
    check("SELECT f(a => 'b', password => 'x')", "SELECT f(a => 'b', password => '***')");
    check("SELECT set_config('app.token', 'x', true)", "SELECT set_config('app.token', '***', true)");
    check("SELECT set_config('app.user', 'x', true)", "SELECT set_config('app.user', 'x', true)");
    check("SELECT 'postgres://u:p@h/d', 'a:b@c'", "SELECT '***', 'a:b@c'");
    check("SELECT crypt('x', gen_salt('bf'))", "SELECT crypt('***', gen_salt('***'))");
    check("SELECT data ->> 'password' = 'x' FROM t", "SELECT data ->> '***' = '***' FROM t");
}

#[test]
fn what_stands_in_strings_and_comments() {
    check("DO $$ BEGIN ALTER ROLE a PASSWORD 'x'; END $$", "DO $$ BEGIN ALTER ROLE a PASSWORD '***'; END $$");
    check("SELECT 1 /* password=abcd */", "SELECT 1 /* *** */ ");
    check("SELECT 1 -- nothing", "SELECT 1 -- nothing");
    check("ALTER ROLE a PASSWORD 'abcd' -- it is abcd\n", "ALTER ROLE a PASSWORD '***' /* *** */\n");
    check("SELECT '{\"password\": \"x\"}'::jsonb", "SELECT '***'::jsonb");
}

#[test]
fn parameters_that_are_secrets_are_known() {
    let parameters = |text: &str| {
        let statements = read(text, &Limits::default()).unwrap();
        redact(text, statements.first()).parameters
    };
    assert_eq!(parameters("UPDATE u SET password = $2 WHERE id = $1"), [2]);
    assert_eq!(parameters("INSERT INTO u (name, token) VALUES ($1, $2)"), [2]);
    assert_eq!(parameters("SELECT dblink_connect($1)"), [1]);
    assert_eq!(parameters("SELECT $1"), [0_u16; 0]);
}

#[test]
fn arguments_of_execute_are_known_by_what_it_runs() {
    let text = "EXECUTE p('a', 'x', 7)";
    let statements = read(text, &Limits::default()).unwrap();
    assert_eq!(redact_execute(text, &statements[0], &[2, 3]).text, "EXECUTE p('a', '***', '***')");
    assert_eq!(redact_execute(text, &statements[0], &[]).text, text);
}

#[test]
fn errors_about_a_statement_lose_its_secrets_too() {
    let text = "ALTER ROLE a PASSWORD 'open sesame'";
    assert_eq!(redact(text, None).scrub("near \"open sesame\""), "near \"***\"");
}

/// Every spelling of a string constant.
fn spelled(secret: &str, how: usize) -> String {
    match how % 5 {
        0 => format!("'{secret}'"),
        1 => format!("E'{secret}'"),
        2 => format!("$${secret}$$"),
        3 => format!("$x${secret}$x$"),
        _ => format!("U&'{secret}'"),
    }
}

const PLACES: [&str; 26] = [
    "CREATE ROLE r LOGIN PASSWORD {}",
    "ALTER USER r WITH ENCRYPTED PASSWORD {} VALID UNTIL 'infinity'",
    "CREATE USER r IN GROUP a PASSWORD {}",
    "CREATE USER MAPPING FOR u SERVER s OPTIONS (ADD password {})",
    "ALTER SERVER s OPTIONS (SET passfile {})",
    "CREATE FOREIGN DATA WRAPPER w OPTIONS (x {})",
    "CREATE SUBSCRIPTION s CONNECTION {} PUBLICATION p",
    "ALTER SUBSCRIPTION s CONNECTION {}",
    "SELECT dblink_connect({})",
    "SELECT public.dblink_connect_u('n', {})",
    "SELECT * FROM dblink({}, 'SELECT 1') AS t(a int)",
    "SELECT f(user_password := {})",
    "SET my.secret TO {}",
    "ALTER DATABASE d SET my.thing = {}",
    "ALTER ROLE r IN DATABASE d SET api.key = {}",
    "COPY t FROM PROGRAM {}",
    "UPDATE u SET (a, password_hash) = ROW('a', {})",
    "INSERT INTO u (a, secret) SELECT 1, {}",
    "INSERT INTO u (secret) VALUES ({}) ON CONFLICT DO NOTHING",
    "SELECT 1 FROM u WHERE lower(password) IN ('a', {})",
    "WITH x AS (UPDATE u SET token = {} RETURNING 1) SELECT * FROM x",
    "EXPLAIN SELECT pgp_sym_encrypt('x', {})",
    "PREPARE p AS UPDATE u SET password = {}",
    "SELECT set_config('x.password', {}, false)",
    "SELECT a #>> PASSWORD {}",
    "CREATE ROLE a (b; UPDATE c) PASSWORD {}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn a_planted_secret_never_stays(
        secret in "[a-z]{3}Q[0-9A-Z]{8}", place in 0..PLACES.len(), how in any::<usize>(), comment in 0..4_usize,
        broken in any::<bool>(), url in any::<bool>(), more in 0..3_usize,
    ) {
        let value = if url { format!("postgresql://bob:{secret}@h/d?x=1") } else { secret.clone() };
        let mut text = PLACES[place].replace("{}", &spelled(&value, how));
        text = match comment {
            0 => text,
            1 => format!("/* the password is {secret} */ {text}"),
            2 => format!("{text} -- {secret}\n"),
            _ => text.replacen(' ', &format!(" /* {secret} */ "), 1),
        };
        text = match more {
            0 => text,
            1 => format!("{text}; SELECT 1"),
            _ => format!("{text}\n;;"),
        };
        if broken {
            text.push_str(" 'unterminated");
        }
        let clean = redacted(&text);
        prop_assert!(!clean.contains(&secret), "{} became {}", text, clean);
        // As the data path does it: each statement by itself, or the whole unread.
        let whole = redact(&text, None);
        prop_assert!(!whole.text.contains(&secret), "{} became {}", text, whole.text);
        prop_assert!(!whole.rules.is_empty());
    }

    #[test]
    fn any_text_is_taken(text in any::<String>()) {
        let _ = redacted(&text);
    }
}
