//! The canonical bytes of a record: what is hashed, kept and shown.
//!
//! JSON of the serde struct, fields in the order of their declaration, no white space, one line. Every character that a
//! terminal, an editor or a browser might act on or hide (controls, DEL, bidi marks and overrides, zero-width and other
//! format characters, line separators) is escaped as `\uXXXX`, so that no text of a client can forge a line, reorder what
//! a reader sees, or drive a terminal. The list is fixed here, not taken from a Unicode table that changes with the
//! compiler: the same record gives the same bytes for ever.

use std::io;

use serde::Serialize as _;
use serde_json::ser::Formatter;

use super::Record;

/// The longest canonical record, in bytes. The limit on what the proxy reads from a client lies far below.
pub const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// Canonical bytes that still lack their `seq`, which only the writer knows.
#[derive(Debug)]
pub(super) struct Unnumbered {
    bytes: Vec<u8>,
    /// Where the digits of `seq` go: between `bytes[..split]` and `bytes[split + 1..]`.
    split: usize,
}

impl Unnumbered {
    /// Encodes `record` whatever its `seq`.
    pub(super) fn encode(record: &mut Record) -> io::Result<Self> {
        record.seq = 0;
        let mut bytes = Vec::with_capacity(1024);
        write(record, &mut bytes)?;
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the record is too long"));
        }
        // `time` comes first and holds no comma, so the first comma is the one before `"seq":0`.
        let comma = bytes.iter().position(|byte| *byte == b',');
        let split = comma.map_or(bytes.len(), |comma| comma + SEQ_KEY.len());
        debug_assert!(bytes.get(..split).is_some_and(|head| head.ends_with(SEQ_KEY)));
        Ok(Self { bytes, split })
    }

    /// Appends the canonical bytes with `seq` in its place.
    pub(super) fn number_into(&self, seq: u64, out: &mut Vec<u8>) {
        let (head, tail) = self.bytes.split_at(self.split.min(self.bytes.len()));
        out.extend_from_slice(head);
        push_decimal(seq, out);
        out.extend_from_slice(tail.get(1..).unwrap_or_default());
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Appends the canonical bytes of `record`.
///
/// # Errors
/// None for a [`Record`]: serde's types ask for one.
pub fn write(record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, Escaping);
    record.serialize(&mut serializer).map_err(io::Error::from)
}

/// The canonical bytes of `record`, as text.
#[must_use]
pub fn to_string(record: &Record) -> String {
    let mut bytes = Vec::with_capacity(1024);
    match write(record, &mut bytes) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Reads a record back from its canonical bytes.
///
/// # Errors
/// Where the bytes are not a record's JSON.
pub fn parse(bytes: &[u8]) -> Result<Record, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// Appends `text` with everything escaped that canonical bytes escape, but without the quotes around it.
pub fn escape_into(text: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Escaping);
    text.serialize(&mut serializer).map_err(io::Error::from)?;
    out.pop();
    if start < out.len() {
        out.remove(start);
    }
    Ok(())
}

/// Whether `c` is escaped although JSON would let it stand: it does not print as a glyph of its own.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
}

const SEQ_KEY: &[u8] = b",\"seq\":";

/// serde_json's compact form with [`is_hidden`] characters escaped.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly every fragment is plain ASCII; serde_json has taken out what lies below 0x20.
        if fragment.bytes().all(|byte| byte < 0x7f) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            let (plain, from_hidden) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = from_hidden.split_at(c.len_utf8()).1;
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Appends a number in decimal, without the machinery of `fmt`.
fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        // A remainder by ten fits.
        out.push(b'0' + u8::try_from(number % 10).unwrap_or_default());
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::audit::Event;

    fn with_statement(text: &str) -> Record {
        let mut record = Record::new(Timestamp::UNIX_EPOCH, Event::Statement);
        record.statement = Some(text.to_owned());
        record
    }

    #[test]
    fn hidden_characters_are_escaped() {
        let cases = [
            ("a\nb", "a\\nb"),
            ("\u{1b}[31m", "\\u001b[31m"),
            ("\u{0}", "\\u0000"),
            ("\u{7f}", "\\u007f"),
            ("\u{85}", "\\u0085"),
            ("a\u{202e}b", "a\\u202eb"),
            ("\u{200e}\u{2066}\u{2069}\u{feff}", "\\u200e\\u2066\\u2069\\ufeff"),
            ("\u{2028}\u{2029}", "\\u2028\\u2029"),
            ("\u{e0041}", "\\udb40\\udc41"),
            ("\"\\", "\\\"\\\\"),
            ("grüße 漢字 😀", "grüße 漢字 😀"),
        ];
        for (text, escaped) in cases {
            let line = to_string(&with_statement(text));
            assert_eq!(
                line,
                format!(
                    "{{\"time\":\"1970-01-01T00:00:00Z\",\"seq\":0,\"event\":\"statement\",\"statement\":\"{escaped}\"}}"
                )
            );
            assert_eq!(parse(line.as_bytes()).unwrap().statement.as_deref(), Some(text));
        }
    }

    #[test]
    fn numbering_gives_what_encoding_with_the_number_gives() {
        for seq in [1, 9, 10, 4711, u64::MAX] {
            let mut record = with_statement("select ',\"seq\":0,'");
            let mut numbered = Vec::new();
            Unnumbered::encode(&mut record).unwrap().number_into(seq, &mut numbered);
            record.seq = seq;
            assert_eq!(numbered, to_string(&record).into_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_and_stays_on_one_safe_line(text in any::<String>(), name in any::<Option<String>>()) {
            let mut record = with_statement(&text);
            record.application_name = name;
            record.parameters = Some(vec![None, Some(text)]);
            let line = to_string(&record);
            prop_assert!(!line.chars().any(is_hidden));
            prop_assert_eq!(parse(line.as_bytes()).unwrap(), record);
        }
    }
}
