//! Whether a step through pgward came out as it should: as directly, or in one of the few ways that pgward is there for.

use crate::client::{Run, Step};
use crate::manifest::{Client, Difference};

/// What became of one step.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Judged {
    pub step: String,
    pub outcome: Outcome,
    /// What was wrong, or why it differs.
    pub why: String,
    pub direct: Option<Step>,
    pub through: Option<Step>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub enum Outcome {
    /// To the byte what PostgreSQL said.
    Same,
    /// Refused, told or ended, as it should be.
    Intended,
    /// Another outcome, which client.toml explains.
    Explained,
    /// The client has no such thing.
    Skipped,
    Wrong,
}

pub fn judge(client: &Client, run: &Run) -> Vec<Judged> {
    let mut names: Vec<&String> = run.direct.iter().map(|step| &step.step).collect();
    names.extend(run.through.iter().map(|step| &step.step).filter(|name| !run.direct.iter().any(|d| d.step == **name)));
    names
        .into_iter()
        .map(|name| {
            let find = |steps: &[Step]| steps.iter().find(|step| step.step == *name).cloned();
            let (direct, through) = (find(&run.direct), find(&run.through));
            let (outcome, why) = one(client, run, direct.as_ref(), through.as_ref());
            Judged { step: name.clone(), outcome, why, direct, through }
        })
        .collect()
}

