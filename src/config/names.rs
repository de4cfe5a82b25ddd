//! The names that a configuration declares, gathered first, so that every reference to them can be checked whatever the order.

use std::collections::BTreeSet;

use super::oidc;
use super::reader::{Table, Text};
use crate::access::{ObjectPattern, Region, Subject};

/// Longest name, in bytes: PostgreSQL's.
const MAX_NAME: usize = 63;

/// What is declared, right or not.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) regions: Vec<String>,
    /// Names of databases, with their regions.
    pub(super) databases: Vec<(String, Option<String>)>,
    /// Names of users, with their groups.
    users: Vec<(String, Vec<String>)>,
    /// Of all users, named or not.
    groups: Vec<String>,
    /// Of these an identity provider says who is in them.
    mapped: Vec<String>,
}

impl Names {
    pub(super) fn collect(root: &Table<'_>) -> Self {
        let owned = str::to_owned;
        let mut names = Self::default();
        for regions in root.peek_tables("regions") {
            names.regions.extend(regions.keys().map(|key| key.value.to_owned()));
        }
        for user in root.peek_tables("user") {
            let groups: Vec<String> = user.peek_texts("groups").map(owned).collect();
            names.groups.extend_from_slice(&groups);
            names.users.extend(user.peek_text("name").map(|name| (name.to_owned(), groups)));
        }
        names.mapped = oidc::mapped_groups(root).into_iter().map(owned).collect();
        names.groups.extend_from_slice(&names.mapped);
        for database in root.peek_tables("database") {
            let region = database.peek_text("region").map(owned);
            names.databases.extend(database.peek_text("name").map(|name| (name.to_owned(), region)));
        }
        names
    }

    /// The users that a subject means.
    pub(super) fn members(&self, subject: &Subject) -> BTreeSet<&str> {
        let is_meant = |(name, groups): &&(String, Vec<String>)| match subject {
            Subject::User(user) => user == name,
            Subject::Group(group) => groups.contains(group),
        };
        self.users.iter().filter(is_meant).map(|(name, _)| name.as_str()).collect()
    }

    /// Whether only an identity provider knows all whom a subject means.
    pub(super) fn is_mapped(&self, subject: &Subject) -> bool {
        match subject {
            Subject::User(_) => false,
            Subject::Group(group) => self.mapped.contains(group),
        }
    }

    /// A list of `@group` or `user`, each declared.
    pub(super) fn subjects(&self, texts: Vec<Text<'_>>) -> Vec<Subject> {
        let groups = self.groups.iter().map(|group| format!("@{group}"));
        let known: Vec<String> = self.users.iter().map(|(name, _)| name.clone()).chain(groups).collect();
        let what = |text: &Text<'_>| if text.value.starts_with('@') { "group" } else { "user" };
        texts
            .iter()
            .filter(|text| text.is_known(what(text), &known))
            .map(|text| Subject::from(text.value.to_owned()))
            .collect()
    }

    pub(super) fn region(&self, text: &Text<'_>) -> Option<Region> {
        text.is_known("region", &self.regions).then(|| Region::new(text.value))
    }

    pub(super) fn regions_of(&self, texts: &[Text<'_>]) -> Vec<Region> {
        texts.iter().filter_map(|text| self.region(text)).collect()
    }
}

/// A name that may go into messages, records and startup packets.
pub(super) fn check_name(text: &str) -> Result<String, String> {
    let wrong = if text.is_empty() {
        "is empty"
    } else if text.len() > MAX_NAME {
        "is longer than 63 bytes"
    } else if text.chars().any(char::is_control) {
        "holds control characters"
    } else if text.trim() != text {
        "begins or ends with a space"
    } else if text.starts_with('@') {
        "begins with @, which marks groups where users and groups are listed"
    } else {
        return Ok(text.to_owned());
    };
    Err(format!("{text:?} is not a name: it {wrong}"))
}

/// Refuses a name that stood before; remembers it else.
pub(super) fn check_unique<'a>(seen: &mut Vec<Text<'a>>, name: &Text<'a>) {
    match seen.iter().find(|earlier| earlier.value == name.value) {
        Some(earlier) => {
            name.place.refuse(format!("\"{}\" is declared already, in line {}", name.value, earlier.place.line()));
        }
        None => seen.push(name.clone()),
    }
}

pub(super) fn patterns(texts: &[Text<'_>]) -> Vec<ObjectPattern> {
    texts.iter().filter_map(|text| text.read(ObjectPattern::parse)).collect()
}

/// Names of columns.
pub(super) fn columns(texts: &[Text<'_>]) -> Vec<String> {
    let check = |text: &str| match text {
        "*" => Err("\"*\" is not a column; leave `columns` out to mean all of them".to_owned()),
        _ => check_name(text),
    };
    texts.iter().filter_map(|text| text.read(check)).collect()
}
