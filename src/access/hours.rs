//! Hours of the week in some place: `Mon-Fri 08:00-18:00 Europe/Berlin`.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// From one time to another on some days of the week, by the clocks of one time zone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hours {
    /// Monday first.
    days: [bool; 7],
    from: Time,
    /// `None` is the end of the day.
    to: Option<Time>,
    zone: TimeZone,
}

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

impl Hours {
    /// Reads `Mon-Fri 08:00-18:00 Europe/Berlin`; days also as a list, `Mon,Wed-Fri`; without a zone, UTC.
    ///
    /// # Errors
    /// Says in words what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("\"{text}\" are not hours, such as \"Mon-Fri 08:00-18:00 Europe/Berlin\"");
        let mut words = text.split_whitespace();
        let (days, times) = (words.next().ok_or_else(expected)?, words.next().ok_or_else(expected)?);
        let zone = match (words.next(), words.next()) {
            (None, _) => TimeZone::UTC,
            (Some(name), None) => TimeZone::get(name).map_err(|_| format!("there is no time zone \"{name}\""))?,
            (Some(_), Some(_)) => return Err(expected()),
        };
        let (from, to) = times.split_once('-').ok_or_else(expected)?;
        let (from, to) = (time(from).ok_or_else(expected)?, to_time(to).ok_or_else(expected)?);
        if to.is_some_and(|to| to <= from) {
            return Err(format!("\"{text}\" ends before it begins; write two rules for hours over midnight"));
        }
        Ok(Self { days: parse_days(days).ok_or_else(expected)?, from, to, zone })
    }

    /// Whether an instant lies within.
    #[must_use]
    pub fn contain(&self, at: Timestamp) -> bool {
        let here = at.to_zoned(self.zone.clone());
        let day = usize::from(here.weekday().to_monday_zero_offset().unsigned_abs());
        let is_day = self.days.get(day).is_some_and(|day| *day);
        is_day && here.time() >= self.from && self.to.is_none_or(|to| here.time() < to)
    }

    /// Whether all of a window lies within.
    #[must_use]
    pub fn hold_throughout(&self, begins: Timestamp, duration: Duration) -> bool {
        let end = begins.saturating_add(duration).unwrap_or(Timestamp::MAX);
        // Hours of several days have nights between them, unless they are all of each day.
        let mut at = begins;
        while at < end {
            if !self.contain(at) {
                return false;
            }
            let Ok(next) = at.checked_add(1.minute()) else { return false };
            // A window of more than a week has seen every hour of the week.
            if at.duration_since(begins).as_hours() > 7 * 24 {
                return true;
            }
            at = next;
        }
        let last = end.checked_sub(1.second()).unwrap_or(begins);
        duration.is_zero() || self.contain(last.max(begins))
    }
}

fn parse_days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        (first <= last).then_some(())?;
        days.iter_mut().take(last + 1).skip(first).for_each(|day| *day = true);
    }
    Some(days)
}

fn day(text: &str) -> Option<usize> {
    DAYS.iter().position(|(name, _)| name.eq_ignore_ascii_case(text))
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let is_number = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(hour) && is_number(minute)).then_some(())?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

fn to_time(text: &str) -> Option<Option<Time>> {
    if text == "24:00" { Some(None) } else { time(text).map(Some) }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (index, _) in self.days.iter().enumerate().filter(|(_, is_in)| **is_in) {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ => runs.push((index, index)),
            }
        }
        let name = |index: usize| DAYS.get(index).map_or("", |(name, _)| name);
        let written = |(first, last): &(usize, usize)| {
            if first == last { name(*first).to_owned() } else { format!("{}-{}", name(*first), name(*last)) }
        };
        let days: Vec<String> = runs.iter().map(written).collect();
        let to = self.to.map_or_else(|| "24:00".to_owned(), |to| to.strftime("%H:%M").to_string());
        let zone = self.zone.iana_name().unwrap_or("UTC");
        write!(f, "{} {}-{to} {zone}", days.join(","), self.from.strftime("%H:%M"))
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

impl TryFrom<String> for Hours {
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
    fn hours_are_those_of_the_place() {
        let office = Hours::parse("Mon-Fri 08:00-18:00 Europe/Berlin").unwrap();
        let check = |at: &str, expected: bool| assert_eq!(office.contain(at.parse().unwrap()), expected, "{at}");
        check("2026-11-23T07:00:00Z", true);
        check("2026-11-23T06:59:59Z", false);
        check("2026-11-23T17:00:00Z", false);
        check("2026-11-22T12:00:00Z", false);
        // Summer time.
        check("2026-07-06T06:00:00Z", true);
        assert_eq!(office.to_string(), "Mon-Fri 08:00-18:00 Europe/Berlin");
    }

    #[test]
    fn a_window_lies_within_or_not() {
        let office = Hours::parse("Mon-Fri 08:00-18:00").unwrap();
        let hour = Duration::from_secs(3600);
        let check = |begins: &str, hours: u32, expected: bool| {
            assert_eq!(office.hold_throughout(begins.parse().unwrap(), hour * hours), expected, "{begins} {hours}");
        };
        check("2026-11-23T08:00:00Z", 10, true);
        check("2026-11-23T08:00:00Z", 11, false);
        check("2026-11-23T17:30:00Z", 24, false);
        check("2026-11-21T10:00:00Z", 1, false);
        let ever = Hours::parse("Mon-Sun 00:00-24:00").unwrap();
        assert!(ever.hold_throughout("2026-11-23T08:00:00Z".parse().unwrap(), hour * 24 * 30));
    }

    #[test]
    fn what_are_no_hours_is_refused() {
        for wrong in [
            "",
            "Mon",
            "Mon-Fri",
            "Fri-Mon 08:00-18:00",
            "Mon 18:00-08:00",
            "Mon 8-18",
            "Mon 08:00-25:00",
            "Mon 08:00-18:00 Nowhere/At_all",
            "Mon 08:00-18:00 UTC more",
        ] {
            assert!(Hours::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Hours::parse("mon,wed-fri 00:00-24:00").unwrap().to_string(), "Mon,Wed-Fri 00:00-24:00 UTC");
    }
}
