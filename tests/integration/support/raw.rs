//! A client that says exactly the bytes it is told to: plain or over TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use super::{Credentials, Proxy};

pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
pub const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

pub fn plain(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.setup.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    stream
}

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// SSLRequest, then the TLS handshake.
pub fn tls(proxy: &Proxy) -> Tls {
    let mut stream = plain(proxy);
    stream.write_all(&SSL_REQUEST).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    wrap(proxy, stream, &[])
}

pub fn wrap(proxy: &Proxy, stream: TcpStream, alpn: &[&[u8]]) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(proxy.setup.certs.join("ca.crt")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// A startup packet of protocol 3.0.
pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    let mut packet = (u32::try_from(body.len()).unwrap() + 4).to_be_bytes().to_vec();
    packet.extend(body);
    packet
}

/// Everything that comes until the peer closes or `limit` passes without a byte; and whether it closed.
pub fn drain(stream: &mut dyn Read) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return (all, true),
            Ok(n) => all.extend_from_slice(&chunk[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return (all, false),
            Err(_) => return (all, true),
        }
    }
}

/// Whether `haystack` holds `needle`.
pub fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// A session that has logged in, over TLS, and has been told that it may ask.
pub fn session(proxy: &Proxy, minted: &Credentials) -> Tls {
    let mut stream = tls(proxy);
    let (user, database) = (minted.user.as_str(), minted.database.as_str());
    stream.write_all(&startup(&[("user", user), ("database", database)])).unwrap();
    assert_eq!(message(&mut stream).0, b'R');
    let mut scram = ScramSha256::new(minted.password.as_bytes(), ChannelBinding::unsupported());
    let mut first = b"SCRAM-SHA-256\0".to_vec();
    first.extend(u32::try_from(scram.message().len()).unwrap().to_be_bytes());
    first.extend(scram.message());
    stream.write_all(&tagged(b'p', &first)).unwrap();
    scram.update(&message(&mut stream).1[4..]).unwrap();
    stream.write_all(&tagged(b'p', scram.message())).unwrap();
    scram.finish(&message(&mut stream).1[4..]).unwrap();
    while message(&mut stream).0 != b'Z' {}
    stream
}

/// One message: its type and its body.
pub fn message(stream: &mut dyn Read) -> (u8, Vec<u8>) {
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).unwrap();
    (header[0], body)
}

pub fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], length.as_slice(), body].concat()
}

/// Parse, Bind and Execute of a text without parameters, with no names.
pub fn run_unnamed(text: &str) -> Vec<u8> {
    let parse = tagged(b'P', format!("\0{text}\0\0\0").as_bytes());
    [parse, tagged(b'B', &[0; 8]), tagged(b'E', &[0; 5])].concat()
}
