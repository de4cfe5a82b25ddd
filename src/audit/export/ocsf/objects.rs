//! The objects that the events are made of.

use serde_json::{Map, Value, json};

use super::super::super::{Event, Record, RecordedVerdict};
use super::VERSION;

pub(super) fn product() -> Value {
    json!({ "name": "pgward", "vendor_name": "pgward", "version": env!("CARGO_PKG_VERSION") })
}

pub(super) fn metadata(record: &Record, journal: Option<&str>) -> Value {
    let uid = match journal {
        Some(journal) => format!("{journal}:{}", record.seq),
        None => record.seq.to_string(),
    };
    let mut metadata = json!({
        "version": VERSION,
        "product": product(),
        "profiles": ["security_control"],
        "event_code": record.event.as_str(),
        "uid": uid,
        "original_event_uid": uid,
        "original_time": record.time.to_string(),
        "sequence": record.seq,
        "log_name": journal.unwrap_or("journal"),
        "log_provider": "pgward",
    });
    // What belongs together: a statement with its end, a session with all that happened in it.
    if let (Some(metadata), Some(session)) = (metadata.as_object_mut(), &record.session) {
        metadata.insert("correlation_uid".to_owned(), session.as_str().into());
    }
    metadata
}

/// Who it was. The schema wants a name where a stranger has none.
pub(super) fn user(record: &Record) -> Value {
    let groups: Vec<Value> = record.groups.iter().map(|group| json!({ "name": group })).collect();
    let mut user = json!({ "name": record.principal.as_deref().unwrap_or("unknown") });
    if let (Some(user), false) = (user.as_object_mut(), groups.is_empty()) {
        user.insert("groups".to_owned(), groups.into());
    }
    user
}

pub(super) fn session(record: &Record) -> Option<Value> {
    let mut session = json!({ "uid": record.session.as_ref()?.as_str(), "issuer": "pgward", "is_remote": true });
    if let (Some(session), Some(ended)) = (session.as_object_mut(), record.ended_by)
        && let Ok(ended) = serde_json::to_value(ended)
    {
        session.insert("expiration_reason".to_owned(), ended);
    }
    Some(session)
}

/// Who did it, in which session and with which application; with the grants that allowed it.
pub(super) fn actor(record: &Record) -> Value {
    let mut actor = Map::new();
    actor.insert("user".to_owned(), user(record));
    if let Some(session) = session(record) {
        actor.insert("session".to_owned(), session);
    }
    if let Some(application) = &record.application_name {
        actor.insert("application".to_owned(), json!({ "name": application }));
    }
    if let Some(verdict) = record.verdict {
        let decision = match verdict {
            RecordedVerdict::Allow => "allowed",
            RecordedVerdict::Deny => "denied",
        };
        let mut authorization = json!({ "decision": decision });
        if let (Some(authorization), Some(grant)) = (authorization.as_object_mut(), &record.grant) {
            let scope = record.scope.as_deref().unwrap_or_default();
            authorization.insert("policy".to_owned(), json!({ "uid": grant.as_str(), "name": scope }));
        }
        actor.insert("authorizations".to_owned(), json!([authorization]));
    }
    Value::Object(actor)
}

pub(super) fn source(record: &Record) -> Value {
    let mut source = Map::new();
    if let Some(address) = &record.client_addr {
        match address.parse::<std::net::SocketAddr>() {
            Ok(socket) => {
                source.insert("ip".to_owned(), socket.ip().to_string().into());
                source.insert("port".to_owned(), socket.port().into());
            }
            Err(_) => drop(source.insert("ip".to_owned(), address.as_str().into())),
        }
    }
    if source.is_empty() {
        source.insert("name".to_owned(), "unknown".into());
    }
    Value::Object(source)
}

pub(super) fn database(record: &Record) -> Value {
    json!({ "name": record.database.as_deref().unwrap_or("unknown"), "type": "Relational", "type_id": 1 })
}

/// The statement, where the record has it. An end has none.
pub(super) fn query(record: &Record) -> Option<Value> {
    let mut query = json!({ "query_string": record.statement.as_ref()?, "uid": record.seq.to_string() });
    if let (Some(query), Some(fingerprint)) = (query.as_object_mut(), &record.fingerprint) {
        query.insert("name".to_owned(), fingerprint.as_str().into());
    }
    Some(query)
}

