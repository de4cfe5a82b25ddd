//! Asks policy about one statement: with the catalogs as they are, the grants as they are, and everything that the names
//! in it may mean.

mod lend;
pub mod second;
mod too_many;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::analysis::{Analysis, AnalysisCache, Meaning, Part, Resolved};
use super::catalogs::{CatalogUnavailable, Keeper};
use super::exports::Ledger;
use super::given::Given;
use super::metrics::Metrics;
use super::names::Names;
use super::opinions::Opinions;
use super::records::{self, Draft, Recorder};
use super::roles::{Provision, SessionRole};
use super::settings::{DatabaseSettings, SecondOpinion};
use super::special::Facts;
use super::uncommitted::{Sight, Uncommitted};
use super::upstream::Upstream;
use super::uses::Uses;
use crate::access::{Clock, Grant, GrantId, Principal, Region, Scope};
use crate::audit::{Protocol, RelationsPart};
use crate::catalog::{Footprint, Oid, Snapshot, Unresolved};
use crate::policy::{self, Context, Denial, Permit, Rule, SessionState, Verdict};
use crate::sql::Unreadable;
use crate::sql::tree::{Action, Name};
use crate::store::GrantSet;

/// An EXECUTE of an EXECUTE and so on is followed this far.
pub(super) const MAX_DEPTH: usize = 4;

/// What all sessions of one database share.
#[derive(Debug)]
pub struct Database {
    pub settings: Arc<DatabaseSettings>,
    pub upstream: Upstream,
    pub catalogs: Keeper,
    pub analyses: AnalysisCache,
    pub opinions: Opinions,
    /// Makes the roles that sessions log in as, where they have their own.
    pub roles: Option<Arc<Provision>>,
}

/// Judges for one session.
#[derive(Debug)]
pub struct Judge {
    pub database: Arc<Database>,
    pub grants: watch::Receiver<Arc<GrantSet>>,
    pub clock: Arc<Clock>,
    pub metrics: Arc<Metrics>,
    pub ledger: Arc<Ledger>,
    pub uses: Arc<Uses>,
    /// The search_path that the session was opened with, in the spellings that mean the same.
    search_paths: Arc<[String]>,
    /// What the session has said and become; as it is when the next statement is judged.
    pub session: SessionState,
    /// What its transaction makes of the catalogs.
    pub uncommitted: Uncommitted,
    /// The role that the session is logged in as, where it has one of its own.
    role: Option<Arc<SessionRole>>,
    view: View,
}

/// What a judge needs of the session that it judges for.
#[derive(Debug)]
pub struct Client {
    pub region: Option<Region>,
    pub grants: watch::Receiver<Arc<GrantSet>>,
    pub clock: Arc<Clock>,
    pub metrics: Arc<Metrics>,
    pub ledger: Arc<Ledger>,
    pub uses: Arc<Uses>,
    pub search_paths: Arc<[String]>,
    pub role: Option<Arc<SessionRole>>,
}

/// What one batch is judged by.
#[derive(Debug)]
struct View {
    context: Context,
    catalogs: Option<Result<Arc<Snapshot>, CatalogUnavailable>>,
    rechecked: bool,
    exports_known: bool,
}

/// An allowed statement.
#[derive(Debug)]
pub struct Judged {
    pub permit: Permit,
    pub footprint: Evidence,
    /// What a cursor has given, where the statement fetches from one.
    pub rows: Option<Arc<Given>>,
    /// The place of the Parse's item, where the verdict was the Parse's.
    pub parsed_at: Option<usize>,
}

/// A refused one.
#[derive(Debug)]
pub struct Refused {
    pub denial: Denial,
    pub footprint: Evidence,
}

/// What a verdict rests on.
#[derive(Clone, Debug)]
pub enum Evidence {
    None,
    Resolved(Arc<Resolved>, Part),
    Merged(Arc<Footprint>),
}

impl Evidence {
    #[must_use]
    pub fn footprint(&self) -> Option<&Footprint> {
        match self {
            Evidence::None => None,
            Evidence::Resolved(resolved, part) => resolved.footprint(*part)?.as_ref().ok(),
            Evidence::Merged(footprint) => Some(footprint),
        }
    }

    /// The same, as its records tell.
    #[must_use]
    pub fn relations(&self) -> RelationsPart {
        match self {
            Evidence::None => RelationsPart::default(),
            Evidence::Resolved(resolved, part) => resolved.relations(*part),
            Evidence::Merged(footprint) => records::relations_part(footprint),
        }
    }
}

