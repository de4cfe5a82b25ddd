//! Whatever the text, `read` returns.

use proptest::prelude::*;

use super::*;

/// Pieces that mean something to the lexer or the grammar.
const PIECES: &[&str] = &[
    "select",
    "from",
    "where",
    "only",
    "table",
    "(",
    ")",
    "[",
    "]",
    ",",
    ";",
    ".",
    "*",
    "'",
    "\"",
    "$$",
    "$a$",
    "--",
    "/*",
    "*/",
    "\n",
    "::",
    ":=",
    "=>",
    "..",
    "1",
    "1.5",
    "$1",
    "a",
    "b.c",
    "as",
    "any",
    "all",
    "array",
    "cast",
    "case",
    "when",
    "then",
    "end",
    "union",
    "join",
    "on",
    "using",
    "set",
    "insert into t",
    "values",
    "update",
    "delete",
    "with",
    "returning",
    "over",
    "filter",
    "group by",
    "order by",
    "limit",
    "for update",
    "e'\\'",
    "u&'\\",
    "uescape",
    "x'",
    "interval",
    "date",
    "extract",
    "position",
    "trim",
    "substring",
    "in",
    "between",
    "like",
    "is",
    "not",
    "null",
    "default",
    "collate",
    "operator(",
    "create table",
    "alter table",
    "drop",
    "copy",
    "explain",
    "prepare",
    "declare c cursor for",
    "fetch",
    "begin",
    "reset",
    "show",
    "conflict",
    "do",
    "rows",
    "preceding",
    "tablesample",
    "grouping sets",
    "cube",
    "=",
    "+",
    "-",
    "||",
    "é",
    "\u{b}",
    "\0",
    "variadic",
    "lateral",
    "merge into",
    "normalize",
    "exclude",
    "at time zone",
    "int",
    "text",
];

fn statements() -> Vec<&'static str> {
    super::corpora::probes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        let _ = try_read(&text);
        let _ = crate::sql::redacted(&text);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        let _ = try_read(&pieces.join(" "));
        let _ = try_read(&pieces.concat());
    }

    #[test]
    fn mutated_statements(
        base in prop::sample::select(statements()),
        piece in prop::sample::select(PIECES),
        at in any::<prop::sample::Index>(),
        cut in 0_usize..6,
    ) {
        let mut characters: Vec<char> = base.chars().collect();
        let start = at.index(characters.len() + 1);
        let end = (start + cut).min(characters.len());
        characters.splice(start..end, piece.chars());
        let text: String = characters.into_iter().collect();
        let _ = try_read(&text);
        let _ = crate::sql::redacted(&text);
    }
}
