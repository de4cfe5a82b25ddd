//! The canonical bytes of a record: what is hashed, kept and shown.
//!
//! JSON of the serde struct, fields in the order of their declaration, no white space, one line. Every character that a
//! terminal, an editor or a browser might act on or hide (controls, DEL, bidi marks and overrides, zero-width and other
//! format characters, line separators) is escaped as `\uXXXX`, so that no text of a client can forge a line, reorder what
//! a reader sees, or drive a terminal. The list is fixed here, not taken from a Unicode table that changes with the
//! compiler: the same record gives the same bytes for ever.

use std::io;

use jiff::Timestamp;
use serde::Serialize as _;
use serde_json::ser::Formatter;

use super::compact;
use super::retention::{Kind, Shelf};
use super::{Event, Record};
use crate::access::SessionId;

/// The longest canonical record, in bytes. The limit on what the proxy reads from a client lies far below.
pub const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// Canonical bytes that still lack the two numbers that only the writer knows: `seq` and `session_seq`. They are encoded
/// outside the writer's lock.
#[derive(Debug)]
pub(super) struct Unnumbered {
    pub(super) bytes: Vec<u8>,
    /// Where the placeholder of `seq` stands.
    pub(super) seq_at: usize,
    /// Where `,"session_seq":` and its placeholder stand, if the record names a session.
    pub(super) session_seq_at: Option<usize>,
    pub(super) session: Option<(SessionId, Phase)>,
    pub(super) kind: Kind,
    pub(super) time: Timestamp,
    pub(super) shelf: usize,
}

/// What a record means for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Begins,
    GoesOn,
    /// Nothing comes after; where nothing came before, it is the session's only record.
    Ends,
}

impl Unnumbered {
    /// Encodes `record`, whatever numbers it bears, to be kept on one of `shelves`.
    pub(super) fn encode(mut record: Record, shelves: &[Shelf]) -> io::Result<Self> {
        record.seq = 0;
        record.session_seq = record.session.as_ref().map(|_| 0);
        let mut bytes = Vec::with_capacity(1024);
        write(&record, &mut bytes)?;
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the record is too long"));
        }
        // A quote stands unescaped only around names and strings, so the first place where a key can be read is the key.
        let seq_at = find(SEQ_KEY, &bytes).map_or(bytes.len(), |at| at + SEQ_KEY.len());
        let session_seq_at = if record.session.is_some() { find(SESSION_SEQ_KEY, &bytes) } else { None };
        let region = record.data_region.as_ref().or(record.upstream_region.as_ref());
        let shelf = Shelf::of(shelves, region);
        let session = record.session.map(|id| (id, Phase::of(record.event)));
        let (kind, time) = (Kind::of(record.event), record.time);
        Ok(Self { bytes, seq_at, session_seq_at, session, kind, time, shelf })
    }

    /// Appends the canonical bytes with the numbers in their places; a session's may be left out.
    pub(super) fn number_into(&self, seq: u64, session_seq: Option<u64>, out: &mut Vec<u8>) {
        let part = |from: usize, to: usize| self.bytes.get(from..to).unwrap_or_default();
        let end = self.bytes.len();
        out.extend_from_slice(part(0, self.seq_at));
        push_decimal(seq, out);
        let rest = self.seq_at + PLACEHOLDER;
        let Some(at) = self.session_seq_at else {
            out.extend_from_slice(part(rest, end));
            return;
        };
        out.extend_from_slice(part(rest, at));
        if let Some(session_seq) = session_seq {
            out.extend_from_slice(SESSION_SEQ_KEY);
            push_decimal(session_seq, out);
        }
        out.extend_from_slice(part(at + SESSION_SEQ_KEY.len() + PLACEHOLDER, end));
    }

    pub(super) fn session(&self) -> Option<(&SessionId, Phase)> {
        self.session.as_ref().map(|(id, phase)| (id, *phase))
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn time(&self) -> Timestamp {
        self.time
    }

    /// By its place in the journal's list.
    pub(super) fn shelf(&self) -> usize {
        self.shelf
    }

    /// Bytes without the numbers' digits.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Phase {
    fn of(event: Event) -> Self {
        match event {
            Event::SessionOpen => Self::Begins,
            Event::SessionClose | Event::LoginDenied | Event::StartupRefused => Self::Ends,
            Event::Statement
            | Event::StatementEnd
            | Event::Cancel
            | Event::RequestFiled
            | Event::RequestApproved
            | Event::RequestDenied
            | Event::RequestWithdrawn
            | Event::GrantCreated
            | Event::GrantRevoked
            | Event::CredentialMinted
            | Event::SessionKilled
            | Event::ConfigReloaded
            | Event::ConfigRefused
            | Event::JournalOpened
            | Event::JournalRecovered
            | Event::JournalClosed
            | Event::Message
            | Event::AccessRefused
            | Event::RecordsPurged
            | Event::HoldPlaced
            | Event::HoldReleased
            | Event::KeyRotated
            | Event::WitnessSilent
            | Event::WitnessHeard
            | Event::SinkState
            | Event::RequestEdited
            | Event::RequestExpired
            | Event::BreakGlassOpened
            | Event::ReviewClosed
            | Event::ReviewOverdue
            | Event::GrantEnding
            | Event::GrantExpired
            | Event::StatementHeld
            | Event::UnusualAccess
            | Event::AccessReleased
            | Event::RetentionRun
            | Event::RetentionRunEnd
            | Event::DataHoldPlaced
            | Event::DataHoldReleased
            | Event::RetentionBatch
            | Event::RetentionBatchEnd
            | Event::ControlLogin
            | Event::ControlLogout
            | Event::NotificationFailed => Self::GoesOn,
        }
    }
}

