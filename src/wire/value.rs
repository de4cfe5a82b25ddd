//! Values in PostgreSQL's binary format as the text that the server would print for them (`typsend` of each type, as its
//! `typoutput` shows it): what a reader of the journal needs, never what is sent on. What cannot be read to its last byte is
//! `None`.

mod time;

use std::fmt::{self, Write as _};

use super::reader::Reader;

/// What is known of a type that is not one of PostgreSQL's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The label of an enum, or any other type that is text on the wire.
    Text,
    /// A domain over another type.
    Domain(u32),
    Array,
    Unknown,
}

/// Arrays and domains lie within each other this deep at most.
const MAX_DEPTH: usize = 8;
/// Elements of one array that are read.
const MAX_ELEMENTS: usize = 1_000_000;
/// Dimensions, as in PostgreSQL (`MAXDIM`).
const MAX_DIMENSIONS: usize = 6;

/// Characters that a value of so many bytes may come to. No honest value comes near: a bit string has eight for each byte. But
/// a numeric of ten bytes may say that it has a hundred thousand digits, and be one of a million in an array.
fn most(bytes: &[u8]) -> usize {
    bytes.len().saturating_mul(8).saturating_add(256)
}

/// A value of the type with this number as text; `shape` tells of types that this module does not know.
#[must_use]
pub fn text(oid: u32, bytes: &[u8], shape: &dyn Fn(u32) -> Shape) -> Option<String> {
    value(oid, bytes, shape, 0)
}

fn value(oid: u32, bytes: &[u8], shape: &dyn Fn(u32) -> Shape, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH {
        return None;
    }
    if let Some(element) = range_element(oid) {
        return range(element, bytes, shape, depth);
    }
    if let Some(of) = multirange_element(oid) {
        return multirange(of, bytes, shape, depth);
    }
    if is_array(oid) {
        return array(bytes, shape, depth);
    }
    match scalar(oid, bytes) {
        Scalar::Read(text) => text,
        Scalar::Foreign => match shape(oid) {
            Shape::Text => utf8(bytes),
            Shape::Domain(base) => value(base, bytes, shape, depth + 1),
            Shape::Array => array(bytes, shape, depth),
            Shape::Unknown => None,
        },
    }
}

enum Scalar {
    Read(Option<String>),
    /// Not one of those that are known here.
    Foreign,
}

/// Types by their numbers, which no version of PostgreSQL has changed (`pg_type.dat`).
fn scalar(oid: u32, bytes: &[u8]) -> Scalar {
    Scalar::Read(match oid {
        16 => one::<1>(bytes).map(|[byte]| if byte == 0 { "f" } else { "t" }.to_owned()),
        17 => Some(format!("\\x{}", hex(bytes))),
        18 => one::<1>(bytes).map(|[byte]| char::from(byte).to_string()),
        19 | 25 | 114 | 142 | 705 | 1042 | 1043 => utf8(bytes),
        20 => one(bytes).map(|bytes| i64::from_be_bytes(bytes).to_string()),
        21 => one(bytes).map(|bytes| i16::from_be_bytes(bytes).to_string()),
        23 => one(bytes).map(|bytes| i32::from_be_bytes(bytes).to_string()),
        24 | 26 | 28 | 29 | 2202..=2206 | 3734 | 3769 | 4089 | 4096 | 4191 => {
            one(bytes).map(|bytes| u32::from_be_bytes(bytes).to_string())
        }
        700 => one(bytes).map(|bytes| float(f32::from_be_bytes(bytes), 6)),
        701 => one(bytes).map(|bytes| float(f64::from_be_bytes(bytes), 15)),
        650 | 869 => network(bytes),
        774 | 829 => matches!(bytes.len(), 6 | 8).then(|| colons(bytes)),
        1082 => one(bytes).map(|bytes| time::date(i32::from_be_bytes(bytes))),
        1083 => one(bytes).map(|bytes| time::time(i64::from_be_bytes(bytes))),
        1114 => one(bytes).map(|bytes| time::timestamp(i64::from_be_bytes(bytes), "")),
        1184 => one(bytes).map(|bytes| time::timestamp(i64::from_be_bytes(bytes), "+00")),
        1186 => interval(bytes),
        1266 => zoned(bytes),
        1560 | 1562 => bits(bytes),
        1700 => numeric(bytes),
        2950 => one::<16>(bytes).map(|bytes| uuid(&hex(&bytes))),
        3220 => one(bytes).map(|bytes| {
            let place = u64::from_be_bytes(bytes);
            format!("{:X}/{:X}", place >> 32, place & 0xffff_ffff)
        }),
        // The version of the format, then the text.
        3802 => bytes.split_first().filter(|(version, _)| **version == 1).and_then(|(_, text)| utf8(text)),
        _ => return Scalar::Foreign,
    })
}