impl Judge {
    #[must_use]
    pub fn new(database: Arc<Database>, principal: &Principal, client: Client) -> Self {
        let may_request = |scope: &&Arc<Scope>| scope.may_request(principal);
        let requestable = database.settings.scopes.iter().filter(may_request).cloned().collect();
        let Client { region, grants, clock, metrics, ledger, uses, search_paths, role } = client;
        let context = Context {
            database: Arc::clone(&database.settings.policy),
            principal: principal.name.as_str().into(),
            client_region: region,
            grants: Arc::clone(&grants.borrow().grants),
            now: clock.now(),
            search_paths: Arc::clone(&search_paths),
            requestable,
            session: SessionState::default(),
            exported: Arc::default(),
            goes_on: None,
        };
        Self {
            view: View { context, catalogs: None, rechecked: false, exports_known: false },
            database,
            grants,
            clock,
            metrics,
            ledger,
            uses,
            search_paths,
            session: SessionState::default(),
            uncommitted: Uncommitted::default(),
            role,
        }
    }

    /// Looks at grants and clock anew.
    pub fn begin_batch(&mut self, now: Timestamp, began: Instant) {
        let View { context, catalogs, rechecked, exports_known } = &mut self.view;
        let set = self.grants.borrow();
        if !Arc::ptr_eq(&set.grants, &context.grants) {
            context.grants = Arc::clone(&set.grants);
        }
        context.now = now;
        (*rechecked, *exports_known) = (false, false);
        *catalogs = match &self.uncommitted.sight {
            Sight::Committed if !self.uncommitted.is_over => self.database.catalogs.known(began).map(Ok),
            Sight::Own { snapshot, beside: _ } => {
                *rechecked = true;
                Some(Ok(Arc::clone(snapshot)))
            }
            Sight::Committed | Sight::Changed | Sight::Lost(_) => None,
        };
    }

    pub async fn analyse(&self, text: &str, types: Option<&[Oid]>) -> Arc<Analysis> {
        match self.database.analyses.known(text, types) {
            Some(known) => known,
            None => Box::pin(self.database.analyses.analyse(text, types)).await,
        }
    }

    /// The first scope under whose grant the statement would run, and that has such statements wait for one; how long.
    #[must_use]
    pub fn scope_that_holds(&self, meaning: &Meaning) -> Option<(Arc<Scope>, Duration)> {
        let statement = meaning.statement().filter(|statement| reference(&statement.action).is_none())?;
        let Some(Ok(snapshot)) = &self.view.catalogs else { return None };
        let resolved = meaning.analysis.resolved(snapshot);
        let footprint = resolved.matter(meaning.part)?.resolved();
        let context = &self.view.context;
        let holds = |scope: &&Arc<Scope>| {
            let asked = Context { grants: [Arc::new(Grant::supposed(scope, context.now))].into(), ..context.clone() };
            matches!(policy::decide(statement, "", footprint, &asked), Verdict::Allow(_supposed))
        };
        let scopes = context.requestable.iter().filter(|scope| scope.rules.hold.is_some());
        let found = scopes.into_iter().find(holds)?;
        Some((Arc::clone(found), found.rules.hold?))
    }

