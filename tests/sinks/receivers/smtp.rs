//! A mail server: speaks what RFC 5321 has of it, keeps what it took, and refuses as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::acceptor;

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: String,
    /// As it came, without the doubled dots.
    pub data: String,
}

/// How the server is.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// TLS at once; else by STARTTLS.
    pub implicit: bool,
    /// Does not offer STARTTLS.
    pub plain_only: bool,
    /// Says more behind its answer to STARTTLS than TLS.
    pub injects: bool,
    /// The user and password that it wants.
    pub login: Option<(&'static str, &'static str)>,
    /// Knows AUTH LOGIN alone.
    pub login_only: bool,
    /// An address that it refuses for good.
    pub refuses: Option<&'static str>,
}

#[derive(Default)]
struct Shared {
    manner: Manner,
    mails: Mutex<Vec<Mail>>,
    /// Answers to the next mails, before the usual one.
    answers: Mutex<VecDeque<&'static str>>,
    /// Every command, and whether it came encrypted.
    commands: Mutex<Vec<(bool, String)>>,
}

pub struct MailServer {
    pub port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl MailServer {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { manner, ..Shared::default() });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { port, shared, task }
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().unwrap().clone()
    }

    /// The next answers to whole mails.
    pub fn answer(&self, answers: &[&'static str]) {
        self.shared.answers.lock().unwrap().extend(answers);
    }

    pub fn commands(&self) -> Vec<(bool, String)> {
        self.shared.commands.lock().unwrap().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let _ = connection(stream, &shared).await;
        });
    }
}

async fn connection(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    if shared.manner.implicit {
        return talk(acceptor().accept(stream).await?, shared, true, true).await.map(drop);
    }
    if let Some(stream) = talk(stream, shared, false, true).await? {
        talk(acceptor().accept(stream).await?, shared, true, false).await?;
    }
    Ok(())
}

/// Talks until the client goes; answers the stream where TLS is to begin on it.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    shared: &Shared,
    encrypted: bool,
    greets: bool,
) -> std::io::Result<Option<S>> {
    let manner = &shared.manner;
    let mut stream = BufReader::new(stream);
    if greets {
        stream.write_all(b"220-mail.test\r\n220 welcome\r\n").await?;
    }
    let (mut from, mut to, mut known) = (String::new(), String::new(), manner.login.is_none());
    loop {
        stream.flush().await?;
        let Some(line) = line(&mut stream).await? else { return Ok(None) };
        shared.commands.lock().unwrap().push((encrypted, line.clone()));
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => {
                let tls = if encrypted || manner.plain_only { "" } else { "250-STARTTLS\r\n" };
                let auth = if manner.login_only { "LOGIN" } else { "PLAIN LOGIN" };
                format!("250-mail.test\r\n{tls}250-AUTH {auth}\r\n250 SIZE 1000000")
            }
            "STARTTLS" => {
                let more = if manner.injects { "250 injected\r\n" } else { "" };
                stream.write_all(format!("220 go ahead\r\n{more}").as_bytes()).await?;
                stream.flush().await?;
                return Ok(Some(stream.into_inner()));
            }
            "AUTH" => {
                known = is_known(&line, &mut stream, manner.login).await?;
                if known { "235 yes" } else { "535 no" }.to_owned()
            }
            "MAIL" if !known => "530 who are you".to_owned(),
            "MAIL" => keep(&line, &mut from),
            "RCPT" if manner.refuses.is_some_and(|refused| line.contains(refused)) => "550 no such user".to_owned(),
            "RCPT" => keep(&line, &mut to),
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                stream.flush().await?;
                let data = data(&mut stream).await?;
                let answer = shared.answers.lock().unwrap().pop_front().unwrap_or("250 taken");
                if answer.starts_with('2') {
                    shared.mails.lock().unwrap().push(Mail { from: from.clone(), to: to.clone(), data });
                }
                answer.to_owned()
            }
            "RSET" => "250 ok".to_owned(),
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                stream.flush().await?;
                return Ok(None);
            }
            _ => "500 what".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await?;
    Ok((read > 0).then(|| line.trim_end().to_owned()))
}

async fn data<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<String> {
    let mut data = String::new();
    while let Some(line) = line(stream).await? {
        if line == "." {
            break;
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
        data.push_str("\r\n");
    }
    Ok(data)
}

fn keep(line: &str, into: &mut String) -> String {
    let address = line.split(['<', '>']).nth(1).unwrap_or_default();
    address.clone_into(into);
    "250 ok".to_owned()
}

async fn is_known<S: AsyncRead + AsyncWrite + Unpin>(
    line_with_it: &str,
    stream: &mut BufReader<S>,
    login: Option<(&str, &str)>,
) -> std::io::Result<bool> {
    let decoded = |text: &str| String::from_utf8(STANDARD.decode(text).unwrap_or_default()).unwrap_or_default();
    let Some((user, password)) = login else { return Ok(false) };
    if let Some(proof) = line_with_it.strip_prefix("AUTH PLAIN ") {
        return Ok(decoded(proof) == format!("\0{user}\0{password}"));
    }
    let mut said = Vec::new();
    for question in ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"] {
        stream.write_all(format!("334 {question}\r\n").as_bytes()).await?;
        stream.flush().await?;
        said.push(decoded(&line(stream).await?.unwrap_or_default()));
    }
    Ok(said == [user, password])
}
