//! Dates, times and intervals as PostgreSQL prints them in ISO style.

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400 * MICROS;
/// From 1970-01-01, where the calendar's sums begin, to PostgreSQL's 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;

pub(super) fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => {
            let (date, era) = civil(i64::from(days));
            format!("{date}{era}")
        }
    }
}

pub(super) fn timestamp(micros: i64, zone: &str) -> String {
    match micros {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        micros => {
            let (date, era) = civil(micros.div_euclid(DAY));
            format!("{date} {}{zone}{era}", time(micros.rem_euclid(DAY)))
        }
    }
}

pub(super) fn time(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
    let text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{text}{}", decimals(fraction))
}

pub(super) fn zoned(micros: i64, west: i32) -> String {
    let (sign, seconds) = if west > 0 { ('-', i64::from(west)) } else { ('+', -i64::from(west)) };
    let mut zone = format!("{sign}{:02}", seconds / 3600);
    if seconds % 3600 != 0 {
        zone.push_str(&format!(":{:02}", seconds / 60 % 60));
    }
    if seconds % 60 != 0 {
        zone.push_str(&format!(":{:02}", seconds % 60));
    }
    format!("{}{zone}", time(micros))
}

/// Behind a part that is negative, one that is not says so.
pub(super) fn interval(micros: i64, days: i32, months: i32) -> String {
    let mut parts = Vec::new();
    let mut behind_negative = false;
    let mut part = |number: i64, one: &str, many: &str| {
        if number != 0 {
            let sign = if behind_negative && number > 0 { "+" } else { "" };
            parts.push(format!("{sign}{number} {}", if number == 1 { one } else { many }));
            behind_negative = number < 0;
        }
    };
    part(i64::from(months) / 12, "year", "years");
    part(i64::from(months) % 12, "mon", "mons");
    part(i64::from(days), "day", "days");
    if micros != 0 || parts.is_empty() {
        let sign = match micros {
            ..0 => "-",
            _ if behind_negative => "+",
            _ => "",
        };
        let size = micros.unsigned_abs();
        let seconds = size / MICROS.unsigned_abs();
        let fraction = i64::try_from(size % MICROS.unsigned_abs()).unwrap_or_default();
        let clock = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        parts.push(format!("{clock}{}", decimals(fraction)));
    }
    parts.join(" ")
}

fn decimals(micros: i64) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}").trim_end_matches('0').to_owned() }
}

/// Days since 2000-01-01 as a date of the proleptic Gregorian calendar, and what follows it for years before the first:
/// eras of 400 years that begin on the first of March.
fn civil(days: i64) -> (String, &'static str) {
    let days = days + EPOCH_DAYS + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (year, suffix) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), suffix)
}
