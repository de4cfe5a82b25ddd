//! A small identity provider: HTTPS with a certificate of the development authority, OpenID discovery, keys, and whatever
//! tokens a test wants.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

pub const AUDIENCE: &str = "pgward";

/// A key of the provider's.
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
        let started = Self { issuer: issuer.clone(), keys: Arc::clone(&keys), fetches: Arc::clone(&fetches) };
        // It ends with the process, as the thread that it runs on.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&tls)).unwrap();
                let _ = answer(StreamOwned::new(connection, stream), &issuer, &keys, &fetches);
            }
        });
        started
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
    issuer: &str,
    keys: &Mutex<Vec<Jwk>>,
    fetches: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut stream);
    let (mut request, mut line) = (String::new(), String::new());
    reader.read_line(&mut request)?;
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, body) = match request.split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => {
            (200, json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys"), "scopes_supported": ["openid"]}))
        }
        Some("/keys") => {
            fetches.fetch_add(1, Ordering::SeqCst);
            (200, json!({"keys": *keys.lock().unwrap()}))
        }
        _ => (404, json!({})),
    };
    let body = body.to_string();
    write!(stream, "HTTP/1.1 {status} OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())?;
    stream.conn.send_close_notify();
    stream.flush()
}
