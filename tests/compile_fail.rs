//! What must not compile: writing SQL to an upstream without a receipt, and making a receipt or a permit by hand.
//!
//! Each file of `tests/compile_fail` is given to rustc with the library that this run of the tests was built with, so that nothing
//! is built anew. `PGWARD_BLESS=1` writes what it says into the `.stderr` files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn sql_needs_a_receipt_and_nobody_makes_one() {
    let libraries = libraries();
    let folder = Path::new(ROOT).join("tests/compile_fail");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    cases.sort();
    assert!(cases.len() > 5, "the cases are missing: {cases:?}");
    // What a case needs is found: otherwise each would fail for want of that.
    let (compiles, said) = compile(Path::new("tests/compile_fail/control/compiles.rs"), &libraries);
    assert!(compiles, "the control does not compile, so the others show nothing:\n{said}");
    for case in cases {
        refused(&case, &libraries);
    }
}

fn refused(case: &Path, libraries: &BTreeMap<String, PathBuf>) {
    let relative = case.strip_prefix(ROOT).unwrap();
    let (compiles, said) = compile(relative, libraries);
    assert!(!compiles, "{} compiles, and must not", relative.display());
    let (said, expected) = (normalised(&said), case.with_extension("stderr"));
    if std::env::var_os("PGWARD_BLESS").is_some() {
        std::fs::write(&expected, &said).unwrap();
    }
    let expected = std::fs::read_to_string(&expected).expect("what rustc is to say");
    assert_eq!(said, expected, "{}: refused, but for another reason (left: what rustc says)", relative.display());
}

/// Whether rustc takes a file, and what it says of it.
fn compile(file: &Path, libraries: &BTreeMap<String, PathBuf>) -> (bool, String) {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(rustc);
    command.current_dir(ROOT).args(["--edition=2024", "--emit=metadata", "--crate-type=bin", "--color=never"]);
    command.arg("--out-dir").arg(out.path()).arg("-L").arg(dependencies(&libraries["pgward"]));
    for (name, path) in libraries {
        command.arg("--extern").arg(format!("{name}={}", path.display()));
    }
    let output = command.arg(file).output().expect("rustc");
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

fn dependencies(library: &Path) -> String {
    let folder = library.parent().expect("the library's folder");
    // Cargo puts the library itself one folder up, and what it is made of into `deps`.
    let deps = if folder.ends_with("deps") { folder.to_owned() } else { folder.join("deps") };
    format!("dependency={}", deps.display())
}

/// The libraries that these tests are linked with, as cargo names them: all of them are built already.
fn libraries() -> BTreeMap<String, PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(ROOT);
    command.args(["test", "--no-run", "--locked", "--test", "compile_fail", "--message-format=json", "--quiet"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().expect("cargo");
    assert!(output.status.success(), "cargo: {}", String::from_utf8_lossy(&output.stderr));
    let mut found = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let message: serde_json::Value = serde_json::from_str(line).expect("cargo's JSON");
        let name = message["target"]["name"].as_str().unwrap_or_default();
        let files = message["filenames"].as_array().map(Vec::as_slice).unwrap_or_default();
        let library = files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".rlib"));
        if let (Some(library), true) = (library, ["pgward", "bytes"].contains(&name)) {
            found.insert(name.to_owned(), PathBuf::from(library));
        }
    }
    assert_eq!(found.len(), 2, "cargo names no libraries to compile against: {found:?}");
    found
}

/// What rustc says but for places, which move, and advice.
fn normalised(said: &str) -> String {
    let mut lines = Vec::new();
    let mut is_advice = false;
    for line in said.lines() {
        let text = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim();
        let begins = ["error", "note: ", "warning"].iter().any(|start| line.starts_with(start));
        is_advice = (is_advice && !begins) || text.starts_with("help: ") || text.starts_with("= ");
        let closing = line.starts_with("error: aborting") || line.starts_with("For more") || line.starts_with("Some ");
        if is_advice || closing || text.is_empty() || matches!(text, "|" | "...") {
            continue;
        }
        let place = text.strip_prefix("--> ").or_else(|| text.strip_prefix("::: "));
        match place.and_then(|place| place.split(':').next()) {
            Some(file) => lines.push(format!("--> {file}")),
            None => lines.push(text.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}
