//! pgward's own verdict on one text, as the library gives it.

use pgward::catalog::{Footprint, Snapshot, Unresolved, resolve};
use pgward::policy::{Context, Denial, Verdict, decide};
use pgward::sql::{self, Limits, Statement, Unreadable};

/// What pgward says to a text.
#[derive(Debug)]
pub enum Judgement {
    Allows,
    Denies { read: Box<Read>, denial: Denial },
    Unreadable(Unreadable),
}

/// One statement as pgward understood it.
#[derive(Debug)]
pub struct Read {
    pub statement: Statement,
    pub resolved: Result<Footprint, Unresolved>,
}

pub fn judge(text: &str, snapshot: &Snapshot, context: &Context) -> Judgement {
    let statements = match sql::read(text, &Limits::default()) {
        Ok(statements) => statements,
        Err(unreadable) => return Judgement::Unreadable(unreadable),
    };
    for statement in statements {
        let resolved = resolve(snapshot, &statement.action);
        match decide(&statement, text, &resolved, context) {
            Verdict::Allow(_permit) => {}
            Verdict::Deny(denial) => {
                return Judgement::Denies { read: Box::new(Read { statement, resolved }), denial };
            }
        }
    }
    Judgement::Allows
}
