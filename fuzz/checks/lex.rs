//! The lexer: tokens stand in order and within the text, nothing but blanks and comments between them, and each is what it
//! is without the others too.

use pgward::sql::lex::{Kind, Token, tokens};
use pgward::sql::shape::{Class, Outline, scan};

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(found) = tokens(text) else { return };
    let mut end = 0;
    for token in &found {
        assert!(token.range.start >= end && token.range.start < token.range.end, "out of order: {token:?}");
        blank(&text[end..token.range.start]);
        let alone = tokens(&text[token.range.clone()]).expect("a token alone");
        let kinds: Vec<_> = alone.iter().map(|token| &token.kind).collect();
        // The N of N'…' is the word NCHAR there, and a name alone.
        if token.kind != Kind::Word("nchar".to_owned()) {
            assert_eq!(kinds, [&token.kind]);
        }
        end = token.range.end;
    }
    blank(&text[end..]);
    if let Some(outline) = scan(text) {
        outlined(&outline, &found);
    }
}

/// What the scanner takes for a literal lies within one token; where each is a whole one, others in their places leave all
/// tokens as they are.
fn outlined(outline: &Outline<'_>, found: &[Token]) {
    let mut whole = true;
    for literal in outline.literals() {
        let range = literal.range();
        let holds = |token: &&Token| token.range.start <= range.start && range.end <= token.range.end;
        let token = found.iter().find(holds).expect("a literal is part of a token");
        let alike = match literal.class {
            Class::Int4 | Class::Int8 | Class::Large => matches!(token.kind, Kind::Integer(_)),
            Class::Numeric => matches!(token.kind, Kind::Numeric(_)),
            Class::String => matches!(token.kind, Kind::String(_) | Kind::Quoted(_) | Kind::Bit(_)),
        };
        assert!(alike || token.range != range, "{literal:?} in {token:?}");
        whole &= token.range == range;
    }
    if !whole {
        return;
    }
    let (mut other, mut at) = (String::new(), 0);
    for literal in outline.literals() {
        other.push_str(&outline.text()[at..literal.range().start]);
        other.push_str(match literal.class {
            Class::Int4 => "77",
            Class::Int8 => "7777777777",
            Class::Large => "77777777777777777777777",
            // Without digits in front it may stand right behind a name, which must not grow by them; without an exponent, right
            // in front of what cannot follow one.
            Class::Numeric if outline.text()[literal.range()].starts_with('.') => ".75",
            Class::Numeric => "7.25",
            Class::String => "'it''s; -- x'",
        });
        at = literal.range().end;
    }
    other.push_str(&outline.text()[at..]);
    let again = tokens(&other).expect("other literals");
    assert!(scan(&other).is_none_or(|other| outline.shape().is_of(&other)), "{other:?}");
    assert_eq!(found.iter().map(bare).collect::<Vec<_>>(), again.iter().map(bare).collect::<Vec<_>>(), "{other:?}");
}

/// A token but for what a literal says.
fn bare(token: &Token) -> Kind {
    match &token.kind {
        Kind::String(_) => Kind::String(String::new()),
        Kind::Integer(_) => Kind::Integer(String::new()),
        Kind::Numeric(_) => Kind::Numeric(String::new()),
        other => other.clone(),
    }
}

fn blank(text: &str) {
    assert_eq!(tokens(text), Ok(Vec::new()), "{text:?} is left out");
}
