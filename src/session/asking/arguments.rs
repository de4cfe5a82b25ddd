//! The arguments of `CALL pgward.request(scope, duration, reason [, ticket])`: by place or by name, as constants or as values of a
//! Bind.

use std::time::Duration;

use super::{Values, Wish};
use crate::catalog::Oid;
use crate::policy::{Denial, Rule};
use crate::sql::tree::{Call, Expr, Literal, QualifiedName, TypeName};

const PARAMETERS: [&str; 4] = ["scope", "duration", "reason", "ticket"];

/// Types whose values are their text in either format: unknown, text, bpchar, varchar, name; 0 is not known.
const TEXTS: [Oid; 6] = [0, 705, 25, 1042, 1043, 19];

/// One argument, as it is written.
#[derive(Clone, Copy, Debug)]
enum Argument<'a> {
    Text(&'a str),
    Null,
    /// `$1`
    Value(u16),
}

/// What the call asks for.
///
/// # Errors
/// What is wrong with it.
pub(super) fn wish(call: &Call, values: Values<'_>) -> Result<Wish, Box<Denial>> {
    let mut given: [Option<String>; 4] = Default::default();
    for (slot, argument) in given.iter_mut().zip(arguments(call)?) {
        *slot = match argument {
            None | Some(Argument::Null) => None,
            Some(Argument::Text(text)) => Some(text.to_owned()),
            Some(Argument::Value(number)) => values.text(number)?,
        };
    }
    let [Some(scope), Some(duration), Some(reason), ticket] = given else {
        return Err(malformed("pgward.request needs a scope, a duration and a reason".to_owned()));
    };
    let duration = interval(&duration)
        .ok_or_else(|| malformed(format!("\"{duration}\" is not a duration, such as \"30 minutes\" or \"1h\"")))?;
    let ticket = ticket.or_else(|| ticket_of(&reason));
    Ok(Wish { scope, duration, reason, ticket, statement: None })
}

/// How many values a call takes: the highest number in it. What can be known to be wrong before they are bound is told here.
///
/// # Errors
/// What is wrong with it.
pub fn parameters(call: &Call) -> Result<usize, Box<Denial>> {
    let numbers = arguments(call)?.map(|argument| match argument {
        Some(Argument::Value(number)) => number,
        Some(Argument::Text(_) | Argument::Null) | None => 0,
    });
    let highest = numbers.into_iter().max().map_or(0, usize::from);
    if highest > PARAMETERS.len() {
        return Err(malformed(format!("pgward.request takes no parameter ${highest}")));
    }
    if highest == 0 {
        wish(call, Values::None)?;
    }
    Ok(highest)
}

/// The arguments in the order of [`PARAMETERS`].
fn arguments(call: &Call) -> Result<[Option<Argument<'_>>; 4], Box<Denial>> {
    if call.name.parts.last().is_none_or(|name| name.as_str() != "request") {
        return Err(malformed(format!("there is no procedure {}", call.name)));
    }
    let mut given = [None; 4];
    for (place, argument) in call.arguments.iter().enumerate() {
        let at = match &argument.name {
            Some(name) => PARAMETERS.iter().position(|known| *known == name.as_str()),
            None => Some(place),
        };
        let slot = at.and_then(|at| given.get_mut(at));
        let slot =
            slot.ok_or_else(|| malformed("pgward.request takes scope, duration, reason and ticket".to_owned()))?;
        let Some(read) = read(&argument.expr) else {
            let what = "the arguments of pgward.request must be string constants or parameters";
            return Err(malformed(what.to_owned()));
        };
        if slot.replace(read).is_some() {
            return Err(malformed("pgward.request was given an argument twice".to_owned()));
        }
    }
    Ok(given)
}

fn read(expr: &Expr) -> Option<Argument<'_>> {
    match expr {
        Expr::Literal(Literal::String(text)) => Some(Argument::Text(text)),
        Expr::Literal(Literal::Null) => Some(Argument::Null),
        Expr::Parameter(number) => Some(Argument::Value(*number)),
        Expr::Cast { expr, to } if is_text(to) => read(expr),
        _ => None,
    }
}

/// Whether a cast to it leaves what is read here as it is written.
fn is_text(to: &TypeName) -> bool {
    let QualifiedName { parts, .. } = &to.name;
    let name = parts.last().map(|name| name.as_str());
    !to.array && matches!(name, Some("text" | "varchar" | "interval"))
}

impl Values<'_> {
    /// The value of `$number`; `None` is NULL.
    fn text(self, number: u16) -> Result<Option<String>, Box<Denial>> {
        let missing = || malformed(format!("there is no parameter ${number}"));
        let index = usize::from(number).checked_sub(1).ok_or_else(missing)?;
        let Values::Bound(values, types) = self else { return Err(missing()) };
        let (binary, bytes) = values.get(index).ok_or_else(missing)?;
        let Some(bytes) = bytes else { return Ok(None) };
        let is_readable = !binary || TEXTS.contains(&types.get(index).copied().unwrap_or_default());
        let text = std::str::from_utf8(bytes).ok().filter(|_| is_readable);
        text.map(|text| Some(text.to_owned())).ok_or_else(|| malformed(format!("parameter ${number} must be a text")))
    }
}

fn malformed(message: String) -> Box<Denial> {
    Box::new(Denial {
        rule: Rule::Statement,
        message,
        detail: "pgward answers this statement itself.".to_owned(),
        hint: Some("CALL pgward.request('scope', '30 minutes', 'why');".to_owned()),
    })
}

