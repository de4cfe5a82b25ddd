//! What single messages of the upstream say, apart from what was asked.

use super::Violation;
use crate::wire::backend::{self, Tag, TransactionStatus};
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::sqlstate;

pub(super) fn status_byte(status: TransactionStatus) -> u8 {
    match status {
        TransactionStatus::Idle => b'I',
        TransactionStatus::InBlock => b'T',
        TransactionStatus::Failed => b'E',
    }
}

/// The types of message that change what is expected next by what they say, not by their type alone.
pub(super) fn needs_body(tag: Tag) -> bool {
    match tag {
        Tag::CommandComplete | Tag::Error | Tag::ParameterStatus | Tag::ReadyForQuery => true,
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
        | Tag::Notice
        | Tag::Notification
        | Tag::ParameterDescription
        | Tag::ParseComplete
        | Tag::PortalSuspended
        | Tag::RowDescription => false,
    }
}

/// Settings that change what texts mean, or who runs them: pinned, so a change is a breach.
pub(super) fn guard(body: &[u8]) -> Result<(), Violation> {
    let (name, value) = backend::parameter_status(body)?;
    let holds = match name.as_str() {
        "client_encoding" => value == "UTF8",
        "standard_conforming_strings" => value == "on",
        "session_authorization" | "is_superuser" | "server_encoding" => false,
        _ => true,
    };
    if holds { Ok(()) } else { Err(Violation::Guard(name)) }
}

pub(super) fn row_limit_reached(limit: u64) -> ClientVisible {
    ClientVisible::new(Severity::Error, sqlstate::PROGRAM_LIMIT_EXCEEDED, format!("row limit of {limit} reached"))
        .detail("The grant that allows this statement limits the rows that one statement returns.")
}

/// The count at the end of a command tag: `INSERT 0 5`, `COPY 20000`.
pub(super) fn rows_of(tag: &str) -> Option<u64> {
    tag.rsplit(' ').next().and_then(|count| count.parse().ok())
}
