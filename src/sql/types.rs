//! Type names (`Typename` of gram.y), read from tokens.

use super::cursor::{Cursor, comma_separated};
use super::keywords::{Category, category, is_reserved};
use super::lex::{Kind, Token};
use super::tree::{Name, QualifiedName, TypeName};

/// Reads a type with its modifiers and array bounds; `None`, and the cursor anywhere, if none stands here.
pub fn type_name(cursor: &mut Cursor<'_>) -> Option<TypeName> {
    cursor.take(&["setof"]);
    let name = simple(cursor)?;
    let mut array = false;
    if cursor.take(&["array"]) {
        array = true;
        if cursor.is_mark(0, '[') {
            bound(cursor)?;
        }
    } else {
        while cursor.is_mark(0, '[') {
            array = true;
            bound(cursor)?;
        }
    }
    Some(TypeName { name, array })
}

/// `SimpleTypename`: what may stand before a string as a typed literal, too.
pub fn simple(cursor: &mut Cursor<'_>) -> Option<QualifiedName> {
    let Some(Kind::Word(word)) = cursor.kind(0) else { return generic(cursor) };
    let builtin = match word.as_str() {
        "int" | "integer" => plain(cursor, "int4"),
        "smallint" => plain(cursor, "int2"),
        "bigint" => plain(cursor, "int8"),
        "real" => plain(cursor, "float4"),
        "boolean" => plain(cursor, "bool"),
        "float" => float(cursor)?,
        "double" if cursor.word(1) == "precision" => {
            cursor.advance(2);
            "float8"
        }
        "decimal" | "dec" | "numeric" => with_modifiers(cursor, "numeric")?,
        "bit" => varying(cursor, "bit", "varbit")?,
        "national" => {
            cursor.advance(1);
            match cursor.word(0) {
                "character" | "char" => varying(cursor, "bpchar", "varchar")?,
                _ => return None,
            }
        }
        "character" | "char" | "nchar" => varying(cursor, "bpchar", "varchar")?,
        "varchar" => with_modifiers(cursor, "varchar")?,
        "timestamp" => zoned(cursor, "timestamp", "timestamptz")?,
        "time" => zoned(cursor, "time", "timetz")?,
        "interval" => interval(cursor)?,
        _ => return generic(cursor),
    };
    Some(QualifiedName::builtin(builtin))
}

/// The fields after an interval: `YEAR`, `DAY TO SECOND (3)`.
pub fn interval_fields(cursor: &mut Cursor<'_>) -> Option<()> {
    const FIELDS: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];
    if cursor.take_one(&FIELDS).is_some() {
        if cursor.word(0) == "to" && FIELDS.contains(&cursor.word(1)) {
            cursor.advance(2);
        }
        modifiers(cursor)?;
    }
    Some(())
}

fn plain(cursor: &mut Cursor<'_>, name: &'static str) -> &'static str {
    cursor.advance(1);
    name
}

fn with_modifiers(cursor: &mut Cursor<'_>, name: &'static str) -> Option<&'static str> {
    cursor.advance(1);
    modifiers(cursor)?;
    Some(name)
}

