//! Every decoder of what a peer sends, one at a time: the first byte chooses it, the rest is what it reads. None of them
//! panics; none takes what is longer or shorter than what it says; what is read can be said again.

use bytes::BytesMut;
use pgward::wire::proxy_header::{self, FIXED};
use pgward::wire::value::{self, Shape};
use pgward::wire::{backend, encode, frame, frontend, oauth, scram, startup};

#[path = "decoders/tokens.rs"]
mod tokens;

pub fn check(data: &[u8]) {
    let Some((which, body)) = data.split_first() else { return };
    match which % 16 {
        0 => bind(body),
        1 => parse(body),
        2 => small_ones(body),
        3 => rows(body),
        4 => error_fields(body),
        5 => parameter_description(body),
        6 => authentication(body),
        7 => backend_key(body),
        8 => sasl(body),
        9 => bearer(body),
        10 => verifier(body),
        11 => header(body),
        12 => packet(body),
        13 => tokens::keys(body),
        14 => tokens::token(body),
        _ => bound_value(body),
    }
}

fn bind(body: &[u8]) {
    let Ok(bind) = frontend::bind(body) else { return };
    let values: usize = bind.values.iter().map(|(_, value)| 4 + value.map_or(0, <[u8]>::len)).sum();
    assert!(bind.portal.len() + bind.statement.len() + values + 8 <= body.len());
    whole(body, |body| frontend::bind(body).is_ok());
}

fn parse(body: &[u8]) {
    let Ok(parse) = frontend::parse(body) else { return };
    assert_eq!(body.len(), parse.name.len() + parse.text.len() + 4 + 4 * parse.types.len());
    whole(body, |body| frontend::parse(body).is_ok());
}

fn small_ones(body: &[u8]) {
    if let Ok(execute) = frontend::execute(body) {
        assert_eq!(body.len(), execute.portal.len() + 5);
    }
    if let Ok(named) = frontend::named(body) {
        assert_eq!(body.len(), named.name.len() + 2);
    }
    if let Ok(text) = frontend::query(body) {
        assert_eq!(encode::query(text)[5..], *body);
    }
    let _ = frontend::copy_fail(body);
    let _ = backend::ready_for_query(body);
    if let Ok(tag) = backend::command_tag(body)
        && std::str::from_utf8(body).is_ok()
    {
        assert_eq!(tag.len() + 1, body.len());
    }
    if let Ok((name, value)) = backend::parameter_status(body)
        && std::str::from_utf8(body).is_ok()
    {
        assert_eq!(encode::parameter_status(&name, &value)[5..], *body);
    }
    let _ = backend::negotiated_minor(body);
}

/// Rows are counted by their headers as they would be if each were taken.
fn rows(bytes: &[u8]) {
    let (count, length) = frame::rows(bytes);
    let (mut buffer, mut taken) = (BytesMut::from(bytes), 0);
    while taken < count {
        let frame = frame::take(&mut buffer, bytes.len()).expect("a row").expect("a whole row");
        assert!(matches!(frame.tag(), b'D' | b'd'));
        taken += 1;
    }
    assert_eq!(bytes.len() - buffer.len(), length);
}

fn error_fields(body: &[u8]) {
    let Ok(fields) = backend::error_fields(body) else { return };
    assert!(fields.sqlstate.chars().count() <= 5);
    whole(body, |body| backend::error_fields(body).is_ok());
}

fn parameter_description(body: &[u8]) {
    let Ok(types) = backend::parameter_description(body) else { return };
    assert_eq!(body.len(), 2 + 4 * types.len());
}

fn authentication(body: &[u8]) {
    let Ok(backend::Authentication::Sasl(mechanisms)) = backend::authentication(body) else { return };
    assert!(mechanisms.iter().all(|mechanism| !mechanism.is_empty()));
    assert!(mechanisms.iter().map(|mechanism| mechanism.len() + 1).sum::<usize>() <= body.len());
}

fn backend_key(body: &[u8]) {
    let Ok(key) = backend::backend_key(body) else { return };
    assert_eq!(encode::backend_key_data(key.process, &key.secret)[5..], *body);
    assert!(!format!("{key:?}").contains(&format!("{:?}", key.secret)), "the secret is shown");
}

fn sasl(body: &[u8]) {
    let _ = frontend::password(body);
    let Ok((mechanism, Some(data))) = frontend::sasl_initial(body) else { return };
    assert_eq!(encode::sasl_initial_response(mechanism, data)[5..], *body);
}

fn bearer(body: &[u8]) {
    if let Ok(oauth::First::Token(token)) = oauth::first(body) {
        assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!format!("{:?}", oauth::first(body)).contains(token) || token.len() < 12, "the token is shown");
    }
    let Ok(text) = std::str::from_utf8(body) else { return };
    let said = oauth::invalid_token(text, text);
    let read: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(read["scope"], text);
}

fn verifier(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let Ok(read) = scram::Verifier::parse(text) else { return };
    assert_eq!(scram::Verifier::parse(&read.to_string()).as_ref(), Ok(&read));
    assert!(read.iterations() > 0 && read.iterations() <= 10_000_000 && !read.salt().is_empty());
}

fn header(body: &[u8]) {
    if let Some(fixed) = body.first_chunk::<FIXED>()
        && let Ok(length) = proxy_header::rest_length(fixed)
    {
        let exact = body.len() == FIXED + length;
        assert!(exact || proxy_header::read(body).is_err());
    }
}

fn packet(body: &[u8]) {
    let mut buffer = BytesMut::from(body);
    if let Ok(Some(packet)) = startup::take(&mut buffer) {
        assert!(body.ends_with(&buffer) && buffer.len() < body.len());
        if let startup::Packet::Cancel { process, key } = packet {
            assert_eq!(encode::cancel_request(process, &key)[..], body[..body.len() - buffer.len()]);
        }
    }
}

/// A bind value of any type, binary.
fn bound_value(body: &[u8]) {
    let Some((kind, bytes)) = body.split_first_chunk::<2>() else { return };
    let oid = u32::from(u16::from_be_bytes(*kind));
    // Types that lie in themselves must come to an end.
    let shape = |oid: u32| match oid % 4 {
        0 => Shape::Text,
        1 => Shape::Domain(oid),
        2 => Shape::Array,
        _ => Shape::Unknown,
    };
    let read = value::text(oid, bytes, &shape);
    assert_eq!(read, value::text(oid, bytes, &shape));
    assert!(read.is_none_or(|text| text.len() <= 1024 + 64 * bytes.len()), "a short value makes a long text");
}

/// What is one byte longer or shorter is not the same message.
fn whole(body: &[u8], reads: impl Fn(&[u8]) -> bool) {
    assert!(!reads(&body[..body.len() - 1]) && !reads(&[body, &[0]].concat()));
}
