//! What guard rails need to know of what is owed: whether it is bounded, since when it runs, and what pgward asks by
//! itself.

use std::time::Instant;

use super::owed::{Expected, Running, Step};
use super::{Happened, Pass, Replies, Violation};
use crate::access::GrantId;
use crate::audit::EndedBy;
use crate::wire::Header;
use crate::wire::backend::{self, Tag};
use crate::wire::encode::ClientVisible;

impl Replies {
    pub(super) fn note_sent(&mut self, expected: &Expected) {
        self.bounded = expected.statements.iter().any(Running::is_bounded) || (self.bounded && !self.queue.is_empty());
        self.timed |= expected.statements.iter().any(|running| running.guards.statement_timeout.is_some());
        match expected.step {
            Step::Query | Step::Sync | Step::Own => self.mid_segment = false,
            Step::Parse | Step::Bind | Step::Describe | Step::Probe | Step::Around | Step::Close | Step::Execute => {
                self.mid_segment = true
            }
            Step::CopyEnd => {}
        }
    }

    /// Whether what follows has to wait: a statement runs that pgward may have to end, and what was sent behind its
    /// Query or Sync could neither be taken back nor be told from it by a cancel request.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.bounded && self.is_between_segments() && !self.queue.is_empty()
    }

    /// Whether the last message that was sent is the end of a segment.
    #[must_use]
    pub fn is_between_segments(&self) -> bool {
        !self.mid_segment
    }

    /// When the statement that runs has to be over, and by whose grant; where its time is bounded and nothing else
    /// ends it already.
    pub fn deadline(&mut self) -> Option<Instant> {
        let running = self.timed_statement()?;
        let timeout = running.guards.statement_timeout?;
        let began = *running.began.get_or_insert_with(Instant::now);
        began.checked_add(timeout).filter(|_| running.ending.is_none())
    }

    /// Ends the statement whose time is up.
    pub fn time_out(&mut self, say: impl FnOnce(Option<&GrantId>) -> ClientVisible) {
        if let Some(running) = self.timed_statement() {
            running.ending = Some(Box::new((EndedBy::Timeout, say(running.grant.as_ref()))));
        }
    }

    /// Whether the upstream still has not left what it was asked to leave.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        let running =
            self.queue.iter().find(|expected| expected.runs()).and_then(|expected| expected.statements.front());
        running.is_some_and(|running| running.ending.is_some())
    }

    /// The statement that the upstream runs. In the extended protocol what stands before its Execute is answered with it.
    fn timed_statement(&mut self) -> Option<&mut Running> {
        if !self.timed {
            return None;
        }
        self.queue.iter_mut().find(|expected| expected.runs())?.statements.front_mut()
    }

    /// An answer to what pgward asked by itself: it has to succeed, or the session is not what it is taken for.
    pub(super) fn own(
        &mut self,
        tag: Tag,
        header: Header,
        body: &[u8],
        happened: &mut Happened,
    ) -> Result<Pass, Violation> {
        if self.asking.is_some() {
            return self.catalogs(tag, header, body, happened);
        }
        match tag {
            Tag::ParseComplete | Tag::BindComplete | Tag::CommandComplete | Tag::CloseComplete => Ok(Pass::Drop),
            Tag::ReadyForQuery => {
                self.queue.pop_front();
                Ok(Pass::Drop)
            }
            Tag::Error => {
                let fields = backend::error_fields(body)?;
                happened.fatal = fields.is_fatal();
                let failed = Err(Violation::Guard(format!("nothing, where asked for READ ONLY: {}", fields.sqlstate)));
                if happened.fatal { Ok(Pass::Forward) } else { failed }
            }
            Tag::Authentication
            | Tag::BackendKeyData
            | Tag::CopyBoth
            | Tag::CopyData
            | Tag::CopyDone
            | Tag::CopyIn
            | Tag::CopyOut
            | Tag::DataRow
            | Tag::EmptyQuery
            | Tag::FunctionCallResponse
            | Tag::NegotiateProtocolVersion
            | Tag::NoData
            | Tag::Notice
            | Tag::Notification
            | Tag::ParameterDescription
            | Tag::ParameterStatus
            | Tag::PortalSuspended
            | Tag::RowDescription => Err(Violation::Unexpected(header.tag)),
        }
    }
}
