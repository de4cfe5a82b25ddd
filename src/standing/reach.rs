//! From roles to relations: every path by which somebody who logs in reads or writes a relation.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Acl, DefaultAcl, Facts, Relation, Role};
pub use super::roles::Step;
use super::roles::{Chain, closure, identities};

/// One way from a role to a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who logs in.
    pub role: u32,
    pub relation: u32,
    /// The roles in between.
    pub chain: Chain,
    pub path: Path,
    /// Row security shows it some rows only.
    pub some_rows: bool,
}

/// What opens the relation at the end of the chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    Superuser,
    Owner,
    /// Grantee 0 is PUBLIC; columns are named where the privilege is theirs alone.
    Privilege {
        grantee: u32,
        privileges: BTreeSet<String>,
        columns: BTreeSet<String>,
    },
    /// A privilege on a table that this one is a partition or child of.
    Parent {
        parent: u32,
        grantee: u32,
        privileges: BTreeSet<String>,
    },
    /// `pg_read_all_data`, `pg_write_all_data`.
    AllData {
        role: u32,
    },
    /// A view that reads with its owner's rights, or holds a copy.
    View {
        view: u32,
        grantee: u32,
    },
    /// A function that runs with the rights of its owner, who reaches the relation: it may be that it does not.
    Definer {
        function: u32,
        grantee: u32,
    },
    /// Files and programs of the server: `pg_read_server_files` and its like.
    Server {
        role: u32,
    },
    /// Copies the whole server.
    Replication,
    /// Before PostgreSQL 16: makes itself a member of whatever it likes.
    CreateRole,
}

const DATA: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"];
const ALL_DATA: [&str; 2] = ["pg_read_all_data", "pg_write_all_data"];
const SERVER: [&str; 3] = ["pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"];

/// Every path of everybody who may log in to this database, by relation of `targets`.
#[must_use]
pub fn paths(facts: &Facts, targets: &BTreeSet<u32>) -> Vec<Found> {
    let known = Known::of(facts);
    let mut found = Vec::new();
    for role in facts.roles.iter().filter(|role| role.login) {
        if !known.may_connect(role) {
            continue;
        }
        for relation in facts.relations.iter().filter(|relation| targets.contains(&relation.oid)) {
            known.from(role, relation, &mut found);
        }
    }
    found
}

/// What will be given on tables that do not exist yet: who makes them, and what others have then.
#[must_use]
pub fn future(facts: &Facts) -> Vec<(&DefaultAcl, &Acl)> {
    let tables = facts.defaults.iter().filter(|default| default.kind == "r");
    let given = tables.flat_map(|default| default.acl.iter().map(move |acl| (default, acl)));
    given.filter(|(default, acl)| acl.grantee != default.role && DATA.contains(&acl.privilege.as_str())).collect()
}

/// The facts, with what is asked of them often.
struct Known<'a> {
    facts: &'a Facts,
    roles: BTreeMap<u32, &'a Role>,
    by_name: BTreeMap<&'a str, u32>,
    relations: BTreeMap<u32, &'a Relation>,
}

/// Somebody's privileges, and by which roles they have them.
struct Identity<'a> {
    role: &'a Role,
    has: BTreeMap<u32, Chain>,
}

impl Identity<'_> {
    /// The grantee of the first entry that gives this.
    fn given(&self, acl: &[Acl], privilege: &str) -> Option<u32> {
        let mut fits = acl.iter().filter(|acl| acl.privilege == privilege && self.is_one(acl.grantee));
        fits.next().map(|acl| acl.grantee)
    }

    fn is_one(&self, grantee: u32) -> bool {
        grantee == 0 || self.has.contains_key(&grantee)
    }
}

impl<'a> Known<'a> {
    fn of(facts: &'a Facts) -> Self {
        Self {
            facts,
            roles: facts.roles.iter().map(|role| (role.oid, role)).collect(),
            by_name: facts.roles.iter().map(|role| (role.name.as_str(), role.oid)).collect(),
            relations: facts.relations.iter().map(|relation| (relation.oid, relation)).collect(),
        }
    }

