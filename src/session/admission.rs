//! Who has a seat: connections in all, by address and by principal, and how many of them have not logged in yet. A seat is given
//! back when it is dropped, whatever became of its connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bounds::{Bounds, Full};
use super::throttle::Network;

/// Refused connections that are told why at the same time; all others are closed without a word.
const MAX_TOLD: usize = 64;
/// Those of one address: one who opens many and listens to none takes the word from nobody else.
const MAX_TOLD_OF_ADDRESS: usize = 8;

/// Counts seats.
#[derive(Debug)]
pub struct Admission {
    bounds: Bounds,
    counts: Mutex<Counts>,
}

/// Every entry of a map stands for at least one connection.
#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    handshakes: usize,
    told: usize,
    networks: HashMap<Network, OfNetwork>,
    principals: HashMap<Arc<str>, usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OfNetwork {
    connections: usize,
    handshakes: usize,
    told: usize,
}

impl Admission {
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, counts: Mutex::default() }
    }

    /// A seat for a connection whose handshake begins. Behind a load balancer the client's address is not known yet: it is
    /// counted with [`Seat::place`].
    ///
    /// # Errors
    /// The bound that it would be beyond.
    pub fn enter(self: &Arc<Self>, network: Option<Network>) -> Result<Seat, Full> {
        let mut counts = self.counts();
        if counts.connections >= self.bounds.max_connections {
            return Err(Full::Connections);
        }
        network.map_or(Ok(()), |network| counts.fits(network, &self.bounds))?;
        if counts.handshakes >= self.bounds.max_handshakes {
            return Err(Full::Handshakes);
        }
        counts.connections += 1;
        counts.handshakes += 1;
        if let Some(network) = network {
            counts.place(network);
        }
        Ok(Seat { admission: Arc::clone(self), network, is_handshaking: true, principal: None, shared: None })
    }

    /// Leave to tell a refused connection why; `None` where too many are being told already.
    pub fn tell(self: &Arc<Self>, network: Option<Network>) -> Option<Telling> {
        let mut counts = self.counts();
        let of_network = network.and_then(|network| counts.networks.get(&network)).map_or(0, |of| of.told);
        if counts.told >= MAX_TOLD || of_network >= MAX_TOLD_OF_ADDRESS {
            return None;
        }
        counts.told += 1;
        if let Some(network) = network {
            counts.networks.entry(network).or_default().told += 1;
        }
        Some(Telling { admission: Arc::clone(self), network })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn fits(&self, network: Network, bounds: &Bounds) -> Result<(), Full> {
        let of = self.networks.get(&network).copied().unwrap_or_default();
        if of.connections >= bounds.max_connections_per_address {
            return Err(Full::Address);
        }
        if of.handshakes >= bounds.max_handshakes_per_address {
            return Err(Full::HandshakesOfAddress);
        }
        Ok(())
    }

    fn place(&mut self, network: Network) {
        let of = self.networks.entry(network).or_default();
        of.connections += 1;
        of.handshakes += 1;
    }

    fn change(&mut self, network: Option<Network>, change: impl FnOnce(&mut OfNetwork)) {
        let Some(network) = network else { return };
        if let Some(of) = self.networks.get_mut(&network) {
            change(of);
            if *of == OfNetwork::default() {
                self.networks.remove(&network);
            }
        }
    }
}

/// One connection's seat.
#[derive(Debug)]
#[must_use]
pub struct Seat {
    admission: Arc<Admission>,
    network: Option<Network>,
    is_handshaking: bool,
    principal: Option<Arc<str>>,
    /// The place over all replicas, where there are several.
    shared: Option<crate::replicas::Seat>,
}

impl Seat {
    /// Holds the session's place over all replicas, too.
    pub fn hold(&mut self, shared: crate::replicas::Seat) {
        self.shared = Some(shared);
    }

    /// Counts the connection by the address that a load balancer has named.
    ///
    /// # Errors
    /// The bound that it would be beyond.
    pub fn place(&mut self, network: Network) -> Result<(), Full> {
        let mut counts = self.admission.counts();
        counts.fits(network, &self.admission.bounds)?;
        counts.place(network);
        self.network = Some(network);
        Ok(())
    }

