//! A client of our own, as light as can be: TLS, SCRAM, one query at a time, answers counted and thrown away.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, BufMut as _, BytesMut};
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where to connect and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
    pub tls: Arc<ClientConfig>,
}

/// What a query answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer {
    pub rows: u64,
    /// Of all its messages.
    pub bytes: u64,
}

#[derive(Debug)]
pub struct Client {
    stream: TlsStream<TcpStream>,
    input: BytesMut,
}

/// # Errors
/// Where the authority's certificate is not there.
pub fn client_tls(authority: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

impl Client {
    /// # Errors
    /// Where the server is not reached or refuses.
    pub async fn connect(target: &Target) -> Result<Self> {
        let mut tcp = TcpStream::connect(("127.0.0.1", target.port)).await.context("connecting")?;
        tcp.set_nodelay(true)?;
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        tcp.write_all(&request).await?;
        if tcp.read_u8().await.context("no answer to SSLRequest")? != b'S' {
            bail!("no TLS");
        }
        let connector = TlsConnector::from(Arc::clone(&target.tls));
        let stream = connector.connect(ServerName::try_from("localhost")?, tcp).await.context("TLS")?;
        let mut client = Self { stream, input: BytesMut::new() };
        let mut startup = BytesMut::new();
        let parameters = [("user", target.user.as_str()), ("database", target.database.as_str())];
        frontend::startup_message(parameters, &mut startup)?;
        client.send(&startup).await?;
        client.authenticate(&target.password).await?;
        client.settle().await?;
        Ok(client)
    }

    async fn authenticate(&mut self, password: &str) -> Result<()> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        loop {
            let (tag, mut body) = self.message().await?;
            if tag != b'R' {
                bail!("{} where authentication was to be", char::from(tag));
            }
            let mut answer = BytesMut::new();
            match body.get_i32() {
                0 => return Ok(()),
                10 => frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut answer)?,
                11 => {
                    scram.update(&body)?;
                    frontend::sasl_response(scram.message(), &mut answer)?;
                }
                12 => scram.finish(&body)?,
                other => bail!("authentication {other}"),
            }
            if !answer.is_empty() {
                self.send(&answer).await?;
            }
        }
    }

    /// Sends bytes of the protocol as they are.
    ///
    /// # Errors
    /// Where the server is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Runs a query by the simple protocol to its end.
    ///
    /// # Errors
    /// Where the server is gone or answers an error.
    pub async fn query(&mut self, text: &str) -> Result<Answer> {
        let mut message = BytesMut::new();
        frontend::query(text, &mut message)?;
        self.send(&message).await?;
        self.settle().await
    }

    /// Parses a statement under a name, and waits for the answer.
    ///
    /// # Errors
    /// Where the server is gone or answers an error.
    pub async fn prepare(&mut self, name: &str, text: &str) -> Result<()> {
        let mut message = BytesMut::new();
        frontend::parse(name, text, [], &mut message)?;
        frontend::sync(&mut message);
        self.send(&message).await?;
        self.settle().await.map(drop)
    }

    /// Copies `data` in, over and over, until `bytes` are sent.
    ///
    /// # Errors
    /// Where the server is gone or answers an error.
    pub async fn copy_in(&mut self, text: &str, data: &[u8], bytes: u64) -> Result<Answer> {
        let mut message = BytesMut::new();
        frontend::query(text, &mut message)?;
        self.send(&message).await?;
        loop {
            match self.message().await?.0 {
                b'G' => break,
                b'E' => bail!("COPY is refused"),
                _ => {}
            }
        }
        let mut frame = BytesMut::with_capacity(data.len() + 5);
        frame.put_u8(b'd');
        frame.put_u32(u32::try_from(data.len())? + 4);
        frame.put_slice(data);
        let mut sent = 0;
        while sent < bytes {
            self.stream.write_all(&frame).await?;
            sent += data.len() as u64;
        }
        self.send(&[b'c', 0, 0, 0, 4]).await?;
        self.settle().await?;
        Ok(Answer { rows: 0, bytes: sent })
    }

    /// Reads until the server is ready again, counting rows and bytes. Bodies are skipped, not looked at.
    ///
    /// # Errors
    /// Where the server is gone or has answered an error.
    pub async fn settle(&mut self) -> Result<Answer> {
        let mut answer = Answer::default();
        let mut refused = None;
        loop {
            while self.input.len() >= 5 {
                let tag = self.input[0];
                let length =
                    u32::from_be_bytes([self.input[1], self.input[2], self.input[3], self.input[4]]) as usize + 1;
                if self.input.len() < length {
                    break;
                }
                answer.rows += u64::from(matches!(tag, b'D' | b'd'));
                answer.bytes += length as u64;
                if tag == b'E' {
                    refused = Some(String::from_utf8_lossy(&self.input[5..length]).replace('\0', " "));
                }
                self.input.advance(length);
                if tag == b'Z' {
                    return refused.map_or(Ok(answer), |error| bail!("the server answers {error}"));
                }
            }
            if self.read().await? == 0 {
                bail!("the server is gone: {}", refused.unwrap_or_default());
            }
        }
    }

    /// Waits until the server closes.
    pub async fn wait_for_end(&mut self) {
        while matches!(self.read().await, Ok(1..)) {
            self.input.clear();
        }
    }

    async fn read(&mut self) -> Result<usize> {
        self.input.reserve(32 * 1024);
        Ok(self.stream.read_buf(&mut self.input).await?)
    }

    /// Gives the buffer back, as a client that idles would.
    pub fn shrink(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    async fn message(&mut self) -> Result<(u8, BytesMut)> {
        loop {
            if self.input.len() >= 5 {
                let length =
                    u32::from_be_bytes([self.input[1], self.input[2], self.input[3], self.input[4]]) as usize + 1;
                if self.input.len() >= length {
                    let mut message = self.input.split_to(length);
                    let tag = message.get_u8();
                    message.advance(4);
                    if tag == b'E' {
                        bail!("the server answers {}", String::from_utf8_lossy(&message).replace('\0', " "));
                    }
                    return Ok((tag, message));
                }
            }
            if self.read().await? == 0 {
                bail!("the server is gone");
            }
        }
    }
}
