//! The names of the conditions that sessions meet most, by PostgreSQL's appendix "PostgreSQL Error Codes". The journal
//! keeps the SQLSTATE alone: an error's text can hold data.

/// A SQLSTATE with its condition's name, or with that of its class.
pub(super) fn named(sqlstate: &str) -> String {
    if let Some((_, name)) = CONDITIONS.iter().find(|(state, _)| *state == sqlstate) {
        return format!("{sqlstate}: {name}");
    }
    match CLASSES.iter().find(|(class, _)| sqlstate.starts_with(class)) {
        Some((_, name)) => format!("{sqlstate}: {name}"),
        None => sqlstate.to_owned(),
    }
}

const CONDITIONS: [(&str, &str); 40] = [
    ("08P01", "protocol violation"),
    ("0A000", "feature not supported"),
    ("22001", "string data right truncation"),
    ("22003", "numeric value out of range"),
    ("22007", "invalid datetime format"),
    ("22008", "datetime field overflow"),
    ("22012", "division by zero"),
    ("22021", "character not in repertoire"),
    ("22023", "invalid parameter value"),
    ("22P02", "invalid text representation"),
    ("22P03", "invalid binary representation"),
    ("23502", "not null violation"),
    ("23503", "foreign key violation"),
    ("23505", "unique violation"),
    ("23514", "check violation"),
    ("23P01", "exclusion violation"),
    ("25001", "active sql transaction"),
    ("25006", "read only sql transaction"),
    ("25P02", "in failed sql transaction"),
    ("26000", "invalid sql statement name"),
    ("34000", "invalid cursor name"),
    ("40001", "serialization failure"),
    ("40P01", "deadlock detected"),
    ("42501", "insufficient privilege"),
    ("42601", "syntax error"),
    ("42702", "ambiguous column"),
    ("42703", "undefined column"),
    ("42710", "duplicate object"),
    ("42804", "datatype mismatch"),
    ("42883", "undefined function"),
    ("42P01", "undefined table"),
    ("42P07", "duplicate table"),
    ("53100", "disk full"),
    ("53300", "too many connections"),
    ("54000", "program limit exceeded"),
    ("55P03", "lock not available"),
    ("57014", "query canceled"),
    ("57P01", "admin shutdown"),
    ("58030", "io error"),
    ("XX000", "internal error"),
];

const CLASSES: [(&str, &str); 20] = [
    ("08", "connection exception"),
    ("0A", "feature not supported"),
    ("22", "data exception"),
    ("23", "integrity constraint violation"),
    ("24", "invalid cursor state"),
    ("25", "invalid transaction state"),
    ("26", "invalid sql statement name"),
    ("28", "invalid authorization specification"),
    ("34", "invalid cursor name"),
    ("3B", "savepoint exception"),
    ("40", "transaction rollback"),
    ("42", "syntax error or access rule violation"),
    ("44", "with check option violation"),
    ("53", "insufficient resources"),
    ("54", "program limit exceeded"),
    ("55", "object not in prerequisite state"),
    ("57", "operator intervention"),
    ("58", "system error"),
    ("P0", "PL/pgSQL error"),
    ("XX", "internal error"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_named_by_state_or_class() {
        assert_eq!(named("22012"), "22012: division by zero");
        assert_eq!(named("22999"), "22999: data exception");
        assert_eq!(named("ZZ999"), "ZZ999");
        assert!(CONDITIONS.is_sorted() && CLASSES.is_sorted());
    }
}
