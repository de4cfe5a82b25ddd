//! A collector of syslog over TLS that reads frames by their counts.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::acceptor;

/// What the collector does with the next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Reads to the end and closes.
    Good,
    /// Reads so many bytes, then dies with what it has not read: the kernel resets the connection.
    DiesAfter(usize),
}

pub struct SyslogReceiver {
    pub port: u16,
    messages: Arc<Mutex<Vec<String>>>,
    next: Arc<Mutex<Vec<Behaviour>>>,
    died: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl SyslogReceiver {
    pub async fn start_on(port: u16, next: Vec<Behaviour>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (messages, next) = (Arc::new(Mutex::default()), Arc::new(Mutex::new(next)));
        let died = Arc::new(Mutex::new(0));
        let task = tokio::spawn(serve(listener, Arc::clone(&messages), Arc::clone(&next), Arc::clone(&died)));
        Self { port, messages, next, died, task }
    }

    pub fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }

    pub fn deaths(&self) -> usize {
        *self.died.lock().unwrap()
    }
}

impl Drop for SyslogReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    messages: Arc<Mutex<Vec<String>>>,
    next: Arc<Mutex<Vec<Behaviour>>>,
    died: Arc<Mutex<usize>>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let behaviour = next.lock().unwrap().pop().unwrap_or(Behaviour::Good);
        let Ok(mut stream) = acceptor().accept(stream).await else { continue };
        match behaviour {
            Behaviour::Good => {
                let mut bytes = Vec::new();
                let read = stream.read_to_end(&mut bytes).await;
                assert!(read.is_ok(), "{read:?}");
                messages.lock().unwrap().extend(frames(&bytes));
                let _ = stream.shutdown().await;
            }
            Behaviour::DiesAfter(count) => {
                let mut bytes = vec![0; count];
                let _ = stream.read_exact(&mut bytes).await;
                *died.lock().unwrap() += 1;
                // Closing with unread bytes, as the end of a process does.
                let (tcp, _) = stream.into_inner();
                socket2::SockRef::from(&tcp).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            }
        }
    }
}

/// The messages of octet-counted frames.
fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').unwrap();
        let count: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        let message = &bytes[space + 1..space + 1 + count];
        messages.push(String::from_utf8(message.to_vec()).unwrap());
        bytes = &bytes[space + 1 + count..];
    }
    messages
}
