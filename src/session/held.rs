//! The places that statements have which are held for approval: so many in all, and so many of one principal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::metrics::Metrics;

/// Statements that are held at once.
const MOST: usize = 100;
/// Those of one principal: each is a request that others are to look at.
const MOST_OF_PRINCIPAL: usize = 3;

/// Counts them, for the sessions of one server.
#[derive(Debug, Default)]
pub struct Places {
    taken: Mutex<HashMap<Arc<str>, usize>>,
}

/// Why a statement is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("It is not held for approval: {MOST} statements are, which is the most at once")]
    All,
    #[error("It is not held for approval: {MOST_OF_PRINCIPAL} statements of yours are, which is the most at once")]
    Principal,
}

/// One of the places, given back when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Place {
    places: Arc<Places>,
    principal: Arc<str>,
    metrics: Arc<Metrics>,
}

impl Places {
    /// A place for one more statement of a principal.
    ///
    /// # Errors
    /// The bound that it would be beyond.
    pub fn take(self: &Arc<Self>, principal: &str, metrics: &Arc<Metrics>) -> Result<Place, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= MOST {
            return Err(Full::All);
        }
        let principal: Arc<str> = principal.into();
        let own = taken.entry(Arc::clone(&principal)).or_default();
        if *own >= MOST_OF_PRINCIPAL {
            return Err(Full::Principal);
        }
        *own += 1;
        metrics.held.inc();
        Ok(Place { places: Arc::clone(self), principal, metrics: Arc::clone(metrics) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.held.dec();
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_bound_gives_so_many_places_and_one_more_when_one_is_given_back() {
        let metrics = Arc::new(Metrics::register(&mut prometheus_client::registry::Registry::default()));
        let places = Arc::new(Places::default());
        let take = |principal: &str| places.take(principal, &metrics);
        let mut own: Vec<Place> = (0..MOST_OF_PRINCIPAL).map(|_| take("alice").unwrap()).collect();
        assert_eq!(take("alice").unwrap_err(), Full::Principal);
        let others: Vec<Place> = (own.len()..MOST).map(|at| take(&format!("user-{at}")).unwrap()).collect();
        assert_eq!(metrics.held.get(), i64::try_from(MOST).unwrap());
        assert_eq!(take("bob").unwrap_err(), Full::All, "nobody's place is left");
        own.pop();
        let bob = take("bob").unwrap();
        assert_eq!(take("alice").unwrap_err(), Full::All);
        drop((own, others, bob));
        assert_eq!((metrics.held.get(), places.taken.lock().unwrap().len()), (0, 0));
    }
}
