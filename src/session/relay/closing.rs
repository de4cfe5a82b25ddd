//! The end of a session: the last word to the client, the upstream left, the last records.

use std::time::Duration;

use super::{CANCEL, Finish, LAST_WORD, LEAVE, Relay};
use crate::audit::{EndedBy, Event};
use crate::session::bounds::Bound;
use crate::session::pass::ToUpstream;
use crate::session::peer::ToClient;
use crate::session::records::Outcome;
use crate::wire::encode::ClientVisible;
use crate::wire::frame::HEADER_LENGTH;
use crate::wire::{ProtocolError, sqlstate};

/// For a client to send the rest of what it is refused for: on a busy machine even five megabytes take seconds.
const REST: Duration = Duration::from_secs(10);
/// Without any of it.
const PAUSE: Duration = Duration::from_secs(2);

impl<C: ToClient> Relay<C> {
    /// Ends both legs, and records how.
    pub(super) async fn close(mut self: Box<Self>, finish: Finish) {
        let is_busy = !self.replies.is_idle();
        let said = last_word(&finish);
        let said = said.filter(|_| self.replies.is_between_messages());
        let too_long = match finish {
            Finish::ClientViolation(ProtocolError::TooLong(body, _)) => Some(HEADER_LENGTH + body),
            Finish::ClientViolation(_)
            | Finish::ClientLeft
            | Finish::UpstreamLeft { .. }
            | Finish::UpstreamViolation(_)
            | Finish::Ended(_) => None,
        };
        if too_long.is_some() {
            self.metrics.count_bound(Bound::MessageBytes);
        }
        let farewell = self.leaving && matches!(finish, Finish::ClientLeft);
        let (client, upstream, entry) = (&mut self.client, &mut self.upstream, &self.entry);
        let to_client = async {
            if let Some(said) = &said {
                client.push(said.to_bytes());
            }
            if let Some(length) = too_long {
                // In the middle of a message a client listens only behind it, and one that finds the connection closed there
                // looks no more at what it was told.
                let rest = length.saturating_sub(client.input.len());
                let _ = tokio::time::timeout(REST, client.tell_and_take(rest, PAUSE)).await;
            }
            // A client that does not read is not waited for.
            let _ = tokio::time::timeout(LAST_WORD, client.finish()).await;
        };
        let to_upstream = async {
            if farewell {
                let _ = tokio::time::timeout(LEAVE, upstream.finish()).await;
                return;
            }
            if is_busy {
                // Closed first: what was sent behind the statement that is cancelled must not run after it.
                upstream.abort();
                let _ = tokio::time::timeout(CANCEL, entry.target().cancel()).await;
                return;
            }
            // Nothing that was not sent yet is sent now.
            if upstream.discard_output() {
                upstream.push(ToUpstream::terminate().into_bytes());
            }
            let _ = tokio::time::timeout(LEAVE, upstream.finish()).await;
        };
        tokio::join!(to_client, to_upstream);
        self.record_close(&finish).await;
    }

    async fn record_close(&mut self, finish: &Finish) {
        let ended_by = match finish {
            Finish::ClientLeft => EndedBy::ClientDisconnect,
            Finish::UpstreamLeft { .. } | Finish::UpstreamViolation(_) => EndedBy::UpstreamDisconnect,
            Finish::ClientViolation(_) => EndedBy::ProtocolViolation,
            Finish::Ended(end) => end.ended_by(),
        };
        self.record_finished();
        let now = self.clock.now();
        for running in self.replies.abandon() {
            self.ended(running, Outcome { sqlstate: None, command_tag: None, ended_by }, now);
        }
        self.record_unsent(ended_by).await;
        self.gate.record_noted().await;
        let mut record = self.gate.recorder.entry(Event::SessionClose);
        record.ended_by = Some(ended_by);
        record.detail = match finish {
            Finish::ClientLeft | Finish::UpstreamLeft { .. } => None,
            Finish::ClientViolation(error) => Some(error.to_string()),
            Finish::UpstreamViolation(violation) => {
                tracing::error!(session = %self.entry.id(), %violation, "the upstream broke the protocol");
                Some(violation.to_string())
            }
            Finish::Ended(end) => Some(end.message().message),
        };
        self.gate.recorder.note(record).await;
    }
}

impl<C: ToClient> Relay<C> {
    /// What was admitted just when the session ended, and was not sent.
    async fn record_unsent(&mut self, ended_by: EndedBy) {
        for (seq, grant) in self.gate.recorder.take_unsent() {
            let mut record = self.gate.recorder.entry(Event::StatementEnd);
            record.statement_seq = Some(seq);
            record.grant = Some(grant);
            record.ended_by = Some(ended_by);
            record.detail = Some("it was not sent: the session ended before".to_owned());
            self.gate.recorder.note(record).await;
        }
    }
}

fn violation(error: &ProtocolError) -> ClientVisible {
    let said = ClientVisible::fatal(error.sqlstate(), error.to_string());
    match error {
        ProtocolError::TooLong(..) => said
            .detail("A message is held whole while it is judged; max_message_bytes says how long it may be.")
            .hint("Send less at once, or load data with COPY, which streams through."),
        ProtocolError::Length
        | ProtocolError::Truncated
        | ProtocolError::Leftover
        | ProtocolError::Encoding
        | ProtocolError::Tag(_)
        | ProtocolError::Invalid(_) => said,
    }
}

/// What the client is told at the end, if pgward has anything to tell.
fn last_word(finish: &Finish) -> Option<ClientVisible> {
    match finish {
        Finish::ClientLeft | Finish::UpstreamLeft { told: true } => None,
        Finish::UpstreamLeft { told: false } => {
            Some(ClientVisible::fatal(sqlstate::CONNECTION_FAILURE, "the database closed the connection"))
        }
        Finish::ClientViolation(error) => Some(violation(error)),
        Finish::UpstreamViolation(_) => {
            let text = "the database sent what it was not asked for; the connection is closed";
            Some(ClientVisible::fatal(sqlstate::PROTOCOL_VIOLATION, text))
        }
        Finish::Ended(end) => Some(end.message()),
    }
}
