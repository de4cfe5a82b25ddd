//! What `pgward check` tells of a broker: whether it can make the roles that its database's scopes need, what it may not
//! pass on, and what PUBLIC may do that no role of ours can be kept from. Leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Client;

use super::broker::{Broker, RoleError};
use super::converge::standing;
use super::names::{Mark, Process, quoted, session_role};
use super::privileges::{Change, Privilege, Wording, statements, wanted};
use super::removal::remove;
use super::session::{Beginning, creation, password};
use crate::access::SessionId;
use crate::catalog::{Oid, Snapshot};
use crate::session::catalogs::Unreachable;
use crate::session::settings::{DatabaseSettings, RoleSettings};
use crate::session::side;
use crate::session::upstream::Upstream;

const TIMEOUT: Duration = Duration::from_secs(8);
/// How long the role of a trial could log in, were it left behind.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// What was found, each with what would put it right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// Sessions cannot be had, or not all that scopes allow.
    pub problems: Vec<String>,
    /// Sessions may do more than their grants, or the broker may.
    pub advice: Vec<String>,
}

/// Looks at the broker of a database that makes roles.
///
/// # Errors
/// Where the upstream cannot be reached or asked.
pub async fn examine(settings: &DatabaseSettings) -> Result<Examined, Unreachable> {
    let upstream = Upstream::new(Arc::clone(&settings.upstream))?;
    match tokio::time::timeout(TIMEOUT, questions(&upstream, settings)).await {
        Ok(examined) => examined,
        Err(_) => Err(Unreachable::Timeout),
    }
}

async fn questions(upstream: &Upstream, settings: &DatabaseSettings) -> Result<Examined, Unreachable> {
    let client = side::connect(upstream, "pgward check", TIMEOUT).await.map_err(RoleError::from)?;
    let snapshot = Snapshot::load(&client).await?;
    client.batch_execute("SET search_path = pg_catalog").await.map_err(RoleError::from)?;
    let mut examined = Examined::default();
    broker(&client, &snapshot, &mut examined).await?;
    if let Some(roles) = &settings.roles {
        trial(upstream, roles, &mut examined).await?;
    }
    to_pass_on(&client, &snapshot, settings, &mut examined).await?;
    public(&client, &snapshot, &mut examined).await.map_err(RoleError::from)?;
    Ok(examined)
}