    /// Ends the handshake: the client has shown who it is. Answers whether its principal may have one more connection.
    pub fn log_in(&mut self, principal: &str) -> bool {
        let mut counts = self.admission.counts();
        if std::mem::take(&mut self.is_handshaking) {
            counts.handshakes -= 1;
            counts.change(self.network, |of| of.handshakes -= 1);
        }
        let open = counts.principals.get(principal).copied().unwrap_or_default();
        if open >= self.admission.bounds.max_connections_per_principal {
            return false;
        }
        let name: Arc<str> = principal.into();
        *counts.principals.entry(Arc::clone(&name)).or_default() += 1;
        self.principal = Some(name);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.connections -= 1;
        counts.handshakes -= usize::from(self.is_handshaking);
        let is_handshaking = self.is_handshaking;
        counts.change(self.network, |of| {
            of.connections -= 1;
            of.handshakes -= usize::from(is_handshaking);
        });
        let Some(principal) = &self.principal else { return };
        if let Some(open) = counts.principals.get_mut(principal) {
            *open -= 1;
            if *open == 0 {
                counts.principals.remove(principal);
            }
        }
    }
}

/// A refused connection that is being told why.
#[derive(Debug)]
#[must_use]
pub struct Telling {
    admission: Arc<Admission>,
    network: Option<Network>,
}

impl Drop for Telling {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.told -= 1;
        counts.change(self.network, |of| of.told -= 1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn network(text: &str) -> Option<Network> {
        Some(Network::of(text.parse().unwrap()))
    }

    fn admission(change: impl FnOnce(&mut Bounds)) -> Arc<Admission> {
        let mut bounds = Bounds::default();
        change(&mut bounds);
        Arc::new(Admission::new(bounds))
    }

    fn is_empty(admission: &Admission) -> bool {
        let counts = admission.counts();
        counts.networks.is_empty()
            && counts.principals.is_empty()
            && (counts.connections, counts.handshakes, counts.told) == (0, 0, 0)
    }

    #[test]
    fn each_bound_lets_as_many_in_as_it_says_and_one_more_once_one_has_left() {
        type Change = fn(&mut Bounds);
        let here = network("10.0.0.1");
        let cases: [(Change, Full); 4] = [
            (|bounds| bounds.max_connections = 2, Full::Connections),
            (|bounds| bounds.max_connections_per_address = 2, Full::Address),
            (|bounds| bounds.max_handshakes = 2, Full::Handshakes),
            (|bounds| bounds.max_handshakes_per_address = 2, Full::HandshakesOfAddress),
        ];
        for (change, full) in cases {
            let admission = admission(change);
            let (first, second) = (admission.enter(here).unwrap(), admission.enter(here).unwrap());
            assert_eq!(admission.enter(here).unwrap_err(), full);
            drop(first);
            let third = admission.enter(here).unwrap();
            assert_eq!(admission.enter(here).unwrap_err(), full);
            drop((second, third));
            assert!(is_empty(&admission), "{full:?}: {admission:?}");
        }
    }

    #[test]
    fn one_address_takes_no_place_of_another() {
        let admission = admission(|bounds| bounds.max_connections_per_address = 1);
        let seats =
            ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1"].map(|text| admission.enter(network(text)));
        assert!(seats.iter().all(Result::is_ok));
        assert_eq!(admission.enter(network("2001:db8::2")).unwrap_err(), Full::Address, "of the same /64");
    }

    #[test]
    fn who_has_logged_in_is_no_handshake_any_more() {
        let admission = admission(|bounds| {
            (bounds.max_handshakes, bounds.max_connections_per_principal) = (1, 2);
        });
        let mut seats = Vec::new();
        for _ in 0..2 {
            let mut seat = admission.enter(None).unwrap();
            seat.place(network("10.0.0.1").unwrap()).unwrap();
            assert_eq!(admission.enter(None).unwrap_err(), Full::Handshakes);
            assert!(seat.log_in("alice"));
            seats.push(seat);
        }
        let mut third = admission.enter(None).unwrap();
        assert!(!third.log_in("alice"));
        drop((third, seats.pop()));
        assert!(admission.enter(None).unwrap().log_in("alice"));
        drop(seats);
        assert!(is_empty(&admission), "{admission:?}");
    }

    #[test]
    fn few_are_told_at_a_time() {
        let admission = admission(|_| {});
        let told: Vec<_> = (0..MAX_TOLD_OF_ADDRESS).map_while(|_| admission.tell(network("10.0.0.1"))).collect();
        assert_eq!(told.len(), MAX_TOLD_OF_ADDRESS);
        assert!(admission.tell(network("10.0.0.1")).is_none());
        let others: Vec<_> = (0..MAX_TOLD).map_while(|_| admission.tell(None)).collect();
        assert_eq!(others.len(), MAX_TOLD - MAX_TOLD_OF_ADDRESS);
        drop((told, others));
        assert!(is_empty(&admission), "{admission:?}");
    }
}
