//! A record's attributes, named after OpenTelemetry's conventions for databases, users and clients where they have a name,
//! and `pgward.…` where they have none.

use std::net::SocketAddr;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use serde::Serialize;

use crate::audit::Record;

/// All that is known of the record, but for what only its body holds.
pub(super) fn attributes(record: &Record, journal: &str) -> Vec<KeyValue> {
    let mut all = vec![
        text("log.record.uid", &format!("{journal}:{}", record.seq)),
        number("pgward.seq", record.seq),
        text("db.system.name", "postgresql"),
    ];
    let grant = record.grant.as_ref().map(crate::access::GrantId::as_str);
    let request = record.request.as_ref().map(crate::access::RequestId::as_str);
    let session = record.session.as_ref().map(crate::access::SessionId::as_str);
    let region = |region: &Option<crate::access::Region>| region.as_ref().map(|region| region.as_str().to_owned());
    let (client_region, upstream_region) = (region(&record.client_region), region(&record.upstream_region));
    let texts = [
        ("db.namespace", record.database.as_deref()),
        ("db.query.text", record.statement.as_deref()),
        ("db.operation.name", record.kind.as_deref()),
        ("db.response.status_code", record.sqlstate.as_deref()),
        ("error.type", record.sqlstate.as_deref()),
        ("user.name", record.principal.as_deref()),
        ("session.id", session),
        ("pgward.application_name", record.application_name.as_deref()),
        ("pgward.client_region", client_region.as_deref()),
        ("pgward.upstream_region", upstream_region.as_deref()),
        ("pgward.grant", grant),
        ("pgward.request", request),
        ("pgward.scope", record.scope.as_deref()),
        ("pgward.reason", record.reason.as_deref()),
        ("pgward.ticket", record.ticket.as_deref()),
        ("pgward.fingerprint", record.fingerprint.as_deref()),
        ("pgward.rule", record.rule.as_deref()),
        ("pgward.command_tag", record.command_tag.as_deref()),
        ("pgward.detail", record.detail.as_deref()),
    ];
    all.extend(texts.into_iter().filter_map(|(key, value)| Some(text(key, value?))));
    let numbers = [
        ("db.response.returned_rows", record.rows),
        ("pgward.bytes", record.bytes),
        ("pgward.duration_us", record.duration_us),
        ("pgward.statement_seq", record.statement_seq),
        ("pgward.session_seq", record.session_seq),
    ];
    all.extend(numbers.into_iter().filter_map(|(key, value)| Some(number(key, value?))));
    let words = [
        ("pgward.verdict", word(record.verdict)),
        ("pgward.protocol", word(record.protocol)),
        ("pgward.ended_by", word(record.ended_by)),
    ];
    all.extend(words.into_iter().filter_map(|(key, value)| Some(text(key, &value?))));
    client(record, &mut all);
    lists(record, &mut all);
    all
}

fn client(record: &Record, all: &mut Vec<KeyValue>) {
    let Some(address) = &record.client_addr else { return };
    match address.parse::<SocketAddr>() {
        Ok(socket) => {
            all.push(text("client.address", &socket.ip().to_string()));
            all.push(number("client.port", socket.port().into()));
        }
        Err(_) => all.push(text("client.address", address)),
    }
}

fn lists(record: &Record, all: &mut Vec<KeyValue>) {
    if let [only] = record.relations.as_slice() {
        all.push(text("db.collection.name", &only.name));
    }
    let relations: Vec<String> = record.relations.iter().map(|relation| relation.name.clone()).collect();
    for (key, list) in
        [("user.roles", &record.groups), ("pgward.approvers", &record.approvers), ("pgward.relations", &relations)]
    {
        if !list.is_empty() {
            let values = list.iter().map(|item| any(item)).collect();
            let value = AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) };
            all.push(KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() });
        }
    }
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

pub(super) fn any(value: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.to_owned())) }
}

fn number(key: &str, value: u64) -> KeyValue {
    let value = AnyValue { value: Some(Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX))) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// The name that serde gives a value of an enum.
fn word(value: Option<impl Serialize>) -> Option<String> {
    match serde_json::to_value(value?) {
        Ok(serde_json::Value::String(word)) => Some(word),
        Ok(_) | Err(_) => None,
    }
}
