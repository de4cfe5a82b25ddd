//! What the Rust programs share: one JSON line a step, the waits, the statements.

use std::io::BufRead as _;

use serde_json::{Value, json};

/// What a driver says of an error.
#[derive(Debug, Default)]
pub struct Said {
    pub class: &'static str,
    pub sqlstate: Option<String>,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

pub fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

pub fn sql(name: &str) -> String {
    env(&format!("SQL_{}", name.to_uppercase()))
}

pub fn version(version: &str, libpq: Option<&str>) {
    println!("{}", json!({ "version": version, "libpq": libpq }));
}

pub fn step(name: &str, result: Result<Value, impl Into<Said>>) {
    match result {
        Ok(result) => println!("{}", json!({ "step": name, "result": result })),
        Err(error) => {
            let Said { class, sqlstate, message, detail, hint } = error.into();
            let error = json!({ "class": class, "sqlstate": sqlstate, "message": message, "detail": detail, "hint": hint });
            println!("{}", json!({ "step": name, "error": error }));
        }
    }
}

pub fn skip(name: &str, why: &str) {
    println!("{}", json!({ "step": name, "skip": why }));
}

/// Tells the runner what has to happen now, and goes on when it has.
pub fn wait(what: &str) {
    println!("{}", json!({ "wait": what }));
    let line = std::io::stdin().lock().lines().next();
    assert!(matches!(line, Some(Ok(_))), "the runner is gone");
}

pub fn notice_wait() -> std::time::Duration {
    std::time::Duration::from_secs_f64(env("COMPAT_NOTICE_WAIT").parse().expect("seconds"))
}

/// The version of a dependency, as the lock file has it.
pub fn locked(name: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{name}\"\n")));
    let version = entry.and_then(|entry| entry.split("version = \"").nth(1)).and_then(|rest| rest.split('"').next());
    version.unwrap_or("unknown").to_owned()
}
