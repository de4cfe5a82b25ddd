//! One message: RFC 5424's header and structured data, the record as its text, and RFC 5425's count before it.

use std::io::{self, Write as _};

use crate::audit::export::ocsf;
use crate::audit::{Entry, Event, RecordedVerdict};
use crate::sinks::settings::{Body, Syslog};

/// "log audit" of RFC 5424.
const FACILITY: u8 = 13;
const ERROR: u8 = 3;
const WARNING: u8 = 4;
const INFORMATIONAL: u8 = 6;

/// What is the same in all messages.
#[derive(Debug)]
pub(super) struct Writer {
    hostname: String,
    enterprise_id: u32,
    journal: String,
    body: Body,
}

impl Writer {
    pub(super) fn new(settings: &Syslog, journal: String) -> Self {
        let hostname = header_text(&settings.hostname, 255);
        Self { hostname, enterprise_id: settings.enterprise_id, journal, body: settings.body }
    }

    /// Appends the message for `entry`, with its length in front.
    pub(super) fn frame(&self, entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
        let message = self.message(entry)?;
        write!(out, "{} ", message.len())?;
        out.extend_from_slice(&message);
        Ok(())
    }

    fn message(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let record = &entry.record;
        let priority = FACILITY * 8 + severity(entry);
        let event = word(record.event);
        let mut message = Vec::with_capacity(entry.canonical.len() + 256);
        // RFC 5424 has no finer times.
        let time = record.time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
        let process = std::process::id();
        write!(message, "<{priority}>1 {time} {} pgward {process} {} ", self.hostname, header_text(&event, 32))?;
        write!(message, "[pgward@{} journal=\"", self.enterprise_id)?;
        push_value(&self.journal, &mut message);
        write!(message, "\" seq=\"{}\" event=\"", record.seq)?;
        push_value(&event, &mut message);
        let verdict = record.verdict.map(|verdict| match verdict {
            RecordedVerdict::Allow => "allow",
            RecordedVerdict::Deny => "deny",
        });
        for (name, value) in [
            ("principal", record.principal.as_deref()),
            ("database", record.database.as_deref()),
            ("session", record.session.as_ref().map(crate::access::SessionId::as_str)),
            ("grant", record.grant.as_ref().map(crate::access::GrantId::as_str)),
            ("verdict", verdict),
            ("rule", record.rule.as_deref()),
        ] {
            let Some(value) = value else { continue };
            write!(message, "\" {name}=\"")?;
            push_value(value, &mut message);
        }
        message.extend_from_slice(b"\"] ");
        match self.body {
            Body::Jsonl => message.extend_from_slice(&entry.canonical),
            Body::Ocsf => message.extend_from_slice(&ocsf::event(entry, Some(&self.journal))?),
        }
        Ok(message)
    }
}

fn severity(entry: &Entry) -> u8 {
    let event = entry.record.event;
    if event == Event::SinkState {
        ERROR
    } else if entry.record.verdict == Some(RecordedVerdict::Deny)
        || matches!(event, Event::LoginDenied | Event::StartupRefused | Event::ConfigRefused)
    {
        WARNING
    } else {
        INFORMATIONAL
    }
}

/// A word of the header: printable ASCII without spaces, or `-`.
fn header_text(text: &str, longest: usize) -> String {
    let text: String = text.chars().filter(char::is_ascii_graphic).take(longest).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A parameter's value: quotes, backslashes and closing brackets are escaped, controls left out (the text has them).
fn push_value(value: &str, out: &mut Vec<u8>) {
    for c in value.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\' | ']') {
            out.push(b'\\');
        }
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

fn word(event: Event) -> String {
    match serde_json::to_value(event) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::audit::{Record, canonical};

    #[test]
    fn a_message_keeps_to_rfc_5424_whatever_the_client_calls_itself() {
        let writer = Writer { hostname: "db1".into(), enterprise_id: 32473, journal: "j1".into(), body: Body::Jsonl };
        let mut record = Record::new("2026-03-01T10:00:00.123456789Z".parse().unwrap(), Event::Statement);
        record.seq = 42;
        record.principal = Some("al\"i]c\\e\n".into());
        record.verdict = Some(RecordedVerdict::Deny);
        let canonical = canonical::to_string(&record);
        let entry = Entry { record, canonical: canonical.clone().into_bytes() };
        let mut out = Vec::new();
        writer.frame(&entry, &mut out).unwrap();
        let process = std::process::id();
        let expected = format!(
            "<108>1 2026-03-01T10:00:00.123456Z db1 pgward {process} statement [pgward@32473 journal=\"j1\" seq=\"42\" \
             event=\"statement\" principal=\"al\\\"i\\]c\\\\e\" verdict=\"deny\"] {canonical}"
        );
        assert_eq!(String::from_utf8(out).unwrap(), format!("{} {expected}", expected.len()));
    }

    #[test]
    fn header_words_hold_no_spaces() {
        assert_eq!(header_text("a b\tc\u{e9}", 255), "abc");
        assert_eq!(header_text("", 255), "-");
        assert_eq!(header_text("abcdef", 3), "abc");
    }
}
