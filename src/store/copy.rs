//! Moving an installation from a file to a database: all or nothing, into a store that is empty, and compared afterwards.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio_postgres::types::{ToSql, Type};

use super::postgres::{PostgresSettings, PostgresStore, single};
use super::{SqliteStore, Store, StoreError, Wanted};

/// Tables whose columns have the same names in both, those first that others refer to, and by what their rows are ordered.
const TABLES: [(&str, &str); 9] = [
    ("requests", "rowid"),
    ("decisions", "position"),
    ("grants", "rowid"),
    ("revocations", "rowid"),
    ("credentials", "position"),
    ("exports", "grant_id, rule"),
    ("reviews", "rowid"),
    ("grant_uses", "grant_id"),
    ("data_holds", "id"),
];

/// For reading everything back.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3600);

/// What was copied, table by table.
pub type Copied = Vec<(&'static str, u64)>;

/// Copies everything from the file at `from`.
///
/// # Errors
/// Where either cannot be read or written, something is in `to` already, or what is there afterwards is not what was copied.
pub async fn copy(from: &Path, to: PostgresSettings) -> Result<Copied, StoreError> {
    // Brings the file up to date and makes sure that it is sound.
    let source = SqliteStore::open(from)?;
    let target = PostgresStore::open_for(to.clone(), Some(PATIENCE)).await?;
    if target.latest_instant().await?.is_some() {
        return Err(StoreError::Failed("the store to copy to is not empty".to_owned()));
    }
    let path = from.to_owned();
    let read = tokio::task::spawn_blocking(move || read(&path));
    let tables = read.await.map_err(|error| StoreError::Failed(error.to_string()))??;
    let copied = write(to, &tables).await?;
    compare(&source, &target).await?;
    Ok(copied)
}

/// A table's rows.
struct Table {
    name: &'static str,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// Reads everything while nobody can write.
fn read(path: &Path) -> Result<Vec<Table>, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut tables = Vec::new();
    for (name, order) in TABLES {
        let mut statement = tx.prepare(&format!("SELECT * FROM {name} ORDER BY {order}"))?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let count = columns.len();
        let rows = statement.query_map([], |row| (0..count).map(|at| row.get::<_, Value>(at)).collect())?;
        let rows = rows.collect::<Result<Vec<Vec<Value>>, _>>()?;
        tables.push(Table { name, columns, rows });
    }
    Ok(tables)
}

async fn write(to: PostgresSettings, tables: &[Table]) -> Result<Copied, StoreError> {
    let mut open = single(to).await?;
    let tx = open.client.transaction().await?;
    let mut copied = Copied::new();
    for table in tables {
        // The order of the rows makes their positions anew.
        let kept: Vec<usize> =
            (0..table.columns.len()).filter(|at| table.columns.get(*at).is_some_and(|n| n != "position")).collect();
        let names: Vec<&str> = kept.iter().filter_map(|at| table.columns.get(*at)).map(String::as_str).collect();
        let holes: Vec<String> = (1..=kept.len()).map(|number| format!("${number}")).collect();
        let insert = format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), holes.join(", "));
        let types = types(&tx, table.name, &names).await?;
        let insert = tx.prepare_typed(&insert, &types).await?;
        for row in &table.rows {
            let values: Vec<Box<dyn ToSql + Sync + Send>> =
                kept.iter().zip(&types).filter_map(|(at, kind)| Some(value(row.get(*at)?, kind))).collect();
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
            tx.execute(&insert, &values).await?;
        }
        copied.push((table.name, table.rows.len() as u64));
    }
    tx.commit().await?;
    Ok(copied)
}

async fn types(tx: &tokio_postgres::Transaction<'_>, table: &str, columns: &[&str]) -> Result<Vec<Type>, StoreError> {
    let probe = tx.prepare(&format!("SELECT {} FROM {table}", columns.join(", "))).await?;
    Ok(probe.columns().iter().map(|column| column.type_().clone()).collect())
}

fn value(value: &Value, kind: &Type) -> Box<dyn ToSql + Sync + Send> {
    match value {
        Value::Null if *kind == Type::TEXT => Box::new(None::<String>),
        Value::Null => Box::new(None::<i64>),
        Value::Integer(number) if *kind == Type::INT4 => Box::new(i32::try_from(*number).unwrap_or(i32::MAX)),
        Value::Integer(number) => Box::new(*number),
        Value::Text(text) => Box::new(text.clone()),
        // The tables are STRICT, and have no such columns.
        Value::Real(number) => Box::new(number.to_string()),
        Value::Blob(bytes) => Box::new(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// What both say there is.
async fn compare(source: &SqliteStore, target: &PostgresStore) -> Result<(), StoreError> {
    let all = || -> Wanted { Box::new(|_, _| true) };
    let now = jiff::Timestamp::MIN;
    let same = source.list_requests(all(), None, usize::MAX, now).await?
        == target.list_requests(all(), None, usize::MAX, now).await?
        && source.list_grants(all(), None, usize::MAX).await? == target.list_grants(all(), None, usize::MAX).await?
        && source.reviews(all(), false, usize::MAX).await? == target.reviews(all(), false, usize::MAX).await?
        && source.data_holds(None).await? == target.data_holds(None).await?
        && source.latest_instant().await? == target.latest_instant().await?;
    if same { Ok(()) } else { Err(StoreError::Failed("what was copied is not what was there: use neither".to_owned())) }
}
