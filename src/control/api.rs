//! The shapes of the API: what clients send and what they are answered. The command line knows of the server only these.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{Decision, GrantState, Origin, RequestState};
use crate::audit::{Event, Filter, RecordedVerdict};

/// Says that a search left older records out.
pub const MORE_HEADER: &str = "pgward-more";
/// Says which replicas could not be asked.
pub const MISSING_HEADER: &str = "pgward-missing";

/// Asks for access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccessRequest {
    /// The scope's name.
    pub scope: String,
    /// How long the grant shall live, in seconds.
    pub duration_seconds: u64,
    /// Why, for the approvers and for the journal.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Not before this instant; at approval where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts: Option<Timestamp>,
    /// Only this one statement, by its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// How often the statement may run; as often as the window lets it where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// A word that goes with a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `digest` of the request as the approver saw it: where it was edited since, the decision is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Why something is ended early.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One access request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    pub id: String,
    /// `pending`, `approved`, `denied`, `withdrawn` or `expired`.
    #[schema(value_type = String, example = "pending")]
    pub state: RequestState,
    /// What came of it, once the last approval is given.
    pub grant: Option<GrantWindow>,
    pub principal: String,
    pub scope: String,
    pub database: String,
    pub reason: String,
    pub ticket: Option<String>,
    pub duration_seconds: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts: Option<Timestamp>,
    pub statement: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Distinct people whose approval it needs in all.
    pub approvals_needed: u32,
    /// Who may decide: `@group` or user.
    pub approvers: Vec<String>,
    /// What it needs, rule by rule. One person fills one place.
    pub requirements: Vec<RequirementView>,
    pub decisions: Vec<DecisionView>,
    /// Of what is shown here: a decision that names it counts only while the request is the same.
    pub digest: String,
    /// How often it was edited.
    pub revision: u32,
    /// The labels of the data that the scope may touch.
    pub labels: Vec<String>,
    /// When it expires unless it is decided on.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// `asked`, `rule` or `break_glass`.
    #[schema(value_type = String, example = "asked")]
    pub origin: Origin,
    /// The grant that it is to prolong.
    pub extends: Option<String>,
    /// How often its statement may run.
    pub uses: Option<u32>,
    /// What its statement does, as it was looked at when it was filed or edited.
    pub analysis: Option<AnalysisView>,
    pub you_may: YouMay,
}

/// What one statement does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnalysisView {
    /// `SELECT`, `DELETE`, …
    pub kind: String,
    pub relations: Vec<RelationView>,
    pub functions: Vec<String>,
    /// The labels of the data that it touches, and the regions where that lies.
    pub labels: Vec<String>,
    pub regions: Vec<String>,
    /// Why it would be refused from where it was asked for, though the scope allows it.
    pub refused: Option<String>,
    /// What the database's planner expects.
    pub estimate: Option<EstimateView>,
    /// Why there is no estimate.
    pub no_estimate: Option<String>,
}

/// What a database's planner expects of a statement that it was not asked to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EstimateView {
    /// That it returns or changes.
    pub rows: u64,
    /// In the planner's units.
    pub cost: u64,
    /// One node a line, indented.
    pub plan: Vec<String>,
}

/// Approvals that a request needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequirementView {
    pub why: String,
    /// `@group` or user.
    pub approvers: Vec<String>,
    pub needed: u32,
    /// Who has given theirs.
    pub given: Vec<String>,
}

/// What the caller may do with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct YouMay {
    pub approve: bool,
    pub deny: bool,
    pub withdraw: bool,
    pub edit: bool,
}

/// What is to be changed of a request; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestChanges {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// For how much longer a grant is wanted, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantExtension {
    /// After its end.
    pub duration_seconds: u64,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// Opens a scope at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    pub scope: String,
    pub duration_seconds: u64,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// The review that is owed after an emergency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewView {
    pub grant: GrantView,
    #[schema(value_type = String, format = DateTime)]
    pub due: Timestamp,
    /// Whether it is late.
    pub overdue: bool,
    pub closed: Option<ReviewClosingView>,
    pub you_may_close: bool,
}

/// Who has looked, when, and what they found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewClosingView {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub by: String,
    pub note: String,
}

/// What was done, and whether it had to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    pub note: String,
}

/// Which reviews to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReviewFilter {
    /// Those that are closed, too.
    #[serde(default)]
    pub all: bool,
}

