//! Secrets in statements, taken out before a text is written down anywhere: the journal, a log, a listing, an error.
//!
//! Where the text can be read, its syntax says what is a secret ([`walk`] for what has a tree, [`utility`] for what is
//! recognised by its words); everywhere, what looks like a connection string or holds a password does too ([`words`]). Where it
//! cannot be read, more goes than has to. Knows nothing of catalogs: a value whose column or parameter the text does not name
//! is not known to be a secret.

mod utility;
mod walk;
mod words;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use super::lex::{Kind, Token, tokens};
use super::tree::{Action, Statement};
use super::{Limits, read};
pub use words::holds_credentials;
pub(in crate::sql) use words::may_mention_secret;
use words::mentions_secret;

/// What stands in place of a secret.
pub const REDACTED: &str = "'***'";
/// In place of a comment's text.
const REDACTED_COMMENT: &str = " *** ";
/// Strings within strings are looked into this deep.
const MAX_DEPTH: usize = 3;
/// A shorter secret is not looked for in other places: it would be found in everything.
const LEAST_SOUGHT: usize = 4;
/// More secrets of one statement are not looked for one by one: every place that may hold one loses its text.
const MAX_SOUGHT: usize = 64;

/// Why something was taken out.
pub type Rule = &'static str;

/// A text without its secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redacted<'t> {
    pub text: Cow<'t, str>,
    /// The rules that took something out, each once.
    pub rules: Vec<Rule>,
    /// The numbers of the parameters whose values are secrets.
    pub parameters: Vec<u16>,
    secrets: Vec<String>,
}

impl<'t> Redacted<'t> {
    /// Whether nothing was taken out, and nothing else about the statement has to be.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.rules.is_empty() && self.parameters.is_empty()
    }

    /// Another text about the same statement, such as an error, without the secrets that were found in it.
    #[must_use]
    pub fn scrub<'o>(&self, other: &'o str) -> Cow<'o, str> {
        let mut clean = Cow::Borrowed(other);
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            if clean.contains(secret.as_str()) {
                clean = Cow::Owned(clean.replace(secret.as_str(), "***"));
            }
        }
        clean
    }

    /// Whether nothing was found that other texts could repeat.
    pub(super) fn takes_nothing(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The text, and what was found in it without the text.
    #[must_use]
    pub fn apart(self) -> (Cow<'t, str>, Redacted<'static>) {
        let Self { text, rules, parameters, secrets } = self;
        (text, Redacted { text: Cow::Borrowed(""), rules, parameters, secrets })
    }

    /// The same, independent of the text that it was made of.
    #[must_use]
    pub fn into_owned(self) -> Redacted<'static> {
        let Self { text, rules, parameters, secrets } = self;
        Redacted { text: Cow::Owned(text.into_owned()), rules, parameters, secrets }
    }
}

/// The text of one statement without its secrets; `statement` is what was read of it, `None` where nothing could be.
#[must_use]
pub fn redact<'t>(text: &'t str, statement: Option<&Statement>) -> Redacted<'t> {
    redact_at(text, statement, &Beside::default(), 0)
}

/// The text of an EXECUTE of something whose parameters with these numbers take secrets.
#[must_use]
pub fn redact_execute<'t>(text: &'t str, statement: &Statement, secrets: &[u16]) -> Redacted<'t> {
    let mut arguments = walk::Found::default();
    walk::arguments(&statement.action, secrets, &mut arguments);
    let constants: Vec<String> = arguments.secrets.into_keys().collect();
    redact_at(text, Some(statement), &Beside { secrets: constants, hides_comments: false }, 0)
}

