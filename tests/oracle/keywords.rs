//! Our table of keywords against that of PostgreSQL 18. The older versions are asked in person, in `tests/versions`.

use pg_query::protobuf::KeywordKind;
use pgward::sql::keywords::{Category, category};

/// The category that PostgreSQL 18 gives a word.
fn theirs(word: &str) -> Category {
    let tokens = pg_query::scan_tokens(word).expect("one word");
    match KeywordKind::try_from(tokens[0].keyword_kind).expect("a kind") {
        KeywordKind::ReservedKeyword => Category::Reserved,
        KeywordKind::TypeFuncNameKeyword => Category::FunctionOrType,
        KeywordKind::ColNameKeyword => Category::Column,
        KeywordKind::UnreservedKeyword | KeywordKind::NoKeyword => Category::Free,
    }
}

/// Every word that libpg_query has a token for, by the names of its tokens.
fn words() -> Vec<String> {
    use pg_query::protobuf::Token;
    (0..2_000)
        .filter_map(|number| Token::try_from(number).ok())
        .map(|token| token.as_str_name().to_ascii_lowercase())
        .flat_map(|name| [name.trim_end_matches("_p").to_owned(), name])
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .collect()
}

#[test]
fn every_keyword_has_the_category_that_postgresql_gives_it() {
    let words = words();
    let reserved = words.iter().filter(|word| theirs(word) != Category::Free).count();
    assert!(reserved > 150, "only {reserved} keywords were found");
    let wrong: Vec<_> = words.iter().filter(|word| category(word) != theirs(word)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
