//! The PROXY protocol's version 2 header, which a load balancer puts in front of what its client says
//! (<https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>). Read strictly: the address in it decides what a client
//! may do, so whatever is not TCP over IPv4 or IPv6, whole and sound, is refused. Version 1 is refused too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ProtocolError;
use super::reader::Reader;

/// What every header begins with.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes up to and with the length of the rest.
pub const FIXED: usize = 16;
/// Bytes of the rest that are taken: addresses, and additions such as a certificate's name.
pub const MAX_REST: usize = 4_096;

const VERSION: u8 = 0x20;
const LOCAL: u8 = 0;
const PROXY: u8 = 1;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const CHECKSUM: u8 = 0x03;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The load balancer's own, as for a health check.
    Local,
    Client(SocketAddr),
}

/// How many bytes follow the fixed part.
///
/// # Errors
/// Where the fixed part is none, or more would follow than is taken.
pub fn rest_length(fixed: &[u8; FIXED]) -> Result<usize, ProtocolError> {
    let mut reader = Reader::new(fixed);
    if reader.bytes(SIGNATURE.len())? != SIGNATURE {
        return Err(ProtocolError::Invalid("PROXY header"));
    }
    reader.bytes(2)?;
    let length = usize::from(reader.u16()?);
    if length > MAX_REST { Err(ProtocolError::TooLong(length, MAX_REST)) } else { Ok(length) }
}

/// Reads a whole header: the fixed part and what follows.
///
/// # Errors
/// For any other version, command, family or form, and for a checksum that is wrong.
pub fn read(header: &[u8]) -> Result<Source, ProtocolError> {
    let mut reader = Reader::new(header);
    if reader.bytes(SIGNATURE.len())? != SIGNATURE {
        return Err(ProtocolError::Invalid("PROXY header"));
    }
    let version = reader.u8()?;
    let family = reader.u8()?;
    let length = usize::from(reader.u16()?);
    let source = match version {
        // What stands in it means nothing then, but for its length.
        byte if byte == VERSION | LOCAL => {
            reader.bytes(length)?;
            Source::Local
        }
        byte if byte == VERSION | PROXY => Source::Client(client(Reader::new(reader.bytes(length)?), family, header)?),
        _ => return Err(ProtocolError::Invalid("version or command of PROXY header")),
    };
    reader.finish()?;
    Ok(source)
}

