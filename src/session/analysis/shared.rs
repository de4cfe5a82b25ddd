//! Shapes that were met: of the first text of a shape only that it was met is kept; the second decides whether all that follow
//! are to be read at all.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use super::resolved::Resolved;
use crate::catalog::Snapshot;
use crate::sql::shape::{Outline, Shape, share};
use crate::sql::tree::Statement;
use crate::sql::{Limits, Unreadable};

/// A shape, and what came of it.
#[derive(Debug)]
pub(super) struct Met {
    shape: Shape,
    /// Set with the second text; `None` in it where each text has to be read.
    shared: OnceLock<Option<Arc<Shared>>>,
}

/// What holds for every text of a shape.
#[derive(Debug)]
pub(super) struct Shared {
    /// One statement with literals that stand for all.
    pub(super) statement: [Statement; 1],
    pub(super) fingerprint: Arc<str>,
    resolved: ArcSwapOption<ByVersion>,
}

/// What it touches by one version of the catalogs; nothing where by these one text may differ from another.
#[derive(Debug)]
struct ByVersion {
    version: u64,
    resolved: Option<Arc<Resolved>>,
}

impl Met {
    pub(super) fn new(outline: &Outline<'_>) -> Self {
        Self { shape: outline.shape(), shared: OnceLock::new() }
    }

    pub(super) fn is_of(&self, outline: &Outline<'_>) -> bool {
        self.shape.is_of(outline)
    }

    /// Bytes that it may come to: the tree that stands for all comes with the second text.
    pub(super) fn size(&self) -> usize {
        super::size_of_text(self.shape.size())
    }

    /// What holds for all texts of the shape, as far as is known.
    pub(super) fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.get()?.as_ref()
    }

    /// A second text was read.
    pub(super) fn again(&self, outline: &Outline<'_>, parsed: &Result<Vec<Statement>, Unreadable>, limits: &Limits) {
        self.shared.get_or_init(|| match parsed.as_deref() {
            Ok([only]) => share(outline, only, limits).map(|statement| Arc::new(Shared::new(statement))),
            Ok([..]) | Err(_) => None,
        });
    }
}

impl Shared {
    fn new(statement: Statement) -> Self {
        let fingerprint = statement.fingerprint.to_string().into();
        Self { statement: [statement], fingerprint, resolved: ArcSwapOption::empty() }
    }

    /// Whether, as far as is known, the catalogs see no difference between one text and another.
    pub(super) fn holds(&self) -> bool {
        self.resolved.load().as_ref().is_none_or(|known| known.resolved.is_some())
    }

    /// [`Self::resolved`], where it was asked for by this snapshot before.
    pub(super) fn resolved_before(&self, snapshot: &Snapshot) -> Option<Arc<Resolved>> {
        let known = self.resolved.load();
        known.as_ref().filter(|known| known.version == snapshot.version)?.resolved.as_ref().map(Arc::clone)
    }

    /// What all texts of the shape touch; `None` where each has to be looked at.
    pub(super) fn resolved(&self, snapshot: &Snapshot) -> Option<Arc<Resolved>> {
        if let Some(known) = self.resolved.load().as_ref()
            && known.version == snapshot.version
        {
            return known.resolved.as_ref().map(Arc::clone);
        }
        let [stand_in] = &self.statement;
        let resolved = Resolved::of_shape(stand_in, snapshot).map(Arc::new);
        self.resolved.store(Some(Arc::new(ByVersion { version: snapshot.version, resolved: resolved.clone() })));
        resolved
    }

    /// A text of the shape was looked at by itself: by newer catalogs the next ones may not have to be.
    pub(super) fn look_again(&self, snapshot: &Snapshot) {
        if self
            .resolved
            .load()
            .as_ref()
            .is_some_and(|known| known.resolved.is_none() && known.version != snapshot.version)
        {
            self.resolved.store(None);
        }
    }
}
