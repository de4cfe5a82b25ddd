//! Frames and every decoder of a body: however the bytes arrive, the same frames; what was taken is what was sent.

use bytes::BytesMut;
use pgward::wire::{Frame, backend, encode, frame, frontend};

const LIMIT: usize = 64 * 1024;

pub fn check(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = split(&[bytes]);
    let cut = usize::from(*cut).min(bytes.len());
    assert_eq!(whole, split(&[&bytes[..cut], &bytes[cut..]]));
    assert!(bytes.starts_with(&whole.concat()));
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(frame)) = frame::take(&mut buffer, LIMIT) {
        from_client(&frame);
        from_server(&frame);
    }
}

/// The frames of bytes that arrive in pieces.
fn split(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Ok(Some(frame)) = frame::take(&mut buffer, LIMIT) {
            frames.push(frame.into_bytes().to_vec());
        }
    }
    frames
}

fn from_client(frame: &Frame) {
    use frontend::Tag;
    let Ok(tag) = Tag::read(frame.tag()) else { return };
    let body = frame.body();
    match tag {
        Tag::Query => {
            if let Ok(text) = frontend::query(body) {
                assert_eq!(encode::query(text)[5..], *body);
            }
        }
        Tag::Parse => {
            if let Ok(parse) = frontend::parse(body)
                && body.ends_with(&[0, 0])
                && body.len() == parse.name.len() + parse.text.len() + 4
            {
                assert_eq!(encode::parse(parse.name, parse.text)[5..], *body);
            }
        }
        Tag::Bind => drop(frontend::bind(body)),
        Tag::Execute => drop(frontend::execute(body)),
        Tag::Describe | Tag::Close => drop(frontend::named(body)),
        Tag::Sync | Tag::Flush | Tag::CopyDone | Tag::Terminate => {
            assert_eq!(frontend::empty(body).is_ok(), body.is_empty());
        }
        Tag::CopyFail => drop(frontend::copy_fail(body)),
        Tag::Password => drop(frontend::sasl_initial(body)),
        Tag::CopyData | Tag::FunctionCall => {}
    }
}

fn from_server(frame: &Frame) {
    let _ = backend::Tag::read(frame.tag());
    let body = frame.body();
    // Whatever the tag: a decoder is handed what the peer sends.
    let _ = backend::ready_for_query(body);
    let _ = backend::error_fields(body);
    let _ = backend::command_tag(body);
    let _ = backend::backend_key(body);
    let _ = backend::authentication(body);
    // What is no UTF-8 is replaced there, being for show alone.
    if let Ok((name, value)) = backend::parameter_status(body)
        && std::str::from_utf8(body).is_ok()
    {
        assert_eq!(encode::parameter_status(&name, &value)[5..], *body);
    }
}
