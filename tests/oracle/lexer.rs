//! Token by token: what PostgreSQL's scanner accepts, ours cuts alike or refuses.

use std::collections::BTreeMap;
use std::ops::Range;

use pg_query::protobuf::{KeywordKind, Token as Theirs};
use pgward::sql::keywords::{Category, category};
use pgward::sql::lex::{Kind, Token, tokens};

use crate::random::{Random, rounds};
use crate::{corpus, mutate};

/// What the two made of a text.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    Same,
    /// Ours says why not.
    Refused(String),
    /// Neither reads it.
    Broken,
    /// Ours reads what PostgreSQL does not.
    Accepted(String),
    Different(String),
}

/// A token of PostgreSQL's scanner, as its grammar gets it.
struct Expected {
    token: Theirs,
    keyword: KeywordKind,
    range: Range<usize>,
}

pub fn compare(text: &str) -> Outcome {
    match (tokens(text), scan(text)) {
        (Err(refused), Ok(_)) => Outcome::Refused(refused.message),
        (Err(_), Err(_)) => Outcome::Broken,
        (Ok(_), Err(error)) => Outcome::Accepted(error),
        (Ok(ours), Ok(theirs)) => difference(text, &ours, &theirs).map_or(Outcome::Same, Outcome::Different),
    }
}

fn scan(text: &str) -> Result<Vec<Expected>, String> {
    // The library does not bear a text without any token; a semicolon in front belongs to no other token.
    let found = pg_query::scan_tokens(&format!(";{text}")).map_err(|error| error.to_string())?;
    let mut expected: Vec<Expected> = Vec::with_capacity(found.len());
    for token in found.into_iter().skip(1) {
        // A character that is no token is handed on as itself, and is a syntax error wherever it stands.
        let Ok(kind) = Theirs::try_from(token.token) else {
            return Err(format!("no token: {}", token.token));
        };
        let range = usize::try_from(token.start - 1).unwrap()..usize::try_from(token.end - 1).unwrap();
        let keyword = KeywordKind::try_from(token.keyword_kind).unwrap();
        if matches!(kind, Theirs::SqlComment | Theirs::CComment) {
            continue;
        }
        expected.push(Expected { token: kind, keyword, range });
    }
    Ok(with_escapes(expected))
}

/// `base_yylex` of parser.c: UESCAPE and the string after it belong to the token before.
fn with_escapes(tokens: Vec<Expected>) -> Vec<Expected> {
    let mut joined: Vec<Expected> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(mut token) = rest.next() {
        if matches!(token.token, Theirs::Uident | Theirs::Usconst)
            && rest.peek().is_some_and(|next| next.token == Theirs::Uescape)
        {
            rest.next();
            if let Some(escape) = rest.next() {
                token.range.end = escape.range.end;
            }
        }
        joined.push(token);
    }
    joined
}

fn difference(text: &str, ours: &[Token], theirs: &[Expected]) -> Option<String> {
    for (index, (our, their)) in ours.iter().zip(theirs).enumerate() {
        if our.range != their.range || !same_kind(text, &our.kind, their) {
            let Expected { token, keyword, range } = their;
            return Some(format!("token {index}: ours {our:?}, theirs {token:?} ({keyword:?}) at {range:?}"));
        }
    }
    (ours.len() != theirs.len()).then(|| format!("{} tokens, theirs {}", ours.len(), theirs.len()))
}

