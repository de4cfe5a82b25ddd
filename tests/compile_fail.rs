//! What must not compile: writing SQL to an upstream without a receipt, and making a receipt or a permit by hand. The compiler
//! reads each file of `tests/compile_fail` against the library that this run has built, and has to say what its `.stderr` has.
//! `COMPILE_FAIL=overwrite` writes those anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn sql_needs_a_receipt_and_nobody_makes_one() {
    let library = library();
    let overwrites = env::var("COMPILE_FAIL").is_ok_and(|what| what == "overwrite");
    let cases = cases();
    assert!(cases.len() >= 6, "the cases are gone: {cases:?}");
    let mut wrong = Vec::new();
    for case in cases {
        let expected = case.with_extension("stderr");
        match compile(&case, &library) {
            Ok(()) => wrong.push(format!("{} compiles", case.display())),
            Err(said) if overwrites => fs::write(expected, said).unwrap(),
            Err(said) if said == fs::read_to_string(&expected).unwrap_or_default() => {}
            Err(said) => wrong.push(format!("{} is refused otherwise than expected:\n{said}", case.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An honest use of the same library compiles: what is refused is refused for what it says.
#[test]
fn what_is_right_compiles() {
    let dir = tempfile::tempdir().unwrap();
    let case = dir.path().join("right.rs");
    fs::write(&case, "fn main() { let _ = pgward::session::pass::ToUpstream::sync(); }\n").unwrap();
    compile(&case, &library()).unwrap();
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/compile_fail").unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = entries.filter(|path| path.extension().is_some_and(|kind| kind == "rs")).collect();
    cases.sort();
    cases
}

/// The library as the tests of this run are linked with it: cargo says where it is, and has nothing left to build.
fn library() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--no-run", "--locked", "--offline", "--message-format=json", "--test=compile_fail"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let artifacts = String::from_utf8(output.stdout).unwrap();
    let artifacts = artifacts.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let ours = |artifact: &serde_json::Value| {
        let target = &artifact["target"];
        target["name"] == "pgward" && target["kind"] == serde_json::json!(["lib"])
    };
    let library = artifacts.filter(ours).flat_map(|artifact| artifact["filenames"].as_array().unwrap().clone());
    let mut library = library.filter_map(|name| name.as_str().map(PathBuf::from));
    library.find(|name| name.extension().is_some_and(|kind| kind == "rlib")).expect("the library is built")
}

/// Type-checks a file.
///
/// # Errors
/// What the compiler says, a line for each error.
fn compile(case: &Path, library: &Path) -> Result<(), String> {
    // What tests are linked with lies beside its dependencies.
    let dependencies = library.parent().unwrap();
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--emit=metadata", "--error-format=short", "--crate-name=case"])
        .arg("--extern")
        .arg(format!("pgward={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg("--out-dir")
        .arg(out.path())
        .arg(case)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let errors: String = said.lines().filter(|line| line.contains(": error")).map(|line| format!("{line}\n")).collect();
    if output.status.success() { Ok(()) } else { Err(if errors.is_empty() { said } else { errors }) }
}