/// The texts of the statements of one message: what is a secret in one of them is taken out of all.
#[must_use]
pub fn redact_all<'t>(pieces: &[(&'t str, Option<&Statement>)]) -> Vec<Redacted<'t>> {
    let clean: Vec<_> = pieces.iter().map(|(text, statement)| redact(text, *statement)).collect();
    let mut secrets: Vec<String> = clean.iter().flat_map(|piece| piece.secrets.iter().cloned()).collect();
    secrets.retain(|secret| secret.len() >= LEAST_SOUGHT);
    let executes = |statement: &Statement| matches!(&statement.action, Action::Execute { .. });
    let hides_comments = pieces.iter().any(|(_, statement)| statement.is_some_and(executes));
    if (secrets.is_empty() && !hides_comments) || pieces.len() < 2 {
        return clean;
    }
    secrets.sort_by(longest_first);
    secrets.dedup();
    let beside = Beside { secrets, hides_comments };
    pieces.iter().map(|(text, statement)| redact_at(text, *statement, &beside, 0)).collect()
}

/// The text of any number of statements without their secrets.
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    let Ok(statements) = read(text, &Limits::default()) else { return redact(text, None).text };
    if let [only] = statements.as_slice() {
        return redact(text, Some(only)).text;
    }
    let mut at = 0;
    let mut pieces = Vec::with_capacity(statements.len() + 1);
    for statement in &statements {
        // What stands between two statements goes with the second.
        pieces.push((text.get(at..statement.range.end).unwrap_or_default(), Some(statement)));
        at = statement.range.end;
    }
    pieces.push((text.get(at..).unwrap_or_default(), None));
    redact_all(&pieces).into_iter().map(|piece| piece.text).collect::<String>().into()
}

fn longest_first(one: &String, other: &String) -> std::cmp::Ordering {
    other.len().cmp(&one.len()).then_with(|| one.cmp(other))
}

/// What is known of the message that a statement is of.
#[derive(Debug, Default)]
struct Beside {
    /// Secrets that stand in other statements of it.
    secrets: Vec<String>,
    /// An EXECUTE is among them: only who knows what it runs knows which of its arguments are secrets.
    hides_comments: bool,
}

/// One piece of the text that goes, and what stands for it.
#[derive(Debug)]
struct Cut {
    range: Range<usize>,
    instead: String,
    rule: Rule,
}

fn redact_at<'t>(text: &'t str, statement: Option<&Statement>, beside: &Beside, depth: usize) -> Redacted<'t> {
    let Ok(tokens) = tokens(text) else { return blunt(text) };
    let mut found = walk::Found::default();
    if let Some(statement) = statement {
        walk::statement(&statement.action, &mut found);
    }
    let mut marked = Marked::new(&tokens);
    // A statement that was read may hold semicolons; what stands behind one in it is still the statement's.
    if statement.is_some() {
        utility::mark(&tokens, false, &mut |index, rule| marked.mark(index, rule));
    }
    let mut offset = 0;
    for one in tokens.split(|token| token.kind == Kind::Mark(';')) {
        utility::mark(one, statement.is_none(), &mut |index, rule| marked.mark(offset + index, rule));
        offset += one.len() + 1;
    }
    for secret in &beside.secrets {
        found.secrets.entry(secret.clone()).or_insert("password");
    }
    marked.by_value(&found);
    let secrets = |marked: &Marked<'_>| {
        let mut secrets = marked.secrets(&found);
        secrets.extend(beside.secrets.iter().cloned());
        secrets.sort_by(longest_first);
        secrets.dedup();
        secrets
    };
    let mut cuts = marked.cuts(text, depth);
    let secrets = secrets(&marked);
    cuts.extend(marked.repeated(&cuts, &secrets));
    let any = !cuts.is_empty() || !beside.secrets.is_empty() || beside.hides_comments;
    cuts.extend(comments(text, &tokens, any));
    cuts.sort_by_key(|cut| cut.range.start);
    let parameters: BTreeSet<u16> = found.parameters.iter().copied().collect();
    let rules: BTreeSet<Rule> =
        cuts.iter().map(|cut| cut.rule).chain(found.parameters.iter().map(|_| "password")).collect();
    Redacted {
        text: apply(text, &cuts),
        rules: rules.into_iter().collect(),
        parameters: parameters.into_iter().collect(),
        secrets,
    }
}

