//! OAUTHBEARER (RFC 7628), as PostgreSQL 18 speaks it: what a client sends, and what it is told where it has no good token.

use super::ProtocolError;

pub const MECHANISM: &str = "OAUTHBEARER";
/// Between the parts of the client's message; all of the client's last one.
const SEPARATOR: char = '\x01';
const SCHEME: &str = "bearer ";

/// The client's first message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum First<'a> {
    /// It has no token yet and asks where to get one.
    Discovery,
    Token(&'a str),
}

impl std::fmt::Debug for First<'_> {
    /// Never the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            First::Discovery => "Discovery",
            First::Token(_) => "Token",
        })
    }
}

/// Reads `n,,^Aauth=Bearer TOKEN^A^A`. Names for somebody else, and channel bindings that this mechanism has not, are refused.
///
/// # Errors
/// For any other form.
pub fn first(data: &[u8]) -> Result<First<'_>, ProtocolError> {
    const WRONG: ProtocolError = ProtocolError::Invalid("OAUTHBEARER message");
    let text = std::str::from_utf8(data).map_err(|_| ProtocolError::Encoding)?;
    let rest = text.strip_prefix("n,,").or_else(|| text.strip_prefix("y,,")).ok_or(WRONG)?;
    let body = rest.strip_prefix(SEPARATOR).and_then(|rest| rest.strip_suffix("\x01\x01")).ok_or(WRONG)?;
    let mut found = None;
    for pair in body.split(SEPARATOR) {
        let (key, value) = pair.split_once('=').ok_or(WRONG)?;
        if key == "auth" && found.replace(value).is_some() {
            return Err(WRONG);
        }
    }
    let auth = found.ok_or(WRONG)?;
    if auth.is_empty() {
        return Ok(First::Discovery);
    }
    let (scheme, token) = auth.split_at_checked(SCHEME.len()).ok_or(WRONG)?;
    let token = token.trim_start_matches(' ');
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if !scheme.eq_ignore_ascii_case(SCHEME) || token.is_empty() || !token.chars().all(is_token) {
        return Err(WRONG);
    }
    Ok(First::Token(token))
}

/// Whether this is how a client acknowledges that it was refused.
#[must_use]
pub fn is_acknowledgement(data: &[u8]) -> bool {
    data == b"\x01"
}

/// What a client is told that has no good token: where to get one.
#[must_use]
pub fn invalid_token(configuration_url: &str, scope: &str) -> String {
    let fields = [("status", "invalid_token"), ("openid-configuration", configuration_url), ("scope", scope)];
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\": {}", json(value))).collect();
    format!("{{{}}}", fields.join(", "))
}

/// A JSON string.
fn json(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_read() {
        assert!(matches!(first(b"n,,\x01auth=Bearer a.b-c\x01\x01"), Ok(First::Token("a.b-c"))));
        assert!(matches!(first(b"y,,\x01host=x\x01auth=bearer  t\x01port=1\x01\x01"), Ok(First::Token("t"))));
        assert!(matches!(first(b"n,,\x01auth=\x01\x01"), Ok(First::Discovery)));
    }

    #[test]
    fn doubtful_messages_are_refused() {
        for data in [
            &b""[..],
            b"n,,",
            b"n,a=bob,\x01auth=Bearer t\x01\x01",
            b"p=tls-server-end-point,,\x01auth=Bearer t\x01\x01",
            b"n,,\x01auth=Bearer t\x01",
            b"n,,\x01auth=Basic t\x01\x01",
            b"n,,\x01auth=Bearer \x01\x01",
            b"n,,\x01auth=Bearer a b\x01\x01",
            b"n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
            b"n,,\x01host=x\x01\x01",
            b"n,,\x01auth=Bearer \xff\x01\x01",
        ] {
            assert!(first(data).is_err(), "{data:?}");
        }
    }

    #[test]
    fn the_answer_is_json() {
        let said = invalid_token("https://idp/\"x", "openid\n");
        let expected =
            r#"{"status": "invalid_token", "openid-configuration": "https://idp/\"x", "scope": "openid\u000a"}"#;
        assert_eq!(said, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = first(&bytes);
        }
    }
}
