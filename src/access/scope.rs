//! Scopes: the privileges that may be asked for, and the patterns that name objects.

use std::fmt;
use std::time::Duration;

use super::{Guards, Principal, Region, Rules, Subject};

/// What a statement does to a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    Ddl,
}

impl Operation {
    pub const ALL: [Operation; 6] = [
        Operation::Select,
        Operation::Insert,
        Operation::Update,
        Operation::Delete,
        Operation::Truncate,
        Operation::Ddl,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Select => "select",
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Truncate => "truncate",
            Operation::Ddl => "ddl",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "Vec<Operation>", from = "Vec<Operation>")]
pub struct OperationSet(u8);

impl OperationSet {
    #[must_use]
    pub fn of(operations: &[Operation]) -> Self {
        operations.iter().fold(Self::default(), |set, op| set.with(*op))
    }

    #[must_use]
    pub fn with(self, operation: Operation) -> Self {
        Self(self.0 | 1 << operation as u8)
    }

    #[must_use]
    pub fn contains(self, operation: Operation) -> bool {
        self.0 & (1 << operation as u8) != 0
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |op| self.contains(*op))
    }
}

impl From<Vec<Operation>> for OperationSet {
    fn from(operations: Vec<Operation>) -> Self {
        Self::of(&operations)
    }
}

impl From<OperationSet> for Vec<Operation> {
    fn from(set: OperationSet) -> Self {
        set.iter().collect()
    }
}

/// `schema.name`, `schema.*` or `*.*`: names are PostgreSQL's, exact in case, as the catalogs hold them.
/// A name that holds a dot is written in double quotes: `public."odd.name"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ObjectPattern {
    /// `None` is `*`.
    pub schema: Option<String>,
    /// `None` is `*`.
    pub name: Option<String>,
}

impl ObjectPattern {
    /// Reads a pattern. A bare name means schema `public`, as the configuration's reader expects.
    ///
    /// # Errors
    /// Says in words what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = split_quoted(text)?;
        let part = |(text, quoted): &(String, bool)| (text != "*" || *quoted).then(|| text.clone());
        match parts.as_slice() {
            [name] => Ok(Self { schema: Some("public".to_owned()), name: part(name) }),
            [schema, name] => Ok(Self { schema: part(schema), name: part(name) }),
            _ => Err(format!("`{text}` is not schema.name or schema.*")),
        }
    }

    #[must_use]
    pub fn matches(&self, schema: &str, name: &str) -> bool {
        self.schema.as_deref().is_none_or(|s| s == schema) && self.name.as_deref().is_none_or(|n| n == name)
    }

    /// Whether some object could match both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let meet = |one: &Option<String>, other: &Option<String>| match (one, other) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        };
        meet(&self.schema, &other.schema) && meet(&self.name, &other.name)
    }

    /// How closely the pattern names an object: a table before its schema before everything.
    #[must_use]
    pub fn specificity(&self) -> u8 {
        u8::from(self.schema.is_some()) + u8::from(self.name.is_some()) * 2
    }
}

impl fmt::Display for ObjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |p: &Option<String>| match p {
            None => "*".to_owned(),
            Some(name) if name.contains(['.', '"', '*']) => format!("\"{}\"", name.replace('"', "\"\"")),
            Some(name) => name.clone(),
        };
        write!(f, "{}.{}", part(&self.schema), part(&self.name))
    }
}

/// Splits at dots outside double quotes; says of each part whether it was quoted.
fn split_quoted(text: &str) -> Result<Vec<(String, bool)>, String> {
    let mut parts = vec![(String::new(), false)];
    let mut chars = text.chars().peekable();
    let mut inside = false;
    while let Some(c) = chars.next() {
        let Some((part, quoted)) = parts.last_mut() else { break };
        match (c, inside) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                part.push('"');
            }
            ('"', _) => {
                inside = !inside;
                *quoted = true;
            }
            ('.', false) => parts.push((String::new(), false)),
            (c, _) => part.push(c),
        }
    }
    if inside || parts.iter().any(|(part, _)| part.is_empty()) {
        return Err(format!("`{text}` is not an object name"));
    }
    Ok(parts)
}

/// One `[[scope.allow]]`: operations on relations, or functions by name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Privilege {
    pub on: Vec<ObjectPattern>,
    /// Only these columns; `None` is every column. Whole-row references and `*` then are out of scope.
    pub columns: Option<Vec<String>>,
    pub operations: OperationSet,
    /// Functions outside the harmless built-ins that may be called, `schema.name`.
    pub functions: Vec<ObjectPattern>,
}

impl Privilege {
    /// Whether some operation changes what it is done to.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.operations.iter().any(|operation| operation != Operation::Select)
    }

    fn only_reads(&self) -> bool {
        !self.writes() && self.functions.is_empty()
    }
}

/// A named set of privileges on one database that may be asked for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Scope {
    pub name: String,
    pub database: String,
    /// The data regions that a grant of this scope may touch.
    pub regions: Vec<Region>,
    pub requesters: Vec<Subject>,
    pub approvers: Vec<Subject>,
    /// Distinct approvers that a request needs.
    pub approvals: u32,
    pub max_duration: Duration,
    /// What bounds each statement.
    #[serde(flatten)]
    pub guards: Guards,
    /// How it is asked for.
    #[serde(flatten)]
    pub rules: Rules,
    pub allow: Vec<Privilege>,
}

impl Scope {
    #[must_use]
    pub fn may_request(&self, principal: &Principal) -> bool {
        self.requesters.iter().any(|subject| subject.names(principal))
    }

    /// Whether a principal is among the approvers, its own or those of some rule.
    #[must_use]
    pub fn may_approve(&self, principal: &Principal) -> bool {
        let names = |subjects: &[Subject]| subjects.iter().any(|subject| subject.names(principal));
        names(&self.approvers) || self.rules.approval_rules.iter().any(|rule| names(&rule.approvers))
    }

    /// Whether a principal may open it in an emergency.
    #[must_use]
    pub fn may_break_glass(&self, principal: &Principal) -> bool {
        let who = self.rules.break_glass.iter().flat_map(|rules| &rules.who);
        who.into_iter().any(|subject| subject.names(principal))
    }

    /// Whether statements under this scope run in READ ONLY transactions: as the configuration says, else where nothing
    /// that it allows writes. A function that the scope names may write, whatever it is called.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.guards.read_only.unwrap_or_else(|| self.allow.iter().all(Privilege::only_reads))
    }

    /// What bounds a statement under this scope, in words; empty where nothing does.
    #[must_use]
    pub fn guards_in_words(&self) -> String {
        let read_only = self.is_read_only().then(|| "read only".to_owned());
        let others = Some(self.guards.to_string()).filter(|words| !words.is_empty());
        read_only.into_iter().chain(others).collect::<Vec<_>>().join(", ")
    }
}
