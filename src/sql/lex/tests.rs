//! The lexer, token by token.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

fn kinds(text: &str) -> Vec<Kind> {
    tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
}

fn word(text: &str) -> Kind {
    Kind::Word(text.into())
}
fn name(text: &str) -> Kind {
    Kind::Quoted(text.into())
}
fn string(text: &str) -> Kind {
    Kind::String(text.into())
}
fn operator(text: &str) -> Kind {
    Kind::Operator(text.into())
}
fn integer(text: &str) -> Kind {
    Kind::Integer(text.into())
}

#[test]
fn tokens_are_cut_as_postgresql_cuts_them() {
    let cases: &[(&str, Vec<Kind>)] = &[
        ("SELECT Foo$1 Ä", vec![word("select"), word("foo$1"), word("Ä")]),
        (r#""Fo""o""#, vec![name("Fo\"o")]),
        ("'it''s'", vec![string("it's")]),
        ("'a'\n 'b'", vec![string("ab")]),
        ("'a' -- note\n 'b'", vec![string("ab")]),
        ("'a' 'b'", vec![string("a"), string("b")]),
        ("'a' /* \n */ 'b'", vec![string("a"), string("b")]),
        ("'\\'", vec![string("\\")]),
        (r"E'\'\n\x41\101\u00e9\q'", vec![string("'\nAAéq")]),
        (r"E'\ud83d\ude00'", vec![string("😀")]),
        ("E'' \n'\\' , '", vec![string("' , ")]),
        (r#"U&"s\0073n""#, vec![name("ssn")]),
        (r"U&'d!0061!+000062' UESCAPE '!'", vec![string("dab")]),
        (r"U&'\d83d\de00'", vec![string("😀")]),
        ("u & x", vec![word("u"), operator("&"), word("x")]),
        ("B'01' X'\\'", vec![Kind::Bit("b01".into()), Kind::Bit("x\\".into())]),
        ("B'0''1'", vec![Kind::Bit("b0".into()), string("1")]),
        ("X'1'\n'F'", vec![Kind::Bit("x1F".into())]),
        ("N'x'", vec![word("nchar"), string("x")]),
        ("$$a'b$$", vec![string("a'b")]),
        ("$q$ $$ $q$", vec![string(" $$ ")]),
        ("$😀$, ' $😀$", vec![string(", ' ")]),
        ("a$b$c", vec![word("a$b$c")]),
        ("$1", vec![Kind::Parameter(1)]),
        ("1 1.5 .5 5. 1e5 1.e-3", {
            let numeric = |text: &str| Kind::Numeric(text.into());
            vec![integer("1"), numeric("1.5"), numeric(".5"), numeric("5."), numeric("1e5"), numeric("1.e-3")]
        }),
        ("1..2", vec![integer("1"), Kind::DoubleDot, integer("2")]),
        ("a>-- '\n 0", vec![word("a"), operator(">"), integer("0")]),
        ("1 -/* ' */ 0", vec![integer("1"), operator("-"), integer("0")]),
        ("a &>'x'", vec![word("a"), operator("&>"), string("x")]),
        ("1*-2", vec![integer("1"), operator("*"), operator("-"), integer("2")]),
        ("@-1 <-1", vec![operator("@-"), integer("1"), operator("<"), operator("-"), integer("1")]),
        ("a=-1", vec![word("a"), operator("="), operator("-"), integer("1")]),
        ("a=>-1", vec![word("a"), Kind::Arrow, operator("-"), integer("1")]),
        ("a != b", vec![word("a"), operator("<>"), word("b")]),
        ("a:=b::c", vec![word("a"), Kind::ColonEquals, word("b"), Kind::DoubleColon, word("c")]),
        ("a ||/* ' */ b", vec![word("a"), operator("||"), word("b")]),
        ("/* a /* b */ ; */ c", vec![word("c")]),
        ("a --; b\rc", vec![word("a"), word("c")]),
        ("a -- b", vec![word("a")]),
    ];
    for (text, expected) in cases {
        assert_eq!(&kinds(text), expected, "{text}");
    }
}

#[test]
fn names_are_cut_to_63_bytes_at_a_character() {
    let long = "a".repeat(62) + "é";
    assert_eq!(kinds(&long), [word(&"a".repeat(62))]);
    assert_eq!(kinds(&format!("\"{}\"", "A".repeat(70))), [name(&"A".repeat(63))]);
}

#[test]
fn what_versions_read_differently_and_what_is_broken_is_refused() {
    for text in [
        "1_000",
        "0x1F",
        "0b1",
        "0o7",
        "123abc",
        "$1abc",
        "a\u{b}b",
        "a\0b",
        "'a",
        "\"a",
        "\"\"",
        "/* a",
        "$a",
        "$a$ x",
        "{",
        "\\",
        "1e",
        "1e5$1",
        "1.5e5$$a$$",
        "$99999999",
        "-- \0",
        "U&'a' UESCAPE '\u{b}'",
        r"E'\u12'",
        r"E'\000'",
        r"E'\xff'",
        r"E'\ud83d'",
        r"U&'\12'",
        r"U&'\0000'",
        "U&'a' UESCAPE 'bb'",
        "U&'a' UESCAPE '+'",
        "'a\0'",
        "\"a\0\"",
        "$$\0$$",
        r#"U&"""#,
        "SELECT * FROM x\u{1}",
    ] {
        assert!(tokens(text).is_err(), "{text}");
    }
}
