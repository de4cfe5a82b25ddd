//! Amounts of bytes as people write them: `512kB`, `10MB`, `1GiB`.

use crate::access::Bytes;

/// Reads a whole number with a unit. `kB`, `MB` and `GB` are thousands, `KiB`, `MiB` and `GiB` are 1024s.
///
/// # Errors
/// Says what an amount looks like.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let expected = || format!("\"{text}\" is not an amount of bytes, such as \"512kB\", \"10MB\" or \"1GiB\"");
    let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let (digits, unit) = text.split_at(end);
    let (_, size) = Bytes::UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(expected)?;
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(*size)).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        for (text, bytes) in [("1kB", 1_000), ("10MB", 10_000_000), ("2KiB", 2_048), ("1GiB", 1 << 30), ("0MB", 0)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in ["", "10", "MB", "10mb", "10 MB", "1.5MB", "-1MB", "10M", "99999999999999999999GB", "20000000000GB"]
        {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
