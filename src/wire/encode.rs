//! The messages that pgward says itself: to clients, and to upstreams.

use bytes::{BufMut as _, Bytes, BytesMut};

/// How grave a message to a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Fatal,
    Notice,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
            Severity::Notice => "NOTICE",
        }
    }
}

/// The whole of what a client may be told of a failure: a closed list of fields, each of our own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientVisible {
    pub severity: Severity,
    pub sqlstate: &'static str,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl ClientVisible {
    #[must_use]
    pub fn new(severity: Severity, sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { severity, sqlstate, message: message.into(), detail: None, hint: None }
    }

    #[must_use]
    pub fn fatal(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Fatal, sqlstate, message)
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As an ErrorResponse, or a NoticeResponse where that is the severity.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let tag = if self.severity == Severity::Notice { b'N' } else { b'E' };
        message(tag, |body| {
            let severity = self.severity.as_str();
            let fields = [(b'S', Some(severity)), (b'V', Some(severity)), (b'C', Some(self.sqlstate))];
            let texts =
                [(b'M', Some(self.message.as_str())), (b'D', self.detail.as_deref()), (b'H', self.hint.as_deref())];
            for (code, text) in fields.into_iter().chain(texts) {
                if let Some(text) = text {
                    body.put_u8(code);
                    put_cstr(body, text);
                }
            }
            body.put_u8(0);
        })
    }
}

/// AuthenticationCleartextPassword.
#[must_use]
pub fn authentication_cleartext() -> Bytes {
    message(b'R', |body| body.put_u32(3))
}

/// AuthenticationSASL with the mechanisms on offer, the best first.
#[must_use]
pub fn authentication_sasl(mechanisms: &[&str]) -> Bytes {
    message(b'R', |body| {
        body.put_u32(10);
        for mechanism in mechanisms {
            put_cstr(body, mechanism);
        }
        body.put_u8(0);
    })
}

#[must_use]
pub fn authentication_sasl_continue(data: &str) -> Bytes {
    message(b'R', |body| {
        body.put_u32(11);
        body.put_slice(data.as_bytes());
    })
}

#[must_use]
pub fn authentication_sasl_final(data: &str) -> Bytes {
    message(b'R', |body| {
        body.put_u32(12);
        body.put_slice(data.as_bytes());
    })
}

#[must_use]
pub fn authentication_ok() -> Bytes {
    message(b'R', |body| body.put_u32(0))
}

/// Says which minor version of protocol 3 is spoken from here on, and which `_pq_.` options are unknown.
#[must_use]
pub fn negotiate_protocol_version(minor: u16, unknown: &[&str]) -> Bytes {
    message(b'v', |body| {
        body.put_u32(3 << 16 | u32::from(minor));
        body.put_u32(u32::try_from(unknown.len()).unwrap_or(u32::MAX));
        for option in unknown {
            put_cstr(body, option);
        }
    })
}

#[must_use]
pub fn parameter_status(name: &str, value: &str) -> Bytes {
    message(b'S', |body| {
        put_cstr(body, name);
        put_cstr(body, value);
    })
}

#[must_use]
pub fn backend_key_data(process: u32, secret: &[u8]) -> Bytes {
    message(b'K', |body| {
        body.put_u32(process);
        body.put_slice(secret);
    })
}

#[must_use]
pub fn ready_for_query_idle() -> Bytes {
    message(b'Z', |body| body.put_u8(b'I'))
}

/// A StartupMessage of protocol 3, in this minor version.
#[must_use]
pub fn startup(minor: u16, parameters: &[(&str, &str)]) -> Bytes {
    untyped(|body| {
        body.put_u32(3 << 16 | u32::from(minor));
        for (name, value) in parameters {
            put_cstr(body, name);
            put_cstr(body, value);
        }
        body.put_u8(0);
    })
}

#[must_use]
pub fn ssl_request() -> Bytes {
    untyped(|body| body.put_u32(80_877_103))
}

#[must_use]
pub fn cancel_request(process: u32, secret: &[u8]) -> Bytes {
    untyped(|body| {
        body.put_u32(80_877_102);
        body.put_u32(process);
        body.put_slice(secret);
    })
}

