//! The server of a made-up session: answers what it is sent as PostgreSQL would, except where the script says otherwise.

use bytes::{BufMut as _, Bytes, BytesMut};
use pgward::wire::{Frame, encode, frame, frontend};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::script::{cstr, message};

const LIMIT: usize = 1 << 20;
/// CopyData streams: of a long one what there is of it comes, up to what PostgreSQL takes.
const COPY_LIMIT: usize = 0x3fff_fffe;

/// What reached the server.
#[derive(Debug, Default)]
pub struct Heard {
    /// The texts of Query and Parse, in their order.
    pub texts: Vec<String>,
    /// The tags of all whole messages.
    pub tags: Vec<u8>,
    /// What is no message.
    pub broken: Option<String>,
}

/// Serves until the other side closes, or the script does.
pub async fn serve(mut stream: UnixStream, script: &[u8]) -> Heard {
    let (mut heard, mut buffer, mut script) = (Heard::default(), BytesMut::new(), script.iter().copied());
    let mut skipping = false;
    loop {
        let limit = if buffer.first() == Some(&b'd') { COPY_LIMIT } else { LIMIT };
        let frame = match frame::take(&mut buffer, limit) {
            Ok(Some(frame)) => frame,
            Ok(None) => match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return heard,
                Ok(_) => continue,
            },
            Err(error) => {
                heard.broken = Some(error.to_string());
                return heard;
            }
        };
        heard.note(&frame);
        let whim = script.next().unwrap_or(0);
        let answer = match whim {
            255 => return heard,
            // Something that nobody asked for.
            200..255 => lie(whim),
            _ => answer(&frame, whim, &mut skipping),
        };
        if frame.tag() == b'X' || stream.write_all(&answer).await.is_err() {
            // What was on its way is taken all the same: it may be more than should have been sent.
            while let Ok(Some(frame)) = frame::take(&mut buffer, LIMIT) {
                heard.note(&frame);
            }
            return heard;
        }
    }
}

impl Heard {
    fn note(&mut self, frame: &Frame) {
        // In place of a FunctionCall: one of function 0, which there never is.
        let is_call = frame.tag() == b'F' && frame.body() != [0; 10];
        self.tags.push(if is_call { b'!' } else { frame.tag() });
        let text = match frame.tag() {
            b'Q' => frontend::query(frame.body()).map(str::to_owned),
            b'P' => frontend::parse(frame.body()).map(|parse| parse.text.to_owned()),
            _ => return,
        };
        match text {
            Ok(text) => self.texts.push(text),
            Err(error) => self.broken = Some(error.to_string()),
        }
    }
}

/// An honest answer; `whim` chooses among those that there are.
fn answer(frame: &Frame, whim: u8, skipping: &mut bool) -> Bytes {
    if *skipping && frame.tag() != b'S' {
        return Bytes::new();
    }
    let text = match frame.tag() {
        b'Q' => frontend::query(frame.body()).unwrap_or_default(),
        b'P' => frontend::parse(frame.body()).map(|parse| parse.text).unwrap_or_default(),
        _ => "",
    };
    let fails = text.contains("pgward_denied") || whim % 16 == 15;
    match frame.tag() {
        b'Q' if fails => [error(whim), ready(whim)].concat().into(),
        b'Q' => [
            run(whim, text),
            if text.starts_with("COPY") && whim.is_multiple_of(2) { Bytes::new() } else { ready(whim) },
        ]
        .concat()
        .into(),
        b'P' | b'B' | b'E' | b'D' | b'C' if fails => {
            *skipping = true;
            error(whim)
        }
        b'P' => message(b'1', |_| ()),
        b'B' => message(b'2', |_| ()),
        b'C' => message(b'3', |_| ()),
        b'D' if whim.is_multiple_of(2) => message(b'n', |_| ()),
        b'D' => [message(b't', |body| body.put_u16(0)), columns()].concat().into(),
        b'E' => run(whim, ""),
        b'S' => {
            *skipping = false;
            ready(whim)
        }
        b'c' | b'f' => [complete("COPY 1"), ready(whim)].concat().into(),
        _ => Bytes::new(),
    }
}

fn run(whim: u8, text: &str) -> Bytes {
    match whim / 16 {
        _ if text.starts_with("COPY sink") => message(b'G', |body| body.extend_from_slice(&[0, 0, 0])),
        0..4 if text.is_empty() => [row(), complete("SELECT 1")].concat().into(),
        0..4 => [columns(), row(), row(), complete("SELECT 2")].concat().into(),
        4 => message(b'I', |_| ()),
        5 => [row(), message(b's', |_| ())].concat().into(),
        6 => message(b'G', |body| body.extend_from_slice(&[0, 0, 0])),
        7 => [
            message(b'H', |body| body.extend_from_slice(&[0, 0, 0])),
            message(b'd', |body| body.extend_from_slice(b"1\n")),
            message(b'c', |_| ()),
            complete("COPY 1"),
        ]
        .concat()
        .into(),
        8 => [encode::parameter_status("application_name", "x"), complete("SET")].concat().into(),
        9 => [encode::parameter_status("client_encoding", "LATIN1"), complete("SET")].concat().into(),
        _ => complete(["BEGIN", "COMMIT", "ROLLBACK", "INSERT 0 1"][usize::from(whim) % 4]),
    }
}

/// A message that does not belong where it comes.
fn lie(whim: u8) -> Bytes {
    let tag = b"123ACDEGHIKNRSTVWZcdnstv"[usize::from(whim) % 24];
    let body: &[u8] = [&b""[..], b"I", b"\0\0\0\0", b"SELECT 1\0", b"\xff\xff\xff\xff"][usize::from(whim) % 5];
    message(tag, |bytes| bytes.extend_from_slice(body))
}

fn columns() -> Bytes {
    message(b'T', |body| {
        body.put_u16(1);
        cstr(body, "id");
        body.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    })
}

fn row() -> Bytes {
    message(b'D', |body| body.extend_from_slice(&[0, 1, 0, 0, 0, 1, b'7']))
}

fn complete(tag: &str) -> Bytes {
    message(b'C', |body| cstr(body, tag))
}

fn ready(whim: u8) -> Bytes {
    message(b'Z', |body| body.put_u8([b'I', b'I', b'T', b'E'][usize::from(whim) % 4]))
}

fn error(whim: u8) -> Bytes {
    let (severity, code) = if whim % 32 == 31 { ("FATAL", "57P01") } else { ("ERROR", "42601") };
    message(b'E', |body| {
        for (field, value) in [('S', severity), ('V', severity), ('C', code), ('M', "no")] {
            body.put_u8(field as u8);
            cstr(body, value);
        }
        body.put_u8(0);
    })
}