fn is_array(oid: u32) -> bool {
    matches!(
        oid,
        143 | 199
            | 651
            | 775
            | 1000..=1003
            | 1005
            | 1007
            | 1009
            | 1014..=1016
            | 1021
            | 1022
            | 1028
            | 1040
            | 1041
            | 1115
            | 1182
            | 1183
            | 1185
            | 1187
            | 1231
            | 1270
            | 1561
            | 1563
            | 2951
            | 3221
            | 3807
            | 3905
            | 3907
            | 3909
            | 3911
            | 3913
            | 3927
    )
}

fn range_element(oid: u32) -> Option<u32> {
    Some(match oid {
        3904 => 23,
        3906 => 1700,
        3908 => 1114,
        3910 => 1184,
        3912 => 1082,
        3926 => 20,
        _ => return None,
    })
}

fn multirange_element(oid: u32) -> Option<u32> {
    Some(match oid {
        4451 => 23,
        4532 => 1700,
        4533 => 1114,
        4534 => 1184,
        4535 => 1082,
        4536 => 20,
        _ => return None,
    })
}

fn one<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn utf8(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// The fewest digits that are this number again, with an exponent from 10^`digits` on and below 0.0001.
fn float<F: Copy + Into<f64> + fmt::Display + fmt::LowerExp>(number: F, digits: i32) -> String {
    let value = number.into();
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if exponent < -4 || exponent >= digits => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        Ok(_) | Err(_) => number.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn uuid(hex: &str) -> String {
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// Family (2 is IPv4, 3 is IPv6), bits of the network, whether it is a cidr, length, address.
fn network(bytes: &[u8]) -> Option<String> {
    let [family, bits, is_cidr, length, address @ ..] = bytes else { return None };
    let (address, full) = match (family, length) {
        (2, 4) => (std::net::IpAddr::from(one::<4>(address)?), 32),
        (3, 16) => (std::net::IpAddr::from(one::<16>(address)?), 128),
        _ => return None,
    };
    Some(if *bits == full && *is_cidr == 0 { address.to_string() } else { format!("{address}/{bits}") })
}

fn bits(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader::new(bytes);
    let count = usize::try_from(reader.i32().ok()?).ok()?;
    let data = reader.rest();
    if data.len() != count.div_ceil(8) {
        return None;
    }
    let digits = data.iter().flat_map(|byte| (0..8).rev().map(move |bit| if byte >> bit & 1 == 1 { '1' } else { '0' }));
    Some(digits.take(count).collect())
}

/// Microseconds, days, months.
fn interval(bytes: &[u8]) -> Option<String> {
    let bytes = one::<16>(bytes)?;
    let (micros, rest) = bytes.split_first_chunk::<8>()?;
    let (days, months) = rest.split_first_chunk::<4>()?;
    Some(time::interval(i64::from_be_bytes(*micros), i32::from_be_bytes(*days), i32::from_be_bytes(one(months)?)))
}

/// Microseconds, and seconds west of Greenwich.
fn zoned(bytes: &[u8]) -> Option<String> {
    let bytes = one::<12>(bytes)?;
    let (micros, zone) = bytes.split_first_chunk::<8>()?;
    Some(time::zoned(i64::from_be_bytes(*micros), i32::from_be_bytes(one(zone)?)))
}

/// Count of digits to the base of 10,000, the first one's weight, the sign, the digits to print behind the point, digits.
fn numeric(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader::new(bytes);
    let count = usize::from(reader.u16().ok()?);
    let weight = i32::from(i16::from_be_bytes(reader.u16().ok()?.to_be_bytes()));
    let (sign, scale) = (reader.u16().ok()?, usize::from(reader.u16().ok()?));
    let digits: Vec<u16> =
        (0..count).map(|_| reader.u16().ok().filter(|digit| *digit < 10_000)).collect::<Option<_>>()?;
    if !reader.is_empty() {
        return None;
    }
    let sign = match sign {
        0x0000 => "",
        0x4000 => "-",
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("Infinity".to_owned()),
        0xf000 => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    let printed = scale.checked_add(usize::try_from(weight.max(0)).ok()?.checked_add(1)?.checked_mul(4)?)?;
    if printed > most(bytes) {
        return None;
    }
    let digit = |place: i32| {
        let index = usize::try_from(weight - place).ok();
        index.and_then(|index| digits.get(index)).copied().unwrap_or_default()
    };
    let mut text = String::new();
    for place in (0..=weight.max(0)).rev() {
        let _ = write!(text, "{:04}", digit(place));
    }
    let whole = text.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let mut fraction = String::new();
    let mut place = -1;
    while fraction.len() < scale {
        let _ = write!(fraction, "{:04}", digit(place));
        place -= 1;
    }
    fraction.truncate(scale);
    let point = if scale > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// Dimensions, whether there are NULLs, the element's type, length and lower bound of each dimension, elements.
fn array(bytes: &[u8], shape: &dyn Fn(u32) -> Shape, depth: usize) -> Option<String> {
    let mut reader = Reader::new(bytes);
    let dimensions = usize::try_from(reader.i32().ok()?).ok()?;
    let _has_nulls = reader.i32().ok()?;
    let element = reader.u32().ok()?;
    if dimensions == 0 {
        return reader.is_empty().then(|| "{}".to_owned());
    }
    if dimensions > MAX_DIMENSIONS {
        return None;
    }
    let (mut lengths, mut prefix, mut total) = (Vec::new(), String::new(), 1_usize);
    let mut shifted = false;
    for _ in 0..dimensions {
        let (length, lower) = (reader.i32().ok()?, reader.i32().ok()?);
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        total = total.checked_mul(length).filter(|total| *total <= MAX_ELEMENTS)?;
        let upper = i64::from(lower) + i64::try_from(length).ok()? - 1;
        let _ = write!(prefix, "[{lower}:{upper}]");
        shifted |= lower != 1;
        lengths.push(length);
    }
    let (mut elements, mut left) = (Vec::with_capacity(total.min(bytes.len() / 4)), most(bytes));
    for _ in 0..total {
        let text = match field(&mut reader)? {
            None => "NULL".to_owned(),
            Some(bytes) => quoted(&value(element, bytes, shape, depth + 1)?),
        };
        left = left.checked_sub(text.len() + 1)?;
        elements.push(text);
    }
    if !reader.is_empty() {
        return None;
    }
    let braces = braced(&lengths, &mut elements.into_iter());
    Some(if shifted { format!("{prefix}={braces}") } else { braces })
}

fn braced(lengths: &[usize], elements: &mut impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = match lengths {
        [] => return elements.next().unwrap_or_default(),
        [length] => elements.take(*length).collect(),
        [length, rest @ ..] => (0..*length).map(|_| braced(rest, elements)).collect(),
    };
    format!("{{{}}}", parts.join(","))
}

/// A length, -1 for NULL, and so many bytes.
fn field<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    match reader.i32().ok()? {
        -1 => Some(None),
        length => reader.bytes(usize::try_from(length).ok()?).ok().map(Some),
    }
}

/// As an element of an array, or a bound of a range, is printed.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.chars().any(|c| c.is_whitespace() || "{}(),\"\\[]".contains(c));
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// Flags (1 empty, 2 and 4 inclusive bounds, 8 and 16 infinite ones), then the bounds that there are.
fn range(element: u32, bytes: &[u8], shape: &dyn Fn(u32) -> Shape, depth: usize) -> Option<String> {
    let mut reader = Reader::new(bytes);
    let flags = reader.u8().ok()?;
    if flags & 1 != 0 {
        return reader.is_empty().then(|| "empty".to_owned());
    }
    let mut bound = |infinite: bool| -> Option<String> {
        if infinite {
            return Some(String::new());
        }
        value(element, field(&mut reader)??, shape, depth + 1).map(|text| quoted(&text))
    };
    let (lower, upper) = (bound(flags & 8 != 0)?, bound(flags & 16 != 0)?);
    let (open, close) = (if flags & 2 != 0 { '[' } else { '(' }, if flags & 4 != 0 { ']' } else { ')' });
    reader.is_empty().then(|| format!("{open}{lower},{upper}{close}"))
}

fn multirange(element: u32, bytes: &[u8], shape: &dyn Fn(u32) -> Shape, depth: usize) -> Option<String> {
    let mut reader = Reader::new(bytes);
    let count = usize::try_from(reader.i32().ok()?).ok().filter(|count| *count <= MAX_ELEMENTS)?;
    let (mut ranges, mut left) = (Vec::new(), most(bytes));
    for _ in 0..count {
        let text = range(element, field(&mut reader)??, shape, depth + 1)?;
        left = left.checked_sub(text.len() + 1)?;
        ranges.push(text);
    }
    reader.is_empty().then(|| format!("{{{}}}", ranges.join(",")))
}

#[cfg(test)]
#[path = "value/tests.rs"]
mod tests;