#[must_use]
pub fn sasl_initial_response(mechanism: &str, data: &[u8]) -> Bytes {
    message(b'p', |body| {
        put_cstr(body, mechanism);
        body.put_i32(i32::try_from(data.len()).unwrap_or(i32::MAX));
        body.put_slice(data);
    })
}

#[must_use]
pub fn sasl_response(data: &[u8]) -> Bytes {
    message(b'p', |body| body.put_slice(data))
}

#[must_use]
pub fn query(text: &str) -> Bytes {
    message(b'Q', |body| put_cstr(body, text))
}

/// A Query that sets settings for the rest of the session.
#[must_use]
pub fn set_config(settings: &[(&str, &str)]) -> Bytes {
    let calls: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("pg_catalog.set_config({}, {}, false)", literal(name), literal(value)))
        .collect();
    query(&format!("SELECT {}", calls.join(", ")))
}

/// A constant that is read the same whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

/// A Parse that names no parameter types.
#[must_use]
pub fn parse(name: &str, text: &str) -> Bytes {
    message(b'P', |body| {
        put_cstr(body, name);
        put_cstr(body, text);
        body.put_u16(0);
    })
}

/// A Parse that names the types of its parameters, 0 where it leaves one open.
#[must_use]
pub fn parse_typed(name: &str, text: &str, types: &[u32]) -> Bytes {
    message(b'P', |body| {
        put_cstr(body, name);
        put_cstr(body, text);
        let types = types.get(..types.len().min(usize::from(u16::MAX))).unwrap_or_default();
        body.put_u16(u16::try_from(types.len()).unwrap_or(0));
        types.iter().for_each(|oid| body.put_u32(*oid));
    })
}

/// A Bind of no values, with the formats of its results: each whether it is binary.
#[must_use]
pub fn bind_nothing(portal: &str, statement: &str, results: &[bool]) -> Bytes {
    message(b'B', |body| {
        put_cstr(body, portal);
        put_cstr(body, statement);
        // No formats of parameters, no parameters.
        body.put_u32(0);
        let results = results.get(..results.len().min(usize::from(u16::MAX))).unwrap_or_default();
        body.put_u16(u16::try_from(results.len()).unwrap_or(0));
        results.iter().for_each(|binary| body.put_u16(u16::from(*binary)));
    })
}

#[must_use]
pub fn close_statement(name: &str) -> Bytes {
    message(b'C', |body| {
        body.put_u8(b'S');
        put_cstr(body, name);
    })
}

#[must_use]
pub fn command_complete(tag: &str) -> Bytes {
    message(b'C', |body| put_cstr(body, tag))
}

/// Parse, Bind, Execute, Close and Sync of a text without parameters, under `name`.
#[must_use]
pub fn run_once(name: &str, text: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&parse(name, text));
    bytes.extend_from_slice(&message(b'B', |body| {
        put_cstr(body, "");
        put_cstr(body, name);
        // No formats of parameters, no parameters, no formats of results.
        body.put_slice(&[0; 6]);
    }));
    bytes.extend_from_slice(&message(b'E', |body| {
        put_cstr(body, "");
        body.put_u32(0);
    }));
    bytes.extend_from_slice(&message(b'C', |body| {
        body.put_u8(b'S');
        put_cstr(body, name);
    }));
    bytes.extend_from_slice(&sync());
    bytes.freeze()
}

/// Parse, Bind, Describe, Execute and Close of each text in turn, then Sync; then Close once more, in case one of them failed, and
/// Sync. Statement and portal are both called `name`, so that what the client has without a name stays. Each text has one
/// parameter, of four bytes; results come in binary format.
#[must_use]
pub fn ask_each<'t>(name: &str, texts: impl Iterator<Item = &'t str>, parameter: u32) -> Bytes {
    let mut bytes = BytesMut::new();
    let of = |tag, target: u8| {
        message(tag, |body| {
            body.put_u8(target);
            put_cstr(body, name);
        })
    };
    for text in texts {
        bytes.extend_from_slice(&parse(name, text));
        bytes.extend_from_slice(&message(b'B', |body| {
            put_cstr(body, name);
            put_cstr(body, name);
            // One format for all parameters, one parameter, one format for all results.
            body.put_slice(&[0, 1, 0, 1, 0, 1, 0, 0, 0, 4]);
            body.put_u32(parameter);
            body.put_slice(&[0, 1, 0, 1]);
        }));
        bytes.extend_from_slice(&of(b'D', b'P'));
        bytes.extend_from_slice(&message(b'E', |body| {
            put_cstr(body, name);
            body.put_u32(0);
        }));
        bytes.extend_from_slice(&of(b'C', b'P'));
        bytes.extend_from_slice(&of(b'C', b'S'));
    }
    bytes.extend_from_slice(&sync());
    bytes.extend_from_slice(&of(b'C', b'S'));
    bytes.extend_from_slice(&sync());
    bytes.freeze()
}

