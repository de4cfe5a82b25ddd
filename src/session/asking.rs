//! What a session asks of the desk for its principal: for access, for what became of it. `app` gives the desk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::pass::Answer;
use crate::access::{Principal, RequestId, RequestState, spell};
use crate::policy::{Denial, Rule};
use crate::sql::tree::{Action, Call, Expr, Literal, Statement};
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

/// What a statement asks of the desk, if that is what it does.
#[must_use]
pub fn asked(statement: &Statement) -> Option<Result<Ask, Box<Denial>>> {
    match &statement.action {
        Action::Call(call) if call.is_pgward() => Some(wish(call).map(Ask::File)),
        Action::Show(Some(name)) if name == REQUESTS => Some(Ok(Ask::Requests)),
        _ => None,
    }
}

/// `SHOW` this.
const REQUESTS: &str = "pgward.requests";
const PARAMETERS: [&str; 4] = ["scope", "duration", "reason", "ticket"];

/// The arguments of `CALL pgward.request(scope, duration, reason [, ticket])`, by place or by name.
fn wish(call: &Call) -> Result<Wish, Box<Denial>> {
    if call.name.parts.last().is_none_or(|name| name.as_str() != "request") {
        return Err(malformed(format!("there is no procedure {}", call.name)));
    }
    let mut given: [Option<String>; 4] = Default::default();
    for (place, argument) in call.arguments.iter().enumerate() {
        let at = match &argument.name {
            Some(name) => PARAMETERS.iter().position(|known| *known == name.as_str()),
            None => Some(place),
        };
        let slot = at.and_then(|at| given.get_mut(at));
        let slot =
            slot.ok_or_else(|| malformed("pgward.request takes scope, duration, reason and ticket".to_owned()))?;
        let Expr::Literal(Literal::String(text)) = &argument.expr else {
            return Err(malformed("the arguments of pgward.request must be string constants".to_owned()));
        };
        *slot = Some(text.to_string());
    }
    let [Some(scope), Some(duration), Some(reason), ticket] = given else {
        return Err(malformed("pgward.request needs a scope, a duration and a reason".to_owned()));
    };
    let duration = interval(&duration)
        .ok_or_else(|| malformed(format!("\"{duration}\" is not a duration, such as \"30 minutes\" or \"1h\"")))?;
    // A reason that is a ticket's number is one.
    let ticket = ticket.or_else(|| is_ticket(&reason).then(|| reason.clone()));
    Ok(Wish { scope, duration, reason, ticket, statement: None })
}

fn malformed(message: String) -> Box<Denial> {
    Box::new(Denial {
        rule: Rule::Statement,
        message,
        detail: "pgward answers this statement itself.".to_owned(),
        hint: Some("CALL pgward.request('scope', '30 minutes', 'why');".to_owned()),
    })
}

/// `30 minutes`, `1 hour 30 min`, `1h30m`: amounts with their units.
fn interval(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (amount, tail) = rest.split_at(digits);
        let tail = tail.trim_start();
        let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let factor = match unit.to_ascii_lowercase().as_str() {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            _ => return None,
        };
        seconds = amount.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(seconds)?;
        rest = tail.trim_start();
    }
    (!text.trim().is_empty()).then(|| Duration::from_secs(seconds))
}

/// `INC-4711`
fn is_ticket(text: &str) -> bool {
    let Some((project, number)) = text.split_once('-') else { return false };
    let is_project = project.starts_with(|c: char| c.is_ascii_uppercase())
        && project.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    is_project && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
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
    Answer { columns: &["request", "state", "grant", "needs"], rows: vec![cells] }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("30 minutes", Some(1800)),
            ("1h30m", Some(5400)),
            ("1 hour 30 min", Some(5400)),
            (" 2 Days ", Some(172_800)),
            ("45s", Some(45)),
            ("", None),
            ("30", None),
            ("minutes", None),
            ("-5 minutes", None),
            ("1 month", None),
            ("99999999999999999999 days", None),
        ] {
            assert_eq!(interval(text), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_reason_may_be_a_ticket() {
        for (text, expected) in [
            ("INC-4711", true),
            ("A1-1", true),
            ("inc-1", false),
            ("INC-", false),
            ("INC-1 slow", false),
            ("-1", false),
        ] {
            assert_eq!(is_ticket(text), expected, "{text}");
        }
    }
}
