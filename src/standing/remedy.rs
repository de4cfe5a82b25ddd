//! What would close a path, as SQL to be read before it is run.

use super::facts::Facts;
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
        return vec![format!("REVOKE {} FROM {};", names.role(*role), names.role(member))];
    }
    let relation = names.relation(found.relation);
    match &found.path {
        Path::Superuser => vec![format!("ALTER ROLE {login} NOSUPERUSER;")],
        Path::Replication => vec![format!("ALTER ROLE {login} NOREPLICATION;")],
        Path::CreateRole => vec![format!("ALTER ROLE {login} NOCREATEROLE;")],
        Path::Owner => vec![format!("-- let a role own it that cannot log in:\nALTER TABLE {relation} OWNER TO …;")],
        Path::Privilege { grantee, privileges, columns } => {
            let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
            let of = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
            let privileges: Vec<String> = privileges.iter().map(|privilege| format!("{privilege}{of}")).collect();
            vec![format!("REVOKE {} ON {relation} FROM {};", privileges.join(", "), names.role(*grantee))]
        }
        Path::Parent { parent, grantee, privileges } => {
            let privileges: Vec<&str> = privileges.iter().map(String::as_str).collect();
            let (parent, grantee) = (names.relation(*parent), names.role(*grantee));
            vec![format!("REVOKE {} ON {parent} FROM {grantee};", privileges.join(", "))]
        }
        Path::AllData { role } | Path::Server { role } => vec![format!("REVOKE {} FROM {login};", names.role(*role))],
        Path::View { view, grantee } => {
            let (view, grantee) = (names.relation(*view), names.role(*grantee));
            vec![format!("REVOKE SELECT ON {view} FROM {grantee};")]
        }
        Path::Definer { function, grantee } => {
            vec![format!("REVOKE EXECUTE ON FUNCTION {} FROM {};", names.function(*function), names.role(*grantee))]
        }
    }
}

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
