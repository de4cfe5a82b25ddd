//! The lexer: tokens stand in order and within the text, nothing but blanks and comments between them, and each is what it
//! is without the others too.

use pgward::sql::lex::{Kind, tokens};

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(found) = tokens(text) else { return };
    let mut end = 0;
    for token in &found {
        assert!(token.range.start >= end && token.range.start < token.range.end, "out of order: {token:?}");
        blank(&text[end..token.range.start]);
        let alone = tokens(&text[token.range.clone()]).expect("a token alone");
        let kinds: Vec<_> = alone.iter().map(|token| &token.kind).collect();
        // The N of N'…' is the word NCHAR there, and a name alone.
        if token.kind != Kind::Word("nchar".to_owned()) {
            assert_eq!(kinds, [&token.kind]);
        }
        end = token.range.end;
    }
    blank(&text[end..]);
}

fn blank(text: &str) {
    assert_eq!(tokens(text), Ok(Vec::new()), "{text:?} is left out");
}