/// The life of the grant that came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantWindow {
    pub id: String,
    #[schema(value_type = String, format = DateTime)]
    pub not_before: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// One approver's yes or no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    pub approver: String,
    /// `approve` or `deny`.
    #[schema(value_type = String, example = "approve")]
    pub decision: Decision,
    pub note: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    pub id: String,
    /// `pending`, `live`, `expired` or `revoked`.
    #[schema(value_type = String, example = "live")]
    pub state: GrantState,
    pub principal: String,
    pub database: String,
    pub scope: String,
    pub regions: Vec<String>,
    pub request: String,
    pub reason: String,
    pub ticket: Option<String>,
    pub approvers: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    pub not_before: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    pub statement: Option<String>,
    /// How often that statement may run, and how often it still may.
    pub uses: Option<u32>,
    pub uses_left: Option<u32>,
    /// `asked`, `rule` or `break_glass`.
    #[schema(value_type = String, example = "asked")]
    pub origin: Origin,
    /// The labels of the data that the scope may touch.
    pub labels: Vec<String>,
    pub revocation: Option<RevocationView>,
}

/// Who ended a grant early, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationView {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub by: String,
    pub reason: Option<String>,
}

/// One live session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    pub id: String,
    pub principal: String,
    pub database: String,
    pub client_addr: String,
    pub client_region: Option<String>,
    pub application_name: String,
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    pub grants: Vec<String>,
    /// The statement that runs now.
    pub statement: Option<String>,
    /// Rows that it has returned so far.
    #[serde(default)]
    pub rows: Option<u64>,
    /// Statements so far.
    pub statements: u64,
    /// The replica that serves it, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
}

/// What became of a session that was to be ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Killed {
    pub id: String,
    pub killed: bool,
}

/// A principal whose statements do not run until somebody has looked at what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldView {
    pub principal: String,
    /// What was unusual.
    pub why: String,
}

/// Asks for a database password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    pub database: String,
}

/// A database password, shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialView {
    pub user: String,
    pub password: String,
    pub host: String,
    pub port: u16,
    pub database: String,
    /// A connection URI with all of the above.
    pub dsn: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for CredentialView {
    /// Leaves the password out, so that no log line can hold it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialView")
            .field("user", &self.user)
            .field("database", &self.database)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Asks what the verdict on a statement would be. Nothing is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub database: String,
    pub sql: String,
    /// The caller where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What the verdict would be, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainView {
    pub verdict: VerdictWord,
    /// The grant that allows it.
    pub grant: Option<String>,
    /// The rule that refuses it.
    pub rule: Option<String>,
    pub detail: Option<String>,
    /// The command that would ask for what is missing.
    pub hint: Option<String>,
    pub relations: Vec<RelationView>,
    pub fingerprint: Option<String>,
    /// How the verdict came about, in order.
    pub steps: Vec<String>,
}

/// Whether a statement may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictWord {
    Allow,
    Deny,
}

/// One relation that a statement touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelationView {
    /// `schema.name`
    pub name: String,
    pub operation: String,
    /// Sorted names; `["*"]` is the whole row.
    pub columns: Vec<String>,
}

/// A scope that the caller may ask for or decide on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScopeView {
    pub name: String,
    pub database: String,
    pub regions: Vec<String>,
    pub requesters: Vec<String>,
    pub approvers: Vec<String>,
    pub approvals: u32,
    pub max_duration_seconds: u64,
    /// Rows that one statement may return.
    pub row_limit: Option<u64>,
    /// Bytes of rows that one statement may return.
    pub byte_limit: Option<u64>,
    /// How long one statement may run.
    pub statement_timeout_seconds: Option<u64>,
    /// Whether an UPDATE or DELETE may do without a condition.
    pub unfiltered_writes: bool,
    /// Whether a session must give a reason before anything runs.
    pub require_reason: bool,
    /// Whether statements run in READ ONLY transactions.
    pub read_only: bool,
    /// All of these in words; empty where nothing bounds a statement.
    pub guards: String,
    pub allow: Vec<PrivilegeView>,
    pub require_ticket: bool,
    /// How long a statement that lacks a grant waits for one.
    pub hold_seconds: Option<u64>,
    /// Requests for at most this long need nobody's approval.
    pub auto_approve_seconds: Option<u64>,
    /// The labels of the data that it may touch.
    pub labels: Vec<String>,
    pub may_request: bool,
    pub may_approve: bool,
    /// For how long the caller may open it in an emergency.
    pub break_glass_seconds: Option<u64>,
}

/// Part of what a scope allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrivilegeView {
    pub on: Vec<String>,
    pub columns: Option<Vec<String>>,
    #[serde(rename = "do")]
    pub operations: Vec<String>,
    pub functions: Vec<String>,
}

/// Who the caller is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    pub name: String,
    pub groups: Vec<String>,
    pub admin: bool,
    pub auditor: bool,
    /// `token` or `oidc`: what the caller showed.
    #[serde(default)]
    pub login: String,
    /// Of a browser's session: what `X-CSRF-Token` has to be on each call that changes something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
    /// Of a browser's session: its end, however much it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<Timestamp>,
    pub databases: Vec<DatabaseView>,
}

/// How one can log in here. Anybody may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginOptions {
    /// By a control token.
    pub token: bool,
    /// By an identity provider.
    pub oidc: Option<OidcLogin>,
}