#[must_use]
pub fn describe_portal(name: &str) -> Bytes {
    message(b'D', |body| {
        body.extend_from_slice(b"P");
        put_cstr(body, name);
    })
}

#[must_use]
pub fn sync() -> Bytes {
    message(b'S', |_| ())
}

#[must_use]
pub fn terminate() -> Bytes {
    message(b'X', |_| ())
}

/// Writes a text and its end. A NUL within would end it early and shift what follows: it becomes a space.
fn put_cstr(body: &mut BytesMut, text: &str) {
    for (index, part) in text.split('\0').enumerate() {
        if index > 0 {
            body.put_u8(b' ');
        }
        body.put_slice(part.as_bytes());
    }
    body.put_u8(0);
}

fn message(tag: u8, write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut body = BytesMut::new();
    write(&mut body);
    let mut bytes = BytesMut::with_capacity(body.len() + 5);
    bytes.put_u8(tag);
    bytes.put_i32(i32::try_from(body.len() + 4).unwrap_or(i32::MAX));
    bytes.put_slice(&body);
    bytes.freeze()
}

fn untyped(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut body = BytesMut::new();
    write(&mut body);
    let mut bytes = BytesMut::with_capacity(body.len() + 4);
    bytes.put_i32(i32::try_from(body.len() + 4).unwrap_or(i32::MAX));
    bytes.put_slice(&body);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::{backend, frame, startup as packets};

    fn body(bytes: Bytes) -> Vec<u8> {
        let mut buffer = BytesMut::from(&bytes[..]);
        let frame = frame::take(&mut buffer, 1 << 20).unwrap().unwrap();
        assert!(buffer.is_empty());
        frame.body().to_vec()
    }

    #[test]
    fn errors_read_back() {
        let error = ClientVisible::fatal("28000", "a\0b").detail("d").hint("h");
        let fields = backend::error_fields(&body(error.to_bytes())).unwrap();
        assert_eq!(
            (fields.severity.as_str(), fields.sqlstate.as_str(), fields.message.as_str()),
            ("FATAL", "28000", "a b")
        );
    }

    #[test]
    fn startup_packets_read_back() {
        let packet = packets::take(&mut BytesMut::from(&startup(2, &[("user", "a")])[..])).unwrap();
        let parameters = vec![("user".to_owned(), "a".to_owned())];
        assert_eq!(packet, Some(packets::Packet::Startup(packets::Startup { minor: 2, parameters })));
        let packet = packets::take(&mut BytesMut::from(&cancel_request(7, b"1234")[..])).unwrap();
        assert_eq!(packet, Some(packets::Packet::Cancel { process: 7, key: b"1234".to_vec() }));
    }

    #[test]
    fn settings_are_quoted() {
        let said = body(set_config(&[("search_path", r#""$user", public"#), ("TimeZone", r"a'b\")]));
        let said = String::from_utf8(said).unwrap();
        let expected = r#"SELECT pg_catalog.set_config(E'search_path', E'"$user", public', false), "#.to_owned()
            + r"pg_catalog.set_config(E'TimeZone', E'a''b\\', false)"
            + "\0";
        assert_eq!(said, expected);
    }

    #[test]
    fn mechanisms_read_back() {
        let read = backend::authentication(&body(authentication_sasl(&["A", "B"]))).unwrap();
        assert_eq!(read, backend::Authentication::Sasl(vec!["A".to_owned(), "B".to_owned()]));
    }
}