/// The tokens, and which of them are secrets.
struct Marked<'t> {
    tokens: &'t [Token],
    rules: Vec<Option<Rule>>,
}

impl<'t> Marked<'t> {
    fn new(tokens: &'t [Token]) -> Self {
        Self { tokens, rules: vec![None; tokens.len()] }
    }

    fn mark(&mut self, index: usize, rule: Rule) {
        if let Some(place) = self.rules.get_mut(index) {
            place.get_or_insert(rule);
        }
    }

    /// Marks the constants that the tree says are secrets. The tree knows values, not places: wherever such a value stands, it
    /// goes.
    fn by_value(&mut self, found: &walk::Found) {
        if found.secrets.is_empty() {
            return;
        }
        for (index, token) in self.tokens.iter().enumerate() {
            if let Some(rule) = constant(token).and_then(|value| found.secrets.get(value)) {
                self.mark(index, rule);
            }
        }
    }

    /// The values that are secrets.
    fn secrets(&self, found: &walk::Found) -> Vec<String> {
        let marked = self.tokens.iter().zip(&self.rules).filter(|(_, rule)| rule.is_some());
        let mut secrets: Vec<String> = marked.filter_map(|(token, _)| constant(token)).map(str::to_owned).collect();
        secrets.extend(found.secrets.keys().cloned());
        secrets
    }

    fn cuts(&mut self, text: &str, depth: usize) -> Vec<Cut> {
        let mut cuts = Vec::new();
        for index in 0..self.tokens.len() {
            let Some(token) = self.tokens.get(index) else { continue };
            if self.rules.get(index).is_some_and(Option::is_none) {
                let Kind::String(value) = &token.kind else { continue };
                if holds_credentials(value) {
                    self.mark(index, "connection");
                } else if depth < MAX_DEPTH && mentions_secret(value) {
                    // Text in a string may be SQL of its own: the body of a DO, what EXECUTE or dblink_exec is given.
                    match nested(text.get(token.range.clone()).unwrap_or_default(), value, depth) {
                        Nested::Clean => {}
                        Nested::Body(instead, rule) => {
                            cuts.push(Cut { range: token.range.clone(), instead, rule });
                            continue;
                        }
                        Nested::Whole(rule) => self.mark(index, rule),
                    }
                }
            }
            if let Some(Some(rule)) = self.rules.get(index) {
                cuts.push(Cut { range: token.range.clone(), instead: REDACTED.to_owned(), rule });
            }
        }
        cuts
    }

    /// Strings and quoted names that hold a secret of another place. Where there are too many to look for, every string may.
    fn repeated(&self, cuts: &[Cut], secrets: &[String]) -> Vec<Cut> {
        let secrets: Vec<&String> = secrets.iter().filter(|secret| secret.len() >= LEAST_SOUGHT).collect();
        if secrets.is_empty() {
            return Vec::new();
        }
        let known: HashSet<usize> = cuts.iter().map(|cut| cut.range.start).collect();
        let holds =
            |value: &str| secrets.len() > MAX_SOUGHT || secrets.iter().any(|secret| value.contains(secret.as_str()));
        let is_repeated = |token: &&Token| match &token.kind {
            Kind::String(value) | Kind::Quoted(value) => !known.contains(&token.range.start) && holds(value),
            Kind::Word(_)
            | Kind::Bit(_)
            | Kind::Integer(_)
            | Kind::Numeric(_)
            | Kind::Parameter(_)
            | Kind::Operator(_)
            | Kind::Mark(_)
            | Kind::DoubleColon
            | Kind::DoubleDot
            | Kind::ColonEquals
            | Kind::Arrow => false,
        };
        let cut = |token: &Token| Cut { range: token.range.clone(), instead: REDACTED.to_owned(), rule: "password" };
        self.tokens.iter().filter(is_repeated).map(cut).collect()
    }
}

