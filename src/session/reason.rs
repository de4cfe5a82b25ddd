//! The reason that a session has given by `SET pgward.reason`: as PostgreSQL keeps a setting, undone with its
//! transaction, kept by COMMIT, put back by ROLLBACK TO.

use std::sync::Arc;

use crate::sql::tree::Name;

/// A reason; none, or one without a letter, is no reason.
pub type Reason = Option<Arc<str>>;

/// What a statement does to the reason, once it has succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReasonChange {
    /// SET and RESET.
    Set(Reason),
    /// SET LOCAL: until the transaction ends.
    SetLocal(Reason),
    Savepoint(Name),
    Release(Name),
    RollbackTo(Name),
    /// COMMIT, which the server answers by ROLLBACK where the transaction has failed.
    Commit,
    Rollback,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    /// What holds now.
    now: Reason,
    /// What holds once the transaction is committed.
    kept: Reason,
}

#[derive(Debug)]
struct Savepoint {
    name: Name,
    state: State,
}

/// The reason of one session, through its transactions.
#[derive(Debug, Default)]
pub struct Reasons {
    committed: Reason,
    /// What the transaction that runs has made of it, if it has touched it.
    changed: Option<State>,
    savepoints: Vec<Savepoint>,
    failed: bool,
}

/// Savepoints that are kept of one transaction; beyond it the oldest are forgotten, and what they would put back.
const MAX_SAVEPOINTS: usize = 1_000;

impl Reasons {
    #[must_use]
    pub fn current(&self) -> Reason {
        self.changed.as_ref().map_or_else(|| self.committed.clone(), |state| state.now.clone())
    }

    /// A statement has succeeded. `rolled_back`: the server has answered it by ROLLBACK.
    pub fn succeeded(&mut self, change: &ReasonChange, rolled_back: bool) {
        match change {
            ReasonChange::Set(reason) => self.changed = Some(State { now: reason.clone(), kept: reason.clone() }),
            ReasonChange::SetLocal(reason) => {
                let kept = self.state().kept;
                self.changed = Some(State { now: reason.clone(), kept });
            }
            ReasonChange::Savepoint(name) => {
                if self.savepoints.len() >= MAX_SAVEPOINTS {
                    self.savepoints.remove(0);
                }
                self.savepoints.push(Savepoint { name: name.clone(), state: self.state() });
            }
            ReasonChange::Release(name) => {
                if let Some(at) = self.place(name) {
                    self.savepoints.truncate(at);
                }
            }
            ReasonChange::RollbackTo(name) => {
                if let Some(at) = self.place(name) {
                    self.savepoints.truncate(at + 1);
                    self.changed = self.savepoints.last().map(|savepoint| savepoint.state.clone());
                }
            }
            ReasonChange::Commit => self.over(!rolled_back),
            ReasonChange::Rollback => self.over(false),
        }
    }

    /// The server reported an error: a transaction that ends by itself has not been committed.
    pub fn failed(&mut self) {
        self.failed = true;
    }

    /// The server is ready; outside of a transaction if `idle`.
    pub fn ready(&mut self, idle: bool) {
        if idle {
            self.over(!self.failed);
        }
        self.failed = false;
    }

    fn state(&self) -> State {
        let unchanged = || State { now: self.committed.clone(), kept: self.committed.clone() };
        self.changed.clone().unwrap_or_else(unchanged)
    }

    /// The last savepoint of a name is the one that is meant.
    fn place(&self, name: &Name) -> Option<usize> {
        self.savepoints.iter().rposition(|savepoint| savepoint.name == *name)
    }

    fn over(&mut self, committed: bool) {
        if let Some(state) = self.changed.take().filter(|_| committed) {
            self.committed = state.kept;
        }
        self.savepoints.clear();
    }
}

/// A reason as it counts: without white space around it, and none where nothing is left.
#[must_use]
pub fn reason(text: &str) -> Reason {
    let text = text.trim();
    (!text.is_empty()).then(|| Arc::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` sets, `-` resets, `l:a` sets locally, `s:x` `r:x` `b:x` are savepoints, `c` commits, `x` rolls back,
    /// `!` fails, `.` is idle, `,` is in a transaction.
    fn after(steps: &str) -> Option<String> {
        let mut reasons = Reasons::default();
        for step in steps.split(' ') {
            let change = match step.split_once(':') {
                Some(("l", value)) => ReasonChange::SetLocal(reason(value)),
                Some(("s", name)) => ReasonChange::Savepoint(name.into()),
                Some(("r", name)) => ReasonChange::Release(name.into()),
                Some((_, name)) => ReasonChange::RollbackTo(name.into()),
                None => match step {
                    "!" => {
                        reasons.failed();
                        continue;
                    }
                    "." | "," => {
                        reasons.ready(step == ".");
                        continue;
                    }
                    "-" => ReasonChange::Set(None),
                    "c" => ReasonChange::Commit,
                    "x" => ReasonChange::Rollback,
                    value => ReasonChange::Set(reason(value)),
                },
            };
            reasons.succeeded(&change, false);
        }
        reasons.current().map(|reason| reason.to_string())
    }

    #[test]
    fn a_reason_lives_as_a_setting_does() {
        for (steps, expected) in [
            ("a", Some("a")),
            ("a .", Some("a")),
            ("a ! .", None),
            ("a . b ! .", Some("a")),
            ("a . - .", None),
            (", a", Some("a")),
            (", a , x .", None),
            ("a . , b , x .", Some("a")),
            (", a , c . ! .", Some("a")),
            (", a , ! , x .", None),
            ("l:a", Some("a")),
            ("l:a .", None),
            ("a . , l:b ,", Some("b")),
            ("a . , l:b , c .", Some("a")),
            (", a , l:b , c .", Some("a")),
            (", a , s:x , b , b:x ,", Some("a")),
            (", a , s:x , b , b:x , b , b:x , c .", Some("a")),
            (", a , s:x , b , r:x , c .", Some("b")),
            (", s:x , a , b:x ,", None),
            (", a , s:x , b , s:x , d , b:x , r:x , b:x , c .", Some("a")),
            (", a , s:x , l:b , r:x ,", Some("b")),
            (", a , s:x , l:b , r:x , c .", Some("a")),
        ] {
            assert_eq!(after(steps).as_deref(), expected, "{steps}");
        }
    }

    #[test]
    fn a_commit_that_was_a_rollback_keeps_nothing() {
        let mut reasons = Reasons::default();
        reasons.succeeded(&ReasonChange::Set(reason("a")), false);
        reasons.succeeded(&ReasonChange::Commit, true);
        assert_eq!(reasons.current(), None);
    }

    #[test]
    fn blanks_are_no_reason() {
        assert_eq!(reason(" \t"), None);
        assert_eq!(reason(" INC-1 ").as_deref(), Some("INC-1"));
    }
}
