//! The servers that one upstream may be on, and which of them is in use. All sessions of a database go to one server: the one
//! whose catalogs they are judged by.

use std::time::Duration;

use tokio::sync::watch;

use super::settings::{Place, SessionAttrs};

/// What the one server in use is known by.
#[derive(Debug)]
pub struct Places {
    all: Vec<Place>,
    wanted: SessionAttrs,
    /// `None` before the first login.
    current: watch::Sender<Option<usize>>,
}

/// One server to try, and what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub at: usize,
    wanted: SessionAttrs,
}

/// What a server says of itself with each login, as PostgreSQL 14 and later do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub hot_standby: Option<bool>,
    pub read_only: Option<bool>,
}

/// Why a server that lets one log in is not the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsuited {
    #[error("the server is a standby")]
    Standby,
    #[error("the server is not a standby")]
    Primary,
    #[error("the server's transactions are read-only")]
    ReadOnly,
    #[error("the server's transactions may write")]
    ReadWrite,
    #[error("the server does not say whether it is a standby")]
    Silent,
    #[error("no server is configured")]
    Nowhere,
}

impl Places {
    #[must_use]
    pub fn new(all: Vec<Place>, wanted: SessionAttrs) -> Self {
        Self { all, wanted, current: watch::Sender::new(None) }
    }

    #[must_use]
    pub fn get(&self, at: usize) -> Option<&Place> {
        self.all.get(at)
    }

    #[must_use]
    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    #[must_use]
    pub fn current(&self) -> Option<usize> {
        *self.current.borrow()
    }

    /// Tells of each change of the server in use.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<usize>> {
        self.current.subscribe()
    }

    /// A login has succeeded there.
    pub fn settle(&self, at: usize) {
        self.current.send_if_modified(|current| current.replace(at) != Some(at));
    }

    /// What to try, in order: the server in use, for as long as it will do, then the others as they are configured.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        let current = self.current();
        let order = || {
            let others = (0..self.all.len()).filter(move |at| Some(*at) != current);
            current.into_iter().chain(others)
        };
        let each = |wanted: SessionAttrs| order().map(move |at| Attempt { at, wanted });
        match self.wanted {
            SessionAttrs::PreferStandby => {
                // Who is in use stays so: to go back and forth would end its sessions.
                let stay = current.map(|at| Attempt { at, wanted: SessionAttrs::Any });
                stay.into_iter().chain(each(SessionAttrs::Standby)).chain(each(SessionAttrs::Any)).collect()
            }
            SessionAttrs::Any
            | SessionAttrs::ReadWrite
            | SessionAttrs::ReadOnly
            | SessionAttrs::Primary
            | SessionAttrs::Standby => each(self.wanted).collect(),
        }
    }
}

/// What one of these attempts may take of the time that there is for all.
#[must_use]
pub fn share(all: Duration, attempts: &[Attempt]) -> Duration {
    all / u32::try_from(attempts.len()).unwrap_or(u32::MAX).max(1)
}

impl Attempt {
    /// Whether the server is one that will do. `read_only` of it is left out where the login itself asked for that.
    ///
    /// # Errors
    /// What it is instead.
    pub fn check(self, said: Said) -> Result<(), Unsuited> {
        let standby = said.hot_standby.ok_or(Unsuited::Silent);
        match self.wanted {
            SessionAttrs::Any => Ok(()),
            SessionAttrs::Primary if standby? => Err(Unsuited::Standby),
            SessionAttrs::Standby if !standby? => Err(Unsuited::Primary),
            SessionAttrs::ReadWrite if standby? => Err(Unsuited::Standby),
            SessionAttrs::ReadWrite if said.read_only == Some(true) => Err(Unsuited::ReadOnly),
            SessionAttrs::ReadOnly if !standby? && said.read_only == Some(false) => Err(Unsuited::ReadWrite),
            SessionAttrs::Primary
            | SessionAttrs::Standby
            | SessionAttrs::PreferStandby
            | SessionAttrs::ReadWrite
            | SessionAttrs::ReadOnly => Ok(()),
        }
    }
}

impl Said {
    /// Of what `parameter` tells of the login; `asked_read_only` where the login had that as its default.
    #[must_use]
    pub fn by(asked_read_only: bool, parameter: impl Fn(&str) -> Option<bool>) -> Self {
        let read_only = if asked_read_only { None } else { parameter("default_transaction_read_only") };
        Self { hot_standby: parameter("in_hot_standby"), read_only }
    }
}

/// A setting's value that is `on` or `off`.
#[must_use]
pub fn is_on(value: &str) -> bool {
    value == "on"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(wanted: SessionAttrs) -> Places {
        let place = |host: &str| Place { host: host.to_owned(), port: 5432 };
        Places::new(vec![place("a"), place("b"), place("c")], wanted)
    }

    fn order(places: &Places) -> Vec<(usize, SessionAttrs)> {
        places.attempts().iter().map(|attempt| (attempt.at, attempt.wanted)).collect()
    }

    #[test]
    fn the_server_in_use_is_tried_first() {
        let places = places(SessionAttrs::Primary);
        let of = |order: [usize; 3]| order.map(|at| (at, SessionAttrs::Primary)).to_vec();
        assert_eq!(order(&places), of([0, 1, 2]));
        places.settle(1);
        assert_eq!(order(&places), of([1, 0, 2]));
    }

    #[test]
    fn a_standby_is_preferred_and_then_kept() {
        use SessionAttrs::{Any, Standby};
        let places = places(SessionAttrs::PreferStandby);
        let first = [(0, Standby), (1, Standby), (2, Standby), (0, Any), (1, Any), (2, Any)];
        assert_eq!(order(&places), first);
        places.settle(2);
        assert_eq!(order(&places).first(), Some(&(2, Any)));
    }

    #[test]
    fn a_change_is_told_once() {
        let places = places(SessionAttrs::Any);
        let mut seen = places.subscribe();
        for at in [1, 1, 0, 0] {
            let before = places.current();
            places.settle(at);
            assert_eq!(seen.has_changed().unwrap_or_default(), before != Some(at));
            seen.mark_unchanged();
        }
    }

    #[test]
    fn servers_are_what_is_asked_for() {
        use SessionAttrs::*;
        let primary = Said { hot_standby: Some(false), read_only: Some(false) };
        let quiet = Said { read_only: Some(true), ..primary };
        let standby = Said { hot_standby: Some(true), read_only: Some(false) };
        for (wanted, expected) in [
            (Any, [Ok(()), Ok(()), Ok(()), Ok(())]),
            (ReadWrite, [Ok(()), Err(Unsuited::ReadOnly), Err(Unsuited::Standby), Err(Unsuited::Silent)]),
            (ReadOnly, [Err(Unsuited::ReadWrite), Ok(()), Ok(()), Err(Unsuited::Silent)]),
            (Primary, [Ok(()), Ok(()), Err(Unsuited::Standby), Err(Unsuited::Silent)]),
            (Standby, [Err(Unsuited::Primary), Err(Unsuited::Primary), Ok(()), Err(Unsuited::Silent)]),
        ] {
            let found = [primary, quiet, standby, Said::default()].map(|said| Attempt { at: 0, wanted }.check(said));
            assert_eq!(found, expected, "{wanted:?}");
        }
    }
}
