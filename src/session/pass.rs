//! What may be written to an upstream, as types. A message with SQL becomes [`ToUpstream`] only with receipts for all of
//! its statements; messages without SQL pass by an explicit list of types; everything else that pgward sends is made here
//! of constants and quoted literals.

use bytes::Bytes;
use postgres_protocol::escape::escape_identifier;

use crate::audit::Receipt;
use crate::catalog::{FROM, Oid, Within};
use crate::sql::tree::Name;
use crate::wire::{Frame, encode};

/// The text that stands in for a denied one: PostgreSQL fails on it as on any other syntax error.
const DENIED: &str = "pgward_denied";

/// The name of what pgward prepares for itself, and closes again.
const OWN: &str = "pgward_own";

/// The name of an answer that it prepares for a portal of the client's.
const ANSWER: &str = "pgward_answer";

/// Bytes that may be written to an upstream. No code outside of this module makes one of bytes.
#[derive(Debug)]
#[must_use = "what is not written leaves the upstream waiting"]
pub struct ToUpstream(Bytes);

impl ToUpstream {
    pub(in crate::session) fn into_bytes(self) -> Bytes {
        self.0
    }

    /// A message that carries no SQL and starts none: by its type byte.
    #[must_use]
    pub fn without_sql(frame: Frame) -> Option<Self> {
        match frame.tag() {
            b'B' | b'C' | b'D' | b'H' | b'S' | b'X' | b'c' | b'd' | b'f' => Some(Self(frame.into_bytes())),
            _ => None,
        }
    }

    /// A piece of a CopyData message, which is data to the statement that was admitted.
    pub(in crate::session) fn copy_data(piece: Bytes) -> Self {
        Self(piece)
    }

    /// In place of a denied Query: fails where that stood.
    pub fn failing_query() -> Self {
        Self(encode::query(DENIED))
    }

    /// In place of a FunctionCall: one of function 0, which there never is. Unlike a Query it leaves the client's unnamed
    /// statement alone.
    pub fn failing_call() -> Self {
        Self(Bytes::from_static(b"F\0\0\0\x0e\0\0\0\0\0\0\0\0\0\0"))
    }

    /// In place of a denied Parse: fails, under the name that the client gave.
    pub fn failing_parse(name: &str) -> Self {
        Self(encode::parse(name, DENIED))
    }

    /// In place of a denied Bind or Execute: a Parse that fails, under a name that no client's statement is lost for.
    pub fn failing_step() -> Self {
        Self(encode::parse(DENIED, DENIED))
    }

    /// Makes the session's transactions READ ONLY from here on, or lets them write again; for a session that is outside of
    /// any. Under a name of its own, so that the client's unnamed statement stays.
    pub fn read_only(on: bool) -> Self {
        let text =
            if on { "SET default_transaction_read_only = on" } else { "SET default_transaction_read_only = off" };
        Self(encode::run_once(OWN, text))
    }

    /// Asks what the catalogs hold, as the session's own transaction sees them. Under a name of its own, likewise.
    pub fn catalog_questions() -> Self {
        Self(encode::ask_each(OWN, Within::questions(), FROM))
    }

    /// Asks whether a cursor is there: an error where it is not.
    pub fn describe_cursor(name: &str) -> Self {
        Self(encode::describe_portal(name))
    }

    /// Has the server send what it holds back until the Sync.
    pub fn flush() -> Self {
        Self(Bytes::from_static(b"H\0\0\0\x04"))
    }

    /// A Sync that the client sent and that was held back.
    pub fn sync() -> Self {
        Self(encode::sync())
    }

    /// The end of a COPY whose client has been told of an error already.
    pub fn copy_fail() -> Self {
        Self(Bytes::from_static(b"f\0\0\0\x05\0"))
    }

    /// The end of the session.
    pub fn terminate() -> Self {
        Self(encode::terminate())
    }

    /// A Query whose text is the answer to `SHOW pgward.…`.
    pub fn answer_query(answer: &Answer) -> Self {
        Self(encode::query(&answer.to_sql()))
    }

    /// The same for the extended protocol, for a text of so many parameters, of the types that the client names.
    pub fn answer_parse(name: &str, answer: &Answer, (values, types): (usize, &[Oid])) -> Self {
        Self(encode::parse_typed(name, &answer.to_sql_of(values), types.get(..values).unwrap_or(types)))
    }

    /// Prepares an answer, for a portal of the client's.
    pub fn prepare_own_answer(answer: &Answer) -> Self {
        Self(encode::parse(ANSWER, &answer.to_sql()))
    }

