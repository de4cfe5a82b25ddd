//! What real clients send is read; what reads differently to others is refused or read as PostgreSQL reads it.

use super::*;

const BYPASSES: &str = include_str!("../../../tests/corpora/byp.txt");
const PROBES: [&str; 3] = [
    include_str!("../../../tests/corpora/probe1.txt"),
    include_str!("../../../tests/corpora/probe2.txt"),
    include_str!("../../../tests/corpora/probe3.txt"),
];
/// One statement a line, as a JSON string: a sample, without repetitions, of what clients were seen to send.
const CLIENTS: &str = include_str!("../../../tests/corpora/clients.jsonl");

fn entries(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split("\n----\n").map(|entry| entry.trim_end_matches('\n'))
}

/// Every statement of the probes.
pub fn probes() -> Vec<&'static str> {
    PROBES.into_iter().chain([BYPASSES]).flat_map(entries).collect()
}

#[test]
fn what_clients_send_is_read() {
    for line in CLIENTS.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = row["sql"].as_str().unwrap();
        if let Err(error) = try_read(text) {
            panic!("{error} at {}: {text}", error.position);
        }
    }
}

/// The outcome of an entry: refused, or the relations of each statement.
fn outcome(text: &str) -> Option<Vec<Vec<String>>> {
    Some(try_read(text).ok()?.iter().map(relations).collect())
}

fn expected(relations: &[&[&str]]) -> Option<Vec<Vec<String>>> {
    Some(relations.iter().map(|names| names.iter().map(|name| (*name).to_owned()).collect()).collect())
}

#[test]
fn known_bypasses_are_closed() {
    let outcomes = [
        None,
        None,
        None,
        expected(&[&["secret"]]),
        expected(&[&["secret"]]),
        expected(&[&[], &["secret"]]),
        expected(&[&["secret"]]),
        expected(&[&[], &["secret"]]),
        expected(&[&[], &["secret"]]),
        expected(&[&[], &["secret"]]),
        expected(&[&[], &["secret"]]),
        expected(&[&[], &["secret"]]),
        expected(&[&[], &["secret"]]),
        expected(&[&["secret"]]),
        expected(&[&["t"]]),
    ];
    let found: Vec<_> = entries(BYPASSES).collect();
    assert_eq!(found.len(), outcomes.len());
    for (text, expected) in found.into_iter().zip(outcomes) {
        assert_eq!(outcome(text), expected, "{text}");
    }
}

/// Wherever `secret` is a name and not the text of a constant or an alias, a probe that is read must show it.
#[test]
fn no_probe_hides_a_relation() {
    for text in probes() {
        let Ok(statements) = try_read(text) else { continue };
        let known: Vec<_> = statements.iter().filter(|statement| !matches!(statement.action, Action::Other)).collect();
        if known.len() < statements.len() {
            continue;
        }
        let tokens = crate::sql::lex::tokens(text).unwrap();
        let named = |name: &str| {
            tokens.iter().any(|token| match &token.kind {
                crate::sql::lex::Kind::Word(word) | crate::sql::lex::Kind::Quoted(word) => word == name,
                _ => false,
            })
        };
        let tree = format!("{statements:?}");
        for name in ["secret", "secret2", "ssn", "other", "leak", "evil"] {
            let identity = statements.iter().any(|statement| matches!(statement.action, Action::SetIdentity));
            assert!(!named(name) || identity || tree.contains(&format!("{name:?}")), "{name} is lost: {text}");
        }
    }
}

/// The probes that are refused. A change here is a change of what users may send.
#[test]
fn the_refused_probes_are_these() {
    let refused: Vec<_> = probes().into_iter().filter(|text| try_read(text).is_err()).collect();
    let expected = include_str!("../../../tests/corpora/refused.txt");
    assert_eq!(refused, entries(expected).collect::<Vec<_>>());
}
