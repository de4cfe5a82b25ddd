//! Handing e-mail to a server (RFC 5321, 3207, 4954): TLS always, with a verified certificate; addresses checked; what is said
//! in plain text before STARTTLS is forgotten, and what comes along with its answer refused.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::settings::{Email, SmtpTls};
use super::text::one_line;
use crate::access::Secret;
use crate::sinks::address::{check, resolve};
use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For a whole conversation.
const TIMEOUT: Duration = Duration::from_secs(60);
/// An answer is read no further.
const LONGEST_REPLY: usize = 16 * 1024;

/// The server that mails are handed to.
pub(super) struct Submission {
    host: String,
    port: u16,
    tls: SmtpTls,
    name: ServerName<'static>,
    connector: TlsConnector,
    login: Option<(String, Secret)>,
    allow_private: bool,
    from: String,
}

/// One mail on its way.
pub(super) struct Outgoing {
    pub to: String,
    pub bytes: Vec<u8>,
}

/// Why a conversation ended early. Of each mail before it is known what became of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SmtpError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{what} was answered: {reply}")]
    Answer { what: &'static str, reply: Reply },
    #[error("the server does not offer {0}")]
    Missing(&'static str),
    #[error("the server's answer cannot be read")]
    Garbage,
    #[error("the server spoke on before TLS began")]
    Injected,
    #[error("it took too long")]
    Late,
}

/// What became of a mail.
pub(super) type Handed = Result<(), Reply>;

impl Submission {
    pub(super) fn new(settings: &Email) -> Result<Self, String> {
        let host = settings.host.clone();
        // Names are checked when they are resolved.
        if let Ok(address) = host.parse::<IpAddr>() {
            check(address, settings.allow_private).map_err(|error| error.to_string())?;
        }
        let config = match &settings.ca {
            Some(ca) => tls::client_config_of(ca, None),
            None => tls::client_config_of_system(),
        };
        let connector = TlsConnector::from(config.map_err(|error| error.to_string())?);
        let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
        let (login, from) = (settings.login.clone(), settings.from.clone());
        let (port, tls, allow_private) = (settings.port, settings.tls, settings.allow_private);
        Ok(Self { host, port, tls, name, connector, login, allow_private, from })
    }

    /// Hands the mails over, one after the other, and tells of each that the server took or refused for good.
    pub(super) async fn send(&self, mails: &[Outgoing], mut tell: impl FnMut(&str, Handed)) -> Result<(), SmtpError> {
        let sending = async {
            let mut talk = self.open().await?;
            for mail in mails {
                let handed = talk.hand_over(&self.from, mail).await?;
                tell(&mail.to, handed);
            }
            // All is acknowledged: how the server takes its leave does not matter.
            drop(talk.ask("QUIT", "QUIT").await);
            Ok(())
        };
        timeout(TIMEOUT, sending).await.map_err(|_| SmtpError::Late)?
    }

    /// A conversation that is encrypted, greeted and logged in.
    async fn open(&self) -> Result<Talk<TlsStream<TcpStream>>, SmtpError> {
        let stream = timeout(CONNECT_TIMEOUT, self.connect()).await.map_err(|_| SmtpError::Late)??;
        let mut talk = match self.tls {
            SmtpTls::Implicit => {
                let mut talk = Talk::on(self.connector.connect(self.name.clone(), stream).await?);
                talk.reply().await?.expect_kind("the connection", '2')?;
                talk
            }
            SmtpTls::StartTls => {
                let stream = start_tls(stream).await?;
                Talk::on(self.connector.connect(self.name.clone(), stream).await?)
            }
        };
        let offers = talk.hello().await?;
        if let Some((user, password)) = &self.login {
            talk.log_in(&offers, user, password).await?;
        }
        Ok(talk)
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let mut last = None;
        for address in resolve(&self.host, self.port, self.allow_private).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }
}

/// Plain text up to the point where TLS begins. Nothing but that is ever said in it.
async fn start_tls(stream: TcpStream) -> Result<TcpStream, SmtpError> {
    let mut talk = Talk::on(stream);
    talk.reply().await?.expect_kind("the connection", '2')?;
    if !talk.hello().await?.has("STARTTLS") {
        return Err(SmtpError::Missing("STARTTLS, and nothing is sent in plain text"));
    }
    talk.ask("STARTTLS", "STARTTLS").await?.expect_kind("STARTTLS", '2')?;
    // Else somebody in between could have put answers in front of the encrypted ones.
    if talk.read.is_empty() { Ok(talk.stream) } else { Err(SmtpError::Injected) }
}

/// One conversation.
struct Talk<S> {
    stream: S,
    /// What came and was not looked at yet.
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    fn on(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    async fn hello(&mut self) -> Result<Reply, SmtpError> {
        self.ask("EHLO", "EHLO pgward.localdomain").await?.expect_kind("EHLO", '2')
    }

    async fn log_in(&mut self, offers: &Reply, user: &str, password: &Secret) -> Result<(), SmtpError> {
        // What the server says to a login may repeat it: the code alone is told.
        let judged = |reply: Reply| Reply { lines: Vec::new(), ..reply }.expect_kind("the login", '2').map(drop);
        if offers.has_word("AUTH", "PLAIN") {
            let proof = STANDARD.encode(format!("\0{user}\0{}", password.expose()));
            return judged(self.ask("the login", &format!("AUTH PLAIN {proof}")).await?);
        }
        if !offers.has_word("AUTH", "LOGIN") {
            return Err(SmtpError::Missing("AUTH PLAIN or LOGIN"));
        }
        self.ask("the login", "AUTH LOGIN").await?.expect_kind("the login", '3')?;
        let named = self.ask("the login", &STANDARD.encode(user)).await?;
        Reply { lines: Vec::new(), ..named }.expect_kind("the login", '3')?;
        judged(self.ask("the login", &STANDARD.encode(password.expose())).await?)
    }

    /// Hands one mail over. What the server refuses for good is no error of the conversation.
    async fn hand_over(&mut self, from: &str, mail: &Outgoing) -> Result<Handed, SmtpError> {
        self.ask("MAIL", &format!("MAIL FROM:<{from}>")).await?.expect_kind("MAIL", '2')?;
        let recipient = self.ask("RCPT", &format!("RCPT TO:<{}>", mail.to)).await?;
        if recipient.is_final_refusal() {
            self.ask("RSET", "RSET").await?.expect_kind("RSET", '2')?;
            return Ok(Err(recipient));
        }
        recipient.expect_kind("RCPT", '2')?;
        self.ask("DATA", "DATA").await?.expect_kind("DATA", '3')?;
        self.stream.write_all(&stuffed(&mail.bytes)).await?;
        self.stream.flush().await?;
        let taken = self.reply().await?;
        if taken.is_final_refusal() {
            return Ok(Err(taken));
        }
        taken.expect_kind("the mail", '2').map(|_| Ok(()))
    }

    async fn ask(&mut self, what: &'static str, line: &str) -> Result<Reply, SmtpError> {
        // Names and addresses were checked; a line more would be a command more.
        if line.contains(['\r', '\n']) {
            return Err(SmtpError::Answer { what, reply: Reply::of_ours("a line end in a command") });
        }
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await?;
        self.reply().await
    }

    /// All lines of one answer.
    async fn reply(&mut self) -> Result<Reply, SmtpError> {
        let mut reply = Reply { code: String::new(), lines: Vec::new() };
        let mut length = 0;
        loop {
            let line = self.line().await?;
            length += line.len();
            let (code, rest) = line.split_at_checked(3).ok_or(SmtpError::Garbage)?;
            let is_code = code.bytes().all(|byte| byte.is_ascii_digit());
            let is_same = reply.code.is_empty() || reply.code == code;
            if !is_code || !is_same || length > LONGEST_REPLY {
                return Err(SmtpError::Garbage);
            }
            code.clone_into(&mut reply.code);
            reply.lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if !rest.starts_with('-') {
                return Ok(reply);
            }
        }
    }

    async fn line(&mut self) -> Result<String, SmtpError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(end + 1);
                let line = std::mem::replace(&mut self.read, rest);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.read.len() > LONGEST_REPLY {
                return Err(SmtpError::Garbage);
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    code: String,
    lines: Vec<String>,
}

impl Reply {
    fn of_ours(what: &str) -> Self {
        Self { code: "000".to_owned(), lines: vec![what.to_owned()] }
    }

    fn expect_kind(self, what: &'static str, kind: char) -> Result<Self, SmtpError> {
        if self.code.starts_with(kind) { Ok(self) } else { Err(SmtpError::Answer { what, reply: self }) }
    }

    fn is_final_refusal(&self) -> bool {
        self.code.starts_with('5')
    }

    /// Whether an answer to EHLO offers an extension.
    fn has(&self, extension: &str) -> bool {
        self.lines.iter().any(|line| line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(extension)))
    }

    /// Whether it offers it with this parameter.
    fn has_word(&self, extension: &str, parameter: &str) -> bool {
        let of = |line: &String| {
            let mut words = line.split(' ');
            words.next().is_some_and(|word| word.eq_ignore_ascii_case(extension))
                && words.any(|word| word.eq_ignore_ascii_case(parameter))
        };
        self.lines.iter().any(of)
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, one_line(&self.lines.join(" "), 200))
    }
}

/// With every leading dot doubled, and the line that ends it all.
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(mail.len() + 8);
    let mut begins = true;
    for byte in mail {
        if begins && *byte == b'.' {
            stuffed.push(b'.');
        }
        stuffed.push(*byte);
        begins = *byte == b'\n';
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_mail_ends_it() {
        assert_eq!(stuffed(b".\r\n..x\r\ny.\r\n"), b"..\r\n...x\r\ny.\r\n.\r\n");
    }

    #[tokio::test]
    async fn answers_are_read_whole_and_bounded() {
        async fn check(came: &[u8], expected: Option<&str>) {
            let reply = Talk::on(tokio_test_stream(came)).reply().await;
            assert_eq!(reply.ok().map(|reply| reply.to_string()).as_deref(), expected);
        }
        check(b"250 ok\r\n", Some("250 ok")).await;
        check(b"250-a\r\n250-b\r\n250 c\r\n", Some("250 a b c")).await;
        check(b"250\r\n", Some("250 ")).await;
        check(b"250-a\r\n550 b\r\n", None).await;
        check(b"hi\r\n", None).await;
        check(b"250-a\r\n", None).await;
        check(&b"250-aaaaaaaa\r\n".repeat(2000), None).await;
        check(&b"2".repeat(100_000), None).await;
    }

    fn tokio_test_stream(came: &[u8]) -> tokio::io::Join<std::io::Cursor<Vec<u8>>, tokio::io::Sink> {
        tokio::io::join(std::io::Cursor::new(came.to_vec()), tokio::io::sink())
    }
}
