//! The listening sockets: made here, or handed over by whoever started the process and keeps them while it is restarted (systemd's
//! socket activation), so that whoever connects meanwhile waits instead of being refused.

use std::net::SocketAddr;

use anyhow::Context as _;
use listenfd::ListenFd;
use tokio::net::TcpListener;

/// Where sessions and callers come in.
#[derive(Debug)]
pub struct Listeners {
    pub proxy: TcpListener,
    pub control: TcpListener,
}

impl Listeners {
    /// Takes the sockets of `LISTEN_FDS`, the proxy's before the control port's, whatever their addresses; else listens at these.
    pub async fn open(proxy: SocketAddr, control: SocketAddr) -> anyhow::Result<Self> {
        let mut given = ListenFd::from_env();
        match given.len() {
            0 => Ok(Self { proxy: bind(proxy).await?, control: bind(control).await? }),
            2 => Ok(Self { proxy: take(&mut given, 0)?, control: take(&mut given, 1)? }),
            others => anyhow::bail!(
                "{others} sockets were handed over (LISTEN_FDS), and there have to be two: the proxy's, then the control port's"
            ),
        }
    }
}

fn take(given: &mut ListenFd, at: usize) -> anyhow::Result<TcpListener> {
    let taken = given.take_tcp_listener(at).and_then(|taken| {
        let listener = taken.ok_or(std::io::ErrorKind::NotFound)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    taken.with_context(|| format!("socket {at} that was handed over (LISTEN_FDS) cannot be listened on"))
}

pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
