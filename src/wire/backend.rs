//! What an upstream sends, as far as pgward looks into it. Rows and copy data are never looked into.

use bytes::Bytes;

use super::ProtocolError;
use super::reader::Reader;

/// Fields of one ErrorResponse are few; a server that sends more is not one.
const MAX_FIELDS: usize = 64;

/// Every type byte that an upstream may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    Authentication,
    BackendKeyData,
    BindComplete,
    CloseComplete,
    CommandComplete,
    CopyBoth,
    CopyData,
    CopyDone,
    CopyIn,
    CopyOut,
    DataRow,
    EmptyQuery,
    Error,
    FunctionCallResponse,
    NegotiateProtocolVersion,
    NoData,
    Notice,
    Notification,
    ParameterDescription,
    ParameterStatus,
    ParseComplete,
    PortalSuspended,
    ReadyForQuery,
    RowDescription,
}

impl Tag {
    /// # Errors
    /// [`ProtocolError::Tag`] for a byte that is none.
    pub fn read(byte: u8) -> Result<Self, ProtocolError> {
        Ok(match byte {
            b'R' => Tag::Authentication,
            b'K' => Tag::BackendKeyData,
            b'2' => Tag::BindComplete,
            b'3' => Tag::CloseComplete,
            b'C' => Tag::CommandComplete,
            b'W' => Tag::CopyBoth,
            b'd' => Tag::CopyData,
            b'c' => Tag::CopyDone,
            b'G' => Tag::CopyIn,
            b'H' => Tag::CopyOut,
            b'D' => Tag::DataRow,
            b'I' => Tag::EmptyQuery,
            b'E' => Tag::Error,
            b'V' => Tag::FunctionCallResponse,
            b'v' => Tag::NegotiateProtocolVersion,
            b'n' => Tag::NoData,
            b'N' => Tag::Notice,
            b'A' => Tag::Notification,
            b't' => Tag::ParameterDescription,
            b'S' => Tag::ParameterStatus,
            b'1' => Tag::ParseComplete,
            b's' => Tag::PortalSuspended,
            b'Z' => Tag::ReadyForQuery,
            b'T' => Tag::RowDescription,
            other => return Err(ProtocolError::Tag(other)),
        })
    }
}

/// The transaction status of a ReadyForQuery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InBlock,
    Failed,
}

/// # Errors
/// Where the body is not a ReadyForQuery's.
pub fn ready_for_query(body: &[u8]) -> Result<TransactionStatus, ProtocolError> {
    match body {
        b"I" => Ok(TransactionStatus::Idle),
        b"T" => Ok(TransactionStatus::InBlock),
        b"E" => Ok(TransactionStatus::Failed),
        _ => Err(ProtocolError::Invalid("transaction status")),
    }
}

/// What pgward reads of an ErrorResponse. A server may leave out anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFields {
    /// The untranslated severity (`V`), or the translated one of an old server.
    pub severity: String,
    pub sqlstate: String,
    pub message: String,
}

impl ErrorFields {
    /// Whether the server closes the connection after this.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.severity.as_str(), "FATAL" | "PANIC")
    }
}

/// # Errors
/// Where the body is not an ErrorResponse's or NoticeResponse's.
pub fn error_fields(body: &[u8]) -> Result<ErrorFields, ProtocolError> {
    let mut reader = Reader::new(body);
    let mut fields = ErrorFields::default();
    let mut translated = String::new();
    for _ in 0..MAX_FIELDS {
        let code = reader.u8()?;
        if code == 0 {
            reader.finish()?;
            if fields.severity.is_empty() {
                fields.severity = translated;
            }
            return Ok(fields);
        }
        let end = cstr_lossy(&mut reader)?;
        match code {
            b'V' => fields.severity = end,
            b'S' => translated = end,
            b'C' => fields.sqlstate = end.chars().take(5).collect(),
            b'M' => fields.message = end,
            // The remaining fields go through to the client unread.
            _ => {}
        }
    }
    Err(ProtocolError::Invalid("count of error fields"))
}

/// A parameter's name and new value.
///
/// # Errors
/// Where the body is not a ParameterStatus.
pub fn parameter_status(body: &[u8]) -> Result<(String, String), ProtocolError> {
    let mut reader = Reader::new(body);
    let pair = (cstr_lossy(&mut reader)?, cstr_lossy(&mut reader)?);
    reader.finish()?;
    Ok(pair)
}

/// The types of a ParameterDescription.
///
/// # Errors
/// Where the body is anything else.
pub fn parameter_description(body: &[u8]) -> Result<Vec<u32>, ProtocolError> {
    let mut reader = Reader::new(body);
    let count = reader.u16()?;
    let types = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(types)
}

/// The types of a RowDescription's columns.
///
/// # Errors
/// Where the body is anything else.
pub fn row_description(body: &[u8]) -> Result<Vec<u32>, ProtocolError> {
    let mut reader = Reader::new(body);
    let mut types = Vec::new();
    for _ in 0..reader.u16()? {
        cstr_lossy(&mut reader)?;
        // Table and column before it, length, modifier and format behind it.
        reader.bytes(6)?;
        types.push(reader.u32()?);
        reader.bytes(8)?;
    }
    reader.finish()?;
    Ok(types)
}

/// The values of a DataRow; `None` is NULL.
///
/// # Errors
/// Where the body is anything else.
pub fn data_row(body: &[u8]) -> Result<Vec<Option<&[u8]>>, ProtocolError> {
    let mut reader = Reader::new(body);
    let mut cells = Vec::new();
    for _ in 0..reader.u16()? {
        let length = reader.i32()?;
        cells.push(usize::try_from(length).ok().map(|length| reader.bytes(length)).transpose()?);
    }
    reader.finish()?;
    Ok(cells)
}

