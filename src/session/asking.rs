//! What a session asks of the desk for its principal: for access, for what became of it. `app` gives the desk.

pub mod arguments;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::pass::Answer;
use crate::access::{Principal, RequestId, RequestState, spell};
use crate::catalog::Oid;
use crate::policy::{Denial, Rule};
use crate::sql::tree::{Action, Call, Statement};
use crate::wire::encode::ClientVisible;

/// Whose session it is.
#[derive(Clone, Debug)]
pub struct Asker {
    pub principal: Principal,
    /// As records have it.
    pub address: String,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub scope: String,
    pub duration: Duration,
    pub reason: String,
    pub ticket: Option<String>,
    /// This one statement alone.
    pub statement: Option<String>,
}

/// A request, as its session is told of it.
#[derive(Clone, Debug)]
pub struct Told {
    pub id: RequestId,
    pub state: RequestState,
    pub scope: String,
    pub duration: Duration,
    pub filed: String,
    pub expires: String,
    pub grant: Option<String>,
    /// Whose approval is missing.
    pub needs: String,
    pub reason: String,
    /// Who denied it, and why.
    pub denied: Option<String>,
}

/// Why nothing was filed.
#[derive(Clone, Debug)]
pub struct NotFiled {
    pub message: String,
    pub hint: Option<String>,
}

/// The desk, as sessions know it.
#[async_trait]
pub trait Asking: Send + Sync + std::fmt::Debug {
    /// Files a request.
    async fn file(&self, asker: &Asker, wish: Wish) -> Result<Told, NotFiled>;

    /// The principal's own requests, oldest first.
    async fn requests(&self, asker: &Asker) -> Result<Vec<Told>, NotFiled>;

    /// What became of one of them.
    async fn look(&self, asker: &Asker, id: &RequestId) -> Result<Told, NotFiled>;

    /// Takes one back, where it is still pending.
    async fn withdraw(&self, asker: &Asker, id: &RequestId);
}

/// What the gate wants to know before it judges a message.
#[derive(Clone, Debug)]
pub enum Ask {
    File(Wish),
    Requests,
    /// The statement lacks nothing but a grant: it waits for one, so long.
    Hold {
        wish: Wish,
        wait: Duration,
        denial: Box<Denial>,
    },
}

/// What the gate is told.
#[derive(Debug)]
pub enum Reply {
    Answer(Answer),
    /// With what the client is told in its place, where that is something else.
    Refused(Box<Denial>, Option<Box<ClientVisible>>),
    /// The grant is there: what was held is judged again.
    Granted,
}

/// What stands for the parameters of a text.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// A Query has none.
    None,
    /// What a Bind gives, each with whether it is binary, and of which types; 0 is not known.
    Bound(&'a [(bool, Option<&'a [u8]>)], &'a [Oid]),
}

/// Whether a statement asks something of the desk.
#[must_use]
pub fn asks(statement: &Statement) -> bool {
    call(statement).is_some() || shows_requests(statement)
}

/// The CALL of a procedure of pgward's own.
#[must_use]
pub fn call(statement: &Statement) -> Option<&Call> {
    if let Action::Call(call) = &statement.action { Some(call).filter(|call| call.is_pgward()) } else { None }
}

/// The command tag of a statement that pgward answers itself, where it is not what the upstream says of the answer.
#[must_use]
pub fn command_tag(statement: &Statement) -> Option<&'static str> {
    call(statement).map(|_| "CALL")
}

/// What a statement asks of the desk, if that is what it does.
#[must_use]
pub fn asked(statement: &Statement, values: Values<'_>) -> Option<Result<Ask, Box<Denial>>> {
    match call(statement) {
        Some(call) => Some(arguments::wish(call, values).map(Ask::File)),
        None => shows_requests(statement).then_some(Ok(Ask::Requests)),
    }
}

fn shows_requests(statement: &Statement) -> bool {
    matches!(&statement.action, Action::Show(Some(name)) if name == REQUESTS)
}

/// `SHOW` this.
const REQUESTS: &str = "pgward.requests";

/// What a request that is filed is told by.
const FILED: [&str; 4] = ["request", "state", "grant", "needs"];

/// The shape of what a filed request is answered with, before it is filed.
#[must_use]
pub fn unfiled() -> Answer {
    Answer { columns: &FILED, rows: Vec::new() }
}

/// What a filed request is answered with.
#[must_use]
pub fn filed(told: &Told) -> Answer {
    let cells = vec![
        told.id.to_string(),
        told.state.as_str().to_owned(),
        told.grant.clone().unwrap_or_default(),
        told.needs.clone(),
    ];
    Answer { columns: &FILED, rows: vec![cells] }
}

/// What `SHOW pgward.requests` is answered with.
#[must_use]
pub fn listed(all: &[Told]) -> Answer {
    let row = |told: &Told| {
        vec![
            told.id.to_string(),
            told.scope.clone(),
            told.state.as_str().to_owned(),
            spell(told.duration),
            told.filed.clone(),
            told.expires.clone(),
            told.needs.clone(),
            told.reason.clone(),
        ]
    };
    Answer {
        columns: &["request", "scope", "state", "for", "filed", "expires", "needs", "reason"],
        rows: all.iter().map(row).collect(),
    }
}

/// The refusal of what was not filed.
#[must_use]
pub fn not_filed(why: NotFiled) -> Denial {
    Denial {
        rule: Rule::Statement,
        message: format!("nothing was asked for: {}", why.message),
        detail: "The request was not filed.".to_owned(),
        hint: why.hint,
    }
}

/// Where nobody can be asked.
#[must_use]
pub fn nobody() -> NotFiled {
    NotFiled { message: "there is no desk to ask at".to_owned(), hint: None }
}

/// A desk that is there, or not.
pub type Desk = Option<Arc<dyn Asking>>;
