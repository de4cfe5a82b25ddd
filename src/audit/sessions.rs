//! What must hold between the records of one session: numbered 1, 2, 3 …, and every end names a statement before it.
//! A chain cannot show that a record was never made; a gap here can. Holds one small entry per open session.

use std::collections::{HashMap, HashSet};

use super::{Event, Record};
use crate::access::SessionId;

/// The sessions that are open at some point of the journal.
#[derive(Debug, Default)]
pub(super) struct OpenSessions {
    sessions: HashMap<SessionId, OpenSession>,
}

#[derive(Debug, Default)]
struct OpenSession {
    /// The last `session_seq`.
    last: u64,
    /// Statements without an end so far, by `seq`.
    statements: HashSet<u64>,
}

impl OpenSessions {
    /// Takes in the next record; says what is wrong with it.
    pub(super) fn take(&mut self, record: &Record) -> Result<(), String> {
        if record.event == Event::JournalOpened {
            // A new writer: the sessions of the one before ended with it, recorded or not.
            self.sessions.clear();
        }
        let Some(id) = &record.session else { return Ok(()) };
        if let Some(session_seq) = record.session_seq {
            let session = self.sessions.entry(id.clone()).or_default();
            if session_seq != session.last + 1 {
                let expected = session.last + 1;
                return Err(format!("it is number {session_seq} of session {id}, where {expected} comes next"));
            }
            session.last = session_seq;
        }
        match record.event {
            Event::Statement => {
                self.sessions.entry(id.clone()).or_default().statements.insert(record.seq);
            }
            Event::StatementEnd => {
                let named = record.statement_seq.unwrap_or_default();
                let known = self.sessions.get_mut(id).is_some_and(|session| session.statements.remove(&named));
                if !known {
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
            | Event::SinkState
            | Event::JournalClosed => {}
        }
        Ok(())
    }
}
