//! PostgreSQL 14 to 18, as far as they are installed: what they read differently, we refuse; what one of them reserves,
//! we reserve.
//!
//! Looked for in `/usr/lib/postgresql/*`, in `/var/cache/pgward/postgresql/*` (or `~/.cache/pgward/postgresql/*`), where
//! `scripts/install-servers.sh` puts them, and in the folders that `PGWARD_TEST_SERVERS` lists with colons between; each
//! holds `bin/postgres`. One version, such as
//! Debian's, shows that constants, names and reserved words are what it says; a comparison needs two.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::print_stdout, reason = "which versions were compared")]

#[path = "../support/installed.rs"]
mod installed;
#[allow(dead_code, reason = "the scanner's fragments are what is wanted of it")]
#[path = "../oracle/mutate.rs"]
mod mutate;
#[allow(dead_code, reason = "each test takes what it needs of this")]
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../oracle/random.rs"]
mod random;

mod servers;
mod texts;

use std::collections::BTreeMap;

use pgward::sql::keywords::{Category, category};
use pgward::sql::lex::{Kind, tokens};
use pgward::sql::{Limits, read};
use servers::{Outcome, Servers};

/// What the versions make of `SELECT text`, where they differ; empty where all agree.
async fn disagreement(servers: &Servers, text: &str) -> Option<Vec<(u32, Outcome)>> {
    let outcomes = servers.ask(&format!("SELECT {text}")).await;
    let differ = outcomes.windows(2).any(|pair| pair[0].1 != pair[1].1);
    differ.then_some(outcomes)
}

#[tokio::test]
async fn versions_agree_on_what_is_read() {
    let servers = Servers::start().await;
    println!("versions {:?}", servers.majors());
    what_versions_read_differently_is_refused(&servers).await;
    no_text_that_is_read_means_different_things(&servers).await;
    constants_and_names_are_what_the_servers_say(&servers).await;
    a_word_that_any_version_reserves_is_reserved(&servers).await;
}

async fn what_versions_read_differently_is_refused(servers: &Servers) {
    let mut wrong = Vec::new();
    for text in texts::LEXICAL {
        if let Some(outcomes) = disagreement(servers, text).await
            && tokens(&format!("SELECT {text}")).is_ok()
        {
            wrong.push(format!("{text:?}: {outcomes:?}"));
        }
    }
    for text in texts::GRAMMAR {
        // An error on one version hides nothing: the server says no. Two different answers do.
        let outcomes = servers.ask(&format!("SELECT {text}")).await;
        let values: Vec<_> = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Rows(_))).collect();
        let differ = values.windows(2).any(|pair| pair[0].1 != pair[1].1);
        if differ && read(&format!("SELECT {text}"), &Limits::default()).is_ok() {
            wrong.push(format!("{text:?}: {values:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Fragments side by side, at random: whatever the versions differ about, we do not read.
async fn no_text_that_is_read_means_different_things(servers: &Servers) {
    let (rounds, seed) = random::rounds(500);
    let mut random = random::Random::new(seed);
    let (mut asked, mut differ, mut wrong) = (0, 0, Vec::new());
    for _ in 0..rounds {
        let pieces: Vec<_> = (0..=random.below(4)).map(|_| *random.pick(mutate::FRAGMENTS)).collect();
        let text = pieces.join(*random.pick(&["", " ", "\n"]));
        // The protocol has no text with a zero byte, and no server a session left after COPY or a changed setting.
        if text.contains(['\0', ';']) {
            continue;
        }
        asked += 1;
        if let Some(outcomes) = disagreement(servers, &text).await {
            differ += 1;
            if read(&format!("SELECT {text}"), &Limits::default()).is_ok() {
                wrong.push(format!("{text:?}: {outcomes:?}"));
            }
        }
    }
    println!("{asked} texts, {differ} read differently");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A constant's value and a name, after escapes, folding and truncation.
async fn constants_and_names_are_what_the_servers_say(servers: &Servers) {
    let (mut constants, mut names) = (0, 0);
    for text in texts::LEXICAL.iter().chain(mutate::FRAGMENTS) {
        let found = tokens(text).unwrap_or_default();
        let [token] = found.as_slice() else { continue };
        let (asked, expected) = match &token.kind {
            Kind::String(body) => (format!("SELECT {text}\nAS x"), vec!["x".to_owned(), format!("{:?}", Some(body))]),
            Kind::Quoted(name) | Kind::Word(name) => {
                (format!("SELECT 1 AS {text}"), vec![name.clone(), format!("{:?}", Some("1"))])
            }
            _ => continue,
        };
        let constant = matches!(token.kind, Kind::String(_));
        constants += usize::from(constant);
        names += usize::from(!constant);
        for (major, outcome) in servers.ask(&asked).await {
            assert_eq!(outcome, Outcome::Rows(expected.clone()), "version {major}: {asked:?}");
        }
    }
    assert!(constants > 20 && names > 20, "{constants} constants, {names} names");
}

async fn a_word_that_any_version_reserves_is_reserved(servers: &Servers) {
    let mut strictest: BTreeMap<String, Category> = BTreeMap::new();
    for (word, code) in servers.keywords().await {
        let theirs = match code {
            'R' => Category::Reserved,
            'T' => Category::FunctionOrType,
            'C' => Category::Column,
            'U' => Category::Free,
            other => panic!("{word} is {other}"),
        };
        let known = strictest.entry(word).or_insert(theirs);
        if strictness(theirs) > strictness(*known) {
            *known = theirs;
        }
    }
    assert!(strictest.len() > 400, "{} keywords", strictest.len());
    let complete = servers.majors().contains(&18);
    for (word, theirs) in strictest {
        let ours = category(&word);
        // Without the newest version here, ours knows more than these servers do.
        let right = if complete { ours == theirs } else { strictness(ours) >= strictness(theirs) };
        assert!(right, "{word} is {theirs:?}, ours {ours:?}");
    }
}

fn strictness(category: Category) -> u8 {
    match category {
        Category::Free => 0,
        Category::Column => 1,
        Category::FunctionOrType => 2,
        Category::Reserved => 3,
    }
}
