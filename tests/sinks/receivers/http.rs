//! An HTTPS receiver: keeps what came, and answers as it is told, then 200.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::acceptor;

/// What came.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What it was answered.
    pub status: u16,
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

struct Shared {
    came: Mutex<Vec<Request>>,
    answers: Mutex<VecDeque<Answer>>,
    /// What is answered when nothing else is to be.
    usual: Mutex<Answer>,
    /// No answer without a permit.
    gate: Semaphore,
}

pub struct HttpReceiver {
    pub port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl HttpReceiver {
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    pub async fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            came: Mutex::default(),
            answers: Mutex::default(),
            usual: Mutex::new(Answer::status(200)),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { port, shared, task }
    }

    /// The next answers.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.answers.lock().unwrap().extend(answers);
    }

    pub fn usually(&self, answer: Answer) {
        *self.shared.usual.lock().unwrap() = answer;
    }

    /// From now on nothing is answered, until [`Self::release`].
    pub fn hold(&self) {
        self.shared.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub fn release(&self) {
        self.shared.gate.add_permits(Semaphore::MAX_PERMITS - self.shared.gate.available_permits());
    }

    /// All that came, whatever was answered.
    pub fn came(&self) -> Vec<Request> {
        self.shared.came.lock().unwrap().clone()
    }

    /// What was answered with a success.
    pub fn accepted(&self) -> Vec<Request> {
        self.came().into_iter().filter(|request| request.status < 300).collect()
    }
}

impl Drop for HttpReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = axum::Router::new().fallback(handle).with_state(shared);
    // Connections end with the receiver.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let router = router.clone();
        connections.spawn(async move {
            let Ok(stream) = acceptor().accept(stream).await else { return };
            let service = TowerToHyperService::new(router);
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    shared.gate.acquire().await.unwrap().forget();
    shared.gate.add_permits(1);
    let answer = shared.answers.lock().unwrap().pop_front();
    let answer = answer.unwrap_or_else(|| shared.usual.lock().unwrap().clone());
    let request = Request { path: uri.path().to_owned(), headers, body, status: answer.status };
    shared.came.lock().unwrap().push(request);
    let mut response = (StatusCode::from_u16(answer.status).unwrap(), answer.body).into_response();
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