async fn broker(client: &Client, snapshot: &Snapshot, examined: &mut Examined) -> Result<(), RoleError> {
    let row = client.query_one(BROKER, &[]).await?;
    let (superuser, creates, inherits): (bool, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let name = &snapshot.session_user;
    let role = quoted(name);
    if superuser {
        examined.advice.push(format!(
            "\"{name}\" is a superuser: a broker needs CREATEROLE and the privileges it passes on, no more. \
             ALTER ROLE {role} NOSUPERUSER CREATEROLE;"
        ));
    } else if !creates {
        examined.problems.push(format!("\"{name}\" may not create roles. ALTER ROLE {role} CREATEROLE;"));
    }
    if !inherits {
        examined.problems.push(format!(
            "\"{name}\" does not inherit, so it cannot take over what a session's role owns. ALTER ROLE {role} INHERIT;"
        ));
    }
    if !superuser && snapshot.server_version_num < 160_000 {
        examined.advice.push(format!(
            "before PostgreSQL 16 CREATEROLE lets \"{name}\" change every role that is no superuser, and join the \
             server's own: guard its password as a superuser's"
        ));
    }
    if snapshot.path_depends_on_user() {
        examined.problems.push(format!(
            "a schema is named like the broker, and \"$user\" stands in its search_path: other roles would not find it. \
             ALTER ROLE {role} SET search_path = public;"
        ));
    }
    Ok(())
}

/// Makes a role as a session's is made, logs in as it, and removes it.
async fn trial(upstream: &Upstream, roles: &RoleSettings, examined: &mut Examined) -> Result<(), RoleError> {
    let broker = Broker::new(upstream.clone(), Process::generate());
    let holder = SessionId::generate();
    let name = session_role(&holder);
    let mark = Mark {
        pgward: 1,
        process: broker.process().to_string(),
        database: broker.database().to_owned(),
        session: Some(holder.to_string()),
        grant: None,
        principal: "pgward check".to_owned(),
    };
    let (password, verifier) = password()?;
    let valid_until = Timestamp::now().saturating_add(MINUTE).unwrap_or(Timestamp::MAX);
    let beginning = Beginning { verifier: &verifier, valid_until, read_only: true, settings: roles };
    if let Err(error) = broker.run(&creation(&name, &mark, &beginning)).await {
        examined.problems.push(format!("no role can be made: {error}"));
        return Ok(());
    }
    let logged_in = upstream.as_user(name.clone(), password).connect(&[("client_encoding", "UTF8")], TIMEOUT).await;
    if let Err(error) = logged_in {
        examined.problems.push(format!(
            "a role that was made cannot log in: {error}. pg_hba.conf needs a line such as: \
             hostssl {} /^pgward_se_ samenet scram-sha-256 (before PostgreSQL 16: all in place of the pattern)",
            broker.database()
        ));
    }
    if let Err(error) = remove(&broker, &name).await {
        examined.problems.push(format!("a role cannot be removed: {error}. DROP ROLE {};", quoted(&name)));
    }
    Ok(())
}

/// What the scopes allow and the broker may not pass on.
async fn to_pass_on(
    client: &Client,
    snapshot: &Snapshot,
    settings: &DatabaseSettings,
    examined: &mut Examined,
) -> Result<(), RoleError> {
    let objects = snapshot.objects();
    let all: BTreeSet<Privilege> = settings.scopes.iter().flat_map(|scope| wanted(scope, &objects)).collect();
    let asked: Vec<&Privilege> = all.iter().collect();
    let missing = standing(client, "public", &asked).await?.missing;
    let oids: Vec<Oid> = missing.iter().filter_map(|one| routine(one)).collect();
    let rows = client.query(SIGNATURES, &[&oids]).await?;
    let mut signatures = BTreeMap::new();
    for row in &rows {
        signatures.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let wording = Wording { role: &snapshot.session_user, database: &snapshot.database, signatures: &signatures };
    for statement in statements(Change::Grant, missing, &wording) {
        examined
            .problems
            .push(format!("the broker may not pass on what a scope allows. {statement} WITH GRANT OPTION;"));
    }
    Ok(())
}

fn routine(privilege: &Privilege) -> Option<Oid> {
    match privilege {
        Privilege::Routine { oid } => Some(*oid),
        Privilege::Connect
        | Privilege::Schema { .. }
        | Privilege::Table { .. }
        | Privilege::Column { .. }
        | Privilege::Sequence { .. } => None,
    }
}

/// What everybody may do, and so every session's role too.
async fn public(client: &Client, snapshot: &Snapshot, examined: &mut Examined) -> Result<(), tokio_postgres::Error> {
    let database = quoted(&snapshot.database);
    if client.query_one(TEMPORARY, &[]).await?.try_get(0)? {
        examined
            .advice
            .push(format!("PUBLIC may create temporary tables. REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;"));
    }
    for row in client.query(CREATION, &[]).await? {
        let schema: &str = row.try_get(0)?;
        let text = quoted(schema);
        examined
            .advice
            .push(format!("PUBLIC may create objects in \"{schema}\". REVOKE CREATE ON SCHEMA {text} FROM PUBLIC;"));
    }
    for row in client.query(ROUTINES, &[]).await? {
        let (schema, count, definers): (&str, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let text = quoted(schema);
        examined.advice.push(format!(
            "PUBLIC may call {count} functions in \"{schema}\", {definers} of them SECURITY DEFINER. \
             REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA {text} FROM PUBLIC; (others who call them then need it by name)"
        ));
    }
    for row in client.query(TABLES, &[]).await? {
        let (table, rights): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        examined.advice.push(format!("PUBLIC has {rights} on {table}. REVOKE {rights} ON TABLE {table} FROM PUBLIC;"));
    }
    Ok(())
}

const BROKER: &str = "SELECT rolsuper, rolcreaterole, rolinherit FROM pg_roles WHERE rolname = current_user";

const SIGNATURES: &str = "SELECT oid, oid::regprocedure::text FROM pg_proc WHERE oid = ANY ($1::oid[])";

const TEMPORARY: &str = "SELECT has_database_privilege('public', current_database(), 'TEMPORARY')";

const CREATION: &str = "
SELECT nspname::text FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND has_schema_privilege('public', oid, 'CREATE')
ORDER BY 1";

/// Functions of extensions are left out: what those need is theirs to say.
const ROUTINES: &str = "
SELECT n.nspname::text, count(*), count(*) FILTER (WHERE p.prosecdef)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND p.prorettype <> 'trigger'::regtype
 AND has_function_privilege('public', p.oid, 'EXECUTE')
 AND NOT EXISTS (
  SELECT FROM pg_depend d
  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
 )
GROUP BY 1 ORDER BY 1";

const TABLES: &str = "
SELECT format('%I.%I', n.nspname, c.relname), string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) x
WHERE c.relacl IS NOT NULL AND x.grantee = 0 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
GROUP BY n.nspname, c.relname ORDER BY 1";
