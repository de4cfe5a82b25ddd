//! What a text says and touches, kept by text so that a statement seen before is not parsed again. Shared by all
//! sessions of a database.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{OnceCell, Semaphore};

use super::opinions::Finding;
use super::records::relations_part;
use crate::audit::RelationsPart;
use crate::catalog::{self, Footprint, Oid, Snapshot, Unresolved};
use crate::policy::Matter;
use crate::sql::tree::{Action, Statement};
use crate::sql::{self, Limits, Redacted, Unreadable};

/// Texts in each of the two generations of the cache.
const GENERATION: usize = 4_096;
/// Longer texts are not kept: they rarely come again, and they are what fills memory.
const MAX_KEPT: usize = 16 * 1024;
/// Longer texts are parsed off the reactor.
const MAX_INLINE: usize = 4 * 1024;
/// Texts that are parsed off the reactor at once.
const MAX_PARSING: usize = 8;

/// One text, read.
#[derive(Debug)]
pub struct Analysis {
    pub text: Arc<str>,
    pub parsed: Result<Vec<Statement>, Unreadable>,
    /// The parameter types that the client declared, where the text came in a Parse: values of them are read in by
    /// their types' own functions, and overloads are chosen by them.
    types: Option<Arc<[Oid]>>,
    /// The types that the upstream last told of, when asked to describe the statement: for reading values of them only.
    described: ArcSwapOption<Vec<Oid>>,
    resolved: ArcSwapOption<Resolved>,
    recorded: OnceLock<Vec<Arc<Recorded>>>,
}

/// What the journal is told of a statement, made once: finding the secrets in a text means reading it again.
#[derive(Debug)]
pub struct Recorded {
    /// The text without its secrets.
    pub text: Arc<str>,
    pub fingerprint: String,
    /// What was taken out, and what of other texts about the statement has to be.
    pub redacted: Redacted<'static>,
}

/// What each statement of one text touches, by one version of the catalogs.
#[derive(Debug)]
pub struct Resolved {
    version: u64,
    statements: Vec<Touches>,
    /// PostgreSQL's own opinion of each, where it was asked.
    findings: Vec<OnceCell<Finding>>,
    /// What each touches, as the journal's records tell it.
    relations: Vec<OnceLock<RelationsPart>>,
}

/// A statement's own footprint, and that of the statement that a PREPARE holds.
#[derive(Debug)]
struct Touches {
    whole: Matter,
    prepared: Option<Matter>,
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
    fn new(text: Arc<str>, types: Option<Arc<[Oid]>>, parsed: Result<Vec<Statement>, Unreadable>) -> Self {
        let (described, resolved) = (ArcSwapOption::empty(), ArcSwapOption::empty());
        Self { text, parsed, types, described, resolved, recorded: OnceLock::new() }
    }

