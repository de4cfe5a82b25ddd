//! The conversation with the server. Every statement with a client's text in it is sent by the extended protocol, which takes
//! one command and begins with words of ours: a text that ends the function's body and goes on is an error, and runs nothing.
//! What is created is rolled back.

use std::borrow::Cow;

use aws_lc_rs::rand;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::{Opinion, body};
use crate::catalog::footprint::Oid;
use crate::catalog::snapshot::Snapshot;
use crate::sql;
use crate::sql::tree::TypeName;

/// Bytes of a statement that is asked about: its stored form is several times as long.
pub const MAX_TEXT: usize = 256 * 1024;
/// Bytes of a body that is read.
const MAX_BODY: i32 = 8 * 1024 * 1024;
/// Longer bodies are read off the reactor.
const MAX_INLINE: usize = 256 * 1024;
/// `FUNC_MAX_ARGS` of PostgreSQL as it is built everywhere. A query with more parameters is asked about with nulls of their
/// types in their place.
const MAX_PARAMETERS: usize = 100;
/// The type `unknown`: a parameter of it is one whose type is to be found out.
const UNKNOWN: Oid = 705;
/// The first version that knows BEGIN ATOMIC.
const FIRST_VERSION: i32 = 140_000;

/// For the whole connection. Bodies are analysed whether they are checked or not; what the check adds is rewriting, which locks
/// what lies behind views. A lock that somebody holds is not waited for.
const SETTINGS: &str = "SET check_function_bodies = off; SET standard_conforming_strings = on;
SET lock_timeout = '200ms'; SET statement_timeout = '2s'; SET idle_in_transaction_session_timeout = '10s'";

/// Each question is another text to `pg_stat_statements`, and would drive the users' own out. Only a superuser may say so.
const UNTRACKED: &str = "
SELECT pg_catalog.set_config('pg_stat_statements.track', 'none', false)
WHERE pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'";

const ABILITY: &str = "
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, pg_catalog.pg_is_in_recovery(),
 pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP')";

/// The body and the dependencies of the one function of that name; an operator stands for its function.
const READ: &str = "
SELECT CASE WHEN pg_catalog.octet_length(p.prosqlbody::pg_catalog.text) OPERATOR(pg_catalog.<=) $2
            THEN p.prosqlbody::pg_catalog.text END,
 ARRAY(SELECT pg_catalog.concat_ws(' ', d.refclassid, coalesce(o.oprcode::pg_catalog.oid, d.refobjid), d.refobjsubid)
         FROM pg_catalog.pg_depend d LEFT JOIN pg_catalog.pg_operator o
           ON o.oid OPERATOR(pg_catalog.=) d.refobjid
          AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
          AND d.objid OPERATOR(pg_catalog.=) p.oid)
FROM pg_catalog.pg_proc p
WHERE p.proname OPERATOR(pg_catalog.=) $1::pg_catalog.name
  AND p.pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()";

const TYPES: &str = "
SELECT parameter_types::pg_catalog.oid[] FROM pg_catalog.pg_prepared_statements WHERE name OPERATOR(pg_catalog.=) $1";

/// `pg_class`, `pg_proc` and `pg_operator` in `pg_depend.refclassid`.
const CLASSES: Oid = 1259;
const PROCEDURES: Oid = 1255;
const OPERATORS: Oid = 2617;

/// One statement, and the types of its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// One SELECT, INSERT, UPDATE, DELETE or MERGE.
    pub text: &'q str,
    pub parameters: Parameters<'q>,
}

/// What is known of the types of `$1` and its kin.
#[derive(Clone, Copy, Debug)]
pub enum Parameters<'q> {
    /// As a Parse declares them, 0 where it leaves one open.
    Declared(&'q [Oid]),
    /// As a PREPARE names them.
    Named(&'q [TypeName]),
}

/// Why a server cannot be asked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unable {
    /// It is older than 14.
    Version,
    /// It is a standby.
    Standby,
    /// The login has no privilege TEMPORARY on the database.
    Temporary,
}

/// Why a question had no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("it is longer than {MAX_TEXT} bytes, or its analysis is larger than the bound")]
    Size,
    #[error("it has more than {MAX_PARAMETERS} parameters, some of them of a type with an unusual name")]
    Parameters,
    #[error("type {0} of a parameter is not in the catalogs")]
    Type(Oid),
    #[error("somebody holds a lock on what it touches")]
    Lock,
    #[error("its analysis took too long")]
    Timeout,
    #[error("PostgreSQL says: {message}")]
    Refused { sqlstate: String, message: String },
    #[error("{0}")]
    NotUnderstood(String),
    #[error("the connection failed: {0}")]
    Connection(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for AskError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(told) = error.as_db_error() else { return Self::Connection(error) };
        match told.code().code() {
            "55P03" => Self::Lock,
            "57014" => Self::Timeout,
            // The server's own troubles: shutting down, out of something, a crash of another backend.
            code if ["53", "57", "58", "08", "XX"].iter().any(|class| code.starts_with(class)) => {
                Self::Connection(error)
            }
            code => Self::Refused { sqlstate: code.to_owned(), message: told.message().to_owned() },
        }
    }
}

