//! A load balancer before a proxy: forwards what comes to its port from an address of its own, behind bytes of the
//! test's choice, which for a good one are a PROXY v2 header.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::Proxy;

/// The address that [`Balancer`]s connect from; a proxy that trusts it lists its network.
pub const ADDRESS: &str = "127.0.8.1";
pub const NETWORK: &str = "127.0.8.0/24";

#[derive(Debug)]
pub struct Balancer {
    pub port: u16,
}

impl Balancer {
    /// Forwards to `proxy` until the test process ends.
    pub fn start(proxy: &Proxy, prefix: Vec<u8>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = proxy.setup.port;
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let mut proxy = connect_from(ADDRESS, target);
                if proxy.write_all(&prefix).is_ok() {
                    pump(client.try_clone().unwrap(), proxy.try_clone().unwrap());
                    pump(proxy, client);
                }
            }
        });
        Self { port }
    }
}

/// A connection to a port of this machine from a given loopback address.
pub fn connect_from(address: &str, port: u16) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(address.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    stream
}

/// A PROXY v2 header of a client at `source`.
pub fn header(source: &str) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    bytes.extend(source.parse::<Ipv4Addr>().unwrap().octets());
    bytes.extend([10, 0, 0, 1, 0x30, 0x39, 0x15, 0x38]);
    bytes
}

/// The header of the load balancer's own connections.
pub const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn pump(mut from: TcpStream, mut to: TcpStream) {
    from.set_read_timeout(None).unwrap();
    std::thread::spawn(move || {
        // Either end may go first.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}