    /// What the journal is told of the statement at `part`.
    #[must_use]
    pub fn recorded(&self, part: Part) -> Arc<Recorded> {
        let make = |part, redacted: Redacted<'_>| {
            let fingerprint = self.statement(part).map(|statement| statement.fingerprint.to_string());
            let text = Arc::from(&*redacted.text);
            Arc::new(Recorded { text, fingerprint: fingerprint.unwrap_or_default(), redacted: redacted.into_owned() })
        };
        let known = match part {
            Part::Whole(index) => {
                let whole = || (0..self.statements().len()).map(Part::Whole);
                // A secret of one statement may stand in a comment beside another.
                let all = self.recorded.get_or_init(|| {
                    let pieces: Vec<_> = whole().map(|part| (self.text_of(part), self.statement(part))).collect();
                    whole().zip(sql::redact_all(&pieces)).map(|(part, redacted)| make(part, redacted)).collect()
                });
                all.get(index).map(Arc::clone)
            }
            Part::Prepared(_) | Part::Empty => None,
        };
        known.unwrap_or_else(|| make(part, sql::redact(self.text_of(part), self.statement(part))))
    }

    /// The statements; none where the text could not be read.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        self.parsed.as_deref().unwrap_or_default()
    }

    /// What the statements touch, by `snapshot`: kept until a session asks by another.
    #[must_use]
    pub fn resolved(&self, snapshot: &Snapshot) -> Arc<Resolved> {
        if let Some(resolved) = self.resolved.load_full()
            && resolved.version == snapshot.version
        {
            return resolved;
        }
        let touched = |statement: &Statement| {
            let whole = match &self.types {
                Some(types) => catalog::resolve_with(snapshot, &statement.action, types),
                None => catalog::resolve(snapshot, &statement.action),
            };
            // A PREPARE touches its parameters' types and what its statement does: so does each EXECUTE of it.
            Touches { prepared: prepared_by(statement).map(|_| Matter::new(whole.clone())), whole: Matter::new(whole) }
        };
        let statements: Vec<Touches> = self.statements().iter().map(touched).collect();
        let findings = statements.iter().map(|_| OnceCell::new()).collect();
        let relations = statements.iter().map(|_| OnceLock::new()).collect();
        let resolved = Arc::new(Resolved { version: snapshot.version, statements, findings, relations });
        self.resolved.store(Some(Arc::clone(&resolved)));
        resolved
    }

    /// The same, where it was asked for by this snapshot before.
    #[must_use]
    pub fn resolved_before(&self, snapshot: &Snapshot) -> Option<Arc<Resolved>> {
        let resolved = self.resolved.load();
        resolved.as_ref().filter(|resolved| resolved.version == snapshot.version).map(Arc::clone)
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
        self.described.store(Some(Arc::new(types)));
    }

    /// The types of the parameters, told or declared; 0 where one is not known.
    #[must_use]
    pub fn parameter_types(&self) -> Vec<Oid> {
        match self.described.load_full() {
            Some(described) => described.to_vec(),
            None => self.types().unwrap_or_default().to_vec(),
        }
    }

    /// The text of the query that the statement at `part` is or wraps, with what stands around it: where the query ends the
    /// statement, to the end of its part of the message, and where it begins it, from the beginning.
    #[must_use]
    pub fn query_text(&self, part: Part) -> Option<&str> {
        let (Part::Whole(index) | Part::Prepared(index)) = part else { return None };
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

impl Resolved {
    /// What the statement at `part` touches, and the verdicts on it.
    #[must_use]
    pub fn matter(&self, part: Part) -> Option<&Matter> {
        match part {
            Part::Whole(index) => self.statements.get(index).map(|touches| &touches.whole),
            Part::Prepared(index) => self.statements.get(index).and_then(|touches| touches.prepared.as_ref()),
            Part::Empty => None,
        }
    }

    /// What the statement at `part` touches.
    #[must_use]
    pub fn footprint(&self, part: Part) -> Option<&Result<Footprint, Unresolved>> {
        self.matter(part).map(Matter::resolved)
    }

    /// What the statement at `part` touches, as its records tell.
    #[must_use]
    pub fn relations(&self, part: Part) -> RelationsPart {
        let footprint = || self.footprint(part).and_then(|footprint| footprint.as_ref().ok());
        let made = || footprint().map(relations_part).unwrap_or_default();
        match part {
            Part::Whole(index) => self.relations.get(index).map_or_else(made, |known| known.get_or_init(made).clone()),
            Part::Prepared(_) | Part::Empty => made(),
        }
    }

    /// Where the second opinion on the statement at `part` is kept. A PREPARE and what it prepares are one question.
    #[must_use]
    pub fn finding(&self, part: Part) -> Option<&OnceCell<Finding>> {
        match part {
            Part::Whole(index) | Part::Prepared(index) => self.findings.get(index),
            Part::Empty => None,
        }
    }

    /// Whether some name was not found: newer catalogs may know it.
    #[must_use]
    pub fn has_unresolved(&self) -> bool {
        let matters = self.statements.iter().flat_map(|touches| [Some(&touches.whole), touches.prepared.as_ref()]);
        matters.flatten().any(|matter| matter.resolved().is_err())
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

/// The analyses of one database's texts. Two generations: when the young one is full it becomes the old one, and what is
/// asked for again comes back.
#[derive(Debug)]
pub struct AnalysisCache {
    generations: Mutex<Generations>,
    parsing: Arc<Semaphore>,
    limits: Limits,
    timeout: Duration,
}

/// By a hash with a random key of its own: texts are what strangers send.
type Kept = HashMap<Arc<str>, Arc<Analysis>, ahash::RandomState>;

#[derive(Debug, Default)]
struct Generations {
    young: Kept,
    old: Kept,
}

impl AnalysisCache {
    #[must_use]
    pub fn new(limits: Limits, timeout: Duration) -> Self {
        let parsing = Arc::new(Semaphore::new(MAX_PARSING));
        Self { generations: Mutex::default(), parsing, limits, timeout }
    }

    /// Reads a text, or recalls it. `types` are those that a Parse declares, `None` for a Query.
    pub async fn analyse(&self, text: &str, types: Option<&[Oid]>) -> Arc<Analysis> {
        let key = key(text, types);
        if let Some(known) = self.find(&key) {
            return known;
        }
        let text: Arc<str> = text.into();
        let parsed = if text.len() <= MAX_INLINE || text.len() > self.limits.text {
            Ok(sql::read(&text, &self.limits))
        } else {
            self.read_elsewhere(Arc::clone(&text)).await
        };
        // That it took too long says nothing of the text.
        let (parsed, lasts) = parsed.map_or_else(|failed| (Err(failed), false), |parsed| (parsed, true));
        let analysis = Arc::new(Analysis::new(text, types.map(Arc::from), parsed));
        if lasts {
            self.keep(&key, &analysis);
        }
        analysis
    }

    /// What was read; an error of its own where that could not be done now.
    async fn read_elsewhere(&self, text: Arc<str>) -> Result<Result<Vec<Statement>, Unreadable>, Unreadable> {
        let limits = self.limits;
        let parsing = Arc::clone(&self.parsing);
        let work = async move {
            let permit = parsing.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                // Held by the thread, so that one that outlasts its deadline still counts.
                let _permit = permit;
                sql::read(&text, &limits)
            })
            .await
        };
        let failed = |message: &str| Unreadable { message: message.to_owned(), position: 0 };
        match tokio::time::timeout(self.timeout, work).await {
            Ok(Ok(parsed)) => Ok(parsed),
            Ok(Err(_)) => Err(failed("the statement could not be analysed")),
            Err(_) => Err(failed("the statement took too long to analyse")),
        }
    }

    /// What is known of a text that was read before.
    #[must_use]
    pub fn recall(&self, text: &str, types: Option<&[Oid]>) -> Option<Arc<Analysis>> {
        self.find(&key(text, types))
    }

    fn find(&self, key: &str) -> Option<Arc<Analysis>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = generations.young.get(key) {
            return Some(Arc::clone(known));
        }
        let (key, known) = generations.old.remove_entry(key)?;
        generations.insert(key, &known);
        Some(known)
    }

    fn keep(&self, key: &str, analysis: &Arc<Analysis>) {
        if key.len() <= MAX_KEPT {
            let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
            generations.insert(key.into(), analysis);
        }
    }
}

/// What an analysis is kept by: the text and, after a zero byte (which no text has), the declared types.
fn key<'t>(text: &'t str, types: Option<&[Oid]>) -> Cow<'t, str> {
    let Some(types) = types else { return Cow::Borrowed(text) };
    let mut key = String::with_capacity(text.len() + 1 + types.len() * 6);
    key.push_str(text);
    key.push('\0');
    for oid in types {
        key.push_str(&oid.to_string());
        key.push(',');
    }
    Cow::Owned(key)
}

impl Generations {
    fn insert(&mut self, key: Arc<str>, analysis: &Arc<Analysis>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, Arc::clone(analysis));
    }
}