    /// Binds that portal to it; `results` are the formats of its columns, each whether it is binary.
    pub fn bind_own_answer(portal: &str, results: &[bool]) -> Self {
        Self(encode::bind_nothing(portal, ANSWER, results))
    }

    /// Closes what was prepared so, where it is there.
    pub fn close_own_answer() -> Self {
        Self(encode::close_statement(ANSWER))
    }
}

/// Rows of text that pgward answers by itself, let through the upstream so that its protocol state stays true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<String>>,
}

impl Answer {
    /// A query over constants alone. Literals are quoted under `standard_conforming_strings`, which is pinned to on.
    fn to_sql(&self) -> String {
        let literal = |text: &String| format!("'{}'::text", text.replace('\0', " ").replace('\'', "''"));
        let row = |cells: &Vec<String>| format!("({})", cells.iter().map(literal).collect::<Vec<_>>().join(", "));
        let names: Vec<_> = self.columns.iter().map(|name| format!("\"{name}\"")).collect();
        if self.rows.is_empty() {
            let nulls: Vec<_> = names.iter().map(|name| format!("NULL::text AS {name}")).collect();
            return format!("SELECT {} LIMIT 0", nulls.join(", "));
        }
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        format!("SELECT * FROM (VALUES {}) AS pgward ({})", rows.join(", "), names.join(", "))
    }

    /// The same with parameters, which change nothing in it: for a text that is described, and never run with values.
    fn to_sql_of(&self, values: usize) -> String {
        let takes = (1..=values).map(|number| format!("CAST(${number} AS text) IS NULL")).collect::<Vec<_>>();
        let text = self.to_sql();
        if takes.is_empty() { text } else { format!("SELECT * FROM ({text}) AS pgward WHERE {}", takes.join(" OR ")) }
    }
}

/// A message that holds SQL, or starts it, and how many statements that is.
#[derive(Debug)]
pub struct SqlFrame {
    bytes: Bytes,
    statements: usize,
}

impl SqlFrame {
    #[must_use]
    pub fn new(frame: Frame, statements: usize) -> Self {
        Self { bytes: frame.into_bytes(), statements }
    }

    /// In place of a Query that is denied for a statement behind these savepoints: sets them, and fails.
    #[must_use]
    pub fn failing_behind(savepoints: &[&Name]) -> Self {
        let set: String =
            savepoints.iter().map(|name| format!("SAVEPOINT {}; ", escape_identifier(name.as_str()))).collect();
        // The whole text has to be readable, or nothing of it would run: it fails for want of a column.
        Self { bytes: encode::query(&format!("{set}SELECT {DENIED}")), statements: savepoints.len() }
    }

    /// Lets the message through, given one receipt for each of its statements.
    ///
    /// # Errors
    /// Gives the message back where there are fewer or more.
    pub fn admit(self, receipts: &[Receipt]) -> Result<ToUpstream, Self> {
        if receipts.len() == self.statements { Ok(ToUpstream(self.bytes)) } else { Err(self) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::BytesMut;

    use super::*;
    use crate::wire::frame;

    fn frame_of(bytes: Bytes) -> Frame {
        frame::take(&mut BytesMut::from(&bytes[..]), 1 << 20).unwrap().unwrap()
    }

    #[test]
    fn messages_with_sql_do_not_pass_unjudged() {
        for tag in 0..=u8::MAX {
            let frame = frame_of(Bytes::from(vec![tag, 0, 0, 0, 4]));
            let passes = ToUpstream::without_sql(frame).is_some();
            assert_eq!(passes, b"BCDHSXcdf".contains(&tag), "{}", char::from(tag));
        }
        let query = SqlFrame::new(frame_of(encode::query("select 1")), 1);
        assert!(query.admit(&[]).is_err());
    }

    #[test]
    fn savepoints_are_quoted_and_recorded() {
        let name = Name::from("a\"; DROP TABLE t --");
        assert!(SqlFrame::failing_behind(&[&name]).admit(&[]).is_err());
        let expected = "SAVEPOINT \"a\"\"; DROP TABLE t --\"; SELECT pgward_denied";
        assert_eq!(SqlFrame::failing_behind(&[&name]).bytes, encode::query(expected));
    }

    #[test]
    fn answers_are_quoted() {
        let answer = Answer { columns: &["a"], rows: vec![vec!["it's \\ \0 x".to_owned()]] };
        assert_eq!(answer.to_sql(), "SELECT * FROM (VALUES ('it''s \\   x'::text)) AS pgward (\"a\")");
        assert_eq!(Answer { columns: &["a"], rows: vec![] }.to_sql(), "SELECT NULL::text AS \"a\" LIMIT 0");
    }
}
