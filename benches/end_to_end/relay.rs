//! A relay that does nothing: TLS towards the client, plain TCP towards PostgreSQL, bytes moved as they come. It reads no
//! message after the client's request for TLS, so it is the least that anything which ends TLS can cost.
//!
//! One thread; one task per connection; one read and one write per direction and round trip.

use std::cell::RefCell;
use std::io::{self, Read as _, Write as _};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::peers::{Name, PASSWORD, Peer};
use crate::process::{Stage, free_port, myself};

/// # Errors
/// Where it does not start.
pub fn start(stage: &Stage, upstream: u16, wrapper: &[String]) -> Result<Peer> {
    let port = free_port()?;
    let mut command = stage.wrapped(wrapper, myself()?.get_program().as_ref());
    command.arg("relay").arg(port.to_string()).arg(upstream.to_string()).arg(stage.path("certs"));
    let mut program = stage.start("relay", command, Signal::TERM)?;
    program.wait_for_port(port)?;
    Ok(Peer {
        name: Name::Relay,
        port,
        user: "bench".to_owned(),
        password: PASSWORD.to_owned(),
        database: "bench".to_owned(),
        program: Some(program),
    })
}

/// The relay itself: `relay PORT UPSTREAM-PORT CERTIFICATES`.
///
/// # Errors
/// Where it cannot listen.
pub fn serve(arguments: &[String]) -> Result<()> {
    let [port, upstream, certificates] = arguments else { anyhow::bail!("relay PORT UPSTREAM CERTIFICATES") };
    let (port, upstream): (u16, u16) = (port.parse()?, upstream.parse()?);
    let tls = Arc::new(server_tls(certificates.as_ref())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let buffer = Rc::new(RefCell::new(vec![0; BUFFER]));
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(([127, 0, 0, 1], port).into())?;
        let listener: TcpListener = socket.listen(4096)?;
        loop {
            let (client, _) = listener.accept().await?;
            let tls = Arc::clone(&tls);
            let buffer = Rc::clone(&buffer);
            tokio::task::spawn_local(async move { drop(connection(client, upstream, tls, buffer).await) });
        }
    })
}

/// # Errors
/// Where the files are not there.
pub fn server_tls(certificates: &std::path::Path) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificates.join("server.crt"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(certificates.join("server.key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// What every connection reads into: nothing stays in it from one poll to the next.
type Shared = Rc<RefCell<Vec<u8>>>;

async fn connection(mut client: TcpStream, upstream: u16, tls: Arc<ServerConfig>, buffer: Shared) -> Result<()> {
    client.set_nodelay(true)?;
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    if request != [0, 0, 0, 8, 4, 210, 22, 47] {
        return relay_cancel(client, upstream, &request).await;
    }
    client.write_all(b"S").await?;
    let server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    server.set_nodelay(true)?;
    let mut relay = Relay { client, server, tls: connection_tls(tls)?, to_server: Vec::new(), buffer };
    std::future::poll_fn(|cx| relay.poll(cx)).await.context("relaying")
}

/// A request to cancel comes without TLS from some clients.
async fn relay_cancel(mut client: TcpStream, upstream: u16, begun: &[u8]) -> Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    server.write_all(begun).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

fn connection_tls(tls: Arc<ServerConfig>) -> Result<ServerConnection> {
    let mut connection = ServerConnection::new(tls)?;
    // All that one read can bring.
    connection.set_buffer_limit(Some(2 * BUFFER));
    Ok(connection)
}

const BUFFER: usize = 64 * 1024;

struct Relay {
    client: TcpStream,
    server: TcpStream,
    tls: ServerConnection,
    /// What the server could not be given yet.
    to_server: Vec<u8>,
    buffer: Shared,
}

impl Relay {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let up = self.upwards(cx)?;
            let down = self.downwards(cx)?;
            match (up, down) {
                (Step::Ended, _) | (_, Step::Ended) => return Poll::Ready(Ok(())),
                (Step::Waits, Step::Waits) => return Poll::Pending,
                (Step::Moved, _) | (_, Step::Moved) => {}
            }
        }
    }

    /// From the client: at most one read and one write.
    fn upwards(&mut self, cx: &mut Context<'_>) -> io::Result<Step> {
        if !self.to_server.is_empty() {
            return self.write_up(cx);
        }
        match self.tls.read_tls(&mut Now(&mut self.client, cx)) {
            Ok(0) => return Ok(Step::Ended),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Waits),
            Err(error) => return Err(error),
        }
        let state = self.tls.process_new_packets().map_err(io::Error::other)?;
        let ready = state.plaintext_bytes_to_read();
        if ready > 0 {
            return self.pass_up(ready, cx);
        }
        if state.peer_has_closed() { Ok(Step::Ended) } else { Ok(Step::Moved) }
    }

    fn pass_up(&mut self, ready: usize, cx: &mut Context<'_>) -> io::Result<Step> {
        let buffer = Rc::clone(&self.buffer);
        let mut buffer = buffer.borrow_mut();
        let plain = &mut buffer[..ready];
        self.tls.reader().read_exact(plain)?;
        let written = match Pin::new(&mut self.server).poll_write(cx, plain)? {
            Poll::Pending => 0,
            Poll::Ready(written) => written,
        };
        self.to_server.extend_from_slice(&plain[written..]);
        Ok(Step::Moved)
    }

    fn write_up(&mut self, cx: &mut Context<'_>) -> io::Result<Step> {
        match Pin::new(&mut self.server).poll_write(cx, &self.to_server)? {
            Poll::Pending => Ok(Step::Waits),
            Poll::Ready(written) => {
                self.to_server.drain(..written);
                if self.to_server.is_empty() {
                    self.to_server = Vec::new();
                }
                Ok(Step::Moved)
            }
        }
    }

    /// To the client: at most one write and one read.
    fn downwards(&mut self, cx: &mut Context<'_>) -> io::Result<Step> {
        if !self.tls.wants_write() {
            if self.tls.is_handshaking() {
                return Ok(Step::Waits);
            }
            let buffer = Rc::clone(&self.buffer);
            let mut buffer = buffer.borrow_mut();
            let mut space = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.server).poll_read(cx, &mut space)? {
                Poll::Pending => return Ok(Step::Waits),
                Poll::Ready(()) if space.filled().is_empty() => return Ok(Step::Ended),
                Poll::Ready(()) => self.tls.writer().write_all(space.filled())?,
            }
        }
        match self.tls.write_tls(&mut Now(&mut self.client, cx)) {
            Ok(_) => Ok(Step::Moved),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Step::Waits),
            Err(error) => Err(error),
        }
    }
}

enum Step {
    Moved,
    Waits,
    Ended,
}

/// A socket as rustls wants it: what cannot be done now would block, and the task is woken when it can.
struct Now<'a, 'b, 'c>(&'a mut TcpStream, &'b mut Context<'c>);

impl io::Read for Now<'_, '_, '_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let mut space = ReadBuf::new(space);
        match Pin::new(&mut *self.0).poll_read(self.1, &mut space)? {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(()) => Ok(space.filled().len()),
        }
    }
}

impl io::Write for Now<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.0).poll_write(self.1, bytes)? {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(written) => Ok(written),
        }
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match Pin::new(&mut *self.0).poll_write_vectored(self.1, slices)? {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(written) => Ok(written),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
