//! Where a browser on this machine comes back to (RFC 8252, 7.3): a port of the loopback address that takes one answer, that to the
//! question that was asked, and is gone.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::failure::Failure;
use crate::identity::Returned;

const PATH: &str = "/callback";
/// Time to log in.
const PATIENCE: Duration = Duration::from_secs(600);
/// Time for one request, and its size.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 32 * 1024;

#[derive(Debug)]
pub struct Loopback {
    listener: TcpListener,
    url: String,
}

impl Loopback {
    /// # Errors
    /// Where the loopback address has no port.
    pub async fn bind() -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}{PATH}", listener.local_addr()?);
        Ok(Self { listener, url })
    }

    /// What the provider is to send the browser to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the browser comes back with, if it is the one that set out with this state.
    ///
    /// # Errors
    /// Where nobody came.
    pub async fn wait(&self, state: &str) -> Result<Returned, Failure> {
        let (sender, mut receiver) = mpsc::channel(1);
        let accept = async {
            while let Ok((stream, _)) = self.listener.accept().await {
                let (sender, state) = (sender.clone(), state.to_owned());
                // Browsers open connections that they say nothing on: each has a task of its own.
                tokio::spawn(async move {
                    // Whoever does not speak HTTP is not heard.
                    let _ = tokio::time::timeout(READ_TIMEOUT, answer(stream, &state, &sender)).await;
                });
            }
        };
        let found = tokio::select! {
            found = receiver.recv() => found,
            () = accept => None,
            () = tokio::time::sleep(PATIENCE) => None,
        };
        found.ok_or_else(|| Failure::new("nobody logged in", "try again, or with --device where there is no browser"))
    }
}

async fn answer(mut stream: TcpStream, state: &str, sender: &mpsc::Sender<Returned>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MAX_HEAD {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let returned = read(&head).filter(|returned| returned.state.as_deref() == Some(state));
    let (status, text) = match &returned {
        Some(_) => ("200 OK", "pgward has what it needs: go back to the terminal. This page can be closed."),
        None => ("400 Bad Request", "This is not the answer that pgward waits for."),
    };
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{text}"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.shutdown().await?;
    if let Some(returned) = returned {
        // A second answer to the same question is one too many.
        let _ = sender.try_send(returned);
    }
    Ok(())
}

/// The query of `GET /callback?…`.
fn read(head: &[u8]) -> Option<Returned> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let target = line.strip_prefix("GET ")?.split(' ').next()?;
    let url = reqwest::Url::parse("http://127.0.0.1").ok()?.join(target).ok()?;
    if url.path() != PATH {
        return None;
    }
    let one = |wanted: &str| {
        let mut values = url.query_pairs().filter(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
        // Said twice is as good as not at all.
        values.next().filter(|_| values.next().is_none())
    };
    Some(Returned { state: one("state"), code: one("code"), iss: one("iss"), error: one("error") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_answer_to_the_question_is_taken() {
        let loopback = Loopback::bind().await.unwrap();
        let address = loopback.listener.local_addr().unwrap();
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let browser = async {
            // One that says nothing keeps nobody waiting.
            let _silent = TcpStream::connect(address).await.unwrap();
            for wrong in
                ["/favicon.ico", "/callback", "/callback?code=c&state=other", "/callback?state=s&state=s", "//x/y"]
            {
                assert!(ask(wrong).await.starts_with("HTTP/1.1 400"), "{wrong}");
            }
            assert!(ask("/callback?code=a%20b&state=s&iss=https%3A%2F%2Fidp").await.starts_with("HTTP/1.1 200"));
        };
        let (returned, ()) = tokio::join!(loopback.wait("s"), browser);
        let returned = returned.unwrap();
        assert_eq!((returned.code.as_deref(), returned.iss.as_deref()), (Some("a b"), Some("https://idp")));
    }
}
