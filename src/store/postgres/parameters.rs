//! Parameters with their types said, so that a statement takes one round trip and no preparation.

use tokio_postgres::types::{ToSql, Type};

pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A text, or none.
pub(super) fn text<'a>(value: &'a (impl ToSql + Sync)) -> Parameter<'a> {
    (value, Type::TEXT)
}

/// Several texts.
pub(super) fn texts<'a>(value: &'a (impl ToSql + Sync)) -> Parameter<'a> {
    (value, Type::TEXT_ARRAY)
}

/// A whole number, or none.
pub(super) fn int(value: &(impl ToSql + Sync)) -> Parameter<'_> {
    (value, Type::INT8)
}