    fn identity(&self, role: &'a Role) -> Identity<'a> {
        Identity { role, has: closure(self.facts, role.oid) }
    }

    fn may_connect(&self, role: &'a Role) -> bool {
        let identity = self.identity(role);
        role.superuser
            || identity.is_one(self.facts.database_owner)
            || identity.given(&self.facts.database_acl, "CONNECT").is_some()
    }

    fn from(&self, role: &Role, relation: &Relation, found: &mut Vec<Found>) {
        let mut seen = BTreeSet::new();
        // By the shortest chains first: the same path by a longer one says nothing new.
        let mut all: Vec<_> = identities(self.facts, role.oid).into_iter().collect();
        all.sort_by_key(|(_, chain)| chain.len());
        for (oid, chain) in all {
            let Some(acting) = self.roles.get(&oid) else { continue };
            let identity = self.identity(acting);
            for (path, last) in self.of_identity(&identity, relation) {
                let inherited = last.and_then(|last| identity.has.get(&last)).cloned().unwrap_or_default();
                let some_rows = self.sees_some_rows(&identity, relation, &path);
                if seen.insert(path.clone()) {
                    let chain = [chain.as_slice(), &inherited].concat();
                    found.push(Found { role: role.oid, relation: relation.oid, chain, path, some_rows });
                }
            }
        }
        if role.replication && !role.superuser {
            let path = Path::Replication;
            found.push(Found { role: role.oid, relation: relation.oid, chain: Vec::new(), path, some_rows: false });
        }
    }

    /// The paths that open to one identity, each with the role whose privilege it is.
    fn of_identity(&self, identity: &Identity<'_>, relation: &Relation) -> Vec<(Path, Option<u32>)> {
        if identity.role.superuser {
            return vec![(Path::Superuser, None)];
        }
        let mut paths = Vec::new();
        if self.uses(identity, relation.schema) {
            paths.extend(self.direct(identity, relation));
        }
        paths.extend(self.by_parents(identity, relation));
        for name in ALL_DATA {
            let role = self.by_name.get(name).copied().filter(|role| identity.has.contains_key(role));
            paths.extend(role.map(|role| (Path::AllData { role }, Some(role))));
        }
        for name in SERVER {
            let role = self.by_name.get(name).copied().filter(|role| identity.has.contains_key(role));
            paths.extend(role.map(|role| (Path::Server { role }, Some(role))));
        }
        if identity.role.create_role && self.facts.version < 160_000 {
            paths.push((Path::CreateRole, None));
        }
        paths.extend(self.by_views(identity, relation));
        paths.extend(self.by_functions(identity, relation));
        paths
    }

    fn direct(&self, identity: &Identity<'_>, relation: &Relation) -> Vec<(Path, Option<u32>)> {
        let mut paths = Vec::new();
        if identity.is_one(relation.owner) {
            paths.push((Path::Owner, Some(relation.owner)));
        }
        // Privileges on the whole, those on some columns, and these columns.
        let mut by_grantee: BTreeMap<u32, [BTreeSet<String>; 3]> = BTreeMap::new();
        // What an owner gives itself is no more than being the owner.
        let counts = |acl: &&Acl| {
            DATA.contains(&acl.privilege.as_str()) && identity.is_one(acl.grantee) && acl.grantee != relation.owner
        };
        for acl in relation.acl.iter().filter(counts) {
            let [whole, _, _] = by_grantee.entry(acl.grantee).or_default();
            whole.insert(acl.privilege.clone());
        }
        for column in &relation.columns {
            for acl in column.acl.iter().filter(counts) {
                let [whole, some, columns] = by_grantee.entry(acl.grantee).or_default();
                if !whole.contains(&acl.privilege) {
                    some.insert(acl.privilege.clone());
                    columns.insert(column.name.clone());
                }
            }
        }
        for (grantee, [whole, some, columns]) in by_grantee {
            let last = (grantee != 0).then_some(grantee);
            if !whole.is_empty() {
                paths.push((Path::Privilege { grantee, privileges: whole, columns: BTreeSet::new() }, last));
            }
            if !some.is_empty() {
                paths.push((Path::Privilege { grantee, privileges: some, columns }, last));
            }
        }
        paths
    }

    /// By privileges on what this one is a partition or child of: read there, its rows come along.
    fn by_parents(&self, identity: &Identity<'_>, relation: &Relation) -> Vec<(Path, Option<u32>)> {
        let mut paths = Vec::new();
        let counts = |acl: &&Acl| DATA.contains(&acl.privilege.as_str()) && identity.is_one(acl.grantee);
        for parent in self.parents(relation).into_iter().filter(|parent| self.uses(identity, parent.schema)) {
            let columns = parent.columns.iter().flat_map(|column| &column.acl);
            // What an owner gives itself is no more than being the owner.
            let given = parent.acl.iter().chain(columns).filter(counts).filter(|acl| acl.grantee != relation.owner);
            let mut by_grantee: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
            for acl in given {
                by_grantee.entry(acl.grantee).or_default().insert(acl.privilege.clone());
            }
            for (grantee, privileges) in by_grantee {
                let path = Path::Parent { parent: parent.oid, grantee, privileges };
                paths.push((path, (grantee != 0).then_some(grantee)));
            }
        }
        paths
    }

    /// Those that this one is a partition or child of, all the way up.
    fn parents(&self, relation: &Relation) -> Vec<&'a Relation> {
        let mut all: Vec<&Relation> = Vec::new();
        let mut next = relation.parents.clone();
        while let Some(oid) = next.pop() {
            if let Some(parent) =
                self.relations.get(&oid).filter(|parent| all.iter().all(|known| known.oid != parent.oid))
            {
                next.extend(&parent.parents);
                all.push(parent);
            }
        }
        all
    }

