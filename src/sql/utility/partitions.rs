//! What makes a table partitioned, or a partition: PARTITION BY, PARTITION OF, and the bounds.

use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::parse;
use crate::sql::tree::Ddl;

/// PARTITION BY, if it stands here; `false` where it is not understood.
pub fn partitioned(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Result<bool, Unreadable> {
    if !cursor.take(&["partition", "by"]) {
        return Ok(true);
    }
    let Some(elements) = cursor.name().and_then(|_| cursor.group()) else { return Ok(false) };
    ddl.expressions.append(&mut parse::index_elements(elements)?);
    Ok(true)
}

/// The parent of a partition, and its bounds.
pub fn partition_of(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Result<bool, Unreadable> {
    let Some(parent) = cursor.qualified_name() else { return Ok(false) };
    ddl.references.push(parent);
    partition_bound(cursor, ddl)
}

/// FOR VALUES …, or DEFAULT.
pub fn partition_bound(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Result<bool, Unreadable> {
    if cursor.take(&["default"]) {
        return Ok(true);
    }
    if !cursor.take(&["for", "values"]) {
        return Ok(false);
    }
    let hash = cursor.take(&["with"]);
    if !hash && cursor.take_one(&["in", "from"]).is_none() {
        return Ok(false);
    }
    loop {
        if !cursor.is_mark(0, '(') {
            return Ok(false);
        }
        let bounds = comma_separated(cursor.group().unwrap_or_default());
        for bound in bounds.into_iter().filter(|_| !hash) {
            // MINVALUE and MAXVALUE are read as columns, and no bound has a column.
            ddl.expressions.push(parse::expression(bound)?);
        }
        if !cursor.take(&["to"]) {
            return Ok(true);
        }
    }
}
