//! The login at the upstream, with somebody on the way there: what SCRAM is bound to, and what is never told to whoever asks.
//! Whoever stands between speaks TLS with a certificate that pgward trusts, and to the real PostgreSQL as a client.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, binary, config};

pub const CASES: &[Case] = &[
    ("binding::the_servers_own_certificate_is_what_scram_is_bound_to", own_certificate),
    ("binding::another_trusted_certificate_is_found_out", other_certificate),
    ("binding::an_offer_without_channel_binding_is_found_out", edited_offer),
    ("binding::a_server_that_asks_for_the_password_is_told_nothing", asks_for_the_password),
    ("binding::nor_is_it_by_the_connection_for_the_catalogs", asks_for_the_password_at_once),
];

/// What whoever stands between does besides handing on bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Nothing,
    /// Leaves SCRAM-SHA-256-PLUS out of what the server offers.
    EditsTheOffer,
    /// Asks for the password itself, and never for anything else.
    AsksForThePassword,
}

/// Somebody between pgward and PostgreSQL, who hands on bytes under the server's own certificate until told to do else.
struct Between {
    port: u16,
    turned: Arc<AtomicBool>,
    /// What pgward said before it was logged in, and after it had been asked for authentication.
    said: Arc<Mutex<Vec<u8>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Between {
    /// Shows the certificate in `shown` once it has turned.
    fn start(bench: &Bench, shown: &Path, does: Does) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (honest, shown, connector) = (acceptor(&bench.certs), acceptor(shown), connector(&bench.certs));
        let (heard, upstream) = (Arc::clone(&said), bench.postgres.port);
        let turned = Arc::new(AtomicBool::new(false));
        let has_turned = Arc::clone(&turned);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, does) =
                    if has_turned.load(Ordering::SeqCst) { (&shown, does) } else { (&honest, Does::Nothing) };
                let (acceptor, connector, heard) = (acceptor.clone(), connector.clone(), Arc::clone(&heard));
                // A connection that breaks off is what the cases are about.
                tokio::spawn(async move { drop(relay(stream, upstream, acceptor, connector, does, heard).await) });
            }
        });
        Self { port, turned, said, _runtime: runtime }
    }

    /// From now on it is dishonest; what was said until now is forgotten.
    fn turn(&self) {
        self.turned.store(true, Ordering::SeqCst);
        self.said.lock().unwrap().clear();
    }

    fn heard(&self, text: &str) -> bool {
        self.said.lock().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn acceptor(shown: &Path) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(shown.join("server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(shown.join("server.key")).unwrap();
    let builder =
        rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()).into()
}

fn connector(certs: &Path) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certs.join("ca.crt")).unwrap()).unwrap();
    let builder =
        rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth()).into()
}

const OFFER: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";

async fn relay(
    mut client: TcpStream,
    upstream: u16,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    does: Does,
    heard: Arc<Mutex<Vec<u8>>>,
) -> std::io::Result<()> {
    client.read_exact(&mut [0; 8]).await?;
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    let startup = message(&mut client, false).await?;
    if does == Does::AsksForThePassword {
        client.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).await?;
        client.flush().await?;
        let mut answer = Vec::new();
        let read = client.read_to_end(&mut answer).await;
        heard.lock().unwrap().extend_from_slice(&answer);
        return read.map(drop);
    }
    let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    server.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
    assert_eq!(server.read_u8().await?, b'S');
    let mut server = connector.connect(ServerName::try_from("localhost").unwrap(), server).await?;
    server.write_all(&startup).await?;
    server.flush().await?;
    let offer = message(&mut server, true).await?;
    assert!(offer.ends_with(OFFER), "what PostgreSQL offers over TLS: {offer:?}");
    let edited = [b"R\0\0\0\x17\0\0\0\x0a".as_slice(), b"SCRAM-SHA-256\0\0"].concat();
    client.write_all(if does == Does::EditsTheOffer { &edited } else { &offer }).await?;
    client.flush().await?;
    let chosen = message(&mut client, true).await?;
    heard.lock().unwrap().extend_from_slice(&chosen);
    server.write_all(&chosen).await?;
    server.flush().await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// A whole message; a startup packet has no tag.
async fn message(stream: &mut (impl tokio::io::AsyncRead + Unpin), tagged: bool) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4 + usize::from(tagged)];
    stream.read_exact(&mut bytes).await?;
    let length = u32::from_be_bytes(bytes[usize::from(tagged)..].try_into().unwrap());
    let head = bytes.len();
    bytes.resize(head + length as usize - 4, 0);
    stream.read_exact(&mut bytes[head..]).await?;
    Ok(bytes)
}