/// What a program on somebody's own machine logs in by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OidcLogin {
    pub issuer: String,
    pub client_id: String,
    pub scope: String,
}

/// Where clients reach one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatabaseView {
    pub name: String,
    pub region: String,
    pub host: String,
    pub port: u16,
}

/// Whether the journal is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    pub ok: bool,
    /// Records that were read.
    pub records: u64,
    /// The first record that is not as it was written.
    pub first_bad: Option<u64>,
    /// What is wrong, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Each replica's journal, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journals: Vec<JournalVerification>,
}

/// Whether one replica's journal is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalVerification {
    /// Its identity.
    pub journal: String,
    pub replica: String,
    pub state: JournalState,
    /// Records that were read.
    pub records: u64,
    /// Records that the store knows it had.
    pub published: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What is known of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    /// Every record is as it was written, and none that was published is gone.
    Whole,
    /// A record is not as it was written.
    Bad,
    /// It has fewer records than it had published.
    Behind,
    /// It cannot be read here now.
    Missing,
}

impl JournalVerification {
    /// A journal that its replica has read.
    #[must_use]
    pub fn of(journal: String, replica: String, report: &Verification, published: u64) -> Self {
        let (records, first_bad) = (report.records, report.first_bad);
        let (state, detail) = match (report.ok, records < published) {
            (false, _) => (JournalState::Bad, report.detail.clone()),
            (true, true) => {
                let gone = format!("it has {records} records and had published {published}: its end was cut off");
                (JournalState::Behind, Some(gone))
            }
            (true, false) => (JournalState::Whole, None),
        };
        Self { journal, replica, state, records, published, first_bad, detail }
    }

    /// One that nobody has read.
    #[must_use]
    pub fn missing(journal: String, replica: String, published: u64, why: String) -> Self {
        let (state, detail) = (JournalState::Missing, Some(why));
        Self { journal, replica, state, records: 0, published, first_bad: None, detail }
    }
}

/// Which requests to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RequestFilter {
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub state: Option<RequestState>,
}

/// Which grants to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GrantFilter {
    /// Those that are over, too.
    #[serde(default)]
    pub all: bool,
}

/// A legal hold to place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHold {
    /// The records to hold, as a search finds them.
    #[schema(value_type = Object)]
    pub filter: AuditFilter,
    pub reason: String,
}

/// A legal hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HoldView {
    pub id: String,
    /// The records that it holds.
    #[schema(value_type = Object)]
    pub filter: serde_json::Value,
    pub reason: String,
    /// Who placed it.
    pub by: String,
    #[schema(value_type = String, format = DateTime)]
    pub placed: Timestamp,
}

impl From<crate::audit::Hold> for HoldView {
    fn from(hold: crate::audit::Hold) -> Self {
        let mut filter = serde_json::to_value(&hold.filter).unwrap_or_default();
        if let Some(fields) = filter.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        Self { id: hold.id, filter, reason: hold.reason, by: hold.by, placed: hold.placed }
    }
}

/// What a purge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurgeView {
    /// Buckets of records whose keys were destroyed.
    pub buckets: usize,
    /// Records among them that holds keep.
    pub held: usize,
    /// Segments that were removed.
    pub segments: usize,
}

/// Which records of the journal to read. All conditions hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// A request that what was recorded rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// `schema.name` of a relation that the statement touches, or its bare name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
    /// `schema.table.column` that the statement reads or writes, `table.column`, or its bare name. Where a table is named,
    /// statements that read its whole rows are found too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What the statement does: `SELECT`, `UPDATE`, …, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The client's region, the upstream's, or that of the data touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What the record speaks of: `statement`, `session_open`, `grant_created`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub event: Option<Event>,
    /// How many rows the statement returned or changed: `>N`, `<N`, `N..M` or `N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The rule that refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The error that it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// `allow` or `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub verdict: Option<VerdictWord>,
    /// Text that the statement holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// The newest so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Of a tail: first the newest so many that are there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
}

impl AuditFilter {
    /// The filter as the journal knows it.
    ///
    /// # Errors
    /// What is wrong with the number of rows.
    pub fn read(self) -> Result<Filter, String> {
        Ok(Filter {
            principal: self.principal,
            database: self.database,
            grant: self.grant,
            session: self.session,
            request: self.request,
            relation: self.relation,
            column: self.column,
            kind: self.kind,
            region: self.region,
            verdict: self.verdict.map(|verdict| match verdict {
                VerdictWord::Allow => RecordedVerdict::Allow,
                VerdictWord::Deny => RecordedVerdict::Deny,
            }),
            event: self.event,
            fingerprint: self.fingerprint,
            rule: self.rule,
            sqlstate: self.sqlstate,
            rows: self.rows.map(|text| text.parse()).transpose()?,
            text: self.text,
            since: self.since,
            until: self.until,
            limit: self.limit,
        })
    }
}
