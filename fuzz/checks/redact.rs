//! Redaction: a secret where secrets stand is nowhere in what is written down, whatever stands around it.

use pgward::sql::lex::tokens;
use pgward::sql::redacted;

const SECRET: &str = "kQ7zPw0r";

/// `@` is the secret as a constant, `%` is whatever was made up.
const PLACES: &[&str] = &[
    "ALTER ROLE a PASSWORD @\n%",
    "%\n;\nALTER ROLE a WITH LOGIN PASSWORD @",
    "CREATE ROLE a %\n PASSWORD @",
    "CREATE USER a ENCRYPTED PASSWORD @ VALID UNTIL 'x'; %",
    "%\n;ALTER USER a PASSWORD @;\n",
    "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password @)\n%",
    "ALTER USER MAPPING FOR a SERVER s OPTIONS (SET password @);\n%",
    "%\n;\nCREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', password @)",
    "ALTER SERVER s OPTIONS (SET password @, SET host 'x')\n%",
    "CREATE SUBSCRIPTION s CONNECTION 'host=x password=kQ7zPw0r' PUBLICATION p\n%",
    "%\n;\nALTER SUBSCRIPTION s CONNECTION 'password=kQ7zPw0r'",
];

const SPELLINGS: &[&str] =
    &["'@'", "E'@'", "U&'@'", "$$@$$", "$a$@$a$", "N'@'", "'x'\n'@'", "/* x */ '@'", "-- x\n '@'"];

pub fn check(data: &[u8]) {
    let Ok(made_up) = std::str::from_utf8(data) else { return };
    if made_up.contains(SECRET) {
        return;
    }
    // What opens a quote and does not close it moves all that follows out of its place.
    let closed = tokens(made_up).is_ok();
    for place in PLACES.iter().filter(|place| closed || place.ends_with('%')) {
        for spelling in SPELLINGS {
            let text = place.replace('@', &spelling.replace('@', SECRET)).replace('%', made_up);
            let clean = redacted(&text);
            assert!(!clean.contains(SECRET), "{text:?} is written down as {clean:?}");
        }
    }
}
