//! Brings what a grant's role may do to what the grant's scope says, by the difference to what the catalogs say that it
//! may do now: whatever happened in between, the outcome is the same.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, Row};

use super::broker::{RoleError, one_at_a_time, together};
use super::privileges::{Change, Privilege, Right, Wording, statements};
use crate::catalog::Oid;

/// Gives `role` exactly `wanted`, as far as the broker may.
///
/// What the broker cannot pass on is left out, and answered: PostgreSQL then refuses what pgward would let through, never
/// the other way.
///
/// # Errors
/// Where the database does not answer, or there is nothing at all of a scope that the broker can give.
pub async fn converge(
    client: &Client,
    role: &str,
    database: &str,
    wanted: &BTreeSet<Privilege>,
) -> Result<Vec<Privilege>, RoleError> {
    let held = held(client, role).await?;
    let surplus: Vec<&Privilege> = held.difference(wanted).collect();
    let lacking: Vec<&Privilege> = wanted.difference(&held).collect();
    let Standing { give, missing } = standing(client, role, &lacking).await?;
    if give.is_empty() && !missing.is_empty() && held.intersection(wanted).next().is_none() {
        return Err(RoleError::NothingToGive);
    }
    let missing: Vec<Privilege> = missing.into_iter().cloned().collect();
    if surplus.is_empty() && give.is_empty() {
        return Ok(missing);
    }
    let signatures = signatures(client, surplus.iter().chain(&give).copied()).await?;
    let wording = Wording { role, database, signatures: &signatures };
    let mut said = vec![one_at_a_time()];
    said.extend(statements(Change::Revoke, surplus, &wording));
    said.extend(statements(Change::Grant, give, &wording));
    together(client, &said).await?;
    Ok(missing)
}

/// What became of privileges that a role lacks.
#[derive(Debug)]
pub struct Standing<'p> {
    /// The broker may pass these on.
    pub give: Vec<&'p Privilege>,
    /// It may not, and the role has them by no other way.
    pub missing: Vec<&'p Privilege>,
}

/// Asks which privileges the broker may pass on. One that everybody has is neither given nor missed.
///
/// # Errors
/// Where the database does not answer.
pub async fn standing<'p>(client: &Client, role: &str, lacking: &[&'p Privilege]) -> Result<Standing<'p>, RoleError> {
    let mut standing = Standing { give: Vec::new(), missing: Vec::new() };
    if lacking.is_empty() {
        return Ok(standing);
    }
    let cells: Vec<Cells<'_>> = lacking.iter().map(|privilege| cells(privilege)).collect();
    let column = |pick: fn(&Cells<'_>) -> String| cells.iter().map(pick).collect::<Vec<String>>();
    let (kinds, schemas) = (column(|cells| cells.kind.to_owned()), column(|cells| cells.schema.to_owned()));
    let (names, columns) = (column(|cells| cells.name.clone()), column(|cells| cells.column.to_owned()));
    let rights = column(|cells| cells.right.as_str().to_owned());
    let rows = client.query(STANDING, &[&kinds, &schemas, &names, &columns, &rights, &role]).await?;
    for (privilege, row) in lacking.iter().copied().zip(&rows) {
        let (passes_on, has): (Option<bool>, Option<bool>) = (row.try_get(0)?, row.try_get(1)?);
        match (passes_on, has) {
            // A built-in function that everybody may call needs nobody's leave; nor does what PUBLIC has already.
            (Some(true), _) if !is_public(privilege, has) => standing.give.push(privilege),
            (Some(_), Some(true)) => {}
            (Some(_), Some(false) | None) => standing.missing.push(privilege),
            // It is gone since the catalogs were read; a newer snapshot will not want it.
            (None, _) => {}
        }
    }
    Ok(standing)
}

/// Objects that belong to everybody by default: granted by name only where that was taken back.
fn is_public(privilege: &Privilege, has: Option<bool>) -> bool {
    match privilege {
        Privilege::Connect => has == Some(true),
        Privilege::Routine { oid } => has == Some(true) && *oid < FIRST_USER_OID,
        Privilege::Schema { .. } | Privilege::Table { .. } | Privilege::Column { .. } | Privilege::Sequence { .. } => {
            false
        }
    }
}

/// Objects below this came with the server.
const FIRST_USER_OID: Oid = 16_384;

/// What a role may do, as the ACLs say.
async fn held(client: &Client, role: &str) -> Result<BTreeSet<Privilege>, RoleError> {
    let rows = client.query(HELD, &[&role]).await?;
    let mut held = BTreeSet::new();
    for row in &rows {
        held.extend(privilege(row)?);
    }
    Ok(held)
}

fn privilege(row: &Row) -> Result<Option<Privilege>, RoleError> {
    let (kind, right): (&str, &str) = (row.try_get(0)?, row.try_get(4)?);
    let Some(right) = Right::parse(right) else { return Ok(None) };
    let text = |index: usize| row.try_get::<_, &str>(index).map(str::to_owned);
    Ok(Some(match kind {
        "database" => Privilege::Connect,
        "schema" => Privilege::Schema { schema: text(1)?, right },
        "table" => Privilege::Table { schema: text(1)?, name: text(2)?, right },
        "column" => Privilege::Column { schema: text(1)?, name: text(2)?, column: text(3)?, right },
        "sequence" => Privilege::Sequence { schema: text(1)?, name: text(2)?, right },
        "routine" => Privilege::Routine { oid: row.try_get(5)? },
        _ => return Ok(None),
    }))
}

