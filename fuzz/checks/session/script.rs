//! What the client of a made-up session says: every byte string is a script.

use bytes::{BufMut as _, Bytes, BytesMut};
use pgward::wire::encode;

/// Texts that the session's grant allows.
const ALLOWED: &[&str] = &[
    "SELECT id, body FROM notes",
    "SELECT body FROM notes WHERE id = $1",
    "INSERT INTO sink VALUES (1, 'a')",
    "INSERT INTO sink VALUES ($1, $2)",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "COPY sink FROM STDIN",
    "COPY notes TO STDOUT",
    "SET application_name = 'x'",
    "PREPARE p AS SELECT id FROM notes",
    "EXECUTE p",
    "DEALLOCATE p",
    "DECLARE c CURSOR FOR SELECT id FROM notes",
    "FETCH 3 FROM c",
    "CLOSE c",
    "SHOW pgward.grants",
    "RESET ALL",
    "DISCARD ALL",
    "SET pgward.reason = 'because'",
    "SELECT 1",
    "",
];

/// Texts that it does not: none of them may reach the server.
const DENIED: &[&str] = &[
    "SELECT body FROM secret",
    "DELETE FROM secret",
    "COPY secret TO STDOUT",
    "PREPARE p AS SELECT * FROM secret",
    "EXPLAIN ANALYZE SELECT * FROM secret",
    "DECLARE c CURSOR FOR TABLE secret",
    "DO $$ BEGIN DELETE FROM secret; END $$",
    "WITH gone AS (DELETE FROM secret RETURNING id) SELECT * FROM gone",
    "CREATE TABLE secret_too AS SELECT * FROM secret",
];

const NAMES: &[&str] = &["", "a", "b", "p", "c", "pgward_own", "pgward_denied"];

/// A step of the client's.
#[derive(Debug)]
pub enum Step {
    Say(Bytes),
    /// Reads to the next ReadyForQuery.
    Wait,
}

/// The steps that these bytes spell.
pub fn steps(data: &[u8]) -> Vec<Step> {
    let mut left = Left(data);
    let mut steps = Vec::new();
    while let Some(op) = left.byte().filter(|_| steps.len() < 64) {
        steps.push(step(op, &mut left));
    }
    steps
}

/// What is left of the bytes; the end reads as zeros.
struct Left<'a>(&'a [u8]);

impl<'a> Left<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> usize {
        usize::from(self.byte().unwrap_or(0))
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = self.number().min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.number() % NAMES.len()]
    }

    fn text(&mut self) -> String {
        let at = self.number();
        match at {
            // What is made up may say anything but the name that stands for what is denied.
            250.. => String::from_utf8_lossy(self.bytes()).replace('\0', " ").replace("secret", "secre"),
            200.. => format!("{}; {}", self.text(), self.text()),
            _ if at % 4 == 3 => DENIED[at / 4 % DENIED.len()].to_owned(),
            _ => ALLOWED[(at / 4 * 3 + at % 4) % ALLOWED.len()].to_owned(),
        }
    }
}

fn step(op: u8, left: &mut Left<'_>) -> Step {
    Step::Say(match op % 16 {
        0 | 1 => encode::query(&left.text()),
        2 => encode::parse(left.name(), &left.text()),
        3 => bind(left),
        4 => named(b'D', left),
        5 => message(b'E', |body| {
            cstr(body, left.name());
            body.put_i32(i32::try_from(left.number() % 3).unwrap_or(0));
        }),
        6 => named(b'C', left),
        7 | 8 => encode::sync(),
        9 => message(b'H', |_| ()),
        10 => message(b'd', |body| body.extend_from_slice(left.bytes())),
        11 => message(b'c', |_| ()),
        12 => message(b'f', |body| cstr(body, "enough")),
        13 => {
            let tag = left.byte().unwrap_or(b'F');
            message(tag, |body| body.extend_from_slice(left.bytes()))
        }
        14 => Bytes::copy_from_slice(left.bytes()),
        _ => return Step::Wait,
    })
}

fn bind(left: &mut Left<'_>) -> Bytes {
    message(b'B', |body| {
        cstr(body, left.name());
        cstr(body, left.name());
        let binary = left.number() % 3;
        body.put_u16(u16::from(binary == 1));
        (0..u16::from(binary == 1)).for_each(|_| body.put_u16(1));
        let count = left.number() % 4;
        body.put_u16(u16::try_from(count).unwrap_or(0));
        for _ in 0..count {
            let value = left.bytes();
            body.put_i32(i32::try_from(value.len()).unwrap_or(0));
            body.extend_from_slice(value);
        }
        body.put_u16(0);
    })
}

fn named(tag: u8, left: &mut Left<'_>) -> Bytes {
    message(tag, |body| {
        body.put_u8(if left.number().is_multiple_of(2) { b'S' } else { b'P' });
        cstr(body, left.name());
    })
}

pub fn message(tag: u8, write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut body = BytesMut::new();
    write(&mut body);
    let mut bytes = BytesMut::with_capacity(body.len() + 5);
    bytes.put_u8(tag);
    bytes.put_u32(u32::try_from(body.len() + 4).unwrap_or(4));
    bytes.extend_from_slice(&body);
    bytes.freeze()
}

pub fn cstr(body: &mut BytesMut, text: &str) {
    body.extend_from_slice(text.as_bytes());
    body.put_u8(0);
}
