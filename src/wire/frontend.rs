//! What clients send once authenticated. Decoders take exactly one body, to its last byte, and borrow from it.

use super::ProtocolError;
use super::reader::Reader;

/// Every type byte that a client may send; any other ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    Bind,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FunctionCall,
    Parse,
    Password,
    Query,
    Sync,
    Terminate,
}

impl Tag {
    /// # Errors
    /// [`ProtocolError::Tag`] for a byte that is none.
    pub fn read(byte: u8) -> Result<Self, ProtocolError> {
        Ok(match byte {
            b'B' => Tag::Bind,
            b'C' => Tag::Close,
            b'd' => Tag::CopyData,
            b'c' => Tag::CopyDone,
            b'f' => Tag::CopyFail,
            b'D' => Tag::Describe,
            b'E' => Tag::Execute,
            b'H' => Tag::Flush,
            b'F' => Tag::FunctionCall,
            b'P' => Tag::Parse,
            b'p' => Tag::Password,
            b'Q' => Tag::Query,
            b'S' => Tag::Sync,
            b'X' => Tag::Terminate,
            other => return Err(ProtocolError::Tag(other)),
        })
    }
}

/// Prepared statement or portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Statement,
    Portal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    pub name: &'a str,
    pub text: &'a str,
    /// The types that the client declares for the parameters, 0 where it leaves one open.
    pub types: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    pub portal: &'a str,
    pub statement: &'a str,
    /// Each value with whether it is binary; `None` is NULL.
    pub values: Vec<(bool, Option<&'a [u8]>)>,
    /// The formats of the results, each whether it is binary: one for each column, one for all, or none for text.
    pub results: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    pub portal: &'a str,
    /// Zero is no limit.
    pub max_rows: i32,
}

/// A Describe or Close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    pub target: Target,
    pub name: &'a str,
}

/// The text of a Query.
///
/// # Errors
/// Where the body is anything else than one text.
pub fn query(body: &[u8]) -> Result<&str, ProtocolError> {
    let mut reader = Reader::new(body);
    let text = reader.cstr()?;
    reader.finish()?;
    Ok(text)
}

/// # Errors
/// Where the body is not a Parse's.
pub fn parse(body: &[u8]) -> Result<Parse<'_>, ProtocolError> {
    let mut reader = Reader::new(body);
    let (name, text, count) = (reader.cstr()?, reader.cstr()?, reader.u16()?);
    let types = reader.bytes(usize::from(count) * 4)?.chunks_exact(4);
    let types = types.map(|oid| oid.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))).collect();
    reader.finish()?;
    Ok(Parse { name, text, types })
}

/// # Errors
/// Where the body is not a Bind's.
pub fn bind(body: &[u8]) -> Result<Bind<'_>, ProtocolError> {
    let mut reader = Reader::new(body);
    let (portal, statement) = (reader.cstr()?, reader.cstr()?);
    let formats = formats(&mut reader)?;
    let count = usize::from(reader.u16()?);
    if formats.len() > 1 && formats.len() != count {
        return Err(ProtocolError::Invalid("count of parameter formats"));
    }
    let mut values = Vec::with_capacity(count.min(64));
    for index in 0..count {
        let binary = formats.get(index).or(formats.first().filter(|_| formats.len() == 1)).copied().unwrap_or(false);
        let value = match reader.i32()? {
            -1 => None,
            length => Some(reader.bytes(usize::try_from(length).map_err(|_| ProtocolError::Length)?)?),
        };
        values.push((binary, value));
    }
    let results = self::formats(&mut reader)?;
    reader.finish()?;
    Ok(Bind { portal, statement, values, results })
}

/// # Errors
/// Where the body is not an Execute's.
pub fn execute(body: &[u8]) -> Result<Execute<'_>, ProtocolError> {
    let mut reader = Reader::new(body);
    let (portal, max_rows) = (reader.cstr()?, reader.i32()?);
    reader.finish()?;
    Ok(Execute { portal, max_rows })
}

/// The body of a Describe or Close.
///
/// # Errors
/// Where it is anything else.
pub fn named(body: &[u8]) -> Result<Named<'_>, ProtocolError> {
    let mut reader = Reader::new(body);
    let target = match reader.u8()? {
        b'S' => Target::Statement,
        b'P' => Target::Portal,
        _ => return Err(ProtocolError::Invalid("kind of object to describe or close")),
    };
    let name = reader.cstr()?;
    reader.finish()?;
    Ok(Named { target, name })
}