fn constant(token: &Token) -> Option<&str> {
    match &token.kind {
        Kind::String(value) | Kind::Bit(value) | Kind::Integer(value) | Kind::Numeric(value) => Some(value),
        Kind::Word(_)
        | Kind::Quoted(_)
        | Kind::Parameter(_)
        | Kind::Operator(_)
        | Kind::Mark(_)
        | Kind::DoubleColon
        | Kind::DoubleDot
        | Kind::ColonEquals
        | Kind::Arrow => None,
    }
}

enum Nested {
    Clean,
    /// Dollar quotes stay around a body of which only the secrets are gone.
    Body(String, Rule),
    Whole(Rule),
}

fn nested(raw: &str, value: &str, depth: usize) -> Nested {
    let statements = read(value, &Limits::default()).ok();
    let statement =
        statements.as_deref().and_then(|statements| if let [only] = statements { Some(only) } else { None });
    let inner = redact_at(value, statement, &Beside::default(), depth + 1);
    let Some(rule) = inner.rules.first() else { return Nested::Clean };
    match raw.split_once(value) {
        Some((before, after)) if before.starts_with('$') && before == after => {
            Nested::Body(format!("{before}{}{after}", inner.text), rule)
        }
        Some(_) | None => Nested::Whole(rule),
    }
}

/// Comments lie between the tokens. One that speaks of secrets loses its text, and so does every one beside a secret: it may
/// repeat it, or a part of it.
fn comments(text: &str, tokens: &[Token], beside: bool) -> Vec<Cut> {
    let starts = std::iter::once(0).chain(tokens.iter().map(|token| token.range.end));
    let ends = tokens.iter().map(|token| token.range.start).chain([text.len()]);
    let mut cuts = Vec::new();
    for (start, end) in starts.zip(ends) {
        let gap = text.get(start..end).unwrap_or_default();
        let is_comment = gap.contains("--") || gap.contains("/*");
        if is_comment && (beside || mentions_secret(gap) || holds_credentials(gap)) {
            let line_end = if gap.contains("--") { "\n" } else { " " };
            cuts.push(Cut {
                range: start..end,
                instead: format!(" /*{REDACTED_COMMENT}*/{line_end}"),
                rule: "comment",
            });
        }
    }
    cuts
}

fn apply<'t>(text: &'t str, cuts: &[Cut]) -> Cow<'t, str> {
    if cuts.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut clean, mut at) = (String::with_capacity(text.len()), 0);
    for cut in cuts.iter() {
        if cut.range.start < at {
            continue;
        }
        clean.push_str(text.get(at..cut.range.start).unwrap_or_default());
        clean.push_str(&cut.instead);
        at = cut.range.end;
    }
    clean.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(clean)
}

/// Words of statements that hold secrets without saying so.
const MAY_HOLD: [&str; 7] = ["options", "connection", "program", "set", "crypt", "hmac", "alter"];

/// For what cannot be cut into tokens: where it speaks of secrets at all, everything from its first quote, comment or such
/// a word on is gone.
fn blunt(text: &str) -> Redacted<'_> {
    let lower = text.to_ascii_lowercase();
    if !mentions_secret(text) && !holds_credentials(text) && !MAY_HOLD.iter().any(|word| lower.contains(word)) {
        return Redacted { text: Cow::Borrowed(text), ..Redacted::default() };
    }
    let comment = [text.find("--"), text.find("/*")].into_iter().flatten().min().unwrap_or(text.len());
    let first = text.find(['\'', '"', '$', '=', ':']).unwrap_or(text.len()).min(comment);
    let cut = words::first_secret(text).map_or(first, |(_, end)| end.min(first));
    let tail = text.get(cut..).unwrap_or_default();
    let secrets = tail.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() >= LEAST_SOUGHT);
    Redacted {
        secrets: secrets.map(str::to_owned).collect(),
        text: Cow::Owned(format!("{}{REDACTED}", text.get(..cut).unwrap_or_default())),
        rules: vec!["unreadable"],
        parameters: Vec::new(),
    }
}

#[cfg(test)]
#[path = "redact/tests.rs"]
mod tests;
