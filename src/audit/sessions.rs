//! What must hold between the records of one session: numbered 1, 2, 3 …, and every end names a statement before it.
//! A chain cannot show that a record was never made; a gap here can. Holds one small entry per open session.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::Event;

/// As much of a record as is looked at here: reading all of it takes three times as long.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Brief<'a> {
    pub(super) seq: u64,
    pub(super) event: Event,
    #[serde(borrow, default)]
    session: Option<Cow<'a, str>>,
    #[serde(default)]
    session_seq: Option<u64>,
    #[serde(default)]
    statement_seq: Option<u64>,
    #[serde(borrow, default)]
    pub(super) detail: Option<Cow<'a, str>>,
}

impl<'a> Brief<'a> {
    /// Reads it from a record's canonical bytes. Nearly all records begin with the same fields in the same form, and of the
    /// rest only an end's is wanted: where that is not so, all of the record is read.
    pub(super) fn read(canonical: &'a [u8]) -> Result<Self, serde_json::Error> {
        match Self::read_quickly(canonical) {
            Some(brief) => Ok(brief),
            None => serde_json::from_slice(canonical),
        }
    }

    fn read_quickly(canonical: &'a [u8]) -> Option<Self> {
        let rest = canonical.strip_prefix(b"{\"time\":\"")?;
        let (_, rest) = quoted(rest)?;
        let (seq, rest) = decimal(rest.strip_prefix(b",\"seq\":")?)?;
        let rest = rest.strip_prefix(b",\"event\":\"")?;
        let (event, rest) = quoted(rest)?;
        let event = match event {
            "statement" => Event::Statement,
            "statement_end" => Event::StatementEnd,
            _ => return None,
        };
        let (session, rest) = quoted(rest.strip_prefix(b",\"session\":\"")?)?;
        let (session_seq, rest) = match rest.strip_prefix(b",\"session_seq\":") {
            Some(rest) => decimal(rest).map(|(number, rest)| (Some(number), rest))?,
            None => (None, rest),
        };
        // A quote stands unescaped only around names and strings, so the first place where a key can be read is the key.
        let named = memchr::memmem::find(rest, STATEMENT_SEQ).and_then(|at| rest.get(at + STATEMENT_SEQ.len()..));
        let statement_seq = match named {
            Some(rest) => Some(decimal(rest)?.0),
            None => None,
        };
        Some(Self { seq, event, session: Some(Cow::Borrowed(session)), session_seq, statement_seq, detail: None })
    }
}

const STATEMENT_SEQ: &[u8] = b",\"statement_seq\":";

/// A string up to its closing quote, where nothing in it is escaped, and what follows.
fn quoted(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    let (text, rest) = bytes.split_at(end);
    Some((std::str::from_utf8(text).ok()?, rest.strip_prefix(b"\"")?))
}

/// A number, and what follows.
fn decimal(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = bytes.split_at(end);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The sessions that are open at some point of the journal.
#[derive(Debug, Default)]
pub(super) struct OpenSessions {
    sessions: HashMap<String, OpenSession>,
    /// Records stood between that could not be read: of what they may have been, nothing is held against the others.
    gaps: bool,
}

#[derive(Debug, Default)]
struct OpenSession {
    /// The last `session_seq`.
    last: u64,
    /// Statements without an end so far, by `seq`.
    statements: HashSet<u64>,
}

impl OpenSessions {
    /// A record that cannot be read stood here.
    pub(super) fn pass_over(&mut self) {
        self.gaps = true;
    }

    /// Takes in the next record; says what is wrong with it.
    pub(super) fn take(&mut self, record: &Brief<'_>) -> Result<(), String> {
        if record.event == Event::JournalOpened {
            // A new writer: the sessions of the one before ended with it, recorded or not.
            self.sessions.clear();
        }
        let Some(id) = record.session.as_deref() else { return Ok(()) };
        if let Some(session_seq) = record.session_seq {
            let Some(session) = entry(&mut self.sessions, id) else { return Ok(()) };
            if session_seq != session.last + 1 && !(self.gaps && session_seq > session.last) {
                let expected = session.last + 1;
                return Err(format!("it is number {session_seq} of session {id}, where {expected} comes next"));
            }
            session.last = session_seq;
        }
        match record.event {
            Event::Statement => {
                if let Some(session) = entry(&mut self.sessions, id) {
                    session.statements.insert(record.seq);
                }
            }
            Event::StatementEnd => {
                let named = record.statement_seq.unwrap_or_default();
                let known = self.sessions.get_mut(id).is_some_and(|session| session.statements.remove(&named));
                if !known && !self.gaps {
                    return Err(format!("it ends statement {named}, which session {id} did not begin or has ended"));
                }
            }
            // Nothing of a session comes after these.
            Event::SessionClose | Event::LoginDenied | Event::StartupRefused => {
                self.sessions.remove(id);
            }
            Event::SessionOpen
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
            | Event::NotificationFailed => {}
        }
        Ok(())
    }
}

/// The session's entry. A text is made of its name only the first time.
fn entry<'a>(sessions: &'a mut HashMap<String, OpenSession>, id: &str) -> Option<&'a mut OpenSession> {
    if !sessions.contains_key(id) {
        sessions.insert(id.to_owned(), OpenSession::default());
    }
    sessions.get_mut(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::Timestamp;

    use super::*;
    use crate::access::SessionId;
    use crate::audit::{Record, canonical};

    #[test]
    fn a_brief_is_the_same_by_both_ways() {
        let tricky = "x\",\"statement_seq\":9";
        for (event, quick) in [(Event::Statement, true), (Event::StatementEnd, true), (Event::SessionOpen, false)] {
            for session in ["se_1", "se\"_\\2"] {
                let mut record = Record::new(Timestamp::UNIX_EPOCH, event);
                record.seq = 12;
                record.session = Some(SessionId::from_text(session));
                record.session_seq = Some(3);
                record.statement = Some(tricky.to_owned());
                record.statement_seq = (event == Event::StatementEnd).then_some(7);
                let bytes = canonical::to_string(&record).into_bytes();
                let (ours, serdes) =
                    (Brief::read(&bytes).unwrap(), serde_json::from_slice::<Brief<'_>>(&bytes).unwrap());
                assert_eq!(format!("{ours:?}"), format!("{serdes:?}"));
                assert_eq!(Brief::read_quickly(&bytes).is_some(), quick && session == "se_1");
            }
        }
    }
}