/// A proxy whose database `plain` lies behind whoever stands between, and who trusts the authorities in `roots` there.
fn proxy(bench: &Bench, between: &Between, roots: Option<&Path>) -> Proxy {
    let proxy = Proxy::start(bench, &|setup| {
        let own = setup.certs.join("ca.crt");
        let place = |port: u16, roots: &Path| {
            format!("localhost:{port}/plain?sslmode=verify-full&sslrootcert={}", roots.display())
        };
        let text = config(setup, &Scopes::default());
        assert!(text.contains(&place(setup.upstream_port, &own)));
        text.replace(&place(setup.upstream_port, &own), &place(between.port, roots.unwrap_or(&own)))
    });
    proxy.grant("alice", "plain-read", "30m");
    proxy
}

fn own_certificate(bench: &Bench) {
    let between = Between::start(bench, &bench.certs, Does::Nothing);
    let proxy = proxy(bench, &between, None);
    let (out, err, ok) = proxy.sql(&proxy.credentials("alice", "plain"), "SELECT 'through'");
    assert!(ok && out.contains("through"), "{err}");
    assert!(between.heard("SCRAM-SHA-256-PLUS\0") && between.heard("p=tls-server-end-point,,"));
    assert!(!between.heard("y,,") && !between.heard("n,,"), "each connection is bound");
}

fn other_certificate(bench: &Bench) {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("certs");
    assert!(std::process::Command::new(binary()).arg("dev-certs").arg(&other).output().unwrap().status.success());
    let both: PathBuf = dir.path().join("both.crt");
    let pem = [&bench.certs, &other].map(|certs| std::fs::read_to_string(certs.join("ca.crt")).unwrap());
    std::fs::write(&both, pem.concat()).unwrap();
    let between = Between::start(bench, &other, Does::Nothing);
    is_refused(bench, &between, Some(&both), "SCRAM channel binding check failed");
    assert!(between.heard("p=tls-server-end-point,,"));
}

fn edited_offer(bench: &Bench) {
    let between = Between::start(bench, &bench.certs, Does::EditsTheOffer);
    is_refused(bench, &between, None, "SCRAM channel binding negotiation error");
    assert!(between.heard("y,,"));
}

/// Once whoever stands between has turned, PostgreSQL itself breaks logins off, for that reason.
fn is_refused(bench: &Bench, between: &Between, roots: Option<&Path>, why: &str) {
    let proxy = proxy(bench, between, roots);
    let alice = proxy.credentials("alice", "plain");
    let (_, err, ok) = proxy.sql(&alice, "SELECT 1");
    assert!(ok, "{err}");
    between.turn();
    let before = bench.postgres.log().matches(why).count();
    let (_, err, ok) = proxy.sql(&alice, "SELECT 1");
    assert!(!ok && err.contains("FATAL") && err.contains("cannot be reached"), "{err}");
    assert!(bench.postgres.log().matches(why).count() > before, "PostgreSQL has not said: {why}");
    assert!(proxy.log().contains(why), "the operator is told: {}", proxy.log());
}

fn asks_for_the_password(bench: &Bench) {
    let between = Between::start(bench, &bench.certs, Does::AsksForThePassword);
    let proxy = proxy(bench, &between, None);
    let (_, err, ok) = proxy.sql(&proxy.credentials("alice", "plain"), "SELECT 1");
    assert!(ok, "{err}");
    between.turn();
    is_told_nothing(&between, &proxy);
}

fn asks_for_the_password_at_once(bench: &Bench) {
    let between = Between::start(bench, &bench.certs, Does::AsksForThePassword);
    between.turn();
    is_told_nothing(&between, &proxy(bench, &between, None));
}

fn is_told_nothing(between: &Between, proxy: &Proxy) {
    let (_, err, ok) = proxy.sql(&proxy.credentials("alice", "plain"), "SELECT 1");
    assert!(!ok && err.contains("FATAL") && err.contains("cannot be reached"), "{err}");
    assert!(proxy.log().contains("authentication by method 3, which is refused"), "{}", proxy.log());
    let password = std::fs::read_to_string(proxy.setup.dir.join("admin_password")).unwrap();
    assert!(!between.heard(password.trim()), "the password was told");
    assert!(!between.heard("p"), "nothing at all was answered");
}