/// What is wrong, for the failure's text.
pub fn complaints(judged: &[Judged]) -> String {
    let wrong = judged.iter().filter(|judged| judged.outcome == Outcome::Wrong);
    let texts = wrong.map(|judged| {
        let line = |step: &Option<Step>| serde_json::to_string(step).unwrap();
        format!(
            "{}: {}\n  direct:  {}\n  through: {}",
            judged.step,
            judged.why,
            line(&judged.direct),
            line(&judged.through)
        )
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn one(client: &Client, run: &Run, direct: Option<&Step>, through: Option<&Step>) -> (Outcome, String) {
    let (Some(direct), Some(through)) = (direct, through) else {
        return (Outcome::Wrong, "it came out only one way".to_owned());
    };
    if let Some(difference) = client.differs.iter().find(|difference| difference.step == direct.step) {
        return explained(difference, direct, through);
    }
    if direct.skip.is_some() && direct.skip == through.skip {
        return (Outcome::Skipped, direct.skip.clone().unwrap_or_default());
    }
    // What is only tried need not work on PostgreSQL itself; then there is nothing to compare.
    if direct.step.starts_with("own_try ") && direct.error.is_some() {
        return (Outcome::Skipped, "it fails on PostgreSQL itself".to_owned());
    }
    let intended = match direct.step.as_str() {
        "listen" | "denied" | "denied_prepared" => refused(run, direct, through, "permission denied"),
        "error_name" => refused(run, direct, through, "bodi"),
        "notice" => noticed(through),
        "connect_direct_tls" if direct.error.is_some() => reached(run, through),
        "end" => ended(direct, through),
        "after_end" if says(direct, "terminating connection") => ended(direct, through),
        _ => return same(direct, through),
    };
    match intended {
        Ok(()) => (Outcome::Intended, String::new()),
        Err(why) => (Outcome::Wrong, why),
    }
}

fn same(direct: &Step, through: &Step) -> (Outcome, String) {
    let equal = direct.result == through.result && direct.error == through.error && direct.skip == through.skip;
    if equal { (Outcome::Same, String::new()) } else { (Outcome::Wrong, "it differs".to_owned()) }
}

fn explained(difference: &Difference, direct: &Step, through: &Step) -> (Outcome, String) {
    if same(direct, through).0 == Outcome::Same {
        return (Outcome::Wrong, "client.toml says that it differs, and it does not".to_owned());
    }
    if serde_json::to_string(through).unwrap().contains(&difference.says) {
        return (Outcome::Explained, difference.why.clone());
    }
    (Outcome::Wrong, format!("it differs otherwise than by {:?}", difference.says))
}

fn field<'a>(step: &'a Step, name: &str) -> Option<&'a str> {
    step.error.as_ref()?.get(name)?.as_deref()
}

fn says(step: &Step, text: &str) -> bool {
    field(step, "message").is_some_and(|message| message.contains(text))
}

/// Refused with 42501; SQLSTATE, detail and hint are shown by a client that shows them of PostgreSQL's own errors.
fn refused(run: &Run, direct: &Step, through: &Step, says: &str) -> Result<(), String> {
    if direct.error.is_some() && direct.step != "error_name" {
        return Err("directly it should have worked".to_owned());
    }
    if through.error.is_none() {
        return Err("it was not refused".to_owned());
    }
    let message = field(through, "message").unwrap_or_default();
    if !message.contains(says) {
        return Err(format!("the message does not say {says:?}"));
    }
    let shows = |field_name: &str, step: &str| {
        run.direct
            .iter()
            .any(|shown| shown.step == step && field(shown, field_name).is_some_and(|text| !text.is_empty()))
    };
    if shows("sqlstate", "error_detail") && field(through, "sqlstate") != Some("42501") {
        return Err("it should be 42501".to_owned());
    }
    if shows("detail", "error_detail") && field(through, "detail").is_none_or(str::is_empty) {
        return Err("the detail is missing".to_owned());
    }
    let hints = matches!(direct.step.as_str(), "denied" | "denied_prepared");
    if hints && shows("hint", "error_hint") && field(through, "hint").is_none_or(str::is_empty) {
        return Err("the hint is missing".to_owned());
    }
    Ok(())
}

/// PostgreSQL 17 brought TLS from the first byte on; pgward has it before older ones, too.
fn reached(run: &Run, through: &Step) -> Result<(), String> {
    let usual = run.through.iter().find(|step| step.step == "connect_keywords").and_then(|step| step.result.as_ref());
    if usual.is_some() && usual == through.result.as_ref() { Ok(()) } else { Err("no connection".to_owned()) }
}

/// A minute before the end it is told.
fn noticed(through: &Step) -> Result<(), String> {
    let said = serde_json::to_string(&through.result).unwrap();
    if said.contains("ends in 1 minute") { Ok(()) } else { Err("no NOTICE said that the end is near".to_owned()) }
}

/// The end of a grant is to the client what the end of a backend is, and says what it is.
fn ended(direct: &Step, through: &Step) -> Result<(), String> {
    if direct.error.is_none() || through.error.is_none() {
        return Err("it did not end".to_owned());
    }
    for name in ["sqlstate", "class"] {
        if field(direct, name) != field(through, name) {
            return Err(format!("{name} differs"));
        }
    }
    if says(direct, "terminating connection") && !(says(through, "grant gr_") && says(through, "ended: expired")) {
        return Err("the message does not say which grant ended, and why".to_owned());
    }
    Ok(())
}

/// The comparison itself: each of these has to be found.
pub fn finds_differences() -> Result<(), String> {
    let step = |text: &str| -> Step { serde_json::from_str(text).unwrap() };
    let client = crate::manifest::Client {
        name: "none".into(),
        title: "none".into(),
        language: "none".into(),
        fast: false,
        apt: Vec::new(),
        pip: Vec::new(),
        npm: Vec::new(),
        build: None,
        present: "false".into(),
        run: "false".into(),
        also: None,
        differs: vec![Difference { step: "own".into(), says: "42501".into(), why: "because".into() }],
    };
    let detail =
        r#"{"step": "error_detail", "error": {"sqlstate": "23505", "detail": "exists", "message": "duplicate"}}"#;
    let cases = [
        (r#"{"step": "simple", "result": [1]}"#, r#"{"step": "simple", "result": [1]}"#, Outcome::Same),
        (r#"{"step": "simple", "result": [1]}"#, r#"{"step": "simple", "result": ["1"]}"#, Outcome::Wrong),
        (r#"{"step": "simple", "result": null}"#, r#"{"step": "simple", "error": {}}"#, Outcome::Wrong),
        (r#"{"step": "simple", "skip": "no"}"#, r#"{"step": "simple", "skip": "no"}"#, Outcome::Skipped),
        (r#"{"step": "simple", "skip": "no"}"#, r#"{"step": "simple", "result": 1}"#, Outcome::Wrong),
        (r#"{"step": "own", "result": 1}"#, r#"{"step": "own", "error": {"sqlstate": "42501"}}"#, Outcome::Explained),
        (r#"{"step": "own", "result": 1}"#, r#"{"step": "own", "result": 1}"#, Outcome::Wrong),
        (r#"{"step": "denied", "result": 1}"#, r#"{"step": "denied", "result": 1}"#, Outcome::Wrong),
        (
            r#"{"step": "denied", "result": 1}"#,
            r#"{"step": "denied", "error": {"sqlstate": "42501", "message": "permission denied for x"}}"#,
            Outcome::Wrong,
        ),
        (
            r#"{"step": "denied", "result": 1}"#,
            r#"{"step": "denied", "error": {"sqlstate": "42501", "message": "permission denied for x", "detail": "d"}}"#,
            Outcome::Intended,
        ),
        (r#"{"step": "notice", "result": []}"#, r#"{"step": "notice", "result": []}"#, Outcome::Wrong),
        (
            r#"{"step": "end", "error": {"sqlstate": "57P01"}}"#,
            r#"{"step": "end", "error": {"sqlstate": "08006"}}"#,
            Outcome::Wrong,
        ),
    ];
    for (direct, through, expected) in cases {
        let run = Run {
            version: String::new(),
            libpq: None,
            direct: vec![step(direct), step(detail)],
            through: vec![step(through), step(detail)],
        };
        let found = judge(&client, &run)[0].outcome;
        if found != expected {
            return Err(format!("{direct} and {through}: {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}
