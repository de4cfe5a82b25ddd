//! `export`: what may leave a region under one grant: `"none"`, `"unlimited"`, or `{ rows = 1000, bytes = "10MB" }`.

use super::reader::Table;
use crate::access::{Export, ExportLimit};

/// The bound under `export`, where there is one.
pub(super) fn export(table: &Table<'_>) -> Option<Export> {
    if table.peek_text("export").is_some() {
        return table.text("export")?.choose(&[("none", Export::NONE), ("unlimited", Export::Unlimited)]);
    }
    if !table.has("export") {
        return None;
    }
    let bounds = table.table("export")?;
    bounds.allow(&["rows", "bytes"]);
    if !bounds.has("rows") && !bounds.has("bytes") {
        bounds.place.refuse("bounds nothing; give it rows or bytes, or write \"none\" or \"unlimited\"");
        return None;
    }
    let (rows, bytes) = (bounds.integer("rows", 1, u64::MAX), bounds.size("bytes"));
    let is_whole = bounds.has("rows") == rows.is_some() && bounds.has("bytes") == bytes.is_some();
    is_whole.then_some(Export::Limited(ExportLimit { rows, bytes }))
}
