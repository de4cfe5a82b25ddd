//! Answers of one JSON document after another, as lines or as server-sent events, sent as they are found: never more than a few
//! in memory.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;

/// How the documents stand in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One a line.
    Lines,
    /// One an event, for a browser's `EventSource`.
    Events,
}

impl Framing {
    /// What the caller asks for.
    #[must_use]
    pub fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let wants_events = accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with(EVENTS));
        if wants_events { Framing::Events } else { Framing::Lines }
    }

    /// Up to where a caller has them who was cut off and comes again.
    #[must_use]
    pub fn resumes_behind(self, headers: &HeaderMap) -> Option<u64> {
        match self {
            Framing::Lines => None,
            Framing::Events => headers.get("last-event-id")?.to_str().ok()?.parse().ok(),
        }
    }

    /// The document as it stands in the body. JSON of ours has no line breaks.
    #[must_use]
    pub fn put(self, number: u64, mut json: Vec<u8>) -> Bytes {
        match self {
            Framing::Lines => {
                json.push(b'\n');
                json.into()
            }
            Framing::Events => [format!("id: {number}\ndata: ").as_bytes(), &json, b"\n\n"].concat().into(),
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Framing::Lines => "application/x-ndjson",
            Framing::Events => EVENTS,
        })
    }
}

const EVENTS: &str = "text/event-stream";

/// Lines that wait for a slow caller.
const WAITING: usize = 16;

/// The body of an answer, fed through a channel. When the caller goes away the channel closes.
#[derive(Debug)]
pub struct Lines {
    framing: Framing,
    lines: mpsc::Receiver<Result<Bytes, Broken>>,
}

/// The answer cannot be finished: the connection is cut, so that the caller does not take it for whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer could not be finished")]
pub struct Broken;

/// The other end of [`Lines`].
#[derive(Debug)]
pub struct LineSender {
    framing: Framing,
    sender: mpsc::Sender<Result<Bytes, Broken>>,
}

impl LineSender {
    /// # Errors
    /// Where the caller is gone.
    pub async fn send(&self, number: u64, json: Vec<u8>) -> Result<(), Broken> {
        self.sender.send(Ok(self.framing.put(number, json))).await.map_err(|_| Broken)
    }

    /// Cuts the answer off. Whether the caller still listens makes no difference.
    pub async fn cut(&self) {
        let _ = self.sender.send(Err(Broken)).await;
    }

    /// Waits until the caller is gone.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}

impl Lines {
    #[must_use]
    pub fn channel(framing: Framing) -> (LineSender, Self) {
        let (sender, lines) = mpsc::channel(WAITING);
        (LineSender { framing, sender }, Self { framing, lines })
    }
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.lines.poll_recv(context).map(|line| line.map(|line| line.map(Frame::data)))
    }
}

impl IntoResponse for Lines {
    fn into_response(self) -> Response {
        let content_type = self.framing.content_type();
        let mut response = Response::new(Body::new(self));
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_for_who_asks_for_them_and_resume_where_they_broke_off() {
        let mut headers = HeaderMap::new();
        assert_eq!(Framing::wanted(&headers), Framing::Lines);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream;q=0.9"));
        headers.insert("last-event-id", HeaderValue::from_static("41"));
        let framing = Framing::wanted(&headers);
        assert_eq!((framing, framing.resumes_behind(&headers)), (Framing::Events, Some(41)));
        assert_eq!(framing.put(42, b"{}".to_vec()), "id: 42\ndata: {}\n\n");
        assert_eq!(Framing::Lines.put(42, b"{}".to_vec()), "{}\n");
        headers.insert("last-event-id", HeaderValue::from_static("-1"));
        assert_eq!(framing.resumes_behind(&headers), None);
    }
}
