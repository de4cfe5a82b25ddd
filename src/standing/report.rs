//! The report: who reaches which data without pgward, by which path, in words, with what would close it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::reach::{Found, Path, future, paths};
use super::remedy::{Names, remedies};

/// Data that is asked about: a relation, or some columns of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub relation: u32,
    /// `None` is all of them.
    pub columns: Option<Vec<String>>,
    pub labels: Vec<String>,
}

/// Of one database at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub database: String,
    /// RFC 3339.
    pub made_at: String,
    pub server_version: u32,
    /// How far the journal was looked at for use through pgward.
    pub days: u32,
    /// Who reaches everything, said once.
    pub everywhere: Vec<Everywhere>,
    pub relations: Vec<Reached>,
    /// What is given on tables that are yet to be made.
    pub future: Vec<String>,
    pub logins: Logins,
    /// The SQL that would close what can be closed, to be read before it is run.
    pub sql: String,
    /// The scopes that would replace it, for `proxy.toml`.
    pub scopes: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Everywhere {
    pub role: String,
    pub path: String,
    /// pgward's own account at the upstream.
    pub is_pgward: bool,
    pub remedies: Vec<String>,
}

/// One relation, and who reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// `schema.name`
    pub relation: String,
    /// The classified columns, where not all of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    pub labels: Vec<String>,
    pub access: Vec<Access>,
    pub used: Used,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Access {
    pub role: String,
    /// In words: the chain of roles, and what is at its end.
    pub path: String,
    /// As PostgreSQL names them; none where the path says it all.
    pub privileges: Vec<String>,
    /// Only these columns; none is all.
    pub columns: Vec<String>,
    /// Row security shows some rows only.
    pub some_rows: bool,
    /// It depends on what a function does, or on a step that somebody would have to take first.
    pub possible: bool,
    pub is_pgward: bool,
    pub remedies: Vec<String>,
}

/// Use through pgward in the days that were looked at. What goes past pgward the journal does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    pub statements: u64,
    pub principals: Vec<String>,
    pub last: Option<String>,
    /// Scans that PostgreSQL itself has counted since its statistics were reset, whoever asked for them.
    pub scans: Option<i64>,
}

/// Who may log in from where: `pg_hba.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logins {
    /// Where it cannot be read: why.
    pub unreadable: Option<String>,
    pub rules: Vec<LoginRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRule {
    pub line: i32,
    pub kind: String,
    pub databases: Vec<String>,
    pub users: Vec<String>,
    pub address: String,
    pub method: String,
    /// What is weak about it, or wrong with it.
    pub warning: Option<String>,
}

/// What is different from an earlier report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// When the earlier one was made.
    pub since: String,
    /// Role, relation and path; `*` is everything.
    pub appeared: Vec<(String, String, String)>,
    pub gone: Vec<(String, String, String)>,
}