/// Appends the canonical bytes of `record`.
///
/// # Errors
/// None for a [`Record`]: serde's types ask for one.
pub fn write(record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
    compact::write(record, out)
}

/// Any other value in the form of canonical bytes.
///
/// # Errors
/// Where the value's serialization answers one.
pub fn encode(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(1024);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Escaping)).map_err(io::Error::from)?;
    Ok(bytes)
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

/// Appends `text` with its quotes, and with everything escaped that canonical bytes escape.
pub(super) fn encode_text(text: &str, out: &mut Vec<u8>) -> io::Result<()> {
    text.serialize(&mut serde_json::Serializer::with_formatter(out, Escaping)).map_err(io::Error::from)
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
const SESSION_SEQ_KEY: &[u8] = b",\"session_seq\":";
/// The placeholder of a number is one digit.
const PLACEHOLDER: usize = 1;

/// Where `needle` stands first. Quick for a needle that begins with a byte that is rare in canonical bytes, as keys do.
pub(super) fn find(needle: &[u8], bytes: &[u8]) -> Option<usize> {
    let first = needle.first()?;
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| byte == first)?;
        if bytes.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
}

/// serde_json's compact form with [`is_hidden`] characters escaped.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly every fragment is plain ASCII; serde_json has taken out what lies below 0x20.
        if fragment.is_ascii() && !fragment.as_bytes().contains(&0x7f) {
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
pub(super) fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
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

    use proptest::prelude::*;

    use super::*;

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
    fn numbering_gives_what_encoding_with_the_numbers_gives() {
        let tricky = "x,\"session_seq\":0,\"seq\":0";
        for session in [None, Some("se_1"), Some(tricky)] {
            for seq in [1, 9, 10, 4711, u64::MAX] {
                for session_seq in [None, Some(7), Some(u64::MAX)] {
                    let mut record = with_statement(tricky);
                    record.session = session.map(SessionId::from_text);
                    let mut numbered = Vec::new();
                    Unnumbered::encode(record.clone(), &[]).unwrap().number_into(seq, session_seq, &mut numbered);
                    record.seq = seq;
                    record.session_seq = session_seq.filter(|_| session.is_some());
                    assert_eq!(numbered, to_string(&record).into_bytes());
                }
            }
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
