//! Looks at the statements of requests with the functions that judge sessions, and has the upstream's planner say what they would
//! cost.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::explainer::Explainer;
use crate::access::{Analysis, Estimate, Grant, Scope, Touched};
use crate::catalog::{self, Snapshot};
use crate::control::ExplainQuestion;
use crate::desk::{Actor, Analyse, NotAnalysed};
use crate::policy::{self, Context, SessionState};
use crate::sql::tree::Action;
use crate::sql::{self, Likeness, Limits};

/// Estimates that are asked for at once, of all databases.
const AT_ONCE: usize = 4;

/// Looks at statements; the desk is there before the data path that it asks.
#[derive(Debug)]
pub struct Analyst {
    explainer: OnceLock<Arc<Explainer>>,
    places: Semaphore,
}

/// A statement that a grant of the scope would let run.
struct Looked {
    analysis: Analysis,
    /// The planner can be asked about statements of its kind.
    has_plan: bool,
}

impl Analyst {
    pub fn new() -> Self {
        Self { explainer: OnceLock::new(), places: Semaphore::new(AT_ONCE) }
    }

    pub fn ask(&self, explainer: &Arc<Explainer>) {
        // There is one for the life of the process.
        let _ = self.explainer.set(Arc::clone(explainer));
    }
}

#[async_trait]
impl Analyse for Analyst {
    async fn analyse(&self, actor: &Actor, scope: &Scope, statement: &str) -> Result<Analysis, NotAnalysed> {
        let explainer = self.explainer.get().ok_or_else(|| not_now("pgward is still starting"))?;
        let question = ExplainQuestion {
            database: scope.database.clone(),
            principal: actor.principal.clone(),
            client: address(&actor.address),
            sql: statement.to_owned(),
        };
        let (settings, snapshot, context) = explainer.prepare(&question).await.map_err(not_now)?;
        let context = supposing(scope, context);
        let (text, by) = (statement.to_owned(), Arc::clone(&snapshot));
        let looked = tokio::task::spawn_blocking(move || look(&text, &by, &context)).await;
        let Looked { mut analysis, has_plan } = looked.map_err(|_| not_now("the analysis broke off"))??;
        if analysis.refused.is_none()
            && let Some(denial) = explainer.second_denial(&settings.route, statement, &snapshot).await
        {
            return Err(never(format!("{}. {}", denial.message, denial.detail), denial.hint));
        }
        if has_plan && analysis.refused.is_none() {
            let _place = self.places.acquire().await.map_err(not_now)?;
            analysis.estimate = explainer.estimate(&settings.route, statement, &snapshot.search_path).await;
        }
        Ok(analysis)
    }
}

/// As if the requester had such a grant, and nothing else.
fn supposing(scope: &Scope, context: Context) -> Context {
    let writable = !scope.is_read_only();
    Context {
        grants: [Arc::new(Grant::supposed(&Arc::new(scope.clone()), context.now))].into(),
        session: SessionState { has_reason: true, writable, opened_read_only: !writable },
        ..context
    }
}

fn look(text: &str, snapshot: &Snapshot, context: &Context) -> Result<Looked, NotAnalysed> {
    let statements = sql::read(text, &Limits::default())
        .map_err(|error| never(format!("it could not be read: {error}, at byte {}", error.position), None))?;
    let ([statement], Some(_)) = (statements.as_slice(), Likeness::of(text)) else {
        let why = format!("a request is for one statement; this text holds {}", statements.len());
        return Err(never(why, Some("File a request for each.".to_owned())));
    };
    if !sql::redact(text, Some(statement)).is_plain() {
        let why = "it holds a secret, which its approvers would be shown";
        return Err(never(why.to_owned(), Some("Leave the secret out, or put a parameter in its place.".to_owned())));
    }
    let resolved = catalog::resolve(snapshot, &statement.action);
    let explained = policy::explain(statement, text, &resolved, context);
    let refused = match explained.rule {
        None => None,
        // Where the session will be, and what will have left by then, is not known yet.
        Some("client-region" | "export") => Some(explained.detail),
        Some(_) => return Err(never(explained.detail, None)),
    };
    let relations = explained.relations.into_iter().map(|relation| Touched {
        name: relation.name,
        operation: relation.operation.to_owned(),
        columns: relation.columns.unwrap_or_else(|| vec!["*".to_owned()]),
    });
    let mut functions = explained.functions;
    functions.sort();
    functions.dedup();
    let has_plan = matches!(
        statement.action,
        Action::Query(_) | Action::Insert(_) | Action::Update(_) | Action::Delete(_) | Action::Merge(_)
    );
    let why = if has_plan { "it would be refused from there" } else { "statements of this kind have no plan" };
    let analysis = Analysis {
        kind: statement.kind.to_owned(),
        relations: relations.collect(),
        functions,
        labels: explained.labels,
        regions: explained.regions,
        refused,
        estimate: Estimate::Unknown(why.to_owned()),
    };
    Ok(Looked { analysis, has_plan })
}

/// Of a peer's address, or of nowhere.
fn address(text: &str) -> IpAddr {
    let with_port = text.parse::<SocketAddr>().map(|address| address.ip());
    with_port.or_else(|_| text.parse()).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn never(why: String, hint: Option<String>) -> NotAnalysed {
    NotAnalysed::Never { why, hint }
}

fn not_now(why: impl ToString) -> NotAnalysed {
    NotAnalysed::NotNow(why.to_string())
}
