//! What would close a path, as SQL to be read before it is run.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Acl, Facts};
use super::reach::{Found, Path, Step};

/// The statements that would close this path; a comment where none alone would.
#[must_use]
pub fn remedies(facts: &Facts, found: &Found) -> Vec<String> {
    let names = Names(facts);
    let login = names.role(found.role);
    // Who has it by being a member loses it with the last membership: what the group has may be right.
    if let Some((role, _)) = found.chain.last()
        && !is_public(&found.path)
    {
        let member = found.chain.iter().rev().nth(1).map_or(found.role, |(member, _)| *member);
        return memberships(facts, *role, member);
    }
    let relation = names.relation(found.relation);
    match &found.path {
        Path::Superuser => vec![format!("ALTER ROLE {login} NOSUPERUSER;")],
        Path::Replication => vec![format!("ALTER ROLE {login} NOREPLICATION;")],
        Path::CreateRole => vec![format!("ALTER ROLE {login} NOCREATEROLE;")],
        Path::Owner => vec![format!("-- let a role own it that cannot log in:\nALTER TABLE {relation} OWNER TO …;")],
        Path::Privilege { grantee, privileges, columns } => {
            of_relation(facts, found.relation, *grantee, privileges, columns)
        }
        Path::Parent { parent, grantee, privileges } => {
            of_relation(facts, *parent, *grantee, privileges, &BTreeSet::new())
        }
        Path::AllData { role } | Path::Server { role } => memberships(facts, *role, found.role),
        Path::View { view, grantee } => {
            let all = DATA.map(str::to_owned).into();
            of_relation(facts, *view, *grantee, &all, &BTreeSet::new())
        }
        Path::Definer { function, grantee } => {
            let of = facts.functions.iter().find(|known| known.oid == *function);
            let given: Vec<&Acl> = of.into_iter().flat_map(|known| &known.acl).collect();
            let what = vec![(String::from("EXECUTE"), String::from("EXECUTE"))];
            let on = format!("ROUTINE {}", names.function(*function));
            revoke(&names, &given, &what, &on, of.map_or(0, |known| known.owner), *grantee)
        }
    }
}

/// Takes one role out of another, whoever put it in.
fn memberships(facts: &Facts, role: u32, member: u32) -> Vec<String> {
    let names = Names(facts);
    let (group, who) = (names.role(role), names.role(member));
    // From 16 on each grantor's membership is one of its own.
    let given = facts.memberships.iter().filter(|one| one.role == role && one.member == member);
    let grantors: BTreeSet<u32> = given.map(|one| one.grantor).filter(|_| facts.version >= 160_000).collect();
    if grantors.is_empty() {
        return vec![format!("REVOKE {group} FROM {who};")];
    }
    grantors.iter().map(|by| format!("REVOKE {group} FROM {who} GRANTED BY {};", names.role(*by))).collect()
}

/// Takes privileges on a relation, or on some of its columns, from somebody.
fn of_relation(
    facts: &Facts,
    relation: u32,
    grantee: u32,
    privileges: &BTreeSet<String>,
    columns: &BTreeSet<String>,
) -> Vec<String> {
    let names = Names(facts);
    let of = facts.relations.iter().find(|known| known.oid == relation);
    let given =
        of.into_iter().flat_map(|known| known.acl.iter().chain(known.columns.iter().flat_map(|column| &column.acl)));
    let given: Vec<&Acl> = given.collect();
    let named: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let some = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
    let what: Vec<_> = privileges.iter().map(|privilege| (privilege.clone(), format!("{privilege}{some}"))).collect();
    revoke(&names, &given, &what, &names.relation(relation), of.map_or(0, |known| known.owner), grantee)
}

