//! Names and texts as SQL has them.

/// In double quotes, always: whatever is in it stays a name.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text constant. Connections of this module have `standard_conforming_strings` on.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `prefix."a", prefix."b"`
pub(super) fn columns(prefix: &str, names: &[String]) -> String {
    let all: Vec<String> = names.iter().map(|name| format!("{prefix}.{}", identifier(name))).collect();
    all.join(", ")
}
