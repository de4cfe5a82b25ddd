//! What the session itself has made of the schema, and not committed: messages that wait for it to be known, and statements that
//! cannot.

use super::Gate;
use crate::session::analysis::{Meaning, Part};
use crate::session::catalogs::CatalogUnavailable;
use crate::session::judge::{Judged, Refused, unreadable_catalogs};
use crate::session::replies::{Asked, Effect};
use crate::session::uncommitted::{any_depends, depends};
use crate::wire::Frame;
use crate::wire::backend::TransactionStatus;
use crate::wire::frontend::{self, Tag};

impl Gate {
    /// Tells how the transaction stands; `None` where something is still under way.
    pub fn brief_transaction(&mut self, status: Option<TransactionStatus>) {
        self.judge.uncommitted.brief(status);
    }

    /// Whether what the upstream says bears on what the next statement is judged by.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.judge.uncommitted.is_involved()
    }

    /// Whether nothing is judged until what was sent is answered.
    #[must_use]
    pub fn awaits_answers(&self) -> bool {
        self.judge.uncommitted.awaits()
    }

    /// Whether the transaction has to be asked what the catalogs are now.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.judge.uncommitted.asks()
    }

    /// A statement has ended, and had this effect.
    pub fn happened(&mut self, effect: &Effect) {
        self.judge.uncommitted.happened(effect);
    }

    /// Everything that was sent is answered. Answers whether a transaction that changed the schema is over.
    pub fn settled(&mut self, status: TransactionStatus) -> bool {
        self.judge.uncommitted.settled(status)
    }

    /// What came of asking; `beside` is the version of the committed catalogs.
    pub fn asked(&mut self, asked: Asked, beside: u64) {
        self.judge.uncommitted.asked(asked, beside);
    }

    /// The transaction cannot be asked.
    pub fn catalogs_unreadable(&mut self) {
        self.judge.uncommitted.unreadable(unreadable_catalogs(CatalogUnavailable));
    }

    /// Whether a message is not to be judged now.
    pub(super) async fn must_wait(&mut self, frame: &Frame) -> bool {
        self.judge.uncommitted.awaits() || (self.depends(frame).await && self.judge.uncommitted.postpones())
    }

    /// Whether a verdict on the message depends on the catalogs. What is malformed is found to be so elsewhere.
    async fn depends(&self, frame: &Frame) -> bool {
        if !self.judge.uncommitted.is_changed() {
            return false;
        }
        let Ok(tag) = Tag::read(frame.tag()) else { return false };
        match tag {
            Tag::Query => match frontend::query(frame.body()) {
                Ok(text) => any_depends(&*self.judge.analyse(text, None).await),
                Err(_) => false,
            },
            Tag::Parse => match frontend::parse(frame.body()) {
                Ok(parse) => any_depends(&*self.judge.analyse(parse.text, Some(&parse.types)).await),
                Err(_) => false,
            },
            Tag::Bind => frontend::bind(frame.body())
                .is_ok_and(|bind| self.names.statements(bind.statement).any(|meaning| depends_on_catalogs(meaning))),
            Tag::Execute => frontend::execute(frame.body()).is_ok_and(|execute| {
                let mut portals = self.names.portals(execute.portal);
                portals.any(|portal| portal.meanings.iter().any(|meaning| depends_on_catalogs(meaning)))
            }),
            Tag::Close
            | Tag::CopyData
            | Tag::CopyDone
            | Tag::CopyFail
            | Tag::Describe
            | Tag::Flush
            | Tag::FunctionCall
            | Tag::Password
            | Tag::Sync
            | Tag::Terminate => false,
        }
    }

    /// Judges a statement that is about to run.
    pub(super) async fn judge_settled(&mut self, meaning: &Meaning) -> Result<Judged, Refused> {
        let judged = self.judge.judge(meaning, &self.names).await?;
        if self.judge.uncommitted.is_changing() {
            let footprint = self.judge.evidence(meaning, &judged);
            let checked = self.judge.uncommitted.check(meaning, footprint.footprint());
            checked.map_err(|denial| Refused { denial, footprint })?;
        }
        Ok(judged)
    }
}

fn depends_on_catalogs(meaning: &Meaning) -> bool {
    meaning.part != Part::Empty && depends(&meaning.analysis, meaning.part)
}