/// `what`: each privilege, and how it is written. PostgreSQL takes back what the role that asks has given: for what others than
/// the owner gave, by their option to, it is asked as them. What the grantee has passed on goes with it.
fn revoke(
    names: &Names<'_>,
    given: &[&Acl],
    what: &[(String, String)],
    on: &str,
    owner: u32,
    grantee: u32,
) -> Vec<String> {
    let of_grantee = given.iter().filter(|acl| acl.grantee == grantee);
    let mut by: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for acl in of_grantee {
        let written = what.iter().filter(|(privilege, _)| *privilege == acl.privilege);
        by.entry(acl.grantor).or_default().extend(written.map(|(_, written)| written.as_str()));
    }
    let passed_on = grantee != 0 && given.iter().any(|acl| acl.grantor == grantee && acl.grantee != grantee);
    let cascade = if passed_on && grantee != owner { " CASCADE" } else { "" };
    let said = by.into_iter().filter(|(_, written)| !written.is_empty()).map(|(grantor, written)| {
        let written: Vec<&str> = written.into_iter().collect();
        let revoke = format!("REVOKE {} ON {on} FROM {}{cascade};", written.join(", "), names.role(grantee));
        match grantor == owner || grantor == 0 {
            true => revoke,
            false => format!("SET ROLE {};\n{revoke}\nRESET ROLE;", names.role(grantor)),
        }
    });
    said.collect()
}

const DATA: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"];

/// Everybody has it, whatever they are members of.
fn is_public(path: &Path) -> bool {
    match path {
        Path::Privilege { grantee, .. }
        | Path::Parent { grantee, .. }
        | Path::View { grantee, .. }
        | Path::Definer { grantee, .. } => *grantee == 0,
        Path::Superuser
        | Path::Owner
        | Path::AllData { .. }
        | Path::Server { .. }
        | Path::Replication
        | Path::CreateRole => false,
    }
}

impl Step {
    /// Whether it is there without anybody doing anything.
    #[must_use]
    pub fn is_given(self) -> bool {
        match self {
            Self::Inherits | Self::Sets => true,
            Self::Administers => false,
        }
    }

    /// As a report says it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Inherits => "as a member of",
            Self::Sets => "by SET ROLE",
            Self::Administers => "by making itself a member of",
        }
    }
}

/// Names as SQL has them.
pub(super) struct Names<'a>(pub(super) &'a Facts);

impl Names<'_> {
    /// For people: as the catalogs have it.
    pub(super) fn plain_role(&self, oid: u32) -> String {
        if oid == 0 {
            return "PUBLIC".to_owned();
        }
        let role = self.0.roles.iter().find(|role| role.oid == oid);
        role.map_or_else(|| format!("role {oid}"), |role| role.name.clone())
    }

    pub(super) fn plain_schema(&self, oid: u32) -> String {
        let schema = self.0.schemas.iter().find(|schema| schema.oid == oid);
        schema.map_or_else(|| format!("schema {oid}"), |schema| schema.name.clone())
    }

    pub(super) fn plain_relation(&self, oid: u32) -> String {
        let relation = self.0.relations.iter().find(|relation| relation.oid == oid);
        relation.map_or_else(
            || format!("relation {oid}"),
            |relation| format!("{}.{}", self.plain_schema(relation.schema), relation.name),
        )
    }

    pub(super) fn plain_function(&self, oid: u32) -> String {
        let function = self.0.functions.iter().find(|function| function.oid == oid);
        function.map_or_else(
            || format!("function {oid}"),
            |function| format!("{}.{}", self.plain_schema(function.schema), function.signature),
        )
    }

    fn role(&self, oid: u32) -> String {
        if oid == 0 {
            return "PUBLIC".to_owned();
        }
        let role = self.0.roles.iter().find(|role| role.oid == oid);
        role.map_or_else(|| format!("/* role {oid} */"), |role| quoted(&role.name))
    }

    fn schema(&self, oid: u32) -> String {
        let schema = self.0.schemas.iter().find(|schema| schema.oid == oid);
        schema.map_or_else(|| format!("/* schema {oid} */"), |schema| quoted(&schema.name))
    }

    fn relation(&self, oid: u32) -> String {
        let relation = self.0.relations.iter().find(|relation| relation.oid == oid);
        relation.map_or_else(
            || format!("/* relation {oid} */"),
            |relation| format!("{}.{}", self.schema(relation.schema), quoted(&relation.name)),
        )
    }

    fn function(&self, oid: u32) -> String {
        let function = self.0.functions.iter().find(|function| function.oid == oid);
        function.map_or_else(
            || format!("/* function {oid} */"),
            |function| format!("{}.{}", self.schema(function.schema), function.signature),
        )
    }
}

/// Always in quotes, so that no word of the language is read in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