    /// The version of the policy that the session judges by.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.database.settings.policy_version
    }

    /// What is judged next is read further, under a grant of which it took a use when it began.
    pub fn goes_on(&mut self, grant: Option<GrantId>) {
        self.view.context.goes_on = grant;
    }

    /// The denial of a statement whose grant was used up while it was judged.
    #[must_use]
    pub fn used_up(&self, grant: &Grant) -> Denial {
        policy::used_up(grant, &self.view.context)
    }

    /// Whether a grant is live at this very moment, whatever the batch began with.
    #[must_use]
    pub fn is_live(&self, grant: &GrantId) -> bool {
        let now = self.clock.now();
        self.grants.borrow().grants.iter().any(|known| known.id == *grant && known.is_live_at(now))
    }

    pub fn count_denial(&self, rule: Rule) {
        self.metrics.count_denial(rule);
    }

    /// Decides on one statement, and on whatever it runs by name.
    ///
    /// # Errors
    /// [`Refused`] says why not.
    pub async fn judge(&mut self, meaning: &Meaning, names: &Names) -> Result<Judged, Refused> {
        self.view.context.session = self.session;
        if let Some(judged) = self.judged_before(meaning) {
            self.metrics.allowed.inc();
            return Ok(judged);
        }
        // Boxed, as whatever is rare: the way of every statement should not be as large as its longest turn.
        Box::pin(self.judge_anew(meaning, names)).await
    }

    async fn judge_anew(&mut self, meaning: &Meaning, names: &Names) -> Result<Judged, Refused> {
        let refused = |denial| Refused { denial, footprint: Evidence::None };
        self.uncommitted.sighted(meaning).map_err(refused)?;
        let mut snapshot = self.snapshot(false).await.map_err(|error| refused(unreadable_catalogs(error)))?;
        if meaning.analysis.resolved(&snapshot).has_unresolved() {
            snapshot = self.snapshot(true).await.map_err(|error| refused(unreadable_catalogs(error)))?;
        }
        self.look_at_exports().await.map_err(refused)?;
        let judged = self.confirmed(meaning, names, &snapshot).await.map_err(|mut refused| {
            self.uncommitted.explain(&mut refused.denial);
            refused
        })?;
        self.lend(&judged).await?;
        self.metrics.allowed.inc();
        Ok(judged)
    }

    /// The verdict given before, where all that it rests on is the same and nobody has to be asked.
    fn judged_before(&mut self, meaning: &Meaning) -> Option<Judged> {
        let is_alone = self.role.is_none() && self.database.opinions.mode == SecondOpinion::Off;
        if !is_alone || self.view.context.database.counts_exports() || depends_on_names(meaning) {
            return None;
        }
        let Some(Ok(snapshot)) = &self.view.catalogs else { return None };
        if self.search_paths.first() != Some(&snapshot.search_path) {
            return None;
        }
        let resolved = meaning.analysis.resolved_before(snapshot)?;
        let permit = resolved.matter(meaning.part)?.recall(&self.view.context)?;
        Some(Judged { permit, footprint: Evidence::Resolved(resolved, meaning.part), rows: None, parsed_at: None })
    }

    /// The catalogs; known to be true now where `again`, once per batch.
    async fn snapshot(&mut self, again: bool) -> Result<Arc<Snapshot>, CatalogUnavailable> {
        let view = &mut self.view;
        if again && !view.rechecked {
            view.rechecked = true;
            view.catalogs = Some(self.database.catalogs.recheck().await);
        }
        match &view.catalogs {
            Some(known) => known.clone(),
            None => {
                let is_over = self.uncommitted.is_over;
                let snapshot = match is_over {
                    true => self.database.catalogs.recheck().await,
                    false => self.database.catalogs.current().await,
                };
                self.uncommitted.is_over = is_over && snapshot.is_err();
                view.rechecked |= is_over;
                view.catalogs = Some(snapshot.clone());
                snapshot
            }
        }
    }

    /// What has left under the grants so far, where the database counts that; once per batch. The wire counts on.
    async fn look_at_exports(&mut self) -> Result<(), Denial> {
        let view = &mut self.view;
        if view.exports_known {
            return Ok(());
        }
        if view.context.database.counts_exports() {
            let known = self.ledger.exported(&view.context.grants).await;
            view.context.exported = known.map_err(|error| super::exports::unknown(&error))?;
        }
        view.exports_known = true;
        Ok(())
    }

    /// Has the transaction be asked again, where others have changed the catalogs since.
    pub async fn look_beside(&mut self) {
        let Sight::Own { snapshot: _, beside } = &self.uncommitted.sight else { return };
        let committed = self.database.catalogs.current().await;
        if committed.is_ok_and(|committed| committed.version == *beside) {
            return;
        }
        self.uncommitted.overtaken();
    }

    /// What a statement touches that was judged.
    #[must_use]
    pub fn evidence(&self, meaning: &Meaning, judged: &Judged) -> Evidence {
        match (&judged.footprint, &self.view.catalogs) {
            (Evidence::None, Some(Ok(snapshot))) => {
                Evidence::Resolved(meaning.analysis.resolved(snapshot), meaning.part)
            }
            (known, _) => known.clone(),
        }
    }

    /// The newest catalogs that are at hand.
    #[must_use]
    pub fn newest_catalogs(&self) -> Option<Arc<Snapshot>> {
        match &self.uncommitted.sight {
            Sight::Own { snapshot, beside: _ } => Some(Arc::clone(snapshot)),
            Sight::Committed | Sight::Changed | Sight::Lost(_) => self.database.catalogs.latest(),
        }
    }

    /// The record of an allowed statement.
    #[must_use]
    pub fn draft(&self, recorder: &mut Recorder, meaning: &Meaning, protocol: Protocol, judged: &Judged) -> Draft {
        recorder.draft(meaning, protocol, judged.permit.full_grant(), judged.footprint.relations(), self.version())
    }

    /// The region that keeps the record of a statement that touches this, where it is not the upstream's.
    #[must_use]
    pub fn data_region(&self, footprint: Option<&Footprint>) -> Option<Region> {
        crate::policy::data_region(footprint?, &self.view.context.database)
    }

    /// What `SHOW pgward.…` tells.
    #[must_use]
    pub fn session_facts(&self, recorder: &Recorder) -> Facts {
        Facts {
            now: self.view.context.now,
            grants: Arc::clone(&self.view.context.grants),
            entry: recorder.entry(crate::audit::Event::SessionOpen),
            reason: recorder.reason.as_ref().map(ToString::to_string),
        }
    }
}

