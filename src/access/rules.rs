//! What a scope demands of whoever asks for it: a ticket, further approvers, how long a request waits; and what may be had
//! without anybody's approval.

use std::time::Duration;

use jiff::Timestamp;

use super::{Hours, Subject};

/// How access to a scope is asked for. A scope that was stored before there were any has none.
///
/// What is left out of what is written stands for its default, as with [`super::Guards`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rules {
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_ticket: bool,
    /// How long a request waits for its approvers; [`Rules::DEFAULT_PENDING`] unless it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_expires: Option<Duration>,
    /// How long a statement that lacks nothing but a grant waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// Requests for at most this long are approved by this rule alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_approve: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
    /// Who else has to approve, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approval_rules: Vec<ApprovalRule>,
    /// The labels of the data that the scope may touch, by the names in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// Who may open a scope at once, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BreakGlass {
    pub who: Vec<Subject>,
    pub max_duration: Duration,
    /// Who is told, besides the scope's approvers.
    pub alert: Vec<Subject>,
    /// How long after the grant's begin somebody else is to have looked at what was done.
    pub review_within: Duration,
}

/// Approvers that are needed beside the scope's own. All conditions that it names have to hold; without any it always holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ApprovalRule {
    /// Asked for longer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Duration>,
    /// The scope may touch data with one of these labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Some of the time asked for lies outside of these hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<Hours>,
    pub approvers: Vec<Subject>,
    pub approvals: u32,
}

/// Approvals that a request needs, and why: fixed when it is filed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Requirement {
    pub approvers: Vec<Subject>,
    pub count: u32,
    pub why: String,
}

impl Rules {
    /// How long a request waits unless its scope says otherwise.
    pub const DEFAULT_PENDING: Duration = Duration::from_secs(24 * 60 * 60);

    /// How long a request waits for its approvers.
    #[must_use]
    pub fn pending(&self) -> Duration {
        self.request_expires.unwrap_or(Self::DEFAULT_PENDING)
    }

    /// The rules that a window of access comes under, each with what it asks.
    pub fn requirements(&self, begins: Timestamp, duration: Duration) -> impl Iterator<Item = Requirement> {
        self.approval_rules.iter().filter_map(move |rule| {
            let why = rule.applies(&self.labels, begins, duration)?;
            Some(Requirement { approvers: rule.approvers.clone(), count: rule.approvals, why })
        })
    }
}

impl ApprovalRule {
    /// Why it applies, where it does.
    fn applies(&self, labels: &[String], begins: Timestamp, duration: Duration) -> Option<String> {
        let mut reasons = Vec::new();
        if let Some(over) = self.over {
            (duration > over).then(|| reasons.push(format!("asked for longer than {}", spell(over))))?;
        }
        if !self.labels.is_empty() {
            let touched: Vec<&str> =
                self.labels.iter().filter(|label| labels.contains(label)).map(String::as_str).collect();
            (!touched.is_empty()).then(|| reasons.push(format!("touches data labelled {}", touched.join(", "))))?;
        }
        if let Some(hours) = &self.outside {
            (!hours.hold_throughout(begins, duration)).then(|| reasons.push(format!("outside of {hours}")))?;
        }
        Some(if reasons.is_empty() { "always".to_owned() } else { reasons.join(" and ") })
    }
}

/// A duration as people write it: `1h30m`.
#[must_use]
pub fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 86400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String = parts.iter().filter(|(number, _)| *number > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Whether each place that the requirements have can be filled by a person of its own. `fits(person, requirement)`.
pub(super) fn all_filled(requirements: &[Requirement], people: usize, fits: impl Fn(usize, usize) -> bool) -> bool {
    filled(requirements, people, fits).len() == places(requirements).len()
}

/// Which person fills which requirement: as many as can be, each person one place.
pub(super) fn filled(
    requirements: &[Requirement],
    people: usize,
    fits: impl Fn(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let places = places(requirements);
    let mut taken: Vec<Option<usize>> = vec![None; places.len()];
    for person in 0..people {
        let mut seen = vec![false; places.len()];
        seat(person, &places, &fits, &mut taken, &mut seen);
    }
    let seated = taken.iter().zip(&places).filter_map(|(person, requirement)| Some((person.as_ref()?, requirement)));
    seated.map(|(person, requirement)| (*person, *requirement)).collect()
}

/// One entry for each approval that is needed: the requirement that it is for.
fn places(requirements: &[Requirement]) -> Vec<usize> {
    let repeated = |(index, requirement): (usize, &Requirement)| std::iter::repeat_n(index, requirement.count as usize);
    requirements.iter().enumerate().flat_map(repeated).collect()
}

/// Finds a place for a person, moving others to places that fit them as well.
fn seat(
    person: usize,
    places: &[usize],
    fits: &impl Fn(usize, usize) -> bool,
    taken: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    for (place, requirement) in places.iter().enumerate() {
        if !fits(person, *requirement) || seen.get(place).is_none_or(|seen| *seen) {
            continue;
        }
        if let Some(seen) = seen.get_mut(place) {
            *seen = true;
        }
        let sits = taken.get(place).copied().flatten();
        if sits.is_none_or(|other| seat(other, places, fits, taken, seen)) {
            if let Some(place) = taken.get_mut(place) {
                *place = Some(person);
            }
            return true;
        }
    }
    false
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn needs(counts: &[u32]) -> Vec<Requirement> {
        let requirement = |count: &u32| Requirement { approvers: Vec::new(), count: *count, why: String::new() };
        counts.iter().map(requirement).collect()
    }

    #[test]
    fn a_person_fills_one_place_and_makes_room_where_another_fits() {
        // Bob may stand for both, carol for the first alone: bob has to move to the second.
        let fits = |person: usize, requirement: usize| person == 0 || requirement == 0;
        assert!(!all_filled(&needs(&[1, 1]), 1, fits), "one person is not two");
        assert!(all_filled(&needs(&[1, 1]), 2, fits));
        assert!(!all_filled(&needs(&[1, 2]), 3, fits), "two of the three fit the first alone");
        assert!(all_filled(&needs(&[2, 1]), 3, fits));
        assert!(all_filled(&needs(&[]), 0, fits));
    }

    #[test]
    fn a_rule_applies_where_all_that_it_names_holds() {
        let begins: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let hour = Duration::from_secs(3600);
        let rule = ApprovalRule {
            over: Some(hour),
            labels: vec!["pii".to_owned()],
            outside: None,
            approvers: Vec::new(),
            approvals: 1,
        };
        let check = |labels: &[&str], duration: Duration, expected: Option<&str>| {
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            assert_eq!(rule.applies(&labels, begins, duration).as_deref(), expected);
        };
        check(&["pii"], hour * 2, Some("asked for longer than 1h and touches data labelled pii"));
        check(&["pii"], hour, None);
        check(&["card"], hour * 2, None);
        let always = ApprovalRule { over: None, labels: Vec::new(), ..rule.clone() };
        assert_eq!(always.applies(&[], begins, hour).as_deref(), Some("always"));
    }
}
