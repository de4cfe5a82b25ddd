//! A record as an event of the Open Cybersecurity Schema Framework: statements as Datastore Activity (6005), logins and
//! session ends as Authentication (3002), requests, grants, credentials and configurations as Entity Management (3004), the
//! journal's own life as Application Lifecycle (6002). The record itself stands in `raw_data`, byte for byte.

mod classes;
mod objects;

use std::io;

use serde_json::{Map, Value, json};

use self::classes::{Class, Classified, classify};
use super::super::canonical::encode;
use super::super::{Entry, Event, Record};

/// The version of the schema that the events keep to.
pub const VERSION: &str = "1.9.0";

/// The event as one line of JSON, without its newline. `journal` is the journal's id, where it is known: with `seq` it
/// tells an event that came twice.
///
/// # Errors
/// Where the record's text is not UTF-8, which no journal holds.
pub fn event(entry: &Entry, journal: Option<&str>) -> io::Result<Vec<u8>> {
    encode(&value(entry, journal)?)
}

/// The event as a value.
///
/// # Errors
/// As [`event`].
pub fn value(entry: &Entry, journal: Option<&str>) -> io::Result<Value> {
    let record = &entry.record;
    let raw = std::str::from_utf8(&entry.canonical).map_err(io::Error::other)?;
    let classified = classify(record);
    let mut event = frame(record, &classified);
    event.insert("metadata".to_owned(), objects::metadata(record, journal));
    event.insert("raw_data".to_owned(), raw.into());
    match classified.class {
        Class::DatastoreActivity => datastore(record, &mut event),
        Class::Authentication => authentication(record, &mut event),
        Class::EntityManagement => entity(record, &mut event),
        Class::ApplicationLifecycle => {
            event.insert("app".to_owned(), objects::product());
        }
    }
    Ok(Value::Object(event))
}

/// What every class has.
fn frame(record: &Record, classified: &Classified) -> Map<String, Value> {
    let Classified { class, activity, activity_name, status, severity } = classified;
    let (category, category_name) = class.category();
    let type_uid = u64::from(class.uid()) * 100 + u64::from(*activity);
    let mut event = Map::new();
    let mut put = |key: &str, value: Value| drop(event.insert(key.to_owned(), value));
    put("category_uid", category.into());
    put("category_name", category_name.into());
    put("class_uid", class.uid().into());
    put("class_name", class.name().into());
    put("activity_id", (*activity).into());
    put("activity_name", activity_name.as_str().into());
    put("type_uid", type_uid.into());
    put("type_name", format!("{}: {activity_name}", class.name()).into());
    put("severity_id", severity.id().into());
    put("severity", severity.name().into());
    put("status_id", status.id().into());
    put("status", status.name().into());
    put("time", record.time.as_millisecond().into());
    if let Some(code) = &record.sqlstate {
        put("status_code", code.as_str().into());
    }
    if let Some(detail) = record.detail.as_ref().or(record.rule.as_ref()) {
        put("status_detail", detail.as_str().into());
    }
    put("message", objects::message(record).into());
    event
}

fn datastore(record: &Record, event: &mut Map<String, Value>) {
    let mut put = |key: &str, value: Value| drop(event.insert(key.to_owned(), value));
    put("actor", objects::actor(record));
    put("src_endpoint", objects::source(record));
    put("database", objects::database(record));
    put("type_id", 1.into());
    put("type", "Database".into());
    let described = [
        ("query_info", objects::query(record)),
        ("unmapped", objects::unmapped(record)),
        ("table", objects::table(record)),
    ];
    for (key, value) in described {
        if let Some(value) = value {
            put(key, value);
        }
    }
    if let Some(duration) = record.duration_us {
        put("duration", (duration / 1000).into());
    }
    if let Some((action, action_name, disposition, disposition_name)) = objects::decision(record) {
        put("action_id", action.into());
        put("action", action_name.into());
        put("disposition_id", disposition.into());
        put("disposition", disposition_name.into());
        if let Some(policy) = objects::policy(record) {
            put("policy", policy);
        }
    }
}

fn authentication(record: &Record, event: &mut Map<String, Value>) {
    let mut put = |key: &str, value: Value| drop(event.insert(key.to_owned(), value));
    put("user", objects::user(record));
    put("src_endpoint", objects::source(record));
    put("service", json!({ "name": record.database.as_deref().unwrap_or("pgward") }));
    put("is_remote", true.into());
    if let Some(session) = objects::session(record) {
        put("session", session);
    }
}

fn entity(record: &Record, event: &mut Map<String, Value>) {
    let mut put = |key: &str, value: Value| drop(event.insert(key.to_owned(), value));
    put("actor", objects::actor(record));
    put("entity", objects::entity(record));
    if let Some(reason) = &record.reason {
        put("comment", reason.as_str().into());
    }
}

/// The name that serde gives an event.
fn word(event: Event) -> String {
    match serde_json::to_value(event) {
        Ok(Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests;