/// What a statement runs that stands elsewhere.
pub enum Reference<'a> {
    Prepared(&'a Name),
    Cursor(&'a Name),
}

fn decide(
    meaning: &Meaning,
    names: &Names,
    snapshot: &Snapshot,
    context: &Context,
    depth: usize,
) -> Result<Judged, Refused> {
    let missing = || Refused { denial: unknown_portal(""), footprint: Evidence::None };
    let statement = meaning.statement().ok_or_else(missing)?;
    let resolved = meaning.analysis.resolved(snapshot);
    let matter = resolved.matter(meaning.part).ok_or_else(missing)?;
    let own = matter.resolved();
    let evidence = Evidence::Resolved(Arc::clone(&resolved), meaning.part);
    let permit = match matter.decide(statement, &meaning.analysis.text, context) {
        Verdict::Allow(permit) => permit,
        Verdict::Deny(denial) => return Err(Refused { denial, footprint: evidence }),
    };
    let none = || Judged { permit, footprint: evidence.clone(), rows: None, parsed_at: None };
    match reference(&statement.action) {
        None => Ok(none()),
        Some(Reference::Prepared(name)) => {
            let meanings: Vec<&Meaning> = names.statements(name.as_str()).map(Arc::as_ref).collect();
            let meaning = settled(name, &meanings, &Unresolved::Prepared(name.to_string()))?;
            referred(own, meaning, names, snapshot, context, depth)
        }
        Some(Reference::Cursor(name)) => {
            let portals: Vec<_> = names.portals(name.as_str()).collect();
            let meanings: Vec<&Meaning> = portals.iter().flat_map(|p| p.meanings.iter().map(Arc::as_ref)).collect();
            let meaning = settled(name, &meanings, &Unresolved::Cursor(name.to_string()))?;
            let mut judged = referred(own, meaning, names, snapshot, context, depth)?;
            judged.rows = portals.first().map(|portal| Arc::clone(&portal.rows));
            Ok(judged)
        }
    }
}

/// What a name means must be allowed to whoever uses it, together with what it is used with.
fn referred(
    own: &Result<Footprint, Unresolved>,
    meaning: &Meaning,
    names: &Names,
    snapshot: &Snapshot,
    context: &Context,
    depth: usize,
) -> Result<Judged, Refused> {
    let refuse = |message: &str| Refused { denial: no_meaning(message.to_owned()), footprint: Evidence::None };
    if depth >= MAX_DEPTH {
        return Err(refuse("names refer to names too deeply"));
    }
    let nothing = || refuse("the name stands for no statement");
    let statement = meaning.statement().ok_or_else(nothing)?;
    let resolved = meaning.analysis.resolved(snapshot);
    let inner = decide(meaning, names, snapshot, context, depth + 1)?;
    let (Ok(own), Some(Ok(theirs))) = (own, resolved.footprint(meaning.part)) else { return Err(nothing()) };
    // One grant must allow both what the name means and what it is called with.
    let merged = merge(inner.footprint.footprint().unwrap_or(theirs), own);
    let verdict = policy::decide(statement, &meaning.analysis.text, &Ok(merged.clone()), context);
    let footprint = Evidence::Merged(Arc::new(merged));
    match verdict {
        Verdict::Allow(permit) => Ok(Judged { permit, footprint, rows: inner.rows, parsed_at: None }),
        Verdict::Deny(denial) => Err(Refused { denial, footprint }),
    }
}

/// The one thing that a name stands for.
fn settled<'m>(name: &Name, meanings: &[&'m Meaning], unknown: &Unresolved) -> Result<&'m Meaning, Refused> {
    let refuse = |denial| Refused { denial, footprint: Evidence::None };
    match meanings {
        [only] => Ok(only),
        [] => Err(refuse(no_meaning(unknown.to_string()))),
        [_, _, ..] => Err(refuse(unsettled(name.as_str()))),
    }
}

