//! What a text says and touches, kept by text so that a statement seen before is not parsed again, nor one that differs from
//! such in its literals alone. Shared by all sessions of a database.

mod cache;
mod kept;
mod resolved;
mod shared;

pub use cache::AnalysisCache;
pub use resolved::Resolved;

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use shared::Shared;

use crate::catalog::{Oid, Snapshot};
use crate::sql::tree::{Action, Statement};
use crate::sql::{self, Limits, Redacted, Unreadable};

/// One text, read.
#[derive(Debug)]
pub struct Analysis {
    pub text: Arc<str>,
    /// The parameter types that the client declared, where the text came in a Parse: values of them are read in by
    /// their types' own functions, and overloads are chosen by them.
    types: Option<Arc<[Oid]>>,
    read: Read,
    /// What is recorded of the text's only statement.
    alone: OnceLock<Arc<Recorded>>,
}

/// What is known of a text.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the larger one is made once for each text that is read")]
enum Read {
    /// What it says, letter by letter.
    Letter(Letter),
    /// What all texts of its shape say; and the text itself, where the catalogs came to want that.
    Shape { shared: Arc<Shared>, own: OnceLock<Box<Letter>>, limits: Limits },
}

/// What a text says, letter by letter. Dropping this takes longer than looking a text up: it is not made for those of a shape.
#[derive(Debug)]
struct Letter {
    parsed: Result<Vec<Statement>, Unreadable>,
    /// Its shape, where all texts of it have to be read so by the catalogs that were asked last.
    shape: Option<Arc<Shared>>,
    /// The types that the upstream last told of, when asked to describe the statement: for reading values of them only.
    described: ArcSwapOption<Vec<Oid>>,
    resolved: ArcSwapOption<Resolved>,
    /// What is recorded of its statements.
    recorded: OnceLock<Box<[Arc<Recorded>]>>,
}

impl Letter {
    fn new(parsed: Result<Vec<Statement>, Unreadable>, shape: Option<Arc<Shared>>) -> Self {
        let (described, resolved) = (ArcSwapOption::empty(), ArcSwapOption::empty());
        Self { parsed, shape, described, resolved, recorded: OnceLock::new() }
    }

    /// What its statements touch, by `snapshot`.
    fn resolved(&self, types: Option<&[Oid]>, snapshot: &Snapshot) -> Arc<Resolved> {
        if let Some(shape) = &self.shape {
            shape.look_again(snapshot);
        }
        if let Some(resolved) = self.resolved.load_full()
            && resolved.version() == snapshot.version
        {
            return resolved;
        }
        let statements = self.parsed.as_deref().unwrap_or_default();
        let resolved = Arc::new(Resolved::of(statements, types, snapshot));
        self.resolved.store(Some(Arc::clone(&resolved)));
        resolved
    }
}

/// What the journal is told of a statement, made once: finding the secrets in a text means reading it again.
#[derive(Debug)]
pub struct Recorded {
    /// The text without its secrets.
    pub text: Arc<str>,
    pub fingerprint: Arc<str>,
    /// What was taken out, and what of other texts about the statement has to be; without the text.
    pub redacted: Redacted<'static>,
}

/// One statement that a name means.
#[derive(Debug)]
pub struct Meaning {
    pub analysis: Arc<Analysis>,
    pub part: Part,
}

/// Which statement of an analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole(usize),
    /// What the PREPARE at this place prepares.
    Prepared(usize),
    /// Nothing: an empty text.
    Empty,
}

impl Analysis {
    fn new(
        text: Arc<str>,
        types: Option<Arc<[Oid]>>,
        parsed: Result<Vec<Statement>, Unreadable>,
        shape: Option<Arc<Shared>>,
    ) -> Self {
        Self { text, types, read: Read::Letter(Letter::new(parsed, shape)), alone: OnceLock::new() }
    }

    /// Of a text whose shape is known.
    fn of_shape(text: Arc<str>, shared: Arc<Shared>, limits: Limits) -> Self {
        Self { text, types: None, read: Read::Shape { shared, own: OnceLock::new(), limits }, alone: OnceLock::new() }
    }

    /// What the text says by itself, where it was read.
    fn letter(&self) -> Option<&Letter> {
        match &self.read {
            Read::Letter(letter) => Some(letter),
            Read::Shape { own, .. } => own.get().map(Box::as_ref),
        }
    }