async fn signatures<'p>(
    client: &Client,
    privileges: impl Iterator<Item = &'p Privilege>,
) -> Result<BTreeMap<Oid, String>, RoleError> {
    let oids: Vec<Oid> = privileges
        .filter_map(|privilege| if let Privilege::Routine { oid } = privilege { Some(*oid) } else { None })
        .collect();
    if oids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = client.query(SIGNATURES, &[&oids]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// A privilege as a row of [`STANDING`]'s question.
struct Cells<'p> {
    kind: &'static str,
    schema: &'p str,
    /// A routine's is its oid.
    name: String,
    column: &'p str,
    right: Right,
}

fn cells(privilege: &Privilege) -> Cells<'_> {
    let right = privilege.right();
    let (kind, schema, name, column) = match privilege {
        Privilege::Connect => ("database", "", String::new(), ""),
        Privilege::Schema { schema, .. } => ("schema", schema.as_str(), String::new(), ""),
        Privilege::Table { schema, name, .. } => ("table", schema.as_str(), name.clone(), ""),
        Privilege::Sequence { schema, name, .. } => ("sequence", schema.as_str(), name.clone(), ""),
        Privilege::Column { schema, name, column, .. } => ("column", schema.as_str(), name.clone(), column.as_str()),
        Privilege::Routine { oid } => ("routine", "", oid.to_string(), ""),
    };
    Cells { kind, schema, name, column, right }
}

/// For each privilege, in order: whether the asking role may pass it on, and whether `$6` has it; NULL where the object is
/// gone. A `$6` that does not exist stands for PUBLIC, whose number is 0.
const STANDING: &str = "
SELECT
 CASE i.kind
  WHEN 'database' THEN has_database_privilege(current_database(), i.lent)
  WHEN 'schema' THEN has_schema_privilege(n.oid, i.lent)
  WHEN 'table' THEN has_table_privilege(c.oid, i.lent)
  WHEN 'sequence' THEN has_sequence_privilege(c.oid, i.lent)
  WHEN 'column' THEN has_column_privilege(c.oid, a.attnum, i.lent)
  WHEN 'routine' THEN has_function_privilege(p.oid, i.lent)
 END,
 CASE i.kind
  WHEN 'database' THEN has_database_privilege(coalesce(r.oid, 0::oid), current_database(), i.wanted)
  WHEN 'schema' THEN has_schema_privilege(coalesce(r.oid, 0::oid), n.oid, i.wanted)
  WHEN 'table' THEN has_table_privilege(coalesce(r.oid, 0::oid), c.oid, i.wanted)
  WHEN 'sequence' THEN has_sequence_privilege(coalesce(r.oid, 0::oid), c.oid, i.wanted)
  WHEN 'column' THEN has_column_privilege(coalesce(r.oid, 0::oid), c.oid, a.attnum, i.wanted)
  WHEN 'routine' THEN has_function_privilege(coalesce(r.oid, 0::oid), p.oid, i.wanted)
 END
FROM (
 SELECT u.*, u.wanted || ' WITH GRANT OPTION' AS lent
 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
  u (kind, schema, name, col, wanted, place)
) i
LEFT JOIN pg_roles r ON r.rolname = $6::text
LEFT JOIN pg_namespace n ON n.nspname = i.schema
LEFT JOIN pg_class c ON i.kind IN ('table', 'sequence', 'column') AND c.relnamespace = n.oid AND c.relname = i.name
 AND (c.relkind = 'S') = (i.kind = 'sequence') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
LEFT JOIN pg_attribute a ON i.kind = 'column' AND a.attrelid = c.oid AND a.attname = i.col AND NOT a.attisdropped
LEFT JOIN pg_proc p ON p.oid = CASE WHEN i.kind = 'routine' THEN i.name::oid END
ORDER BY i.place";

const HELD: &str = "
WITH me AS (SELECT oid FROM pg_roles WHERE rolname = $1::text)
SELECT 'database', '', '', '', x.privilege_type, 0::oid
 FROM pg_database d, aclexplode(d.datacl) x, me WHERE x.grantee = me.oid AND d.datname = current_database()
UNION ALL
SELECT 'schema', n.nspname::text, '', '', x.privilege_type, 0::oid
 FROM pg_namespace n, aclexplode(n.nspacl) x, me WHERE x.grantee = me.oid
UNION ALL
SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname::text, c.relname::text, '', x.privilege_type,
  0::oid
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) x, me
 WHERE c.relacl IS NOT NULL AND x.grantee = me.oid
UNION ALL
SELECT 'column', n.nspname::text, c.relname::text, a.attname::text, x.privilege_type, 0::oid
 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
  aclexplode(a.attacl) x, me
 WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND x.grantee = me.oid
UNION ALL
SELECT 'routine', '', '', '', x.privilege_type, p.oid
 FROM pg_proc p, aclexplode(p.proacl) x, me WHERE p.proacl IS NOT NULL AND x.grantee = me.oid";

const SIGNATURES: &str = "SELECT oid, oid::regprocedure::text FROM pg_proc WHERE oid = ANY ($1::oid[])";