/// What an end says of its statement: the schema has no words for it.
pub(super) fn unmapped(record: &Record) -> Option<Value> {
    let statement = record.statement_seq?;
    Some(json!({ "statement_seq": statement, "rows": record.rows, "bytes": record.bytes }))
}

/// The table, where there is one alone; `raw_data` has all of them.
pub(super) fn table(record: &Record) -> Option<Value> {
    match record.relations.as_slice() {
        [only] => Some(json!({ "name": only.name })),
        _ => None,
    }
}

/// What pgward decided: action and disposition.
pub(super) fn decision(record: &Record) -> Option<(u8, &'static str, u8, &'static str)> {
    match record.verdict? {
        RecordedVerdict::Allow => Some((1, "Allowed", 1, "Allowed")),
        RecordedVerdict::Deny => Some((2, "Denied", 2, "Blocked")),
    }
}

/// The rule that refused, or the grant that allowed.
pub(super) fn policy(record: &Record) -> Option<Value> {
    let version = record.policy_version.map(|version| version.to_string()).unwrap_or_default();
    let grant = record.grant.as_ref().map(crate::access::GrantId::as_str);
    match (&record.rule, grant) {
        (Some(rule), _) => Some(json!({ "name": rule, "uid": rule, "version": version })),
        (None, Some(grant)) => {
            Some(json!({ "name": record.scope.as_deref().unwrap_or(grant), "uid": grant, "version": version }))
        }
        (None, None) => None,
    }
}

/// What an act of administration was about.
pub(super) fn entity(record: &Record) -> Value {
    let (kind, uid) = match record.event {
        Event::RequestFiled
        | Event::RequestApproved
        | Event::RequestDenied
        | Event::RequestWithdrawn
        | Event::RequestEdited
        | Event::RequestExpired => ("access request", record.request.as_ref().map(ToString::to_string)),
        Event::GrantCreated
        | Event::GrantRevoked
        | Event::BreakGlassOpened
        | Event::ReviewClosed
        | Event::ReviewOverdue
        | Event::GrantEnding
        | Event::GrantExpired => ("grant", record.grant.as_ref().map(ToString::to_string)),
        Event::CredentialMinted => ("credential", record.database.clone()),
        Event::ConfigReloaded | Event::ConfigRefused => ("configuration", record.detail.clone()),
        Event::Statement
        | Event::StatementEnd
        | Event::SessionOpen
        | Event::SessionClose
        | Event::LoginDenied
        | Event::StartupRefused
        | Event::Cancel
        | Event::SessionKilled
        | Event::JournalOpened
        | Event::JournalRecovered
        | Event::JournalClosed
        | Event::RecordsPurged
        | Event::HoldPlaced
        | Event::HoldReleased
        | Event::KeyRotated
        | Event::WitnessSilent
        | Event::WitnessHeard
        | Event::SinkState
        | Event::StatementHeld
        | Event::UnusualAccess
        | Event::AccessReleased
        | Event::RetentionRun
        | Event::RetentionRunEnd
        | Event::DataHoldPlaced
        | Event::DataHoldReleased
        | Event::RetentionBatch
        | Event::RetentionBatchEnd
        | Event::ControlLogin
        | Event::ControlLogout
        | Event::NotificationFailed
        | Event::Message
        | Event::AccessRefused => ("record", Some(record.seq.to_string())),
    };
    let name = record.scope.as_deref().or(record.database.as_deref()).unwrap_or(kind);
    json!({ "type": kind, "name": name, "uid": uid.unwrap_or_else(|| record.seq.to_string()) })
}

/// One line for people.
pub(super) fn message(record: &Record) -> String {
    let event = record.event.as_str().replace('_', " ");
    let who = record.principal.as_deref().map(|who| format!(" by {who}")).unwrap_or_default();
    let on = record.database.as_deref().map(|on| format!(" on {on}")).unwrap_or_default();
    let verdict = match record.verdict {
        Some(RecordedVerdict::Allow) => ": allowed",
        Some(RecordedVerdict::Deny) => ": denied",
        None => "",
    };
    format!("{event}{who}{on}{verdict}")
}