/// `float(p)` is `float4` up to 24 bits.
fn float(cursor: &mut Cursor<'_>) -> Option<&'static str> {
    cursor.advance(1);
    if !cursor.is_mark(0, '(') {
        return Some("float8");
    }
    let Some(Kind::Integer(bits)) = cursor.kind(1) else { return None };
    let small = bits.parse::<u32>().ok()? <= 24;
    modifiers(cursor)?;
    Some(if small { "float4" } else { "float8" })
}

fn varying(cursor: &mut Cursor<'_>, fixed: &'static str, varying: &'static str) -> Option<&'static str> {
    cursor.advance(1);
    let name = if cursor.take(&["varying"]) { varying } else { fixed };
    modifiers(cursor)?;
    Some(name)
}

fn zoned(cursor: &mut Cursor<'_>, without: &'static str, with: &'static str) -> Option<&'static str> {
    cursor.advance(1);
    modifiers(cursor)?;
    if cursor.take(&["with", "time", "zone"]) {
        return Some(with);
    }
    cursor.take(&["without", "time", "zone"]);
    Some(without)
}

fn interval(cursor: &mut Cursor<'_>) -> Option<&'static str> {
    cursor.advance(1);
    modifiers(cursor)?;
    interval_fields(cursor)?;
    Some("interval")
}

/// `GenericType`: a name that is looked up.
fn generic(cursor: &mut Cursor<'_>) -> Option<QualifiedName> {
    let first = match cursor.kind(0)? {
        Kind::Quoted(name) => name,
        Kind::Word(word) => match category(word) {
            Category::Reserved => return None,
            Category::Column if word != "json" => return None,
            Category::Column | Category::FunctionOrType | Category::Free => word,
        },
        _ => return None,
    };
    let mut parts = vec![Name::from(first.as_str())];
    cursor.advance(1);
    while cursor.is_mark(0, '.') {
        cursor.advance(1);
        parts.push(cursor.label()?);
    }
    modifiers(cursor)?;
    // `%TYPE` names a column, which no statement outside of CREATE FUNCTION may.
    (!cursor.is_operator(0, "%") || cursor.word(1) != "type").then_some(QualifiedName { parts })
}

/// Type modifiers are constants here: anything else could call functions, and the caller gives the type up.
fn modifiers(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.is_mark(0, '(') {
        let constant = |tokens: &[Token]| match tokens {
            [Token { kind: Kind::Integer(_) | Kind::String(_) | Kind::Quoted(_), .. }] => true,
            [Token { kind: Kind::Operator(sign), .. }, Token { kind: Kind::Integer(_), .. }] => sign == "-",
            [Token { kind: Kind::Word(word), .. }] => !is_reserved(word),
            [..] => false,
        };
        let inside = comma_separated(cursor.group()?);
        return (!inside.is_empty() && inside.into_iter().all(constant)).then_some(());
    }
    Some(())
}

fn bound(cursor: &mut Cursor<'_>) -> Option<()> {
    match cursor.group()? {
        [] => Some(()),
        [token] if matches!(token.kind, Kind::Integer(_)) => Some(()),
        [..] => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sql::lex::tokens;

    fn check(text: &str, expected: &str) {
        let tokens = tokens(text).unwrap();
        let mut cursor = Cursor::new(&tokens);
        let found = type_name(&mut cursor).unwrap();
        assert!(cursor.is_done(), "{text}");
        assert_eq!(format!("{}{}", found.name, if found.array { "[]" } else { "" }), expected, "{text}");
    }

    #[test]
    fn grammar_types_come_under_their_catalog_name() {
        for (text, expected) in [
            ("int", "pg_catalog.int4"),
            ("integer[3][]", "pg_catalog.int4[]"),
            ("bigint array", "pg_catalog.int8[]"),
            ("double precision", "pg_catalog.float8"),
            ("float(10)", "pg_catalog.float4"),
            ("float(25)", "pg_catalog.float8"),
            ("numeric(10, 2)", "pg_catalog.numeric"),
            ("character varying(20)", "pg_catalog.varchar"),
            ("char(2)", "pg_catalog.bpchar"),
            ("\"char\"", "char"),
            ("bit varying", "pg_catalog.varbit"),
            ("timestamp(3) with time zone", "pg_catalog.timestamptz"),
            ("timestamp without time zone[]", "pg_catalog.timestamp[]"),
            ("time with time zone", "pg_catalog.timetz"),
            ("interval day to second(3)", "pg_catalog.interval"),
            ("text", "text"),
            ("int4", "int4"),
            ("s.Mood[]", "s.mood[]"),
            ("geometry(Point, 4326)", "geometry"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn what_is_no_type_is_none() {
        for text in ["select", "coalesce", "5", "t%type", "vector((select 1))", "int[x]"] {
            let tokens = tokens(text).unwrap();
            assert!(type_name(&mut Cursor::new(&tokens)).is_none(), "{text}");
        }
    }
}