fn no_meaning(message: String) -> Denial {
    Denial {
        rule: Rule::Unresolved,
        message,
        detail: "What runs under a name is judged by what the name means.".to_owned(),
        hint: None,
    }
}

fn merge(one: &Footprint, other: &Footprint) -> Footprint {
    let mut merged = one.clone();
    merged.relations.extend(other.relations.iter().cloned());
    merged.sources.extend(other.sources.iter().cloned());
    merged.functions.extend(other.functions.iter().cloned());
    merged.effects.extend(other.effects.iter().cloned());
    merged
}

/// Whether the statement runs something by name, so that its verdict is good for one moment only.
#[must_use]
pub fn depends_on_names(meaning: &Meaning) -> bool {
    meaning.statement().is_some_and(|statement| reference(&statement.action).is_some())
}

/// What a statement runs by name.
#[must_use]
pub fn reference(action: &Action) -> Option<Reference<'_>> {
    match action {
        Action::Execute { name, arguments: _ } => Some(Reference::Prepared(name)),
        Action::Fetch { cursor } => Some(Reference::Cursor(cursor)),
        Action::Explain { analyze: _, inner } => reference(inner),
        Action::Query(_)
        | Action::Insert(_)
        | Action::Update(_)
        | Action::Delete(_)
        | Action::Merge(_)
        | Action::Copy(_)
        | Action::Prepare { .. }
        | Action::Deallocate(_)
        | Action::DeclareCursor { .. }
        | Action::CloseCursor(_)
        | Action::Transaction(_)
        | Action::Set(_)
        | Action::Reset(_)
        | Action::Show(_)
        | Action::SetIdentity
        | Action::ResetIdentity
        | Action::SetConstraints
        | Action::Discard
        | Action::Channel
        | Action::Lock { .. }
        | Action::Truncate { .. }
        | Action::Ddl(_)
        | Action::Call(_)
        | Action::Do
        | Action::Other => None,
    }
}

/// The denial of a text that could not be read.
#[must_use]
pub fn unreadable(error: &Unreadable) -> Denial {
    Denial {
        rule: Rule::Unreadable,
        message: format!("the statement could not be read: {error}"),
        detail: format!("Noticed at byte {} of the text. What cannot be read is not passed on.", error.position),
        hint: None,
    }
}

/// The denial of a name that was given another meaning by a message that is not answered yet: which of them runs decides
/// what is recorded, counted and named by it.
#[must_use]
pub fn unsettled(name: &str) -> Denial {
    Denial {
        rule: Rule::Protocol,
        message: format!("what \"{name}\" stands for is not settled yet"),
        detail: "A message in front of this one gave it another meaning, and has not been answered.".to_owned(),
        hint: Some("Send this again after the answer to that message.".to_owned()),
    }
}

/// The denial of an Execute of nothing that is known.
#[must_use]
pub fn unknown_portal(name: &str) -> Denial {
    Denial {
        rule: Rule::Unresolved,
        message: format!("portal \"{name}\" does not exist"),
        detail: "No statement was bound to it in this session, or its transaction is over.".to_owned(),
        hint: None,
    }
}

fn other_path(ours: &str, theirs: &str) -> Denial {
    Denial {
        rule: Rule::Unresolved,
        message: "the database's search_path has changed".to_owned(),
        detail: format!("The session was opened with {ours}; it is {theirs} now."),
        hint: Some("Connect again.".to_owned()),
    }
}

pub(super) fn unreadable_catalogs(error: CatalogUnavailable) -> Denial {
    Denial {
        rule: Rule::Unresolved,
        message: error.to_string(),
        detail: "Without them no name can be resolved, so nothing is passed on.".to_owned(),
        hint: Some("Try again; if it stays so, tell those who run pgward.".to_owned()),
    }
}
