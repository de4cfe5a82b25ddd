//! Rows past their time, hidden by PostgreSQL itself: a restrictive row security policy for one role, of which every short-lived
//! role of pgward's is then a member. It is the database's owner who puts it there; here is the SQL for that, and how it is known
//! that it is in place.

use std::fmt::Write as _;

use tokio_postgres::Client;

use super::facts::Table;
use super::policy::Policy;
use super::sql::{identifier, literal};

/// The role that overdue rows are hidden from, and the name of the policies.
pub const ROLE: &str = "pgward_retention";

/// That a row is not past its time, at any instant, as a policy has it. Bare names are the table's columns.
fn readable(policy: &Policy, table: &Table) -> String {
    let column = identifier(&policy.column);
    let base = table.column(&policy.column).map_or("", |column| column.base.as_str());
    let cutoff = format!("(pg_catalog.now() - {})", policy.keep.interval());
    let cutoff = match base {
        "timestamp without time zone" => format!("pg_catalog.timezone('UTC', {cutoff})"),
        "date" => format!("pg_catalog.timezone('UTC', {cutoff})::pg_catalog.date"),
        _with_zone => cutoff,
    };
    let overdue = match &policy.only {
        None => format!("{column} < {cutoff}"),
        Some(only) => format!("{column} < {cutoff} AND ({only}) IS TRUE"),
    };
    // A row without a time is never overdue.
    format!("({overdue}) IS NOT TRUE")
}

/// What says that the policy in place is this one: made of what it hides.
fn mark(policy: &Policy, table: &Table) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, readable(policy, table).as_bytes());
    let mut text = "pgward:".to_owned();
    for byte in digest.as_ref().iter().take(16) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The SQL that has PostgreSQL hide what is overdue; for the owner of the table to run.
#[must_use]
pub fn script(policy: &Policy, table: &Table, broker: &str) -> String {
    let (on, role, broker) = (policy.on.sql(), identifier(ROLE), identifier(broker));
    let mut sql = format!(
        "-- {}: rows of {} past {}\nBEGIN;\n\
         DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;\n\
         GRANT {role} TO {broker} WITH ADMIN OPTION; -- from PostgreSQL 16 on: WITH ADMIN TRUE, INHERIT FALSE, SET FALSE\n",
        policy.name, policy.on, policy.keep
    );
    if !table.row_security {
        // Everybody else goes on as before: row security that nobody had is no reason to hide anything from them.
        let _ = write!(
            sql,
            "CREATE POLICY pgward_everybody ON {on} AS PERMISSIVE FOR ALL TO PUBLIC USING (true) WITH CHECK (true);\n\
             ALTER TABLE {on} ENABLE ROW LEVEL SECURITY;\n"
        );
    }
    let _ = write!(
        sql,
        "DROP POLICY IF EXISTS {role} ON {on};\n\
         CREATE POLICY {role} ON {on} AS RESTRICTIVE FOR ALL TO {role}\n    USING ({})\n    WITH CHECK (true);\n\
         COMMENT ON POLICY {role} ON {on} IS {};\nCOMMIT;\n",
        readable(policy, table),
        literal(&mark(policy, table)),
    );
    sql
}

/// Whether that policy is in place, and row security with it.
///
/// # Errors
/// Where the database cannot be asked.
pub async fn is_filtered(client: &Client, policy: &Policy, table: &Table) -> Result<bool, tokio_postgres::Error> {
    let asked = "SELECT EXISTS (SELECT FROM pg_catalog.pg_policy p
        JOIN pg_catalog.pg_class c ON c.oid = p.polrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_roles r ON p.polroles = ARRAY[r.oid]
        WHERE n.nspname = $1 AND c.relname = $2 AND c.relrowsecurity AND p.polname = $3 AND r.rolname = $3
          AND p.polcmd = '*' AND NOT p.polpermissive AND pg_catalog.obj_description(p.oid, 'pg_policy') = $4)";
    let mark = mark(policy, table);
    client.query_one(asked, &[&policy.on.schema, &policy.on.name, &ROLE, &mark]).await?.try_get(0)
}

/// Whether there is any row past its time, held or not.
///
/// # Errors
/// Where the database cannot be asked.
pub async fn any_overdue(client: &Client, policy: &Policy, table: &Table) -> Result<bool, tokio_postgres::Error> {
    let on = policy.on.sql();
    let asked = format!("SELECT EXISTS (SELECT FROM {on} WHERE NOT ({}))", readable(policy, table));
    client.query_one(&asked, &[]).await?.try_get(0)
}
