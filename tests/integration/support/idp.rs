//! A small identity provider: HTTPS with a certificate of the development authority, OpenID discovery, keys, and whatever
//! tokens a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::idp_flow::{Flow, Reply};

pub const AUDIENCE: &str = "pgward";

/// A key of the provider's.
#[derive(Clone)]
pub struct Key {
    kid: String,
    signs: EncodingKey,
    published: Jwk,
}

impl Key {
    pub fn new(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let signs = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut published = Jwk::from_encoding_key(&signs, Algorithm::ES256).unwrap();
        published.common.key_id = Some(kid.to_owned());
        Self { kid: kid.to_owned(), signs, published }
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.signs).unwrap()
    }
}

pub struct Provider {
    pub issuer: String,
    keys: Arc<Mutex<Vec<Jwk>>>,
    fetches: Arc<AtomicUsize>,
    flow: Arc<Mutex<Flow>>,
}

impl Provider {
    pub fn start(certs: &Path) -> Self {
        let chain = vec![CertificateDer::from_pem_file(certs.join("server.crt")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(certs.join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (keys, fetches) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let flow = Arc::new(Mutex::new(Flow::new(&issuer, Box::new(|_| panic!("nobody signs yet")))));
        let started = Self {
            issuer: issuer.clone(),
            keys: Arc::clone(&keys),
            fetches: Arc::clone(&fetches),
            flow: Arc::clone(&flow),
        };
        // It ends with the process, as the thread that it runs on.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&tls)).unwrap();
                let _ = answer(StreamOwned::new(connection, stream), &keys, &fetches, &flow);
            }
        });
        started
    }

    /// Publishes this key, and signs by it whoever logs in.
    pub fn sign_by(&self, key: &Key) {
        self.publish(&[key]);
        let key = key.clone();
        self.flow().sign = Box::new(move |claims| key.token(claims));
    }

    /// What it does when somebody logs in.
    pub fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap()
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: &[&Key]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.published.clone()).collect();
    }

    /// How often the keys were asked for.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// What a token for `user` says that is good for ten minutes.
    pub fn claims(&self, user: &str) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({"iss": self.issuer, "aud": AUDIENCE, "exp": now + 600, "iat": now, "preferred_username": user, "groups": ["dev"]})
    }
}

fn answer(
    mut stream: StreamOwned<ServerConnection, TcpStream>,
    keys: &Mutex<Vec<Jwk>>,
    fetches: &AtomicUsize,
    flow: &Mutex<Flow>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut stream);
    let (mut request, mut line) = (String::new(), String::new());
    reader.read_line(&mut request)?;
    let (mut length, mut authorization) = (0, None);
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.trim().split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let json = |value: Value| Reply { status: 200, location: None, kind: "application/json", body: value.to_string() };
    let target = request.split(' ').nth(1).unwrap_or("/");
    let reply = match target {
        "/.well-known/openid-configuration" => Some(json(flow.lock().unwrap().configuration())),
        "/keys" => {
            fetches.fetch_add(1, Ordering::SeqCst);
            Some(json(json!({"keys": *keys.lock().unwrap()})))
        }
        target => flow.lock().unwrap().answer(target, authorization.as_deref(), &String::from_utf8_lossy(&body)),
    };
    let none = || Reply { status: 404, ..json(json!({})) };
    let Reply { status, location, kind, body } = reply.unwrap_or_else(none);
    let location = location.map(|location| format!("Location: {location}\r\n")).unwrap_or_default();
    write!(
        stream,
        "HTTP/1.1 {status} OK\r\n{location}Content-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}
