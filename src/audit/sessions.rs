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
            | Event::SinkState => {}
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
