//! For how long: `90d`, `18 months`, `7 years`. Months and years are the calendar's, as PostgreSQL counts them.

use std::fmt;

/// An amount of months and days; not both zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Keep {
    months: u32,
    days: u32,
}

/// Nobody keeps anything longer; PostgreSQL's dates go further.
const MOST_YEARS: u32 = 1_000;

impl Keep {
    /// # Errors
    /// Says in words what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{text}\" is no time to keep rows: write \"90d\", \"6 weeks\", \"18 months\" or \"7 years\"");
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = trimmed.split_at(digits);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let (months, days) = match unit.trim() {
            "d" | "day" | "days" => (0, number),
            "w" | "week" | "weeks" => (0, number.checked_mul(7).ok_or_else(wrong)?),
            "month" | "months" => (number, 0),
            "y" | "year" | "years" => (number.checked_mul(12).ok_or_else(wrong)?, 0),
            // `m` would be minutes to one reader and months to another.
            _other => return Err(wrong()),
        };
        if number == 0 {
            return Err(format!("\"{text}\" keeps nothing at all: every row would be overdue at once"));
        }
        if months > MOST_YEARS * 12 || days > MOST_YEARS * 366 {
            return Err(format!("\"{text}\" is longer than {MOST_YEARS} years"));
        }
        Ok(Self { months, days })
    }

    /// As PostgreSQL's interval.
    #[must_use]
    pub fn interval(self) -> String {
        format!("pg_catalog.make_interval(months => {}, days => {})", self.months, self.days)
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match (self.months, self.days) {
            (months, 0) if months % 12 == 0 => (months / 12, "year"),
            (months, 0) => (months, "month"),
            (_, days) => (days, "day"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

impl From<Keep> for String {
    fn from(keep: Keep) -> Self {
        keep.to_string()
    }
}

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, said) in [
            ("90d", "90 days"),
            ("1 day", "1 day"),
            ("6 weeks", "42 days"),
            ("18 months", "18 months"),
            ("12 months", "1 year"),
            ("7y", "7 years"),
        ] {
            let keep = Keep::parse(text).unwrap();
            assert_eq!(keep.to_string(), said);
            assert_eq!(Keep::parse(said), Ok(keep), "what is said can be read");
        }
        for text in
            ["", "90", "d", "-1d", "1.5 years", "3m", "0d", "0 months", "1001 years", "99999999999d", "400000d", "1h"]
        {
            assert!(Keep::parse(text).is_err(), "{text}");
        }
    }
}
