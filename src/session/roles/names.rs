//! What short-lived roles are called, how they are told apart from everybody else's, and how names and texts are quoted
//! in the SQL that makes them.

use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::access::{GrantId, SessionId};

/// Every role that pgward makes begins with this.
pub const PREFIX: &str = "pgward_";

/// `NAMEDATALEN - 1`: PostgreSQL cuts longer names, and two of them could then be one.
const MAX_NAME: usize = 63;

/// A name as an identifier in SQL.
#[must_use]
pub fn quoted(name: &str) -> String {
    escape_identifier(name)
}

/// A schema and a name in it, as one identifier.
#[must_use]
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", escape_identifier(schema), escape_identifier(name))
}

/// A text as a literal in SQL, whatever `standard_conforming_strings` says.
#[must_use]
pub fn literal(text: &str) -> String {
    escape_literal(text).trim_start().to_owned()
}

/// The role that one session logs in as.
#[must_use]
pub fn session_role(session: &SessionId) -> String {
    bounded(&format!("{PREFIX}{session}"))
}

/// The role that holds one grant's privileges for the sessions of one process.
#[must_use]
pub fn grant_role(grant: &GrantId, process: Process) -> String {
    bounded(&format!("{PREFIX}{process}_{grant}"))
}

/// The role that what a broker's sessions made belongs to afterwards.
#[must_use]
pub fn heir_role(broker: &str) -> String {
    let name = format!("{PREFIX}made_by_{broker}");
    let end = (0..=MAX_NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    name.get(..end).unwrap_or(PREFIX).to_owned()
}

/// Identifiers are of our own making; whatever else is in one has no place in a role's name.
fn bounded(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    name.chars().filter(plain).map(|c| c.to_ascii_lowercase()).take(MAX_NAME).collect()
}

/// Tells the roles of one running pgward from those of another, and of one that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process(u32);

impl Process {
    /// One of four thousand million: those of one database are few.
    #[must_use]
    pub fn generate() -> Self {
        let [.., a, b, c, d] = uuid::Uuid::now_v7().into_bytes();
        Self(u32::from_be_bytes([a, b, c, d]))
    }

    /// The second key of the advisory lock that says that the process lives, as `pg_locks.objid` shows it.
    #[must_use]
    pub fn lock_key(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// What the comment on a role says: whose it is. Only roles that bear one are ever removed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// The version of the mark; always 1.
    pub pgward: u32,
    /// The process that made the role.
    pub process: String,
    /// The upstream's name of the database whose objects the role may own or touch.
    pub database: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    pub principal: String,
}

impl Mark {
    #[must_use]
    pub fn parse(comment: &str) -> Option<Self> {
        serde_json::from_str::<Self>(comment).ok().filter(|mark| mark.pgward == 1)
    }

    /// The process as [`Process`] has it; `None` where the mark is not of our making.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        u32::from_str_radix(&self.process, 16).ok().map(Process)
    }

    /// The comment's text.
    #[must_use]
    pub fn text(&self) -> String {
        // A structure of texts and one number always has a form in JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn identifiers_are_one_identifier_whatever_is_in_them() {
        for (name, expected) in [
            ("orders", r#""orders""#),
            ("Orders", r#""Orders""#),
            ("odd.name", r#""odd.name""#),
            (r#"a"b"#, r#""a""b""#),
            (r#"x"; DROP ROLE y; --"#, r#""x""; DROP ROLE y; --""#),
            ("it's", r#""it's""#),
            ("", r#""""#),
            ("тест", r#""тест""#),
            ("back\\slash", r#""back\slash""#),
            ("new\nline", "\"new\nline\""),
        ] {
            assert_eq!(quoted(name), expected);
        }
        assert_eq!(qualified("a.b", "c\"d"), r#""a.b"."c""d""#);
    }

    #[test]
    fn literals_are_one_literal_whatever_is_in_them() {
        for (text, expected) in [("plain", "'plain'"), ("it's", "'it''s'"), (r"a\' --", r"E'a\\'' --'"), ("", "''")] {
            assert_eq!(literal(text), expected);
        }
    }

    #[test]
    fn names_fit_and_hold_no_more_than_letters_digits_and_underscores() {
        let session = session_role(&SessionId::generate());
        assert!(session.starts_with("pgward_se_") && session.len() <= 63, "{session}");
        let (grant, process) = (GrantId::generate(), Process(0xab));
        assert_eq!(grant_role(&grant, process), format!("pgward_000000ab_{grant}"));
        assert!(grant_role(&grant, process).len() <= 63);
        let strange = session_role(&SessionId::from_text(format!("x\"; DROP ROLE y{}", "z".repeat(100))));
        assert!(strange.len() <= 63 && strange.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{strange}");
        assert_ne!(session_role(&SessionId::generate()), session_role(&SessionId::generate()));
    }

    #[test]
    fn the_heir_is_the_brokers_and_fits() {
        assert_eq!(heir_role("pgward"), "pgward_made_by_pgward");
        let long = heir_role(&"ж".repeat(40));
        assert!(long.len() <= 63 && long.starts_with("pgward_made_by_жж"), "{long}");
    }

    #[test]
    fn marks_come_back_and_other_comments_are_none() {
        let mark = Mark {
            pgward: 1,
            process: Process(7).to_string(),
            database: "shop".to_owned(),
            session: Some("se_1".to_owned()),
            grant: None,
            principal: "it's \"alice\"".to_owned(),
        };
        assert_eq!(Mark::parse(&mark.text()), Some(mark.clone()));
        assert_eq!(mark.process(), Some(Process(7)));
        for other in ["", "pgward", "{}", r#"{"pgward":2,"process":"1","database":"d","principal":"p"}"#] {
            assert_eq!(Mark::parse(other), None, "{other}");
        }
    }
}
