//! Answers of one JSON document a line, sent as they are found: never more than a few in memory.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;

/// Lines that wait for a slow caller.
const WAITING: usize = 16;

/// The body of an answer, fed through a channel. When the caller goes away the channel closes.
#[derive(Debug)]
pub struct Lines {
    lines: mpsc::Receiver<Result<Bytes, Broken>>,
}

/// The answer cannot be finished: the connection is cut, so that the caller does not take it for whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer could not be finished")]
pub struct Broken;

/// The other end of [`Lines`].
pub type LineSender = mpsc::Sender<Result<Bytes, Broken>>;

impl Lines {
    #[must_use]
    pub fn channel() -> (LineSender, Self) {
        let (sender, lines) = mpsc::channel(WAITING);
        (sender, Self { lines })
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
        let mut response = Response::new(Body::new(self));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        response
    }
}
