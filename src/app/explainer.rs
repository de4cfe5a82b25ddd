//! Answers the control port's question "what would the verdict be, and why?" with the very functions that judge sessions.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashSet;
use tokio_util::sync::CancellationToken;

use crate::access::{Clock, Estimate, GrantId};
use crate::catalog::{self, Snapshot};
use crate::control::api::{RelationView, VerdictWord};
use crate::control::{Explain, ExplainAnswer, ExplainError, ExplainQuestion};
use crate::policy::{self, Context, Denial, Explanation, SessionState};
use crate::session::{DatabaseSettings, Dependencies, Estimated, Explained, Server, find_database};
use crate::sql::{self, Limits};
use crate::store::GrantBook;

/// Between two tries to read the catalogs of an upstream that did not answer.
const RETRY: Duration = Duration::from_secs(5);

/// Judges without running.
#[derive(Debug)]
pub struct Explainer {
    server: Arc<Server>,
    parts: Dependencies,
    /// Databases whose catalogs were read once.
    known: DashSet<String>,
}

impl Explainer {
    pub fn new(server: Arc<Server>, parts: Dependencies) -> Self {
        Self { server, parts, known: DashSet::new() }
    }

    /// Reads the catalogs of every database once, so that readiness is honest and the first session need not wait.
    pub async fn warm_up(self: Arc<Self>, stop: CancellationToken) {
        loop {
            for database in self.not_ready() {
                if let Some(Ok(_)) = self.server.catalogs(&database).await {
                    self.known.insert(database);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn snapshot(&self, database: &str) -> Result<Arc<Snapshot>, ExplainError> {
        match self.server.catalogs(database).await {
            None => Err(ExplainError::NoDatabase(database.to_owned())),
            Some(Err(_)) => Err(ExplainError::NotReady(database.to_owned())),
            Some(Ok(snapshot)) => {
                self.known.insert(database.to_owned());
                Ok(snapshot)
            }
        }
    }

    /// What a statement is judged by.
    pub(super) async fn prepare(
        &self,
        question: &ExplainQuestion,
    ) -> Result<(Arc<DatabaseSettings>, Arc<Snapshot>, Context), ExplainError> {
        let settings = find_database(&self.parts.databases.load(), &question.database);
        let settings = settings.ok_or_else(|| ExplainError::NoDatabase(question.database.clone()))?;
        let snapshot = self.snapshot(&settings.route).await?;
        let context = self.context(question, &settings, &snapshot).await?;
        Ok((settings, snapshot, context))
    }

    /// Why PostgreSQL's own reading of a text refuses it, where it does.
    pub(super) async fn second_denial(&self, route: &str, text: &str, snapshot: &Snapshot) -> Option<Denial> {
        let explained = self.server.second_opinion(route, text, snapshot).await.unwrap_or_default();
        explained.into_iter().find_map(|explained| explained.denial)
    }

    /// What the upstream's planner expects of a statement.
    pub(super) async fn estimate(&self, route: &str, text: &str, search_path: &str) -> Estimate {
        match self.server.estimate(route, text, search_path).await {
            Ok(Estimated { rows, cost, plan }) => Estimate::Planned { rows, cost, plan },
            Err(why) => Estimate::Unknown(why),
        }
    }

    async fn context(
        &self,
        question: &ExplainQuestion,
        settings: &DatabaseSettings,
        snapshot: &Snapshot,
    ) -> Result<Context, ExplainError> {
        let Dependencies { grants, clock, region_networks, .. } = &self.parts;
        let (grants, clock): (&GrantBook, &Clock) = (grants, clock);
        let grants = grants.subscribe(&question.principal.name, &settings.policy.name).borrow().grants.clone();
        let exported = self.server.exported(&grants).await;
        let exported = exported.map_err(|error| ExplainError::Failed(error.to_string()))?;
        let writable = grants.iter().any(|grant| grant.is_live_at(clock.now()) && !grant.scope.is_read_only());
        let may_request = |scope: &&Arc<crate::access::Scope>| scope.may_request(&question.principal);
        Ok(Context {
            database: Arc::clone(&settings.policy),
            principal: question.principal.name.as_str().into(),
            client_region: region_networks.load().region_of(question.client).cloned(),
            grants,
            now: clock.now(),
            search_paths: snapshot.search_paths(),
            // A question has no session: it is asked of one that was opened now and has given its reason.
            session: SessionState { has_reason: true, writable, opened_read_only: !writable },
            requestable: settings.scopes.iter().filter(may_request).cloned().collect(),
            exported,
            goes_on: None,
        })
    }
}

#[async_trait::async_trait]
impl Explain for Explainer {
    async fn explain(&self, question: ExplainQuestion) -> Result<ExplainAnswer, ExplainError> {
        let (settings, snapshot, context) = self.prepare(&question).await?;
        let (text, by) = (question.sql.clone(), Arc::clone(&snapshot));
        let judged = tokio::task::spawn_blocking(move || judge(&text, &by, &context));
        let answer = judged.await.map_err(|_| ExplainError::Failed("the analysis broke off".to_owned()))?;
        if answer.verdict == VerdictWord::Deny {
            return Ok(without_secrets(answer, &question.sql));
        }
        let second = self.server.second_opinion(&settings.route, &question.sql, &snapshot).await;
        Ok(without_secrets(with_second_opinion(answer, second.unwrap_or_default()), &question.sql))
    }

    fn not_ready(&self) -> Vec<String> {
        let databases = self.parts.databases.load();
        let mut missing: Vec<String> = databases.keys().filter(|name| !self.known.contains(*name)).cloned().collect();
        missing.sort();
        missing
    }
}

/// An answer quotes no secret of the question's.
fn without_secrets(mut answer: ExplainAnswer, text: &str) -> ExplainAnswer {
    let redacted = sql::redact(text, None);
    let ExplainAnswer { detail, hint, steps, .. } = &mut answer;
    for said in detail.iter_mut().chain(hint).chain(steps) {
        *said = redacted.scrub(said).into_owned();
    }
    answer
}

/// The first statement that would be refused decides; else the last.
fn judge(text: &str, snapshot: &Snapshot, context: &Context) -> ExplainAnswer {
    let statements = match sql::read(text, &Limits::default()) {
        Ok(statements) => statements,
        Err(unreadable) => return refused("unreadable", format!("{unreadable}, at byte {}", unreadable.position)),
    };
    let mut answer = refused("unreadable", "there is no statement".to_owned());
    let mut steps = Vec::new();
    for (index, statement) in statements.iter().enumerate() {
        let (start, end) = (statement.range.start, statement.range.end);
        let (number, all) = (index + 1, statements.len());
        steps.push(format!("statement {number} of {all} is {}, bytes {start} to {end}", statement.kind));
        let (resolved, mut told) = catalog::resolve_told(snapshot, &statement.action);
        steps.append(&mut told);
        answer = answer_of(policy::explain(statement, text, &resolved, context));
        steps.append(&mut answer.steps);
        if answer.verdict == VerdictWord::Deny {
            break;
        }
    }
    answer.steps = steps;
    answer
}

/// An allowing answer with what PostgreSQL said, and denied where that refuses.
fn with_second_opinion(mut answer: ExplainAnswer, second: Vec<Explained>) -> ExplainAnswer {
    for explained in second {
        answer.steps.push(explained.step);
        if let Some(denial) = explained.denial {
            answer.verdict = VerdictWord::Deny;
            answer.grant = None;
            answer.rule = Some(denial.rule.as_str().to_owned());
            answer.detail = Some(format!("{}. {}", denial.message, denial.detail));
            answer.hint = denial.hint;
            break;
        }
    }
    answer
}

fn refused(rule: &str, detail: String) -> ExplainAnswer {
    ExplainAnswer {
        verdict: VerdictWord::Deny,
        grant: None,
        rule: Some(rule.to_owned()),
        detail: Some(detail),
        hint: None,
        relations: Vec::new(),
        fingerprint: None,
        steps: Vec::new(),
    }
}

fn answer_of(explanation: Explanation) -> ExplainAnswer {
    let relations = explanation.relations.into_iter().map(|relation| RelationView {
        name: relation.name,
        operation: relation.operation.to_owned(),
        columns: relation.columns.unwrap_or_else(|| vec!["*".to_owned()]),
    });
    ExplainAnswer {
        verdict: if explanation.verdict == "allow" { VerdictWord::Allow } else { VerdictWord::Deny },
        grant: explanation.grant.map(GrantId::from_text),
        rule: explanation.rule.map(str::to_owned),
        detail: Some(explanation.detail),
        hint: explanation.hint,
        relations: relations.collect(),
        fingerprint: Some(explanation.fingerprint),
        steps: explanation.steps,
    }
}
