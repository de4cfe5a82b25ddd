//! What the cases share: one PostgreSQL, proxies on it, and the people who ask and approve.

pub mod balancer;
pub mod browser;
pub mod fleet;
pub mod idp;
pub mod idp_flow;
#[path = "../../support/installed.rs"]
pub mod installed;
mod postgres;
mod proxy;
pub mod raw;
pub mod wire;
mod world;

pub use postgres::Postgres;
pub use proxy::{Credentials, People, Proxy, Setup};
pub use world::{Scopes, config};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The one PostgreSQL of the run, with the policy world loaded, and development certificates for it and the proxies.
#[derive(Debug)]
pub struct Bench {
    pub postgres: Postgres,
    pub certs: PathBuf,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("pgw").tempdir_in("/tmp").unwrap();
        make_world_readable(dir.path());
        let certs = dir.path().join("certs");
        let made = std::process::Command::new(binary()).arg("dev-certs").arg(&certs).output().unwrap();
        assert!(made.status.success(), "dev-certs: {}", String::from_utf8_lossy(&made.stderr));
        let postgres = Postgres::start(&dir.path().join("pg"), &certs);
        fill(&postgres);
        Self { postgres, certs, _dir: dir }
    }

    /// A server of another version for one case, with the same world in it.
    pub fn another(&self, major: u32) -> Other {
        let programs = installed::installed().remove(&major);
        let programs = programs.unwrap_or_else(|| panic!("PostgreSQL {major}: run scripts/install-deps.sh test"));
        let dir = tempfile::Builder::new().prefix("pgwo").tempdir_in("/tmp").unwrap();
        make_world_readable(dir.path());
        let postgres = Postgres::start_from(Some(programs), &dir.path().join("pg"), &self.certs);
        fill(&postgres);
        Other { postgres, _dir: dir }
    }

    /// A proxy on this PostgreSQL with [`world::config`], nothing granted yet.
    pub fn proxy(&self) -> Proxy {
        Proxy::start(self, &|setup| config(setup, &Scopes::default()))
    }
}

/// A server beside the one that all share, gone with the case.
#[derive(Debug)]
pub struct Other {
    pub postgres: Postgres,
    _dir: tempfile::TempDir,
}

fn fill(postgres: &Postgres) {
    postgres.run_file("postgres", &root().join("tests/world/world.sql"));
    postgres.run("postgres", "CREATE DATABASE plain");
    postgres.run("plain", include_str!("plain.sql"));
}

/// The program that is tested: the one that was just built, unless `PGWARD_TEST_BINARY` names another.
pub fn binary() -> &'static Path {
    static BINARY: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("PGWARD_TEST_BINARY").unwrap_or(env!("CARGO_BIN_EXE_pgward").into()).into())
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until `condition` holds; answers how long it took, or panics past `limit`.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    loop {
        if condition() {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ports that were free a moment ago, no two the same.
pub fn free_ports() -> [u16; 2] {
    let bound = [(); 2].map(|()| std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap());
    bound.map(|listener| listener.local_addr().unwrap().port())
}

fn make_world_readable(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// tokio-postgres over TLS, verified against the development authority, its connection driven in the background.
pub async fn connect(proxy: &Proxy, minted: &Credentials) -> tokio_postgres::Client {
    let mut config = tokio_postgres::Config::new();
    config.host("localhost").port(proxy.setup.port).user(&minted.user).password(&minted.password);
    config.dbname(&minted.database).ssl_mode(tokio_postgres::config::SslMode::Require);
    config.channel_binding(tokio_postgres::config::ChannelBinding::Require);
    let (client, connection) = config.connect(client_tls(proxy)).await.unwrap();
    tokio::spawn(connection);
    client
}

/// TLS for it.
pub fn client_tls(proxy: &Proxy) -> tokio_postgres_rustls::MakeRustlsConnect {
    use rustls_pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_file(proxy.setup.certs.join("ca.crt")).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tokio_postgres_rustls::MakeRustlsConnect::new(tls)
}

/// Sends a signal by name. The shell's own `kill`: a bare machine has no other.
pub fn signal(name: &str, pid: u32) {
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(sent.success(), "SIG{name} to {pid}");
}
