//! What the catalogs say, as far as it bears on who reaches what. Object identifiers are PostgreSQL's.

use serde::Deserialize;

/// All of one database.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Facts {
    pub database: String,
    pub database_owner: u32,
    /// `None` grants what PostgreSQL gives by itself: CONNECT to everybody.
    pub database_acl: Vec<Acl>,
    /// `server_version_num`.
    pub version: u32,
    pub roles: Vec<Role>,
    pub memberships: Vec<Membership>,
    pub schemas: Vec<Schema>,
    pub relations: Vec<Relation>,
    /// Those that run with the rights of their owners.
    pub functions: Vec<Function>,
    pub defaults: Vec<DefaultAcl>,
}

/// One privilege that was given. Grantee 0 is PUBLIC.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Acl {
    pub grantee: u32,
    pub privilege: String,
    /// Who gave it: another than the owner where the owner let them.
    pub grantor: u32,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Role {
    pub oid: u32,
    pub name: String,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub login: bool,
    pub replication: bool,
    pub bypass_rls: bool,
    /// Its password is no longer good.
    pub expired: bool,
}

/// `member` is in `role`.
#[derive(Clone, Debug, Deserialize)]
pub struct Membership {
    pub role: u32,
    pub member: u32,
    pub grantor: u32,
    pub admin: bool,
    /// Before PostgreSQL 16 these follow from the member.
    pub inherit: Option<bool>,
    pub set: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Schema {
    pub oid: u32,
    pub name: String,
    pub owner: u32,
    pub acl: Vec<Acl>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Relation {
    pub oid: u32,
    pub schema: u32,
    pub name: String,
    /// As in `pg_class.relkind`.
    pub kind: String,
    pub owner: u32,
    pub acl: Vec<Acl>,
    pub columns: Vec<Column>,
    pub row_security: bool,
    pub forced: bool,
    /// What a view reads.
    pub reads: Vec<u32>,
    /// A view that reads with the rights of whoever asks.
    pub invoker: bool,
    /// A partition or child of these.
    pub parents: Vec<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Column {
    pub name: String,
    pub acl: Vec<Acl>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Function {
    pub oid: u32,
    pub schema: u32,
    /// With the types of its arguments.
    pub signature: String,
    pub owner: u32,
    pub acl: Vec<Acl>,
}

/// What is given on objects that are yet to be made.
#[derive(Clone, Debug, Deserialize)]
pub struct DefaultAcl {
    pub role: u32,
    /// Of one schema, or of all.
    pub schema: Option<u32>,
    /// As in `pg_default_acl.defaclobjtype`.
    pub kind: String,
    pub acl: Vec<Acl>,
}
