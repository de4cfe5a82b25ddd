//! Which roles a role can act as, and whose privileges it then has.

use std::collections::{BTreeMap, VecDeque};

use super::facts::{Facts, Membership};

/// How one role comes to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// It has its privileges.
    Inherits,
    /// It can become it.
    Sets,
    /// It can make itself a member.
    Administers,
}

/// The roles on the way, from the one that logs in, which is left out.
pub(super) type Chain = Vec<(u32, Step)>;

/// Every role that can stand behind `SET ROLE`, itself first, by the shortest way.
pub(super) fn identities(facts: &Facts, from: u32) -> BTreeMap<u32, Chain> {
    walk(facts, from, |membership| {
        let sets = membership.set.unwrap_or(true);
        if sets { Some(Step::Sets) } else { membership.admin.then_some(Step::Administers) }
    })
}

/// Every role whose privileges one has that acts as `identity`. What is an attribute of a role, such as being superuser, is never had
/// this way.
pub(super) fn closure(facts: &Facts, identity: u32) -> BTreeMap<u32, Chain> {
    // Before PostgreSQL 16 a member inherits where it is a role that does.
    let inherits = |member| facts.roles.iter().any(|role| role.oid == member && role.inherit);
    walk(facts, identity, |membership| {
        membership.inherit.unwrap_or_else(|| inherits(membership.member)).then_some(Step::Inherits)
    })
}

fn walk(facts: &Facts, from: u32, step: impl Fn(&Membership) -> Option<Step>) -> BTreeMap<u32, Chain> {
    let mut reached = BTreeMap::from([(from, Chain::new())]);
    let mut queue = VecDeque::from([from]);
    while let Some(member) = queue.pop_front() {
        let here = reached.get(&member).cloned().unwrap_or_default();
        let of_member = facts.memberships.iter().filter(|membership| membership.member == member);
        let mut next: Vec<_> = of_member.filter_map(|membership| Some((step(membership)?, membership.role))).collect();
        next.sort_unstable();
        for (step, role) in next {
            reached.entry(role).or_insert_with(|| {
                queue.push_back(role);
                [here.as_slice(), &[(role, step)]].concat()
            });
        }
    }
    reached
}
