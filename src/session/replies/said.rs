//! What single messages of the upstream say, apart from what was asked.

use super::Violation;
use crate::access::Bytes;
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

/// Settings that change what texts mean, or who runs them: pinned, so a change is a breach. So is a default that lets
/// transactions write, where all of them are to be `read_only`. The search_path is told since PostgreSQL 18.
pub(super) fn guard(body: &[u8], read_only: bool, paths: &[String]) -> Result<(), Violation> {
    let (name, value) = backend::parameter_status(body)?;
    let holds = match name.as_str() {
        "client_encoding" => value == "UTF8",
        "standard_conforming_strings" => value == "on",
        "default_transaction_read_only" => value == "on" || !read_only,
        "search_path" => paths.iter().any(|path| schemas(path).eq(schemas(&value))),
        "session_authorization" | "is_superuser" | "server_encoding" => false,
        _ => true,
    };
    if holds { Ok(()) } else { Err(Violation::Guard(name)) }
}

/// The schemas of a search_path, however it is written.
fn schemas(path: &str) -> impl Iterator<Item = &str> {
    path.split(',').map(|schema| schema.trim().trim_matches('"')).filter(|schema| !schema.is_empty())
}

/// What pins the meaning of texts was asked for at the login: who answers with something else would read them otherwise than
/// they were judged.
///
/// # Errors
/// Where the upstream says that it is otherwise.
pub fn check_login(parameters: &[(String, String)]) -> Result<(), Violation> {
    let other = parameters.iter().find(|(name, value)| match name.as_str() {
        "client_encoding" => value != "UTF8",
        "standard_conforming_strings" => value != "on",
        _ => false,
    });
    other.map_or(Ok(()), |(name, _)| Err(Violation::Guard(name.clone())))
}

pub(super) fn row_limit_reached(limit: u64) -> ClientVisible {
    ClientVisible::new(Severity::Error, sqlstate::PROGRAM_LIMIT_EXCEEDED, format!("row limit of {limit} reached"))
        .detail("The grant that allows this statement limits the rows that one statement returns.")
}

pub(super) fn byte_limit_reached(limit: u64) -> ClientVisible {
    let text = format!("byte limit of {} reached", Bytes(limit));
    ClientVisible::new(Severity::Error, sqlstate::PROGRAM_LIMIT_EXCEEDED, text)
        .detail("The grant that allows this statement limits the bytes of rows that one statement returns.")
}

/// What is told of a statement that had finished, outside of any transaction block, before it could be cancelled.
pub(super) fn finished(mut said: ClientVisible) -> ClientVisible {
    let more = "It had finished before it could be cancelled: what it changed, if anything, is committed.";
    said.detail = Some(said.detail.map_or_else(|| more.to_owned(), |detail| format!("{detail} {more}")));
    said
}

/// The count at the end of a command tag: `INSERT 0 5`, `COPY 20000`.
pub(super) fn rows_of(tag: &str) -> Option<u64> {
    tag.rsplit(' ').next().and_then(|count| count.parse().ok())
}
