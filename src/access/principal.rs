//! Principals, and the `@group` or `user` that rules name.

use std::fmt;

use super::Region;

/// An authenticated user or application.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Principal {
    /// The login name: unique, and the identity that separation of duty compares.
    pub name: String,
    pub groups: Vec<String>,
    /// The home region, where one is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

/// What `requesters`, `approvers`, `admins` and `auditors` list: one user, or everyone in a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Subject {
    User(String),
    Group(String),
}

impl Subject {
    /// Whether `principal` is meant.
    #[must_use]
    pub fn names(&self, principal: &Principal) -> bool {
        match self {
            Subject::User(user) => *user == principal.name,
            Subject::Group(group) => principal.groups.contains(group),
        }
    }
}

impl From<String> for Subject {
    fn from(text: String) -> Self {
        match text.strip_prefix('@') {
            Some(group) => Subject::Group(group.to_owned()),
            None => Subject::User(text),
        }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::User(user) => f.write_str(user),
            Subject::Group(group) => write!(f, "@{group}"),
        }
    }
}
