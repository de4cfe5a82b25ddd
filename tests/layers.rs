//! The layers of `ARCHITECTURE.md`, enforced: which module may import which. A new import across layers fails here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Module, and the modules of this crate that it may name. A module that is not listed may not exist.
const ALLOWED: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("sql", &[]),
    ("access", &[]),
    ("tls", &[]),
    ("tlog", &[]),
    ("devcerts", &["tls"]),
    ("catalog", &["sql", "access"]),
    ("policy", &["sql", "access", "catalog"]),
    ("audit", &["access", "policy", "tlog"]),
    ("retention", &["access"]),
    ("standing", &[]),
    ("store", &["access", "guarded", "retention"]),
    // Beside the store, whose other replicas it knows and calls.
    ("replicas", &["access", "store", "tlog", "tls"]),
    // Where access is asked for and decided on: below all that people come by.
    ("desk", &["access", "audit", "store"]),
    ("unusual", &["access", "audit"]),
    ("usage", &["access", "audit"]),
    ("witness", &["tlog", "tls"]),
    ("sinks", &["access", "audit", "guarded", "tls"]),
    ("identity", &[]),
    ("guarded", &["wire"]),
    (
        "session",
        &[
            "wire",
            "sql",
            "access",
            "catalog",
            "policy",
            "audit",
            "guarded",
            "identity",
            "replicas",
            "retention",
            "store",
            "tls",
        ],
    ),
    (
        "control",
        &["access", "audit", "desk", "store", "policy", "replicas", "session", "standing", "tls", "usage", "wire"],
    ),
    ("config", &["access", "policy", "audit", "retention", "tlog", "unusual", "witness"]),
    // Logs in at the same providers, by the same protocol.
    ("cli", &["access", "app", "audit", "control", "devcerts", "identity", "standing", "tlog", "usage"]),
    (
        "app",
        &[
            "access",
            "audit",
            "catalog",
            "config",
            "control",
            "desk",
            "guarded",
            "identity",
            "policy",
            "replicas",
            "retention",
            "session",
            "sinks",
            "sql",
            "standing",
            "store",
            "tlog",
            "tls",
            "unusual",
            "usage",
            "wire",
            "witness",
        ],
    ),
    ("main", &["cli", "app"]),
    ("lib", &[]),
];

/// The crates that only one module may use.
const OWNERS: &[(&str, &[&str])] = &[
    ("sqlparser", &["sql"]),
    ("rusqlite", &["store"]),
    ("refinery", &["store"]),
    ("axum", &["control", "witness"]),
    ("clap", &["cli"]),
    ("reqwest", &["cli", "identity", "replicas", "sinks", "witness"]),
    ("jsonwebtoken", &["identity"]),
    ("tokio_postgres", &["catalog", "guarded", "retention", "session", "sinks", "store"]),
    ("deadpool", &["store"]),
    ("object_store", &["sinks"]),
    ("opentelemetry_proto", &["sinks"]),
    ("prost", &["sinks"]),
    ("standardwebhooks", &["sinks"]),
];

/// Modules that do no I/O and know no runtime.
const PURE: &[&str] = &["wire", "sql", "access", "policy", "standing", "unusual", "usage"];

#[test]
fn imports_respect_the_layers() {
    let mut wrong = Vec::new();
    for file in sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).into_iter().filter(|file| !is_test(file)) {
        let module = module_of(&file);
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: module `{module}` is in no layer", file.display()));
            continue;
        };
        let text = without_comments(&fs::read_to_string(&file).unwrap());
        for used in crate_paths(&text) {
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: `{module}` may not use `{used}`", file.display()));
            }
        }
        for (external, owners) in OWNERS {
            if text.contains(&format!("{external}::")) && !owners.contains(&module.as_str()) {
                wrong.push(format!("{}: only {owners:?} may use `{external}`", file.display()));
            }
        }
        if PURE.contains(&module.as_str()) && text.contains("tokio::") {
            wrong.push(format!("{}: `{module}` is pure and may not use tokio", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `control` knows of `session` the registry alone.
#[test]
fn control_knows_only_the_registry_of_session() {
    for file in sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control")) {
        let text = without_comments(&fs::read_to_string(&file).unwrap());
        for (index, _) in text.match_indices("session::") {
            let rest = &text[index + "session::".len()..];
            let known = ["Registry", "SessionInfo", "{Registry", "{SessionInfo", "registry"];
            let is_ours = text[..index].ends_with("crate::");
            assert!(
                !is_ours || known.iter().any(|name| rest.starts_with(name)),
                "{}: {}",
                file.display(),
                &rest[..40.min(rest.len())]
            );
        }
    }
}

/// The pages speak of the product alone: no path of a machine it was made on.
#[test]
fn every_source_file_says_what_it_owns() {
    let silent: Vec<_> = sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .into_iter()
        .filter(|file| !fs::read_to_string(file).unwrap().trim_start().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top of {silent:?}");
}

/// The lint holds for the library, the program, tests, benchmarks and the fuzzer alike: all are one package, and `forbid` is not to
/// be allowed again further down.
#[test]
fn unsafe_code_is_forbidden_everywhere() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    assert!(!manifest.contains_key("workspace"), "another package has lints of its own");
}

fn sources(root: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Tests may reach for whatever makes their input.
fn is_test(file: &Path) -> bool {
    file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests")
}

fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first segments after `crate::` and `pgward::`, also inside braces.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for prefix in ["crate::", "pgward::"] {
        for (index, _) in text.match_indices(prefix) {
            let rest = &text[index + prefix.len()..];
            if let Some(braced) = rest.strip_prefix('{') {
                found.extend(top_level_names(braced));
            } else {
                found.insert(leading_word(rest));
            }
        }
    }
    found.remove("");
    found
}

fn top_level_names(braced: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut current = String::new();
    for character in braced.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(leading_word(std::mem::take(&mut current).trim())),
            other if depth == 0 => current.push(other),
            _ => {}
        }
    }
    names.push(leading_word(current.trim()));
    names
}

fn leading_word(text: &str) -> String {
    text.chars().take_while(|character| character.is_ascii_alphanumeric() || *character == '_').collect()
}
