//! A server that lies: the connections by which pgward reads the catalogs go on to a real PostgreSQL, those of sessions are
//! answered by a script. It remembers everything that it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pgward::access::Secret;
use pgward::guarded::Proof;
use pgward::session::{Place, SessionAttrs, SslMode, UpstreamSettings};
use pgward::wire::encode::{
    authentication_ok, authentication_sasl_continue, backend_key_data, parameter_status, ready_for_query_idle,
};
use pgward::wire::frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::bench::Bench;
use crate::world::{SECRET, World, settings};

/// What it does on a session's connection.
#[derive(Clone)]
pub struct Script {
    /// What it says where TLS is asked for; nothing, and it closes.
    pub to_ssl_request: Vec<u8>,
    /// What it says to the startup packet.
    pub welcome: Vec<u8>,
    /// The iterations that it asks for, once SCRAM has begun.
    pub iterations: Option<&'static str>,
    /// What it says to the first message of each kind that asks for an answer (Query or Sync), in turn.
    pub answers: Vec<Vec<u8>>,
    /// Whether it closes the connection behind its last answer.
    pub closes: bool,
    /// Whether it treats the connections that the catalogs are read by in the same way.
    pub always: bool,
}

impl Script {
    /// A login without a password, and then these answers.
    pub fn answering(answers: &[&[u8]]) -> Self {
        let answers = answers.iter().map(|answer| answer.to_vec()).collect();
        Self { answers, ..Self::welcoming(welcome(&[])) }
    }

    pub fn welcoming(welcome: Vec<u8>) -> Self {
        Self {
            to_ssl_request: Vec::new(),
            welcome,
            iterations: None,
            answers: Vec::new(),
            closes: false,
            always: false,
        }
    }
}

/// An honest server's words behind a login, with these settings in place of the usual ones.
pub fn welcome(settings: &[(&str, &str)]) -> Vec<u8> {
    let usual = [("client_encoding", "UTF8"), ("standard_conforming_strings", "on"), ("server_version", "15.4")];
    let mut bytes = authentication_ok().to_vec();
    for (name, value) in usual {
        let value = settings.iter().find(|(other, _)| *other == name).map_or(value, |(_, value)| *value);
        bytes.extend_from_slice(&parameter_status(name, value));
    }
    bytes.extend_from_slice(&backend_key_data(7, &[1, 2, 3, 4]));
    bytes.extend_from_slice(&ready_for_query_idle());
    bytes
}

/// The server, and what it was told.
pub struct Evil {
    pub bench: Bench,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Evil {
    pub async fn start(world: &World, script: Script) -> Self {
        Self::reached_by(world, script, |_| {}).await
    }

    /// One that pgward reaches as `adapt` says.
    pub async fn reached_by(world: &World, script: Script, adapt: impl FnOnce(&mut UpstreamSettings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut upstream = UpstreamSettings {
            places: vec![Place { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() }],
            session_attrs: SessionAttrs::Any,
            direct_tls: false,
            protocol_minors: 0..=0,
            is_pooled: false,
            proof: Proof::Optional,
            user: "postgres".into(),
            database: "postgres".into(),
            sslmode: SslMode::Disable,
            root_cert: None,
            password: Secret::new(SECRET),
        };
        adapt(&mut upstream);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let socket = world.postgres.socket_directory().join(format!(".s.PGSQL.{}", world.postgres.port));
        let ear = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, socket, ear) = (script.clone(), socket.clone(), Arc::clone(&ear));
                tokio::spawn(async move {
                    let _ = serve(stream, script, &socket, &ear).await;
                });
            }
        });
        let settings = pgward::session::Settings { connect_timeout: Duration::from_secs(3), ..settings() };
        let bench = Bench::in_front_of(Arc::clone(&world.postgres), upstream, settings).await;
        bench.grant_most().await;
        Self { bench, heard }
    }

    /// Whether it was told these bytes, in one piece, on a session's connection.
    pub fn heard(&self, bytes: &[u8]) -> bool {
        self.heard.lock().unwrap().windows(bytes.len()).any(|window| window == bytes)
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Script,
    socket: &std::path::Path,
    ear: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    let (length, packet) = first_packet(&mut stream, ear).await?;
    let is_side = packet.windows(7).any(|window| window == b"pgward ");
    if is_side && !script.always {
        let mut real = UnixStream::connect(socket).await?;
        real.write_u32(length).await?;
        real.write_all(&packet).await?;
        tokio::io::copy_bidirectional(&mut stream, &mut real).await?;
        return Ok(());
    }
    // Cancel requests.
    if packet.starts_with(&80_877_102_u32.to_be_bytes()) {
        return Ok(());
    }
    if packet.starts_with(&SSL_REQUEST.to_be_bytes()) {
        stream.write_all(&script.to_ssl_request).await?;
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut rest)).await;
        ear.lock().unwrap().extend_from_slice(&rest);
        return read.map_or(Ok(()), |read| read.map(|_| ()));
    }
    stream.write_all(&script.welcome).await?;
    let (mut input, mut answers) = (BytesMut::new(), script.answers.into_iter());
    let mut left = answers.len();
    loop {
        while let Ok(Some(frame)) = frame::take(&mut input, 1 << 24) {
            if let (b'p', Some(iterations)) = (frame.tag(), script.iterations) {
                stream.write_all(&challenge(frame.body(), iterations)).await?;
            }
            if matches!(frame.tag(), b'Q' | b'S')
                && let Some(answer) = answers.next()
            {
                stream.write_all(&answer).await?;
                left -= 1;
                if left == 0 && script.closes {
                    return Ok(());
                }
            }
        }
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        ear.lock().unwrap().extend_from_slice(&piece[..read]);
        input.extend_from_slice(&piece[..read]);
    }
}

/// Goes on from the nonce of a SASLInitialResponse.
fn challenge(body: &[u8], iterations: &str) -> Bytes {
    let said = String::from_utf8_lossy(body);
    let nonce = said.rsplit_once("r=").map_or("", |(_, nonce)| nonce);
    authentication_sasl_continue(&format!("r={nonce}theirs,s=c2FsdA==,i={iterations}"))
}

async fn first_packet(stream: &mut TcpStream, ear: &Mutex<Vec<u8>>) -> std::io::Result<(u32, Vec<u8>)> {
    let length = stream.read_u32().await?;
    let mut packet = vec![0; length.saturating_sub(4).min(10_000) as usize];
    stream.read_exact(&mut packet).await?;
    ear.lock().unwrap().extend_from_slice(&packet);
    Ok((length, packet))
}

pub const SSL_REQUEST: u32 = 80_877_103;

/// One message.
pub fn message(tag: u8, body: &[u8]) -> Bytes {
    crate::bench::message(tag, |bytes| bytes.extend_from_slice(body))
}
