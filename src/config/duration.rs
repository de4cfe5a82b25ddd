//! Durations as people write them: `30m`, `1h30m`, `400d`.

use std::time::Duration;

/// A hundred years: past it the arithmetic of instants ends, and the sense too.
const MAX: Duration = Duration::from_secs(36_525 * 86_400);

/// Reads days, hours, minutes and seconds, in that order, each at most once.
///
/// # Errors
/// Says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("\"{text}\" is not a duration, such as \"30m\", \"1h30m\" or \"400d\"");
    let mut units = [('d', 86_400_u64), ('h', 3_600), ('m', 60), ('s', 1)].into_iter();
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
        let (digits, tail) = rest.split_at(end);
        let mut tail = tail.chars();
        let unit = tail.next().ok_or_else(expected)?;
        let (_, seconds) = units.find(|(name, _)| *name == unit).ok_or_else(expected)?;
        let count: u64 = digits.parse().map_err(|_| expected())?;
        total = count.checked_mul(seconds).and_then(|more| total.checked_add(more)).ok_or_else(expected)?;
        rest = tail.as_str();
    }
    let duration = Duration::from_secs(total);
    if text.is_empty() {
        return Err(expected());
    }
    if duration > MAX {
        return Err(format!("\"{text}\" is more than a hundred years"));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        for (text, seconds) in [
            ("5s", 5),
            ("30m", 1800),
            ("1h", 3600),
            ("400d", 34_560_000),
            ("1d2h3m4s", 93_784),
            ("1h30m", 5400),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in
            ["", "30", "m", "-5s", "1.5h", "5 s", "1m1h", "1h1h", "1w", "10M", "99999999999999999999s", "٣s", "40000d"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
