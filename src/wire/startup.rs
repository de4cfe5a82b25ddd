//! What a client may send before it is authenticated: packets without a type byte, of 10,000 bytes at most.

use bytes::BytesMut;

use super::ProtocolError;
use super::reader::Reader;

/// The limit that PostgreSQL sets (`MAX_STARTUP_PACKET_LENGTH`).
pub const MAX_LENGTH: usize = 10_000;

const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
const MIN_KEY: usize = 4;
const MAX_KEY: usize = 256;

/// One packet of the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    Ssl,
    GssEnc,
    Cancel { process: u32, key: Vec<u8> },
    Startup(Startup),
}

/// A StartupMessage: version and parameters as they came, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    pub minor: u16,
    pub parameters: Vec<(String, String)>,
}

/// Splits one packet off the front of `buffer`; `None` where it is not all there yet.
///
/// # Errors
/// For any length, code or form that PostgreSQL 14 to 18 clients do not send.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Packet>, ProtocolError> {
    let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| ProtocolError::Length)?;
    if length < 8 {
        return Err(ProtocolError::Length);
    }
    if length > MAX_LENGTH {
        return Err(ProtocolError::TooLong(length, MAX_LENGTH));
    }
    if buffer.len() < length {
        return Ok(None);
    }
    let bytes = buffer.split_to(length);
    read(bytes.get(4..).unwrap_or_default()).map(Some)
}

fn read(body: &[u8]) -> Result<Packet, ProtocolError> {
    let mut reader = Reader::new(body);
    match reader.u32()? {
        SSL_REQUEST => reader.finish().map(|()| Packet::Ssl),
        GSSENC_REQUEST => reader.finish().map(|()| Packet::GssEnc),
        CANCEL_REQUEST => {
            let process = reader.u32()?;
            let key = reader.rest();
            if !(MIN_KEY..=MAX_KEY).contains(&key.len()) {
                return Err(ProtocolError::Invalid("length of cancel key"));
            }
            Ok(Packet::Cancel { process, key: key.to_vec() })
        }
        version if version >> 16 == 3 => read_parameters(reader, (version & 0xffff) as u16),
        _ => Err(ProtocolError::Invalid("protocol version")),
    }
}

fn read_parameters(mut reader: Reader<'_>, minor: u16) -> Result<Packet, ProtocolError> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    loop {
        let name = reader.cstr()?;
        if name.is_empty() {
            break;
        }
        if parameters.iter().any(|(known, _)| known == name) {
            return Err(ProtocolError::Invalid("startup packet: a parameter comes twice"));
        }
        parameters.push((name.to_owned(), reader.cstr()?.to_owned()));
    }
    reader.finish()?;
    Ok(Packet::Startup(Startup { minor, parameters }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn packet(code: u32, rest: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&u32::try_from(rest.len() + 8).unwrap().to_be_bytes());
        bytes.extend_from_slice(&code.to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn packets_are_read() {
        assert_eq!(take(&mut packet(SSL_REQUEST, b"")), Ok(Some(Packet::Ssl)));
        assert_eq!(take(&mut packet(GSSENC_REQUEST, b"")), Ok(Some(Packet::GssEnc)));
        assert_eq!(
            take(&mut packet(CANCEL_REQUEST, &[0, 0, 0, 7, 1, 2, 3, 4])),
            Ok(Some(Packet::Cancel { process: 7, key: vec![1, 2, 3, 4] }))
        );
        let parameters = vec![("user".to_owned(), "alice".to_owned()), ("database".to_owned(), String::new())];
        assert_eq!(
            take(&mut packet(3 << 16 | 2, b"user\0alice\0database\0\0\0")),
            Ok(Some(Packet::Startup(Startup { minor: 2, parameters })))
        );
    }

    #[test]
    fn doubtful_packets_are_refused() {
        for (code, rest) in [
            (SSL_REQUEST, &b"x"[..]),
            (CANCEL_REQUEST, &[0, 0, 0, 7, 1, 2, 3]),
            (CANCEL_REQUEST, &[0; 4 + 257]),
            (2 << 16, b"user\0a\0\0"),
            (3 << 16, b"user\0a\0user\0b\0\0"),
            (3 << 16, b"user\0a\0\0x"),
            (3 << 16, b"user\0a\0"),
            (3 << 16, b"user\0\xff\0\0"),
        ] {
            assert!(take(&mut packet(code, rest)).is_err(), "{code} {rest:?}");
        }
        for length in [0u32, 7, 10_001, u32::MAX] {
            assert!(take(&mut BytesMut::from(&length.to_be_bytes()[..])).is_err(), "{length}");
        }
        assert!(take(&mut BytesMut::from(&b"GET / HTTP/1.1"[..])).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = take(&mut BytesMut::from(&bytes[..]));
        }
    }
}