/// Makes a fresh connection ready for questions whose names are looked up along `search_path`.
///
/// # Errors
/// Where the server does not answer; [`Unable`] inside where it cannot be asked.
pub async fn prepare_connection(
    client: &Client,
    search_path: &str,
) -> Result<Result<(), Unable>, tokio_postgres::Error> {
    client.batch_execute(SETTINGS).await?;
    client.batch_execute(UNTRACKED).await?;
    let rows = client.query_typed(ABILITY, &[]).await?;
    let (version, standby, temporary) = match rows.first() {
        Some(row) => (row.try_get::<_, i32>(0)?, row.try_get::<_, bool>(1)?, row.try_get::<_, bool>(2)?),
        None => (0, true, false),
    };
    if version < FIRST_VERSION {
        return Ok(Err(Unable::Version));
    }
    if standby {
        return Ok(Err(Unable::Standby));
    }
    if !temporary {
        return Ok(Err(Unable::Temporary));
    }
    let path: &(dyn ToSql + Sync) = &search_path;
    client.query_typed("SELECT pg_catalog.set_config('search_path', $1, false)", &[(path, Type::TEXT)]).await?;
    Ok(Ok(()))
}

/// Asks PostgreSQL what the statement touches. Runs nothing of it and leaves nothing behind. The connection may be used again
/// unless the error is [`AskError::Connection`]; where the future is dropped it may not.
///
/// # Errors
/// [`AskError`].
pub async fn ask(client: &Client, snapshot: &Snapshot, question: Question<'_>) -> Result<Opinion, AskError> {
    if question.text.len() > MAX_TEXT {
        return Err(AskError::Size);
    }
    let types = match declared(question) {
        Some(types) => types.to_vec(),
        None => infer(client, snapshot, question).await?,
    };
    let (types, text) = if types.len() > MAX_PARAMETERS || types.iter().any(|oid| is_pseudo(snapshot, *oid)) {
        (String::new(), Cow::Owned(filled(snapshot, question.text, &types)?))
    } else {
        let types = types.iter().map(|oid| type_text(snapshot, *oid)).collect::<Result<Vec<_>, _>>()?;
        (types.join(", "), Cow::Borrowed(question.text))
    };
    let name = random_name()?;
    // A line end before the semicolon, for texts that end in a comment.
    let create = format!(
        "CREATE FUNCTION pg_temp.{name}({types}) RETURNS pg_catalog.void LANGUAGE sql BEGIN ATOMIC\n{text}\n;END"
    );
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&name, Type::TEXT), (&MAX_BODY, Type::INT4)];
    // In one go: what fails makes the rest fail, up to the ROLLBACK.
    let (begun, created, found, ended) = tokio::join!(
        biased;
        client.batch_execute("BEGIN READ WRITE"),
        client.execute_typed(&create, &[]),
        client.query_typed(READ, &parameters),
        client.batch_execute("ROLLBACK")
    );
    ended.map_err(AskError::Connection)?;
    begun?;
    created?;
    opinion(found?).await
}

/// From the rows that [`READ`] gives to an opinion.
async fn opinion(rows: Vec<Row>) -> Result<Opinion, AskError> {
    let [row] = rows.as_slice() else {
        return Err(AskError::NotUnderstood(format!("{} functions were found instead of one", rows.len())));
    };
    let text: Option<String> = row.try_get(0).map_err(AskError::Connection)?;
    let dependencies: Vec<&str> = row.try_get(1).map_err(AskError::Connection)?;
    let mut opinion = read_body(text.ok_or(AskError::Size)?).await?;
    for dependency in dependencies {
        let not_understood = || AskError::NotUnderstood(format!("the dependency {dependency} is not understood"));
        let mut numbers = dependency.split(' ').map(|number| number.parse::<Oid>().ok());
        let mut next = || numbers.next().flatten().ok_or_else(not_understood);
        match next()? {
            // System columns have negative numbers.
            CLASSES => {
                let (relation, column) = (next()?, next().unwrap_or(0));
                opinion.depends_on_columns.push((relation, i32::try_from(column).unwrap_or(0)));
            }
            PROCEDURES | OPERATORS => opinion.depends_on_functions.push(next()?),
            _schemas_types_and_the_like => {}
        }
    }
    Ok(opinion)
}

async fn read_body(text: String) -> Result<Opinion, AskError> {
    let is_long = text.len() > MAX_INLINE;
    let read = move || {
        let mut opinion = Opinion::default();
        body::read(&text, &mut opinion).map(|()| opinion).map_err(|error| AskError::NotUnderstood(error.to_string()))
    };
    if !is_long {
        return read();
    }
    let broken = |_| AskError::NotUnderstood("the reading of its analysis broke off".to_owned());
    tokio::task::spawn_blocking(read).await.map_err(broken)?
}