/// The body of a Sync, Flush, CopyDone or Terminate: nothing.
///
/// # Errors
/// Where there is something.
pub fn empty(body: &[u8]) -> Result<(), ProtocolError> {
    Reader::new(body).finish()
}

/// The body of a CopyFail: one text.
///
/// # Errors
/// Where it is anything else.
pub fn copy_fail(body: &[u8]) -> Result<(), ProtocolError> {
    query(body).map(|_| ())
}

/// A SASLInitialResponse: the mechanism, and the client's first message where it came along.
///
/// # Errors
/// Where the body is anything else.
pub fn sasl_initial(body: &[u8]) -> Result<(&str, Option<&[u8]>), ProtocolError> {
    let mut reader = Reader::new(body);
    let mechanism = reader.cstr()?;
    let data = match reader.i32()? {
        -1 => None,
        length => Some(reader.bytes(usize::try_from(length).map_err(|_| ProtocolError::Length)?)?),
    };
    reader.finish()?;
    Ok((mechanism, data))
}

/// A PasswordMessage's password.
///
/// # Errors
/// Where the body is not one text.
pub fn password(body: &[u8]) -> Result<&str, ProtocolError> {
    let mut reader = Reader::new(body);
    let password = reader.cstr()?;
    reader.finish()?;
    Ok(password)
}

fn formats(reader: &mut Reader<'_>) -> Result<Vec<bool>, ProtocolError> {
    let count = reader.u16()?;
    let mut formats = Vec::new();
    for _ in 0..count {
        formats.push(match reader.u16()? {
            0 => false,
            1 => true,
            _ => return Err(ProtocolError::Invalid("format code")),
        });
    }
    Ok(formats)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bodies_are_read_to_their_last_byte() {
        assert_eq!(query(b"select 1\0"), Ok("select 1"));
        assert_eq!(query(b"select 1\0;drop\0"), Err(ProtocolError::Leftover));
        assert_eq!(query(b"select 1"), Err(ProtocolError::Truncated));
        assert_eq!(query(b"\xff\0"), Err(ProtocolError::Encoding));
        assert_eq!(parse(b"s\0select $1\0\0\x01\0\0\0\x17").unwrap().types, [23]);
        assert_eq!(parse(b"s\0select $1\0\0\x01\0\0\0\x17\0"), Err(ProtocolError::Leftover));
        assert_eq!(parse(b"s\0select $1\0\0\x02\0\0\0\x17"), Err(ProtocolError::Truncated));
        assert_eq!(execute(b"p\0\0\0\0\x05"), Ok(Execute { portal: "p", max_rows: 5 }));
        assert_eq!(named(b"Sx\0"), Ok(Named { target: Target::Statement, name: "x" }));
        assert!(named(b"Xx\0").is_err());
        assert!(empty(b"x").is_err());
        assert_eq!(sasl_initial(b"M\0\0\0\0\x01x"), Ok(("M", Some(&b"x"[..]))));
    }

    #[test]
    fn bind_values_know_their_format() {
        let one_for_all = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01a\xff\xff\xff\xff\0\0";
        assert_eq!(bind(one_for_all).unwrap().values, vec![(true, Some(&b"a"[..])), (true, None)]);
        let none = b"p\0s\0\0\0\0\x01\0\0\0\x01a\0\x01\0\x01";
        assert_eq!(bind(none).unwrap().values, vec![(false, Some(&b"a"[..]))]);
        assert_eq!(bind(none).unwrap().results, [true]);
        assert!(bind(one_for_all).unwrap().results.is_empty());
        for bad in [
            &b"p\0s\0\0\0\0\x01\xff\xff\xff\xfea\0\0"[..],
            b"p\0s\0\0\x02\0\x01\0\x01\0\x01\0\0\0\0\0\0",
            b"p\0s\0\0\x01\0\x02\0\0\0\0",
            b"p\0s\0\0\0\xff\xff",
        ] {
            assert!(bind(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (query(&bytes), parse(&bytes), bind(&bytes), execute(&bytes), named(&bytes), sasl_initial(&bytes));
        }
    }
}
