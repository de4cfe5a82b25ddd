//! The analyses of one database's texts, shared by all of its sessions.

use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::kept::Kept;
use super::shared::Met;
use super::{Analysis, size_of_text};
use crate::catalog::Oid;
use crate::sql::shape::{Outline, scan};
use crate::sql::tree::Statement;
use crate::sql::{self, Limits, Unreadable};

/// Texts, and shapes of texts, that are kept.
const NUMBER: usize = 8_192;
/// Bytes that the kept texts take up with all that was read of them, and as many again for shapes.
const BYTES: usize = 128 * 1024 * 1024;
/// Longer texts are not kept: they rarely come again, and they are what fills memory.
const MAX_KEPT: usize = 16 * 1024;
/// Longer texts are parsed off the reactor.
const MAX_INLINE: usize = 4 * 1024;
/// Texts that are parsed off the reactor at once.
const MAX_PARSING: usize = 8;

/// The analyses of one database's texts.
#[derive(Debug)]
pub struct AnalysisCache {
    texts: Kept<Analysis>,
    /// `None` where each text is to be read whole.
    shapes: Option<Kept<Met>>,
    parsing: Arc<Semaphore>,
    limits: Limits,
    timeout: Duration,
}

impl AnalysisCache {
    #[must_use]
    pub fn new(limits: Limits, timeout: Duration) -> Self {
        let parsing = Arc::new(Semaphore::new(MAX_PARSING));
        let shapes = Some(Kept::new(NUMBER, BYTES));
        Self { texts: Kept::new(NUMBER, BYTES), shapes, parsing, limits, timeout }
    }

    /// Reads every text that was not seen before letter by letter: for where somebody else is asked about each.
    #[must_use]
    pub fn letter_by_letter(mut self) -> Self {
        self.shapes = None;
        self
    }

    /// Reads a text, or recalls it. `types` are those that a Parse declares, `None` for a Query.
    pub async fn analyse(&self, text: &str, types: Option<&[Oid]>) -> Arc<Analysis> {
        if let Some(known) = self.known(text, types) {
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
        if !lasts {
            return Arc::new(Analysis::new(text, types.map(Arc::from), parsed, None));
        }
        let met = if types.is_none() { self.meet(&text, &parsed) } else { None };
        let shared = met.as_ref().and_then(|met| met.shared()).map(Arc::clone);
        let analysis = Arc::new(Analysis::new(text, types.map(Arc::from), parsed, shared));
        self.keep(&analysis);
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

    /// What is known of a text that was read before, or of one that differs from such in its literals alone. Does not wait.
    #[must_use]
    pub fn known(&self, text: &str, types: Option<&[Oid]>) -> Option<Arc<Analysis>> {
        self.recall(text, types).or_else(|| if types.is_none() { self.by_shape(text) } else { None })
    }

    /// What is known of a text that was read before, letter by letter.
    #[must_use]
    pub fn recall(&self, text: &str, types: Option<&[Oid]>) -> Option<Arc<Analysis>> {
        let is = |known: &Analysis| *known.text == *text && known.types() == types;
        self.texts.find(self.hash(text, types), |known| is(known).then(|| Arc::clone(known)))
    }

    /// What is known of all texts of this one's shape.
    fn by_shape(&self, text: &str) -> Option<Arc<Analysis>> {
        let shapes = self.shapes.as_ref()?;
        let outline = scan(text)?;
        let hash = shapes.hash(|hasher| outline.hash_shape(hasher));
        let shared = shapes.find(hash, |met| met.shared().filter(|_| met.is_of(&outline)).map(Arc::clone))?;
        shared.holds().then(|| Arc::new(Analysis::of_shape(text.into(), shared, self.limits)))
    }

    /// Notes the shape of a text that was read.
    fn meet(&self, text: &str, parsed: &Result<Vec<Statement>, Unreadable>) -> Option<Arc<Met>> {
        let shapes = self.shapes.as_ref()?;
        if !parsed.as_ref().is_ok_and(|statements| statements.len() == 1) {
            return None;
        }
        let outline: Outline<'_> = scan(text)?;
        let hash = shapes.hash(|hasher| outline.hash_shape(hasher));
        if let Some(met) = shapes.find(hash, |met| met.is_of(&outline).then(|| Arc::clone(met))) {
            met.again(&outline, parsed, &self.limits);
            return Some(met);
        }
        let met = Arc::new(Met::new(&outline));
        shapes.keep(hash, Arc::clone(&met), met.size());
        Some(met)
    }

    fn hash(&self, text: &str, types: Option<&[Oid]>) -> u64 {
        self.texts.hash(|hasher| {
            hasher.write(text.as_bytes());
            if let Some(types) = types {
                // A text has no such byte.
                hasher.write_u8(0xff);
                types.iter().for_each(|oid| hasher.write_u32(*oid));
            }
        })
    }

    fn keep(&self, analysis: &Arc<Analysis>) {
        if analysis.text.len() <= MAX_KEPT {
            let hash = self.hash(&analysis.text, analysis.types());
            self.texts.keep(hash, Arc::clone(analysis), size_of_text(analysis.text.len()));
        }
    }

    /// How many texts and shapes are kept, and the bytes that they are counted with.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let (texts, bytes) = self.texts.size();
        let (shapes, more) = self.shapes.as_ref().map_or((0, 0), Kept::size);
        (texts + shapes, bytes + more)
    }
}
