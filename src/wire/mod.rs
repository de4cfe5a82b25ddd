//! The PostgreSQL protocol, sans-I/O: bytes in, values out. Knows nothing of sockets, SQL or grants.

pub mod backend;
pub mod encode;
pub mod frame;
pub mod frontend;
pub mod oauth;
pub mod proxy_header;
mod reader;
pub mod scram;
pub mod sqlstate;
pub mod startup;
pub mod value;

pub use frame::{Frame, Header};

/// A peer broke the protocol: the connection ends, since nothing after this can be trusted to mean what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("invalid length of message")]
    Length,
    #[error("message of {0} bytes is over the limit of {1}")]
    TooLong(usize, usize),
    #[error("message ends early")]
    Truncated,
    #[error("message holds more than its type allows")]
    Leftover,
    #[error("text is not valid UTF-8")]
    Encoding,
    #[error("invalid message type 0x{0:02x}")]
    Tag(u8),
    #[error("invalid {0}")]
    Invalid(&'static str),
}

impl ProtocolError {
    /// The SQLSTATE that the peer is told.
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        match self {
            ProtocolError::TooLong(..) => sqlstate::PROGRAM_LIMIT_EXCEEDED,
            ProtocolError::Length
            | ProtocolError::Truncated
            | ProtocolError::Leftover
            | ProtocolError::Encoding
            | ProtocolError::Tag(_)
            | ProtocolError::Invalid(_) => sqlstate::PROTOCOL_VIOLATION,
        }
    }
}