/// `30 minutes`, `1 hour 30 min`, `1h30m`: amounts with their units; or `00:30:00`, as drivers write intervals.
fn interval(text: &str) -> Option<Duration> {
    if text.contains(':') {
        return clock(text.trim());
    }
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (amount, tail) = rest.split_at(digits);
        let tail = tail.trim_start();
        let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let factor = match unit.to_ascii_lowercase().as_str() {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            _ => return None,
        };
        seconds = amount.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(seconds)?;
        rest = tail.trim_start();
    }
    (!text.trim().is_empty()).then(|| Duration::from_secs(seconds))
}

/// `hours:minutes` and perhaps `:seconds`.
fn clock(text: &str) -> Option<Duration> {
    let parts: Vec<u64> = text.split(':').map(|part| amount(part).ok_or(())).collect::<Result<_, ()>>().ok()?;
    let (hours, minutes, seconds) = match parts.as_slice() {
        [hours, minutes] => (*hours, *minutes, 0),
        [hours, minutes, seconds] => (*hours, *minutes, *seconds),
        _ => return None,
    };
    let is_clock = minutes < 60 && seconds < 60;
    let all = hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds).filter(|_| is_clock)?;
    Some(Duration::from_secs(all))
}

fn amount(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The ticket that a reason is, where it is the number of one.
#[must_use]
pub fn ticket_of(reason: &str) -> Option<String> {
    is_ticket(reason).then(|| reason.to_owned())
}

/// `INC-4711`
fn is_ticket(text: &str) -> bool {
    let Some((project, number)) = text.split_once('-') else { return false };
    let is_project = project.starts_with(|c: char| c.is_ascii_uppercase())
        && project.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    is_project && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::session::asking;
    use crate::sql::tree::Statement;

    fn statement(text: &str) -> Statement {
        crate::sql::read(text, &crate::sql::Limits::default()).unwrap().remove(0)
    }

    fn asked(text: &str, values: Values<'_>) -> Result<Wish, String> {
        let statement = statement(text);
        let Some(asked) = asking::asked(&statement, values) else { panic!("{text} asks nothing") };
        match asked.map_err(|denial| denial.message)? {
            asking::Ask::File(wish) => Ok(wish),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_of_a_bind_are_arguments_where_they_are_texts() {
        let call = "CALL pgward.request($3, $2, reason => $1)";
        let why: (bool, Option<&[u8]>) = (true, Some(b"INC-1"));
        let five: (bool, Option<&[u8]>) = (false, Some(b"00:05:00"));
        let scope: (bool, Option<&[u8]>) = (true, Some(b"read"));
        let values = [why, five, scope];
        // 1186 is interval: its text is read, its binary form is not.
        let wish = asked(call, Values::Bound(&values, &[25, 1186, 0])).unwrap();
        assert_eq!((wish.scope.as_str(), wish.duration), ("read", Duration::from_secs(300)));
        assert_eq!((wish.reason.as_str(), wish.ticket.as_deref()), ("INC-1", Some("INC-1")));
        for (values, types, wrong) in [
            (vec![why, (true, five.1), scope], vec![25, 1186], "parameter $2 must be a text"),
            (vec![why, five, (false, Some(b"\xff"))], vec![], "parameter $3 must be a text"),
            (vec![why, five], vec![], "there is no parameter $3"),
            (vec![(false, None), five, scope], vec![], "pgward.request needs a scope, a duration and a reason"),
        ] {
            assert_eq!(asked(call, Values::Bound(&values, &types)).unwrap_err(), wrong);
        }
        assert_eq!(asked(call, Values::None).unwrap_err(), "there is no parameter $3");
    }

    #[test]
    fn a_call_is_looked_at_when_it_is_prepared() {
        let check = |text: &str, expected: Result<usize, &str>| {
            let statement = statement(text);
            let found = parameters(asking::call(&statement).unwrap()).map_err(|denial| denial.message);
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        };
        check("CALL pgward.request('a', '5m', 'why')", Ok(0));
        check("CALL pgward.request('a', $2::text, $1)", Ok(2));
        check("CALL pgward.request('a', '5m', 'why', NULL)", Ok(0));
        check(
            "CALL pgward.request('a', 'soon', 'why')",
            Err("\"soon\" is not a duration, such as \"30 minutes\" or \"1h\""),
        );
        check("CALL pgward.request('a', $9, 'why')", Err("pgward.request takes no parameter $9"));
        let kinds = "the arguments of pgward.request must be string constants or parameters";
        check("CALL pgward.request('a', 5, 'why')", Err(kinds));
        check("CALL pgward.request('a', '5'::int, 'why')", Err(kinds));
        check("CALL pgward.request('a', '5m', 'why', reason => $1)", Err("pgward.request was given an argument twice"));
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("30 minutes", Some(1800)),
            ("1h30m", Some(5400)),
            ("1 hour 30 min", Some(5400)),
            (" 2 Days ", Some(172_800)),
            ("45s", Some(45)),
            ("", None),
            ("30", None),
            ("minutes", None),
            ("-5 minutes", None),
            ("00:30:00", Some(1800)),
            ("1:05", Some(3900)),
            ("00:60", None),
            ("1:+5", None),
            ("1:2:3:4", None),
            ("99999999999999999999:00", None),
            ("1 month", None),
            ("99999999999999999999 days", None),
        ] {
            assert_eq!(interval(text), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_reason_may_be_a_ticket() {
        for (text, expected) in [
            ("INC-4711", true),
            ("A1-1", true),
            ("inc-1", false),
            ("INC-", false),
            ("INC-1 slow", false),
            ("-1", false),
        ] {
            assert_eq!(is_ticket(text), expected, "{text}");
        }
    }
}