    /// Whether it was not read because its shape is known.
    #[must_use]
    pub fn is_by_shape(&self) -> bool {
        self.letter().is_none()
    }

    /// What the journal is told of the statement at `part`.
    #[must_use]
    pub fn recorded(&self, part: Part) -> Arc<Recorded> {
        if let Read::Shape { shared, .. } = &self.read {
            // There is nothing to take out of the texts of a shape.
            let recorded = || {
                let (text, fingerprint) = (Arc::clone(&self.text), Arc::clone(&shared.fingerprint));
                Arc::new(Recorded { text, fingerprint, redacted: Redacted::default() })
            };
            return Arc::clone(self.alone.get_or_init(recorded));
        }
        match part {
            Part::Whole(0) if self.statements().len() == 1 => {
                let recorded = || self.record(part, sql::redact(self.text_of(part), self.statement(part)));
                Arc::clone(self.alone.get_or_init(recorded))
            }
            Part::Whole(index) => {
                let known = self.letter().and_then(|letter| self.all_recorded(letter).get(index)).map(Arc::clone);
                known.unwrap_or_else(|| self.record(part, sql::redact(self.text_of(part), self.statement(part))))
            }
            Part::Prepared(_) | Part::Empty => self.record(part, sql::redact(self.text_of(part), self.statement(part))),
        }
    }

