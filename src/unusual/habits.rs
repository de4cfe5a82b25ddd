//! What one principal has done, as far as it is remembered. Bounded: whoever touches a hundred thousand relations has those of late
//! remembered.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::rows::{Counts, Hours};
use crate::access::GrantId;

/// Relations remembered of one principal; networks and grants are fewer by themselves.
const MOST: usize = 5_000;
/// Hours of the day that somebody has worked in, before another is odd.
const ENOUGH_HOURS: u32 = 30;
/// Hardly ever is less than once in so many hours.
const HARDLY: u32 = 50;

#[derive(Debug)]
pub(super) struct Habits {
    pub(super) since: Timestamp,
    pub(super) last: Timestamp,
    relations: Seen<String>,
    networks: Seen<String>,
    grants: Seen<GrantId>,
    /// Hours with work, on days of the week and at its end, by the hour of the day in UTC.
    hours: [[u32; 24]; 2],
    /// The hour counted last.
    counted: i64,
    denials: VecDeque<Timestamp>,
    pub(super) per_statement: Counts,
    pub(super) per_hour: Hours,
}

/// Things, and when each was seen last.
#[derive(Debug)]
struct Seen<T>(HashMap<T, Timestamp>);

impl<T: Hash + Eq + Clone> Seen<T> {
    /// Takes note; answers when it was seen last, if that is remembered.
    fn note(&mut self, thing: &T, at: Timestamp, remember: Duration) -> Option<Timestamp> {
        if let Some(last) = self.0.get_mut(thing) {
            let before = std::mem::replace(last, at);
            return Some(before).filter(|before| at.duration_since(*before).unsigned_abs() <= remember);
        }
        if self.0.len() >= MOST {
            self.forget_half();
        }
        self.0.insert(thing.clone(), at);
        None
    }

    /// Forgets those that were seen longest ago.
    fn forget_half(&mut self) {
        let mut times: Vec<_> = self.0.values().copied().collect();
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied();
        self.0.retain(|_, at| Some(*at) > middle);
    }
}

impl Habits {
    pub(super) fn new(at: Timestamp) -> Self {
        Self {
            since: at,
            last: at,
            relations: Seen(HashMap::new()),
            networks: Seen(HashMap::new()),
            grants: Seen(HashMap::new()),
            hours: [[0; 24]; 2],
            counted: i64::MIN,
            denials: VecDeque::new(),
            per_statement: Counts::default(),
            per_hour: Hours::default(),
        }
    }

    /// Whether it has touched this relation before.
    pub(super) fn knows_relation(&mut self, relation: &String, at: Timestamp, remember: Duration) -> bool {
        self.relations.note(relation, at, remember).is_some()
    }

    /// Whether it has come from this network before.
    pub(super) fn knows_network(&mut self, network: &String, at: Timestamp, remember: Duration) -> bool {
        self.networks.note(network, at, remember).is_some()
    }

    /// When a statement last ran under this grant.
    pub(super) fn grant_used(&mut self, grant: &GrantId, at: Timestamp, remember: Duration) -> Option<Timestamp> {
        self.grants.note(grant, at, remember)
    }

    /// Counts a refused statement; answers how many there were within this time.
    pub(super) fn denied(&mut self, at: Timestamp, within: Duration, most: usize) -> usize {
        self.denials.push_back(at);
        while self.denials.len() > most
            || self.denials.front().is_some_and(|first| at.duration_since(*first).unsigned_abs() > within)
        {
            self.denials.pop_front();
        }
        self.denials.len()
    }

    /// Takes note of the hour. Where enough is known, and hardly anything was ever done in it or in those around it on such a
    /// day, answers in how many hours it was, and in how many anything was.
    pub(super) fn is_odd_hour(&mut self, at: Timestamp) -> Option<(u32, u32)> {
        let number = at.as_second().div_euclid(3_600);
        if number == self.counted {
            return None;
        }
        self.counted = number;
        let local = at.to_zoned(TimeZone::UTC);
        let weekend = usize::from(local.weekday().to_monday_zero_offset() >= 5);
        let hour = usize::try_from(local.hour()).unwrap_or_default() % 24;
        let known: u32 = self.hours.iter().flatten().sum();
        let day = self.hours.get_mut(weekend)?;
        let around: u32 = [23, 0, 1].iter().filter_map(|step| day.get((hour + step) % 24)).sum();
        if let Some(count) = day.get_mut(hour) {
            *count += 1;
        }
        (known >= ENOUGH_HOURS && around * HARDLY < known).then_some((around, known))
    }
}

/// The network of an address with its port: the first 24 bits of IPv4, the first 48 of IPv6.
pub(super) fn network(client_addr: &str) -> Option<String> {
    let address: IpAddr = match client_addr.parse::<std::net::SocketAddr>() {
        Ok(address) => address.ip(),
        Err(_) => client_addr.parse().ok()?,
    };
    Some(match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    })
}
