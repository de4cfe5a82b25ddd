//! Statements that are recognised by their first words and carry no more than that: policy has no rule for them.

use super::{Found, malformed};
use crate::sql::cursor::Cursor;
use crate::sql::tree::Action;

/// The kind of a CREATE, ALTER or DROP of one kind of object.
struct Object {
    words: &'static [&'static str],
    create: &'static str,
    alter: &'static str,
    drop: &'static str,
}

macro_rules! objects {
    ($($tag:literal: $($word:literal)+;)+) => {
        [$(Object {
            words: &[$($word),+],
            create: concat!("CREATE ", $tag),
            alter: concat!("ALTER ", $tag),
            drop: concat!("DROP ", $tag),
        }),+]
    };
}

/// Longer names before shorter ones that they begin with.
const OBJECTS: [Object; 46] = objects! {
    "ACCESS METHOD": "access" "method";
    "AGGREGATE": "aggregate";
    "CAST": "cast";
    "COLLATION": "collation";
    "CONVERSION": "conversion";
    "DATABASE": "database";
    "DEFAULT PRIVILEGES": "default" "privileges";
    "DOMAIN": "domain";
    "EVENT TRIGGER": "event" "trigger";
    "EXTENSION": "extension";
    "FOREIGN DATA WRAPPER": "foreign" "data" "wrapper";
    "FOREIGN TABLE": "foreign" "table";
    "FUNCTION": "function";
    "ROLE": "group";
    "INDEX": "index";
    "LANGUAGE": "language";
    "LARGE OBJECT": "large" "object";
    "MATERIALIZED VIEW": "materialized" "view";
    "OPERATOR CLASS": "operator" "class";
    "OPERATOR FAMILY": "operator" "family";
    "OPERATOR": "operator";
    "OWNED": "owned";
    "POLICY": "policy";
    "PROCEDURE": "procedure";
    "PUBLICATION": "publication";
    "ROLE": "role";
    "ROUTINE": "routine";
    "RULE": "rule";
    "SCHEMA": "schema";
    "SEQUENCE": "sequence";
    "SERVER": "server";
    "STATISTICS": "statistics";
    "SUBSCRIPTION": "subscription";
    "SYSTEM": "system";
    "TABLE": "table";
    "TABLESPACE": "tablespace";
    "TEXT SEARCH CONFIGURATION": "text" "search" "configuration";
    "TEXT SEARCH DICTIONARY": "text" "search" "dictionary";
    "TEXT SEARCH PARSER": "text" "search" "parser";
    "TEXT SEARCH TEMPLATE": "text" "search" "template";
    "TRANSFORM": "transform";
    "TRIGGER": "trigger";
    "TYPE": "type";
    "USER MAPPING": "user" "mapping";
    "ROLE": "user";
    "VIEW": "view";
};

/// Statements with a first word of their own.
const FIRST_WORDS: [(&[&str], &str); 14] = [
    (&["analyze"], "ANALYZE"),
    (&["analyse"], "ANALYZE"),
    (&["checkpoint"], "CHECKPOINT"),
    (&["cluster"], "CLUSTER"),
    (&["comment", "on"], "COMMENT"),
    (&["grant"], "GRANT"),
    (&["import", "foreign", "schema"], "IMPORT FOREIGN SCHEMA"),
    (&["load"], "LOAD"),
    (&["reassign", "owned"], "REASSIGN OWNED"),
    (&["refresh", "materialized", "view"], "REFRESH MATERIALIZED VIEW"),
    (&["reindex"], "REINDEX"),
    (&["revoke"], "REVOKE"),
    (&["security", "label"], "SECURITY LABEL"),
    (&["vacuum"], "VACUUM"),
];

pub fn read(cursor: &Cursor<'_>) -> Found {
    for (words, kind) in FIRST_WORDS {
        if cursor.clone().take(words) {
            return Ok((kind, Action::Other));
        }
    }
    malformed(cursor)
}

/// A CREATE, ALTER or DROP that is not understood wholly.
pub fn definition(cursor: &Cursor<'_>) -> Found {
    const MODIFIERS: [&str; 12] = [
        "or",
        "replace",
        "temp",
        "temporary",
        "local",
        "global",
        "unlogged",
        "unique",
        "recursive",
        "trusted",
        "procedural",
        "constraint",
    ];
    let verb = cursor.word(0);
    let mut cursor = cursor.clone();
    cursor.advance(1);
    while cursor.take_one(&MODIFIERS).is_some() {}
    if cursor.word(1) == "conversion" {
        cursor.take(&["default"]);
    }
    for object in &OBJECTS {
        if cursor.clone().take(object.words) {
            let kind = match verb {
                "create" => object.create,
                "alter" => object.alter,
                _ => object.drop,
            };
            return Ok((kind, Action::Other));
        }
    }
    malformed(&cursor)
}