/// # Errors
/// Where the body is not one text.
pub fn command_tag(body: &[u8]) -> Result<String, ProtocolError> {
    let mut reader = Reader::new(body);
    let tag = cstr_lossy(&mut reader)?;
    reader.finish()?;
    Ok(tag)
}

/// Process number and secret of a backend: up to 256 bytes since PostgreSQL 18.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendKey {
    pub process: u32,
    pub secret: Bytes,
}

impl std::fmt::Debug for BackendKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackendKey").field("process", &self.process).finish_non_exhaustive()
    }
}

/// How long the secret is before protocol 3.2.
pub const SHORT_KEY: usize = 4;

/// # Errors
/// Where the body is not a BackendKeyData's.
pub fn backend_key(body: &[u8]) -> Result<BackendKey, ProtocolError> {
    let mut reader = Reader::new(body);
    let process = reader.u32()?;
    let secret = reader.rest();
    if !(4..=256).contains(&secret.len()) {
        return Err(ProtocolError::Invalid("length of cancel key"));
    }
    Ok(BackendKey { process, secret: Bytes::copy_from_slice(secret) })
}

/// The minor version of protocol 3 that a server speaks instead of what it was asked for. Options that it does not know are
/// none of ours: we ask for none.
///
/// # Errors
/// Where the body is not a NegotiateProtocolVersion's, of protocol 3 and without options.
pub fn negotiated_minor(body: &[u8]) -> Result<u16, ProtocolError> {
    let mut reader = Reader::new(body);
    let (version, options) = (reader.u32()?, reader.u32()?);
    reader.finish()?;
    match u16::try_from(version & 0xffff) {
        Ok(minor) if version >> 16 == 3 && options == 0 => Ok(minor),
        Ok(_) | Err(_) => Err(ProtocolError::Invalid("protocol version")),
    }
}

/// What an upstream asks for while it authenticates us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    Ok,
    Sasl(Vec<String>),
    SaslContinue(Vec<u8>),
    SaslFinal(Vec<u8>),
    /// Cleartext, MD5, GSS and whatever else: by its number. Never answered.
    Refused(u32),
}

/// # Errors
/// Where the body is not an Authentication message's.
pub fn authentication(body: &[u8]) -> Result<Authentication, ProtocolError> {
    let mut reader = Reader::new(body);
    match reader.u32()? {
        0 => reader.finish().map(|()| Authentication::Ok),
        10 => {
            let mut mechanisms = Vec::new();
            loop {
                let name = reader.cstr()?;
                if name.is_empty() || reader.is_empty() {
                    break;
                }
                mechanisms.push(name.to_owned());
            }
            reader.finish().map(|()| Authentication::Sasl(mechanisms))
        }
        11 => Ok(Authentication::SaslContinue(reader.rest().to_vec())),
        12 => Ok(Authentication::SaslFinal(reader.rest().to_vec())),
        other => Ok(Authentication::Refused(other)),
    }
}

/// Error texts before authentication may come in the server's own encoding; they are data, not input to a decision.
fn cstr_lossy(reader: &mut Reader<'_>) -> Result<String, ProtocolError> {
    let mut copy = *reader;
    match copy.cstr() {
        Ok(text) => {
            *reader = copy;
            Ok(text.to_owned())
        }
        Err(ProtocolError::Encoding) => {
            *reader = copy;
            Ok("(text in another encoding)".to_owned())
        }
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_are_read_also_without_sqlstate() {
        let fields = error_fields(b"SERREUR\0VERROR\0C42501\0Mno\0Dx\0\0").unwrap();
        assert_eq!(
            (fields.severity.as_str(), fields.sqlstate.as_str(), fields.message.as_str()),
            ("ERROR", "42501", "no")
        );
        assert_eq!(error_fields(b"SFATAL\0Mx\0\0").unwrap().sqlstate, "");
        assert!(error_fields(b"SFATAL\0Mx\0\0").unwrap().is_fatal());
        assert!(error_fields(b"SFATAL\0Mx\0").is_err());
        assert!(error_fields(b"SERROR\0\0x").is_err());
        assert!(error_fields(b"M\xff\0\0").is_ok());
    }

    #[test]
    fn authentication_requests_are_told_apart() {
        assert_eq!(authentication(&[0, 0, 0, 0]), Ok(Authentication::Ok));
        assert_eq!(authentication(&[0, 0, 0, 3]), Ok(Authentication::Refused(3)));
        assert_eq!(authentication(&[0, 0, 0, 5, 1, 2, 3, 4]), Ok(Authentication::Refused(5)));
        let sasl = authentication(b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0").unwrap();
        assert_eq!(sasl, Authentication::Sasl(vec!["SCRAM-SHA-256-PLUS".to_owned(), "SCRAM-SHA-256".to_owned()]));
    }

    #[test]
    fn a_version_is_negotiated() {
        assert_eq!(negotiated_minor(&[0, 3, 0, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(negotiated_minor(&[0, 3, 0, 2, 0, 0, 0, 0]), Ok(2));
        for body in [
            &[0, 2, 0, 0, 0, 0, 0, 0][..],
            &[0, 3, 0, 0, 0, 0, 0, 1, b'x', 0],
            &[0, 3, 0, 0],
            &[0, 3, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(negotiated_minor(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn keys_have_bounds() {
        assert!(backend_key(&[0, 0, 0, 1, 1, 2, 3]).is_err());
        assert_eq!(backend_key(&[0, 0, 0, 1, 1, 2, 3, 4]).unwrap().process, 1);
        assert!(backend_key(&[0; 4 + 257]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (error_fields(&bytes), parameter_status(&bytes), authentication(&bytes), backend_key(&bytes));
        }
    }
}
