//! The texts that everything is compared on: what clients were seen to send, the probes, the policy world's statements.
//!
//! `PGWARD_CORPORA` names a folder of more: `*.jsonl` files with an object a line, its text under `sql`.

use std::path::Path;

/// Every text, in an order that does not change.
pub fn texts() -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in include_str!("../corpora/clients.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("an object");
        found.push(row["sql"].as_str().expect("a text").to_owned());
    }
    for probes in [
        include_str!("../corpora/byp.txt"),
        include_str!("../corpora/probe1.txt"),
        include_str!("../corpora/probe2.txt"),
        include_str!("../corpora/probe3.txt"),
    ] {
        found.extend(probes.split("\n----\n").map(|entry| entry.trim_end_matches('\n').to_owned()));
    }
    for cases in [
        include_str!("../world/sample.jsonl"),
        include_str!("../world/more.jsonl"),
        include_str!("../world/wide.jsonl"),
    ] {
        for line in cases.lines() {
            let case: serde_json::Value = serde_json::from_str(line).expect("a JSON object");
            strings(&case["session"], &mut found);
            strings(&case["setup"], &mut found);
        }
    }
    if let Ok(folder) = std::env::var("PGWARD_CORPORA") {
        whole(Path::new(&folder), &mut found);
    }
    found
}

/// Everything that is a string in there; some of it is SQL, and the rest does no harm.
fn strings(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|value| strings(value, found)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

fn whole(folder: &Path, found: &mut Vec<String>) {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the corpora").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "jsonl")) {
        for line in std::fs::read_to_string(file).expect("a corpus").lines() {
            let entry: serde_json::Value = serde_json::from_str(line).expect("a JSON object");
            found.extend(entry["sql"].as_str().map(str::to_owned));
        }
    }
}