impl Report {
    /// Works out who reaches the targets. `database` is what pgward's clients call it; `own` are pgward's accounts: named, and not to be taken away.
    #[must_use]
    pub fn of(database: &str, facts: &Facts, targets: &[Target], own: &dyn Fn(&str) -> bool) -> Self {
        let names = Names(facts);
        let oids: BTreeSet<u32> = targets.iter().map(|target| target.relation).collect();
        let found = paths(facts, &oids);
        let mut report = Self { database: database.to_owned(), server_version: facts.version, ..Self::default() };
        let mut everywhere: BTreeMap<(String, String), Everywhere> = BTreeMap::new();
        let mut by_relation: BTreeMap<u32, Vec<(Access, &Found)>> = BTreeMap::new();
        for one in &found {
            let role = names.plain_role(one.role);
            let is_pgward = own(&role);
            let remedies = if is_pgward { Vec::new() } else { remedies(facts, one) };
            let has_expired = facts.roles.iter().any(|role| role.oid == one.role && role.expired);
            // Other ways to log in than by password do not end with it.
            let expired = if has_expired { "; its password has expired" } else { "" };
            let path = format!("{}{expired}", names.path(one));
            if is_everywhere(&one.path) {
                everywhere.entry((role.clone(), path.clone())).or_insert(Everywhere {
                    role,
                    path,
                    is_pgward,
                    remedies,
                });
                continue;
            }
            let (privileges, columns) = privileges(&one.path);
            let possible = has_expired
                || matches!(one.path, Path::Definer { .. })
                || one.chain.iter().any(|(_, step)| !step.is_given());
            let access =
                Access { role, path, privileges, columns, some_rows: one.some_rows, possible, is_pgward, remedies };
            by_relation.entry(one.relation).or_default().push((access, one));
        }
        report.everywhere = everywhere.into_values().collect();
        for target in targets {
            let all = by_relation.get(&target.relation).map(Vec::as_slice).unwrap_or_default();
            let access = all.iter().filter(|(access, _)| reaches(access, target)).map(|(access, _)| access.clone());
            let mut access: Vec<Access> = access.collect();
            access.sort();
            report.relations.push(Reached {
                relation: names.plain_relation(target.relation),
                columns: target.columns.clone(),
                labels: target.labels.clone(),
                access,
                used: Used::default(),
            });
        }
        report.relations.sort_by(|one, other| one.relation.cmp(&other.relation));
        report.future = future(facts)
            .iter()
            .map(|(default, acl)| {
                let within = default
                    .schema
                    .map_or_else(String::new, |schema| format!(" in schema {}", names.plain_schema(schema)));
                let (maker, to) = (names.plain_role(default.role), names.plain_role(acl.grantee));
                format!("tables that {maker} makes{within} will give {} to {to}", acl.privilege)
            })
            .collect();
        report.sql = report.script();
        report.scopes = report.scopes_instead();
        report
    }

    /// Every path, by role, relation and words: what two reports are compared by.
    #[must_use]
    pub fn lines(&self) -> BTreeSet<(String, String, String)> {
        let everywhere = self.everywhere.iter().map(|one| (one.role.clone(), "*".to_owned(), one.path.clone()));
        let some = self.relations.iter().flat_map(|reached| {
            reached.access.iter().map(|one| {
                let what = [one.path.clone(), one.privileges.join(", "), one.columns.join(", ")];
                let what: Vec<String> = what.into_iter().filter(|part| !part.is_empty()).collect();
                (one.role.clone(), reached.relation.clone(), what.join(": "))
            })
        });
        everywhere.chain(some).collect()
    }

    /// What became different since another report.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Changes {
        let (then, now) = (earlier.lines(), self.lines());
        Changes {
            since: earlier.made_at.clone(),
            appeared: now.difference(&then).cloned().collect(),
            gone: then.difference(&now).cloned().collect(),
        }
    }

    fn script(&self) -> String {
        let mut seen = BTreeSet::new();
        let mut said = String::new();
        let mut tell = |title: String, remedies: &[String]| {
            let fresh: Vec<&String> = remedies.iter().filter(|remedy| seen.insert((*remedy).clone())).collect();
            for remedy in fresh {
                said.push_str(&format!("-- {title}\n{remedy}\n"));
            }
        };
        for one in &self.everywhere {
            tell(format!("{} reaches everything: {}", comment(&one.role), comment(&one.path)), &one.remedies);
        }
        for reached in &self.relations {
            for one in &reached.access {
                tell(
                    format!("{} reaches {}: {}", comment(&one.role), comment(&reached.relation), comment(&one.path)),
                    &one.remedies,
                );
            }
        }
        if said.is_empty() {
            return "-- nothing stands that could be revoked\n".to_owned();
        }
        format!(
            "-- Read each line before it is run: who loses access here has to ask for it from then on.\nBEGIN;\n{said}COMMIT;\n"
        )
    }

    /// One scope for each role that reaches data by privileges of its own.
    fn scopes_instead(&self) -> String {
        let mut needs: BTreeMap<&str, Needs<'_>> = BTreeMap::new();
        for reached in &self.relations {
            for one in reached.access.iter().filter(|one| !one.is_pgward && !one.possible) {
                let operations = operations(&one.privileges);
                let needed =
                    needs.entry(&one.role).or_default().entry((&reached.relation, one.columns.clone())).or_default();
                needed.extend(operations);
            }
        }
        let mut toml = String::new();
        for (role, needs) in needs {
            let name = format!("instead-of-{}", role.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-"));
            toml.push_str(&format!(
                "[[scope]] # what the role {} had, standing\nname = {}\ndatabase = {}\nregions = [] # the regions of this data\n\
                 requesters = [] # who had the role's password\napprovers = [] # somebody else\nmax_duration = \"1h\"\n",
                comment(role), text(&name), text(&self.database)
            ));
            for ((relation, columns), operations) in needs {
                let columns =
                    if columns.is_empty() { String::new() } else { format!("columns = [{}]\n", texts(&columns)) };
                let operations: Vec<String> = operations.iter().map(|one| (*one).to_owned()).collect();
                toml.push_str(&format!(
                    "[[scope.allow]]\non = [{}]\n{columns}do = [{}]\n",
                    text(relation),
                    texts(&operations)
                ));
            }
            toml.push('\n');
        }
        toml
    }
}