    /// A secret of one statement may stand in a comment beside another.
    fn all_recorded<'a>(&self, letter: &'a Letter) -> &'a [Arc<Recorded>] {
        letter.recorded.get_or_init(|| {
            let whole = || (0..self.statements().len()).map(Part::Whole);
            let pieces: Vec<_> = whole().map(|part| (self.text_of(part), self.statement(part))).collect();
            whole().zip(sql::redact_all(&pieces)).map(|(part, redacted)| self.record(part, redacted)).collect()
        })
    }

    fn record(&self, part: Part, redacted: Redacted<'_>) -> Arc<Recorded> {
        let fingerprint = self.statement(part).map(|statement| statement.fingerprint.to_string());
        let (text, redacted) = redacted.apart();
        // Where nothing was taken out it is the text that is kept anyway.
        let text = if *text == *self.text { Arc::clone(&self.text) } else { Arc::from(&*text) };
        Arc::new(Recorded { text, fingerprint: fingerprint.unwrap_or_default().into(), redacted })
    }

    /// Why the text could not be read.
    #[must_use]
    pub fn unreadable(&self) -> Option<&Unreadable> {
        self.letter().and_then(|letter| letter.parsed.as_ref().err())
    }

    /// The statements; none where the text could not be read. Where its shape is known they are those that stand for all texts
    /// of that shape: what they say but for their literals is what this text says, and where in it they stand is not told.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        match (self.letter(), &self.read) {
            (Some(letter), _) => letter.parsed.as_deref().unwrap_or_default(),
            (None, Read::Shape { shared, .. }) => &shared.statement,
            (None, Read::Letter(_)) => &[],
        }
    }

    /// What the statements touch, by `snapshot`: kept until a session asks by another.
    #[must_use]
    pub fn resolved(&self, snapshot: &Snapshot) -> Arc<Resolved> {
        match &self.read {
            Read::Letter(letter) => letter.resolved(self.types(), snapshot),
            Read::Shape { shared, own, limits } => {
                if let Some(resolved) = own.get().is_none().then(|| shared.resolved(snapshot)).flatten() {
                    return resolved;
                }
                let own = own.get_or_init(|| {
                    let parsed = sql::read(&self.text, limits);
                    Box::new(Letter::new(parsed, Some(Arc::clone(shared))))
                });
                own.resolved(None, snapshot)
            }
        }
    }

    /// The same, where it was asked for by this snapshot before.
    #[must_use]
    pub fn resolved_before(&self, snapshot: &Snapshot) -> Option<Arc<Resolved>> {
        match (self.letter(), &self.read) {
            (Some(letter), _) => {
                let resolved = letter.resolved.load();
                resolved.as_ref().filter(|resolved| resolved.version() == snapshot.version).map(Arc::clone)
            }
            (None, Read::Shape { shared, .. }) => shared.resolved_before(snapshot),
            (None, Read::Letter(_)) => None,
        }
    }

    /// The statement at `part`.
    #[must_use]
    pub fn statement(&self, part: Part) -> Option<&Statement> {
        match part {
            Part::Whole(index) => self.statements().get(index),
            Part::Prepared(index) => self.statements().get(index).and_then(prepared_by),
            Part::Empty => None,
        }
    }

    /// The parameter types that a Parse declared.
    #[must_use]
    pub fn types(&self) -> Option<&[Oid]> {
        self.types.as_deref()
    }

    /// The upstream has told the types of the parameters.
    pub fn describe(&self, types: Vec<Oid>) {
        if let Some(letter) = self.letter() {
            letter.described.store(Some(Arc::new(types)));
        }
    }

    /// The types of the parameters, told or declared; 0 where one is not known.
    #[must_use]
    pub fn parameter_types(&self) -> ParameterTypes {
        match (self.letter().and_then(|letter| letter.described.load_full()), &self.types) {
            (Some(described), _) => ParameterTypes::Described(described),
            (None, Some(declared)) => ParameterTypes::Declared(Arc::clone(declared)),
            (None, None) => ParameterTypes::None,
        }
    }

    /// The text of the query that the statement at `part` is or wraps, with what stands around it: where the query ends the
    /// statement, to the end of its part of the message, and where it begins it, from the beginning.
    #[must_use]
    pub fn query_text(&self, part: Part) -> Option<&str> {
        let (Part::Whole(index) | Part::Prepared(index)) = part else { return None };
        if self.is_by_shape() {
            // Only texts that are one query and nothing else share a shape.
            return (part == Part::Whole(0)).then_some(&*self.text);
        }
        let statements = self.statements();
        let (statement, inner) = (statements.get(index)?, self.statement(part)?);
        let query = inner.query.as_ref()?;
        let before = index.checked_sub(1).and_then(|before| statements.get(before)).map_or(0, |s| s.range.end);
        let start = if query.start == statement.range.start { before } else { query.start };
        let after = if index + 1 < statements.len() { statement.range.end } else { self.text.len() };
        let end = if query.end == statement.range.end { after } else { query.end };
        self.text.get(start..end)
    }

    /// The text of the statement at `part`, with what stands between it and the one before, so that all statements
    /// together leave nothing of the message out. The statement of a PREPARE is cut out exactly.
    #[must_use]
    pub fn text_of(&self, part: Part) -> &str {
        let statements = self.statements();
        match part {
            Part::Whole(_) if statements.len() <= 1 => &self.text,
            Part::Whole(index) => {
                let start = index.checked_sub(1).and_then(|before| statements.get(before)).map_or(0, |s| s.range.end);
                let end = match statements.get(index) {
                    Some(statement) if index + 1 < statements.len() => statement.range.end,
                    Some(_) | None => self.text.len(),
                };
                let text = self.text.get(start..end).unwrap_or(&self.text);
                text.trim_start_matches(|c: char| c == ';' || c.is_ascii_whitespace()).trim_end()
            }
            Part::Prepared(_) => {
                self.statement(part).and_then(|inner| self.text.get(inner.range.clone())).unwrap_or(&self.text)
            }
            Part::Empty => &self.text,
        }
    }
}

/// The types of a statement's parameters, without a copy of them.
#[derive(Clone, Debug, Default)]
pub enum ParameterTypes {
    #[default]
    None,
    Declared(Arc<[Oid]>),
    Described(Arc<Vec<Oid>>),
}

impl Deref for ParameterTypes {
    type Target = [Oid];

    fn deref(&self) -> &[Oid] {
        match self {
            ParameterTypes::None => &[],
            ParameterTypes::Declared(types) => types,
            ParameterTypes::Described(types) => types,
        }
    }
}

impl Meaning {
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        self.analysis.statement(self.part)
    }
}

fn prepared_by(statement: &Statement) -> Option<&Statement> {
    match &statement.action {
        Action::Prepare { inner, .. } => Some(inner),
        _ => None,
    }
}

/// Bytes that a text of this length is counted with: itself, its trees and what it touches.
fn size_of_text(length: usize) -> usize {
    3 * 1024 + length * 48
}
