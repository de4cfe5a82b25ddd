//! Durations as people write them: `45s`, `30m`, `1h30m`, `2d`.

use std::time::Duration;

use jiff::Timestamp;

/// Reads a duration. A number without a unit is refused: nobody can know what was meant.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as 30m, 1h30m or 2d");
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            let tens = number.unwrap_or(0).checked_mul(10);
            number = Some(tens.and_then(|tens| tens.checked_add(digit.into())).ok_or_else(wrong)?);
            continue;
        }
        let unit: u64 = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            _ => return Err(wrong()),
        };
        let seconds = number.take().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)?;
        total = total.checked_add(seconds).ok_or_else(wrong)?;
    }
    if number.is_some() || total == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(total))
}

/// Reads an instant: RFC 3339, or a duration before now.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = parse(text) {
        return Timestamp::now().saturating_sub(ago).map_err(|error| error.to_string());
    }
    text.parse()
        .map_err(|_| format!("`{text}` is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 15m"))
}

/// A duration in the same words.
pub fn words(seconds: u64) -> String {
    let parts = [(seconds / 86400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let words: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if words.is_empty() { "0s".to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(parse(text).ok(), seconds.map(Duration::from_secs), "{text}");
        };
        check("45s", Some(45));
        check("30m", Some(1800));
        check("1h30m", Some(5400));
        check("2d", Some(172_800));
        check("30", None);
        check("", None);
        check("0m", None);
        check("m", None);
        check("-5m", None);
        check("1.5h", None);
        check("99999999999999999999d", None);
        assert_eq!(words(5400), "1h30m");
        assert_eq!(words(0), "0s");
    }

    #[test]
    fn instants_are_absolute_or_ago() {
        assert!(instant("2026-11-22T10:00:00+01:00").is_ok());
        assert!(instant("15m").is_ok_and(|then| then < Timestamp::now()));
        assert!(instant("yesterday").is_err());
    }
}
