//! What pgward asks of the catalogs over the session's own connection: the client sees nothing of the answers. They have to be
//! what was asked for, or the session ends.

use super::{Happened, Pass, Replies, Violation};
use crate::catalog::{LoadError, Snapshot, Within};
use crate::session::nonce::number;
use crate::wire::Header;
use crate::wire::backend::{self, ErrorFields, Tag, TransactionStatus};

/// Bytes of answers. The catalogs of a hundred thousand tables take less.
const MAX_ANSWERS: usize = 512 * 1024 * 1024;

/// What came of it.
pub type Asked = Result<Snapshot, Unanswered>;

/// Why the catalogs are not known.
#[derive(Debug)]
pub enum Unanswered {
    /// The server gave an error, and the transaction has failed.
    Failed(ErrorFields),
    /// The transaction sees catalogs that may be older than those by which the server looks names up.
    Isolation(String),
}

/// The answers, as far as they have come.
#[derive(Debug)]
pub(super) struct Asking {
    within: Within,
    bytes: usize,
    unanswered: Option<Unanswered>,
    is_over: bool,
}

impl Replies {
    /// The questions are about to be sent.
    pub fn ask(&mut self, within: Within) {
        self.asking = Some(Box::new(Asking { within, bytes: 0, unanswered: None, is_over: false }));
    }

    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// What came of the questions, once.
    pub fn take_asked(&mut self) -> Option<Asked> {
        self.asked.take()
    }

    /// A message in answer to them.
    pub(super) fn catalogs(
        &mut self,
        tag: Tag,
        header: Header,
        body: &[u8],
        happened: &mut Happened,
    ) -> Result<Pass, Violation> {
        // Nothing that was asked for is so long that it comes in pieces.
        if body.len() != header.body {
            return Err(Violation::Unexpected(header.tag));
        }
        if tag == Tag::ReadyForQuery {
            let status = backend::ready_for_query(body)?;
            self.status = status;
            // The questions are over with the first; with the second, what was left of them.
            if self.asking.as_mut().is_some_and(|asking| !std::mem::replace(&mut asking.is_over, true)) {
                return Ok(Pass::Drop);
            }
            self.queue.pop_front();
            let Some(asking) = self.asking.take() else { return Err(Violation::Unexpected(header.tag)) };
            self.asked = Some(asking.answered(status)?);
            return Ok(Pass::Drop);
        }
        if tag == Tag::Error {
            if backend::error_fields(body)?.is_fatal() {
                happened.fatal = true;
                return Ok(Pass::Forward);
            }
            self.reasons.failed();
        }
        match &mut self.asking {
            Some(asking) => asking.take(tag, header, body).map(|()| Pass::Drop),
            None => Err(Violation::Unexpected(header.tag)),
        }
    }
}

impl Asking {
    fn take(&mut self, tag: Tag, header: Header, body: &[u8]) -> Result<(), Violation> {
        self.bytes += header.total();
        let unexpected = Err(Violation::Unexpected(header.tag));
        if self.is_over {
            return if tag == Tag::CloseComplete { Ok(()) } else { unexpected };
        }
        // After an error nothing comes but ReadyForQuery.
        if self.bytes > MAX_ANSWERS || matches!(self.unanswered, Some(Unanswered::Failed(_))) {
            return unexpected;
        }
        match tag {
            Tag::ParseComplete | Tag::BindComplete | Tag::CloseComplete => Ok(()),
            Tag::CommandComplete => {
                self.within.answered();
                Ok(())
            }
            Tag::RowDescription => {
                let types = backend::row_description(body)?;
                self.within.columns(types.into_iter()).map_err(Violation::Catalogs)
            }
            Tag::DataRow if self.unanswered.is_some() => Ok(()),
            Tag::DataRow => match self.within.row(&backend::data_row(body)?) {
                Ok(()) => Ok(()),
                Err(LoadError::Isolation(isolation)) => {
                    self.unanswered = Some(Unanswered::Isolation(isolation));
                    Ok(())
                }
                Err(error) => Err(Violation::Catalogs(error)),
            },
            Tag::Error => {
                self.unanswered = Some(Unanswered::Failed(backend::error_fields(body)?));
                Ok(())
            }
            Tag::Authentication
            | Tag::BackendKeyData
            | Tag::CopyBoth
            | Tag::CopyData
            | Tag::CopyDone
            | Tag::CopyIn
            | Tag::CopyOut
            | Tag::EmptyQuery
            | Tag::FunctionCallResponse
            | Tag::NegotiateProtocolVersion
            | Tag::NoData
            | Tag::Notice
            | Tag::Notification
            | Tag::ParameterDescription
            | Tag::ParameterStatus
            | Tag::PortalSuspended
            | Tag::ReadyForQuery => unexpected,
        }
    }

    /// The transaction goes on where all were answered, and has failed where one was not.
    fn answered(self, status: TransactionStatus) -> Result<Asked, Violation> {
        match (self.unanswered, status) {
            (None, TransactionStatus::InBlock) => {
                let version = number().map_err(|_| LoadError::Content("no random number".to_owned()));
                version.and_then(|version| self.within.finish(version)).map(Ok).map_err(Violation::Catalogs)
            }
            (Some(Unanswered::Isolation(isolation)), TransactionStatus::InBlock) => {
                Ok(Err(Unanswered::Isolation(isolation)))
            }
            (Some(Unanswered::Failed(fields)), TransactionStatus::Failed) => Ok(Err(Unanswered::Failed(fields))),
            (_, TransactionStatus::Idle | TransactionStatus::InBlock | TransactionStatus::Failed) => {
                Err(Violation::Unexpected(b'Z'))
            }
        }
    }
}
