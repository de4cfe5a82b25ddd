//! PostgreSQL's keywords by category (`src/include/parser/kwlist.h`, the union of versions 14 to 18).
//!
//! Public for the tests that hold it against PostgreSQL's own tables.
//!
//! Only the categories that restrict where a word may stand are listed; every other word is free to be any name.

/// What an unquoted word may not be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Never a name, except after `AS` or a dot.
    Reserved,
    /// A function or type name, but no column or relation.
    FunctionOrType,
    /// A column or relation, but no function or type of the user's: grammar begins with it.
    Column,
    /// A name like any other.
    Free,
}

/// The category of a word that is already folded to lower case.
#[must_use]
pub fn category(word: &str) -> Category {
    if RESERVED.binary_search(&word).is_ok() {
        Category::Reserved
    } else if FUNCTION_OR_TYPE.binary_search(&word).is_ok() {
        Category::FunctionOrType
    } else if COLUMN.binary_search(&word).is_ok() {
        Category::Column
    } else {
        Category::Free
    }
}

/// Whether the word cannot be a column or relation without quotes.
#[must_use]
pub fn is_reserved(word: &str) -> bool {
    match category(word) {
        Category::Reserved | Category::FunctionOrType => true,
        Category::Column | Category::Free => false,
    }
}

/// Sorted: searched by halving.
const RESERVED: [&str; 78] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "system_user",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// Sorted.
const FUNCTION_OR_TYPE: [&str; 23] = [
    "authorization",
    "binary",
    "collation",
    "concurrently",
    "cross",
    "current_schema",
    "freeze",
    "full",
    "ilike",
    "inner",
    "is",
    "isnull",
    "join",
    "left",
    "like",
    "natural",
    "notnull",
    "outer",
    "overlaps",
    "right",
    "similar",
    "tablesample",
    "verbose",
];

/// Sorted.
const COLUMN: [&str; 63] = [
    "between",
    "bigint",
    "bit",
    "boolean",
    "char",
    "character",
    "coalesce",
    "dec",
    "decimal",
    "exists",
    "extract",
    "float",
    "greatest",
    "grouping",
    "inout",
    "int",
    "integer",
    "interval",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "least",
    "merge_action",
    "national",
    "nchar",
    "none",
    "normalize",
    "nullif",
    "numeric",
    "out",
    "overlay",
    "position",
    "precision",
    "real",
    "row",
    "setof",
    "smallint",
    "substring",
    "time",
    "timestamp",
    "treat",
    "trim",
    "values",
    "varchar",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_for_searching() {
        assert!(RESERVED.is_sorted() && FUNCTION_OR_TYPE.is_sorted() && COLUMN.is_sorted());
    }

    #[test]
    fn categories_are_postgresqls() {
        for (word, expected) in [
            ("select", Category::Reserved),
            ("left", Category::FunctionOrType),
            ("values", Category::Column),
            ("insert", Category::Free),
            ("xor", Category::Free),
        ] {
            assert_eq!(category(word), expected, "{word}");
        }
    }
}