/// The address that the connection came from; the one that it went to does not matter here.
fn client(mut reader: Reader<'_>, family: u8, header: &[u8]) -> Result<SocketAddr, ProtocolError> {
    let ip = match family {
        TCP_OVER_IPV4 => {
            let (source, _target) = (reader.u32()?, reader.u32()?);
            IpAddr::V4(Ipv4Addr::from(source))
        }
        TCP_OVER_IPV6 => {
            let (source, _target) = (reader.bytes(16)?, reader.bytes(16)?);
            let octets: [u8; 16] = source.try_into().map_err(|_| ProtocolError::Truncated)?;
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return Err(ProtocolError::Invalid("address family of PROXY header")),
    };
    let (port, _target) = (reader.u16()?, reader.u16()?);
    additions(reader, header)?;
    Ok(SocketAddr::new(ip, port))
}

/// Steps over type, length and value of each addition, to the end of the header. A checksum is checked.
fn additions(mut reader: Reader<'_>, header: &[u8]) -> Result<(), ProtocolError> {
    while !reader.is_empty() {
        let kind = reader.u8()?;
        let length = usize::from(reader.u16()?);
        let value = reader.bytes(length)?;
        if kind == CHECKSUM {
            let told = u32::from_be_bytes(value.try_into().map_err(|_| ProtocolError::Invalid("PROXY checksum"))?);
            // Where it stands there are zeros while it is computed.
            let at = header.len() - reader.rest_length() - value.len();
            let parts = [header.get(..at), Some(&[0; 4]), header.get(at + value.len()..)];
            if checksum(parts.into_iter().flatten().flatten()) != told {
                return Err(ProtocolError::Invalid("PROXY checksum"));
            }
        }
    }
    Ok(())
}

/// CRC32c (RFC 9260, appendix A), bit by bit: headers are short.
fn checksum<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 })
    };
    !bytes.fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([VERSION | command, family]);
        header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        header.extend(rest);
        header
    }

    const V4: [u8; 12] = [10, 20, 0, 7, 10, 0, 0, 1, 0x12, 0x34, 0x15, 0x38];

    fn v4_with(additions: &[u8]) -> Vec<u8> {
        header(PROXY, TCP_OVER_IPV4, &[&V4, additions].concat())
    }

    #[test]
    fn addresses_of_both_families() {
        let client = |text: &str| Ok(Source::Client(text.parse().unwrap()));
        assert_eq!(read(&v4_with(&[])), client("10.20.0.7:4660"));
        let v6 = |ip: &str| {
            let octets = ip.parse::<Ipv6Addr>().unwrap().octets();
            read(&header(PROXY, TCP_OVER_IPV6, &[&octets[..], &[0; 16], &[0, 7, 0, 8]].concat()))
        };
        assert_eq!(v6("2001:db8::1"), client("[2001:db8::1]:7"));
        assert_eq!(v6("::ffff:10.20.0.7"), client("10.20.0.7:7"), "an IPv4 address is one, however it is written");
        assert_eq!(read(&header(LOCAL, 0, &[])), Ok(Source::Local));
        assert_eq!(read(&header(LOCAL, TCP_OVER_IPV4, &V4)), Ok(Source::Local));
        assert_eq!(read(&v4_with(&[0x04, 0, 2, 0, 0, 0xEA, 0, 0])), client("10.20.0.7:4660"));
    }

    #[test]
    fn a_checksum_is_checked() {
        // The check value of CRC32c.
        assert_eq!(checksum(b"123456789".iter()), 0xe306_9283);
        let mut sound = v4_with(&[0x04, 0, 1, 9, CHECKSUM, 0, 4, 0, 0, 0, 0, 0x04, 0, 0]);
        let sum = checksum(sound.iter());
        let at = sound.len() - 7;
        sound[at..at + 4].copy_from_slice(&sum.to_be_bytes());
        assert!(read(&sound).is_ok());
        // The byte that says that it is a checksum is the one that it cannot vouch for.
        for position in (FIXED..sound.len()).filter(|position| *position != at - 3) {
            let mut broken = sound.clone();
            broken[position] ^= 1;
            assert!(read(&broken).is_err(), "{position}");
        }
        assert!(read(&v4_with(&[CHECKSUM, 0, 2, 0, 0])).is_err());
    }

    #[test]
    fn everything_else_is_refused() {
        let refused = [
            header(PROXY, 0x00, &[]),
            header(PROXY, 0x12, &V4),
            header(PROXY, 0x31, &[0; 216]),
            header(2, TCP_OVER_IPV4, &V4),
            header(PROXY, TCP_OVER_IPV4, &V4[..11]),
            header(PROXY, TCP_OVER_IPV6, &V4),
            v4_with(&[4]),
            v4_with(&[4, 0, 9, 1]),
            [v4_with(&[]), vec![0]].concat(),
            b"PROXY TCP4 10.20.0.7 10.0.0.1 4660 5432\r\n".to_vec(),
            v4_with(&[])[..20].to_vec(),
        ];
        for bytes in refused {
            assert!(read(&bytes).is_err(), "{bytes:02x?}");
        }
        let mut other_version = v4_with(&[]);
        other_version[12] = 0x31;
        assert!(read(&other_version).is_err());
        let fixed = |length: u16| {
            let mut fixed: [u8; FIXED] = v4_with(&[])[..FIXED].try_into().unwrap();
            fixed[14..].copy_from_slice(&length.to_be_bytes());
            rest_length(&fixed)
        };
        assert_eq!(fixed(12), Ok(12));
        assert_eq!(fixed(4_096), Ok(4_096));
        assert_eq!(fixed(4_097), Err(ProtocolError::TooLong(4_097, 4_096)));
        assert!(rest_length(b"PROXY TCP4 10.20").is_err());
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(command in 0..4_u8, family: u8, rest in prop::collection::vec(any::<u8>(), 0..80)) {
            let whole = header(command, family, &rest);
            let _ = read(&whole);
            prop_assert!(read(&whole[..whole.len() - 1]).is_err());
        }
    }
}