    /// Whether it may look into a schema.
    fn uses(&self, identity: &Identity<'_>, schema: u32) -> bool {
        let schema = self.facts.schemas.iter().find(|known| known.oid == schema);
        let has = |name: &str| self.by_name.get(name).is_some_and(|role| identity.has.contains_key(role));
        identity.role.superuser
            || ALL_DATA.iter().any(|name| has(name))
            || schema
                .is_some_and(|schema| identity.is_one(schema.owner) || identity.given(&schema.acl, "USAGE").is_some())
    }

    fn by_views(&self, identity: &Identity<'_>, relation: &Relation) -> Vec<(Path, Option<u32>)> {
        let views =
            self.facts.relations.iter().filter(|view| !view.reads.is_empty() && self.shows(view, relation, false, 0));
        let mut paths = Vec::new();
        for view in views.filter(|view| self.uses(identity, view.schema)) {
            // What its owner reads by it, the owner reads without it; but for a copy.
            let owns = identity.is_one(view.owner).then_some(view.owner);
            // A superuser's membership does not make a superuser, and its views read all the same.
            let by_owner = !self.is_superuser(view.owner) && (view.kind != "m" || identity.is_one(relation.owner));
            if owns.is_some() && by_owner {
                continue;
            }
            let columns = view.columns.iter().flat_map(|column| &column.acl);
            let mut given = view.acl.iter().chain(columns).filter(|acl| DATA.contains(&acl.privilege.as_str()));
            let given = given.find(|acl| identity.is_one(acl.grantee)).map(|acl| acl.grantee);
            if let Some(grantee) = owns.or(given) {
                paths.push((Path::View { view: view.oid, grantee }, (grantee != 0).then_some(grantee)));
            }
        }
        paths
    }

    /// Whether who reads the view reads this relation by its owner's rights.
    fn shows(&self, view: &Relation, relation: &Relation, in_copy: bool, depth: usize) -> bool {
        // A copy is filled with its owner's rights, whatever the views in it say.
        if depth > MOST_VIEWS || (view.invoker && !in_copy) {
            return false;
        }
        let in_copy = in_copy || view.kind == "m";
        let owner_reads = |target: &Relation| in_copy || self.reads(view.owner, target);
        view.reads.iter().filter_map(|oid| self.relations.get(oid)).any(|read| {
            owner_reads(read)
                && (read.oid == relation.oid
                    || !read.reads.is_empty() && self.shows(read, relation, in_copy, depth + 1))
        })
    }

    fn is_superuser(&self, role: u32) -> bool {
        self.roles.get(&role).is_some_and(|role| role.superuser)
    }

    /// Whether this role may read a relation, by what it has without acting as another.
    fn reads(&self, role: u32, relation: &Relation) -> bool {
        let Some(role) = self.roles.get(&role) else { return false };
        let identity = self.identity(role);
        let all_data = || self.by_name.get("pg_read_all_data").is_some_and(|role| identity.has.contains_key(role));
        let column = || relation.columns.iter().any(|column| identity.given(&column.acl, "SELECT").is_some());
        role.superuser
            || all_data()
            // A view has found its relations when it was made: whether its owner may look into their schemas is not asked again.
            || identity.is_one(relation.owner)
            || identity.given(&relation.acl, "SELECT").is_some()
            || column()
    }

    /// Whether a function of this role's finds a relation by its name when it runs, and may read it.
    fn finds(&self, role: u32, relation: &Relation) -> bool {
        let Some(known) = self.roles.get(&role) else { return false };
        self.uses(&self.identity(known), relation.schema) && self.reads(role, relation)
    }

    fn by_functions(&self, identity: &Identity<'_>, relation: &Relation) -> Vec<(Path, Option<u32>)> {
        let mut paths = Vec::new();
        for function in &self.facts.functions {
            // Who is the owner needs no function for what the owner may.
            let by_owner = identity.is_one(function.owner) && !self.is_superuser(function.owner);
            if by_owner || !self.finds(function.owner, relation) {
                continue;
            }
            let owns = identity.is_one(function.owner).then_some(function.owner);
            let given = owns
                .or_else(|| identity.given(&function.acl, "EXECUTE"))
                .filter(|_| self.uses(identity, function.schema));
            if let Some(grantee) = given {
                paths.push((Path::Definer { function: function.oid, grantee }, (grantee != 0).then_some(grantee)));
            }
        }
        paths
    }

    fn sees_some_rows(&self, identity: &Identity<'_>, relation: &Relation, path: &Path) -> bool {
        // There its own policies count.
        let parent = match path {
            Path::Parent { parent, .. } => self.relations.get(parent).copied(),
            _other => None,
        };
        let relation = parent.unwrap_or(relation);
        let is_bound = match path {
            Path::Owner => relation.forced,
            Path::Privilege { .. } | Path::AllData { .. } | Path::Parent { .. } => true,
            // An owner's rights count in views and functions.
            Path::View { .. } | Path::Definer { .. } => false,
            Path::Superuser | Path::Server { .. } | Path::Replication | Path::CreateRole => false,
        };
        relation.row_security && is_bound && !identity.role.bypass_rls
    }
}

const MOST_VIEWS: usize = 32;
