//! Verdicts given before: what was allowed is allowed again while all that the verdict rests on is the same.
//!
//! A verdict's identity is the statement with what it touches (the [`Matter`]), and of the [`Context`] the grants, which of
//! them are live, the policy, the client's region, the pinned path and what the session has said. Denials are never
//! remembered: they are rare, and worth looking at again.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::context::{Context, DatabasePolicy, SessionState};
use super::decide::{home, judge};
use super::only::Wording;
use super::verdict::{Permit, Verdict};
use crate::access::{Grant, Region};
use crate::catalog::{Footprint, Unresolved};
use crate::sql::Statement;

/// Verdicts kept for one statement: sessions that take turns at it under as many grants do not drive each other out.
const KEPT: usize = 8;

/// What one statement touches, and the verdicts that allowed it. It belongs to that statement alone.
#[derive(Debug)]
pub struct Matter {
    resolved: Result<Footprint, Unresolved>,
    /// It belongs to every statement that differs in its literals alone.
    shared: bool,
    precedents: ArcSwap<Vec<Arc<Precedent>>>,
}

/// One verdict, and what it rests on.
#[derive(Debug)]
struct Precedent {
    grants: Arc<[Arc<Grant>]>,
    database: Arc<DatabasePolicy>,
    client_region: Option<Region>,
    search_paths: Arc<[String]>,
    session: SessionState,
    /// When it was given, and the next instant at which one of the grants begins or ends.
    holds: std::ops::Range<Timestamp>,
    grant: Arc<Grant>,
    data_region: Option<Region>,
}

impl Matter {
    #[must_use]
    pub fn new(resolved: Result<Footprint, Unresolved>) -> Self {
        Self { resolved, shared: false, precedents: ArcSwap::default() }
    }

    /// What all statements touch that differ from one in their literals, each of which is the one statement of its text. Who
    /// makes this has seen to it that [`super::is_literal_free`] holds.
    #[must_use]
    pub fn shared(resolved: Result<Footprint, Unresolved>) -> Self {
        Self { shared: true, ..Self::new(resolved) }
    }

    pub fn resolved(&self) -> &Result<Footprint, Unresolved> {
        &self.resolved
    }

    /// [`super::decide`], without looking again at what was looked at before. Of a shared matter `statement` is the one that
    /// stands for all, and `text` the one that is to run.
    pub fn decide(&self, statement: &Statement, text: &str, context: &Context) -> Verdict {
        if let Some(permit) = self.recall(context) {
            return Verdict::Allow(permit);
        }
        // A grant of one statement means its constants too, in which those differ that share this.
        let by_letter = self.shared && context.grants.iter().any(|grant| grant.statement.is_some());
        let wording = if self.shared { Wording::alone(text) } else { Wording::of(statement, text) };
        match judge(statement, &wording, &self.resolved, context, None) {
            Ok((grant, exports)) => {
                let precedent = Precedent::new(&grant, home(&self.resolved, context), context);
                let permit = precedent.permit();
                // What has left already counts anew each time.
                if exports.is_empty() && !by_letter && context.goes_on.is_none() {
                    self.keep(precedent);
                }
                Verdict::Allow(permit.with_exports(exports))
            }
            Err(denial) => Verdict::Deny(denial),
        }
    }

    /// What was allowed before, and is allowed again.
    #[must_use]
    pub fn recall(&self, context: &Context) -> Option<Permit> {
        self.precedents.load().iter().find(|precedent| precedent.covers(context)).map(|precedent| precedent.permit())
    }

    fn keep(&self, precedent: Precedent) {
        let precedent = Arc::new(precedent);
        self.precedents.rcu(|kept| {
            let newest = kept.iter().rev().take(KEPT - 1).rev();
            newest.cloned().chain([Arc::clone(&precedent)]).collect::<Vec<_>>()
        });
    }
}

impl Precedent {
    fn new(grant: &Arc<Grant>, data_region: Option<Region>, context: &Context) -> Self {
        let turns = context.grants.iter().flat_map(|grant| [grant.not_before, grant.expires_at]);
        let until = turns.filter(|turn| *turn > context.now).min().unwrap_or(context.now);
        Self {
            grants: Arc::clone(&context.grants),
            database: Arc::clone(&context.database),
            client_region: context.client_region.clone(),
            search_paths: Arc::clone(&context.search_paths),
            session: context.session,
            holds: context.now..until,
            grant: Arc::clone(grant),
            data_region,
        }
    }

    fn permit(&self) -> Permit {
        Permit::new(Arc::clone(&self.grant)).with_data_region(self.data_region.clone())
    }

    fn covers(&self, context: &Context) -> bool {
        Arc::ptr_eq(&self.grants, &context.grants)
            && Arc::ptr_eq(&self.database, &context.database)
            && self.holds.contains(&context.now)
            && self.session == context.session
            && self.client_region == context.client_region
            && (Arc::ptr_eq(&self.search_paths, &context.search_paths) || self.search_paths == context.search_paths)
    }
}
