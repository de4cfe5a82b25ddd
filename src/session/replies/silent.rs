//! Answers to what pgward asks the upstream on its own, between the client's transactions.

use super::said::guard;
use super::{Happened, Pass, Replies, Violation};
use crate::wire::Header;
use crate::wire::backend::{self, Tag};

impl Replies {
    /// The answer to what pgward asked on its own: the client sees nothing of it but a setting that it is told of.
    pub(super) fn silent(
        &mut self,
        tag: Tag,
        header: Header,
        body: &[u8],
        happened: &mut Happened,
    ) -> Result<Pass, Violation> {
        match tag {
            Tag::Notice | Tag::Notification => Ok(Pass::Forward),
            Tag::ParameterStatus => guard(body).map(|()| Pass::Forward),
            Tag::CommandComplete => Ok(Pass::Drop),
            Tag::ReadyForQuery => {
                self.status = backend::ready_for_query(body)?;
                self.queue.pop_front();
                self.settled = self.queue.is_empty();
                Ok(Pass::Drop)
            }
            Tag::Error if backend::error_fields(body)?.is_fatal() => {
                happened.fatal = true;
                Ok(Pass::Forward)
            }
            // A cancel request of the client's that came too late for what it was meant for.
            Tag::Error => {
                happened.mode_refused = true;
                Ok(Pass::Drop)
            }
            Tag::Authentication
            | Tag::BackendKeyData
            | Tag::BindComplete
            | Tag::CloseComplete
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
            | Tag::ParameterDescription
            | Tag::ParseComplete
            | Tag::PortalSuspended
            | Tag::RowDescription => Err(Violation::Unexpected(header.tag)),
        }
    }
}