fn same_kind(text: &str, ours: &Kind, theirs: &Expected) -> bool {
    let written = &text[theirs.range.clone()];
    match ours {
        Kind::Word(word) => match theirs.keyword {
            KeywordKind::NoKeyword => {
                theirs.token == Theirs::Ident && !written.contains('"') && category(word) == Category::Free
            }
            KeywordKind::UnreservedKeyword => category(word) == Category::Free,
            KeywordKind::ColNameKeyword => category(word) == Category::Column,
            KeywordKind::TypeFuncNameKeyword => category(word) == Category::FunctionOrType,
            KeywordKind::ReservedKeyword => category(word) == Category::Reserved,
        },
        Kind::Quoted(_) => matches!(theirs.token, Theirs::Ident | Theirs::Uident) && written.contains('"'),
        Kind::String(_) => matches!(theirs.token, Theirs::Sconst | Theirs::Usconst),
        Kind::Bit(body) => match theirs.token {
            Theirs::Bconst => body.starts_with('b'),
            Theirs::Xconst => body.starts_with('x'),
            _ => false,
        },
        // An integer that does not fit into 32 bits is a numeric to PostgreSQL's grammar.
        Kind::Integer(digits) => {
            theirs.token == Theirs::Iconst || (theirs.token == Theirs::Fconst && digits.parse::<i32>().is_err())
        }
        Kind::Numeric(_) => theirs.token == Theirs::Fconst,
        Kind::Parameter(_) => theirs.token == Theirs::Param,
        Kind::Operator(symbol) => match theirs.token {
            Theirs::NotEquals => symbol == "<>",
            Theirs::LessEquals => symbol == "<=",
            Theirs::GreaterEquals => symbol == ">=",
            Theirs::Op => symbol == written,
            other => symbol.len() == 1 && other as i32 == i32::from(symbol.as_bytes()[0]) && symbol == written,
        },
        Kind::Mark(mark) => theirs.token as i32 == *mark as i32,
        Kind::DoubleColon => theirs.token == Theirs::Typecast,
        Kind::DoubleDot => theirs.token == Theirs::DotDot,
        Kind::ColonEquals => theirs.token == Theirs::ColonEquals,
        Kind::Arrow => theirs.token == Theirs::EqualsGreater,
    }
}

/// Counts of a run, and what must be empty.
#[derive(Default)]
struct Tally {
    same: usize,
    broken: usize,
    refused: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn take(&mut self, text: &str) {
        match compare(text) {
            Outcome::Same => self.same += 1,
            Outcome::Broken => self.broken += 1,
            Outcome::Refused(reason) => *self.refused.entry(reason).or_default() += 1,
            Outcome::Accepted(error) => self.wrong.push(format!("ours reads what is {error}: {text:?}")),
            Outcome::Different(how) => self.wrong.push(format!("{how}: {text:?}")),
        }
    }

    fn finish(&self, what: &str) {
        let refused: usize = self.refused.values().sum();
        println!(
            "{what}: {} alike, {refused} refused by ours, {} by both, {} wrong",
            self.same,
            self.broken,
            self.wrong.len()
        );
        for (reason, count) in &self.refused {
            println!("  {count:7} {reason}");
        }
        let first: Vec<_> = self.wrong.iter().take(20).cloned().collect();
        assert!(self.wrong.is_empty(), "{} texts are cut differently:\n{}", self.wrong.len(), first.join("\n"));
    }
}

#[test]
fn what_clients_send_is_cut_as_postgresql_cuts_it() {
    let mut tally = Tally::default();
    corpus::texts().iter().for_each(|text| tally.take(text));
    tally.finish("corpora");
    assert!(tally.same > 3_000);
}

#[test]
fn hostile_fragments_are_cut_as_postgresql_cuts_them() {
    let mut tally = Tally::default();
    for first in mutate::FRAGMENTS {
        tally.take(first);
        for second in mutate::FRAGMENTS {
            tally.take(&format!("{first}{second}"));
            tally.take(&format!("SELECT {first} {second};"));
            tally.take(&format!("SELECT {first}\n{second}"));
        }
    }
    tally.finish("pairs of fragments");
    assert!(tally.same > 5_000);
}

#[test]
fn mutated_texts_are_cut_as_postgresql_cuts_them() {
    let (rounds, seed) = rounds(60_000);
    let mut random = Random::new(seed);
    let corpus = corpus::texts();
    let mut tally = Tally::default();
    for _ in 0..rounds {
        tally.take(&mutate::characters(&mut random, &corpus));
    }
    tally.finish("mutations");
    assert!(tally.same > rounds / 10);
}

#[test]
fn no_text_has_a_zero_byte() {
    for text in ["\0", "a\0", "'\0'", "\"a\0\"", "$$\0$$", "-- \0", "/* \0 */ 1", "1 --\0\n", "E'\0'", "U&'\0'"] {
        assert!(tokens(text).is_err(), "{text:?}");
    }
}
