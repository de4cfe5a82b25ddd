//! Whether what is known of one text holds for every text of its shape.

use std::collections::HashMap;

use super::place::places;
use super::scan::cut;
use super::{Class, Outline};
use crate::sql::lex::{Kind, Token, tokens};
use crate::sql::tree::Statement;
use crate::sql::{Limits, read, redact};

/// What stands in for every text of a shape: its statement with literals that no client wrote. `text` is what was read of
/// the outline's text. `None` where anything that pgward reads off a text might depend on a literal:
///
/// - The text is one query or change of data.
/// - What the scanner took for literals are literals to the lexer.
/// - Each stands where no literal counts ([`super::place`]), and nowhere else.
/// - The text holds no secret and no place for one, so that it is recorded as it is.
/// - Read with other literals it is the same statement.
#[must_use]
pub fn share(outline: &Outline<'_>, read_of: &Statement, limits: &Limits) -> Option<Statement> {
    if !are_literals(outline, &tokens(outline.text()).ok()?) {
        return None;
    }
    let stand_in = StandIn::of(outline)?;
    let mut statements = read(&stand_in.text, limits).ok()?;
    let (statement, None) = (statements.pop()?, statements.pop()) else { return None };
    let same = statement.kind == read_of.kind && statement.fingerprint == read_of.fingerprint;
    let found = places(&statement.action)?;
    let is_free = |said: &String| found.free.contains(said.as_str()) && !found.bound.contains(said.as_str());
    let all = !found.hidden && stand_in.said.iter().all(is_free);
    let clean = is_clean(outline.text(), read_of) && is_clean(&stand_in.text, &statement);
    (same && all && clean).then_some(statement)
}

/// Whether every literal of the outline is a whole token of that class.
fn are_literals(outline: &Outline<'_>, tokens: &[Token]) -> bool {
    let by_start: HashMap<usize, &Token> = tokens.iter().map(|token| (token.range.start, token)).collect();
    outline.literals().all(|literal| {
        by_start.get(&literal.range().start).is_some_and(|token| {
            let class = match (&token.kind, literal.class) {
                (Kind::String(_), Class::String) | (Kind::Numeric(_), Class::Numeric) => true,
                (Kind::Integer(digits), Class::Int4) => digits.parse::<i32>().is_ok(),
                (Kind::Integer(digits), Class::Int8) => digits.parse::<i32>().is_err() && digits.parse::<i64>().is_ok(),
                (Kind::Integer(digits), Class::Large) => digits.parse::<i64>().is_err(),
                (_, _) => false,
            };
            class && token.range == literal.range()
        })
    })
}

/// Nothing is taken out of the text before it is recorded, and nothing of values that go with it.
fn is_clean(text: &str, statement: &Statement) -> bool {
    let redacted = redact(text, Some(statement));
    redacted.text == text && redacted.rules.is_empty() && redacted.parameters.is_empty() && redacted.takes_nothing()
}

/// A text of the same shape, each literal of which says something that no other does.
struct StandIn {
    text: String,
    said: Vec<String>,
}

impl StandIn {
    fn of(outline: &Outline<'_>) -> Option<Self> {
        let mut text = String::with_capacity(outline.text().len() * 2);
        let mut said = Vec::with_capacity(outline.len());
        let mut at = 0;
        for (index, literal) in outline.literals().enumerate() {
            text.push_str(outline.text().get(at..literal.range().start)?);
            let one = match literal.class {
                Class::Int4 => format!("{}", 1_918_000_000 + index),
                Class::Int8 => format!("{}", 7_918_000_000_000_000_000_u64 + index as u64),
                Class::Large => format!("918000000000000000000000000{index:05}"),
                Class::Numeric => format!("918.0{index:05}"),
                Class::String => format!("pgward stand-in {index}"),
            };
            let quote = if literal.class == Class::String { "'" } else { "" };
            text.extend([quote, &one, quote]);
            said.push(one);
            at = literal.range().end;
        }
        text.push_str(outline.text().get(at..)?);
        // Nor does it say what the text says elsewhere.
        let is_new = said.iter().all(|one| !outline.text().contains(one.as_str()));
        let is_like = cut(&text).is_some_and(|other| outline.shape().is_of(&other));
        (is_new && is_like).then_some(Self { text, said })
    }
}
