//! Answers the control port's question "what would the verdict be, and why?" with the very functions that judge sessions.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashSet;
use tokio_util::sync::CancellationToken;

use crate::access::{Clock, GrantId};
use crate::catalog::{self, Snapshot};
use crate::control::api::{RelationView, VerdictWord};
use crate::control::{Explain, ExplainAnswer, ExplainError, ExplainQuestion};
use crate::policy::{self, Context, Explanation, SessionState};
use crate::session::{DatabaseSettings, Dependencies, Server};
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

    fn context(&self, question: &ExplainQuestion, settings: &DatabaseSettings, snapshot: &Snapshot) -> Context {
        let Dependencies { grants, clock, region_networks, .. } = &self.parts;
        let (grants, clock): (&GrantBook, &Clock) = (grants, clock);
        let may_request = |scope: &&crate::access::Scope| scope.may_request(&question.principal);
        Context {
            database: Arc::clone(&settings.policy),
            principal: question.principal.name.clone(),
            client_region: region_networks.load().region_of(question.client).cloned(),
            grants: grants.subscribe(&question.principal.name, &question.database).borrow().grants.clone(),
            now: clock.now(),
            search_paths: snapshot.search_paths(),
            // A question has no session: it is asked of one that was opened now and has given its reason.
            session: SessionState { has_reason: true, opened_read_only: true, writable: false },
            requestable: settings.scopes.iter().filter(may_request).cloned().map(Arc::new).collect(),
        }
    }
}

#[async_trait::async_trait]
impl Explain for Explainer {
    async fn explain(&self, question: ExplainQuestion) -> Result<ExplainAnswer, ExplainError> {
        let settings = self.parts.databases.load().get(&question.database).cloned();
        let settings = settings.ok_or_else(|| ExplainError::NoDatabase(question.database.clone()))?;
        let snapshot = self.snapshot(&question.database).await?;
        let context = self.context(&question, &settings, &snapshot);
        let judged = tokio::task::spawn_blocking(move || judge(&question.sql, &snapshot, &context));
        judged.await.map_err(|_| ExplainError::Failed("the analysis broke off".to_owned()))
    }

    fn not_ready(&self) -> Vec<String> {
        let databases = self.parts.databases.load();
        let mut missing: Vec<String> = databases.keys().filter(|name| !self.known.contains(*name)).cloned().collect();
        missing.sort();
        missing
    }
}

/// The first statement that would be refused decides; else the last.
fn judge(text: &str, snapshot: &Snapshot, context: &Context) -> ExplainAnswer {
    let statements = match sql::read(text, &Limits::default()) {
        Ok(statements) => statements,
        Err(unreadable) => return refused("unreadable", format!("{unreadable}, at byte {}", unreadable.position)),
    };
    let mut answer = refused("unreadable", "there is no statement".to_owned());
    for statement in &statements {
        let resolved = catalog::resolve(snapshot, &statement.action);
        answer = answer_of(policy::explain(statement, text, &resolved, context));
        if answer.verdict == VerdictWord::Deny {
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
