//! Principals whose statements are refused until somebody has looked at what they did.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

/// By principal, why.
#[derive(Debug, Default)]
pub struct Holds {
    whys: DashMap<String, Arc<str>>,
    /// How many there are: mostly none, and every batch of every session asks.
    count: AtomicUsize,
}

impl Holds {
    /// Refuses the statements of a principal from here on, in sessions that are open and in those to come.
    pub fn hold(&self, principal: &str, why: &str) {
        self.whys.insert(principal.to_owned(), why.into());
        self.count.store(self.whys.len(), Ordering::Release);
    }

    /// Lets them run again. Answers whether they did not.
    pub fn release(&self, principal: &str) -> bool {
        let was_held = self.whys.remove(principal).is_some();
        self.count.store(self.whys.len(), Ordering::Release);
        was_held
    }

    /// Why this principal's statements are refused, where they are.
    #[must_use]
    pub fn why(&self, principal: &str) -> Option<Arc<str>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.whys.get(principal).map(|why| Arc::clone(&why))
    }

    /// All of them, by name.
    #[must_use]
    pub fn list(&self) -> Vec<(String, Arc<str>)> {
        let mut all: Vec<_> = self.whys.iter().map(|held| (held.key().clone(), Arc::clone(held.value()))).collect();
        all.sort();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_held_until_it_is_released() {
        let holds = Holds::default();
        assert_eq!(holds.why("alice"), None);
        holds.hold("alice", "many_rows");
        holds.hold("alice", "odd_hour");
        assert_eq!((holds.why("alice").as_deref(), holds.why("bob")), (Some("odd_hour"), None));
        assert!(holds.release("alice") && !holds.release("alice"));
        assert_eq!((holds.why("alice"), holds.list()), (None, vec![]));
    }
}
