//! One row of an answer, whoever carried the question: a connection of pgward's own, or a session's.

use tokio_postgres::types::{FromSql, Type};

use super::LoadError;

/// One row.
pub(super) enum Row<'a> {
    Client(&'a tokio_postgres::Row),
    /// In binary format, with the columns' types.
    Session {
        types: &'a [Type],
        cells: &'a [Option<&'a [u8]>],
    },
}

/// The value in one column.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row<'r>, index: usize) -> Result<T, LoadError> {
    let (types, cells) = match row {
        Row::Client(row) => return Ok(row.try_get(index)?),
        Row::Session { types, cells } => (types, cells),
    };
    let wrong = || LoadError::Content(format!("column {index} of an answer"));
    let (of, cell) = (types.get(index).ok_or_else(wrong)?, cells.get(index).ok_or_else(wrong)?);
    if !T::accepts(of) {
        return Err(wrong());
    }
    T::from_sql_nullable(of, *cell).map_err(|_| wrong())
}