/// By relation and columns: the operations.
type Needs<'r> = BTreeMap<(&'r str, Vec<String>), BTreeSet<&'static str>>;

/// A comment ends with its line.
fn comment(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

fn texts(values: &[String]) -> String {
    values.iter().map(|value| text(value)).collect::<Vec<_>>().join(", ")
}

/// PostgreSQL's privileges as scopes name operations.
fn operations(privileges: &[String]) -> Vec<&'static str> {
    let known = [
        ("SELECT", "select"),
        ("INSERT", "insert"),
        ("UPDATE", "update"),
        ("DELETE", "delete"),
        ("TRUNCATE", "truncate"),
    ];
    if privileges.is_empty() {
        return vec!["select"];
    }
    known
        .into_iter()
        .filter(|(privilege, _)| privileges.iter().any(|one| one == privilege))
        .map(|(_, word)| word)
        .collect()
}

/// Whether a path reaches any of the columns that are asked about.
fn reaches(access: &Access, target: &Target) -> bool {
    let Some(columns) = &target.columns else { return true };
    access.columns.is_empty() || access.columns.iter().any(|column| columns.contains(column))
}

fn is_everywhere(path: &Path) -> bool {
    match path {
        Path::Superuser | Path::Replication | Path::CreateRole | Path::Server { .. } | Path::AllData { .. } => true,
        Path::Owner | Path::Privilege { .. } | Path::Parent { .. } | Path::View { .. } | Path::Definer { .. } => false,
    }
}

fn privileges(path: &Path) -> (Vec<String>, Vec<String>) {
    match path {
        Path::Privilege { privileges, columns, .. } => {
            (privileges.iter().cloned().collect(), columns.iter().cloned().collect())
        }
        Path::Parent { privileges, .. } => (privileges.iter().cloned().collect(), Vec::new()),
        Path::View { .. } => (vec!["SELECT".to_owned()], Vec::new()),
        Path::Owner => (["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"].map(str::to_owned).to_vec(), Vec::new()),
        Path::Definer { .. }
        | Path::Superuser
        | Path::Replication
        | Path::CreateRole
        | Path::Server { .. }
        | Path::AllData { .. } => (Vec::new(), Vec::new()),
    }
}

impl Names<'_> {
    /// The whole way, for people.
    fn path(&self, found: &Found) -> String {
        let steps = found.chain.iter().map(|(role, step)| format!("{} {}", step.words(), self.plain_role(*role)));
        let to = |grantee: u32| if grantee == 0 { " (to PUBLIC)" } else { "" };
        let end = match &found.path {
            Path::Superuser => "is a superuser".to_owned(),
            Path::Owner => "owns it".to_owned(),
            Path::Privilege { grantee, .. } => format!("by privilege{}", to(*grantee)),
            Path::Parent { parent, grantee, .. } => {
                format!("by privilege{} on {}, which it is a part of", to(*grantee), self.plain_relation(*parent))
            }
            Path::AllData { role } | Path::Server { role } => format!("by {}", self.plain_role(*role)),
            Path::View { view, grantee } => format!("through {}{}", self.plain_relation(*view), to(*grantee)),
            Path::Definer { function, grantee } => {
                format!(
                    "perhaps through function {}, which runs as its owner{}",
                    self.plain_function(*function),
                    to(*grantee)
                )
            }
            Path::Replication => "may copy the whole server (REPLICATION)".to_owned(),
            Path::CreateRole => "may make itself a member of any role (CREATEROLE)".to_owned(),
        };
        steps.chain([end]).collect::<Vec<_>>().join(", ")
    }
}