/// The text with nulls for its parameters. Only of types whose names need no quotes: what is put in must not be able to end
/// anything, wherever it comes to stand.
fn filled(snapshot: &Snapshot, text: &str, types: &[Oid]) -> Result<String, AskError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    let plain = |oid: &Oid| {
        let (schema, name) = type_name(snapshot, *oid)?;
        let name = format!("{schema}.{name}");
        if name.chars().all(is_plain) { Ok(name) } else { Err(AskError::Parameters) }
    };
    let names = types.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
    sql::with_nulls(text, &names).ok_or(AskError::Parameters)
}

/// Types such as `record`, which no function may take.
fn is_pseudo(snapshot: &Snapshot, oid: Oid) -> bool {
    snapshot.types.get(&oid).is_some_and(|entry| entry.kind == 'p')
}

/// The types of the parameters, where all that the text can have are declared.
fn declared<'q>(question: Question<'q>) -> Option<&'q [Oid]> {
    let highest = highest_parameter(question.text);
    match question.parameters {
        Parameters::Declared(types) => {
            let is_open = types.iter().any(|oid| *oid == 0 || *oid == UNKNOWN);
            (highest <= types.len() && !is_open).then_some(types)
        }
        Parameters::Named([]) if highest == 0 => Some(&[]),
        Parameters::Named(_) => None,
    }
}

/// The highest `$n` in a text, those in strings and comments included: too many only means to ask PostgreSQL.
fn highest_parameter(text: &str) -> usize {
    let number = |rest: &str| {
        let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end).filter(|digits| !digits.is_empty()).map(|digits| digits.parse().unwrap_or(usize::MAX))
    };
    text.split('$').skip(1).filter_map(number).max().unwrap_or(0)
}

/// The types that PostgreSQL finds for the parameters: a PREPARE analyses its statement and does not plan it.
async fn infer(client: &Client, snapshot: &Snapshot, question: Question<'_>) -> Result<Vec<Oid>, AskError> {
    let name = random_name()?;
    let types = match question.parameters {
        Parameters::Declared(types) => {
            types.iter().map(|oid| type_text(snapshot, *oid)).collect::<Result<Vec<_>, _>>()?
        }
        Parameters::Named(types) => types.iter().map(named_type_text).collect(),
    };
    let types = if types.is_empty() { String::new() } else { format!("({})", types.join(", ")) };
    let prepare = format!("PREPARE {name}{types} AS\n{}", question.text);
    let deallocate = format!("DEALLOCATE {name}");
    let parameter: [(&(dyn ToSql + Sync), Type); 1] = [(&name, Type::TEXT)];
    let (begun, prepared, found, ended) = tokio::join!(
        biased;
        client.batch_execute("BEGIN READ WRITE"),
        client.execute_typed(&prepare, &[]),
        client.query_typed(TYPES, &parameter),
        client.batch_execute("ROLLBACK")
    );
    ended.map_err(AskError::Connection)?;
    begun?;
    prepared?;
    // Prepared statements outlast their transaction.
    client.batch_execute(&deallocate).await?;
    match found?.as_slice() {
        [row] => row.try_get(0).map_err(AskError::Connection),
        _none => Err(AskError::NotUnderstood("the prepared statement was not found".to_owned())),
    }
}

/// How a type is written so that it means this type, whatever the search path; 0 is one that is to be found out.
fn type_text(snapshot: &Snapshot, oid: Oid) -> Result<String, AskError> {
    if oid == 0 {
        return Ok("pg_catalog.unknown".to_owned());
    }
    let (schema, name) = type_name(snapshot, oid)?;
    Ok(format!("{}.{}", quoted(schema), quoted(name)))
}

fn type_name(snapshot: &Snapshot, oid: Oid) -> Result<(&str, &str), AskError> {
    let found = snapshot.type_names.iter().find_map(|(name, types)| {
        types.iter().find(|(_, known)| *known == oid).map(|(schema, _)| (snapshot.schema_name(*schema), &**name))
    });
    found.ok_or(AskError::Type(oid))
}

/// A type as a PREPARE wrote it.
fn named_type_text(name: &TypeName) -> String {
    let parts: Vec<String> = name.name.parts.iter().map(|part| quoted(part.as_str())).collect();
    format!("{}{}", parts.join("."), if name.array { "[]" } else { "" })
}

/// An identifier in quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name that nobody else has, of letters and digits.
fn random_name() -> Result<String, AskError> {
    let mut bytes = [0_u8; 8];
    rand::fill(&mut bytes).map_err(|_| AskError::NotUnderstood("no random name can be made now".to_owned()))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("pgward_{digits}"))
}
