//! The PostgreSQL behind all peers, and what lies in it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::peers::PASSWORD;
use crate::process::{Program, Stage, free_port, is_root};
use crate::settings::Settings;

#[derive(Debug)]
pub struct Postgres {
    pub port: u16,
    programs: PathBuf,
    socket: PathBuf,
    stage: Stage,
    /// Stops the server when dropped.
    _program: Program,
}

/// A thousand of one peer's while those of the last one are still going.
const CONNECTIONS: u32 = 2300;

impl Postgres {
    /// A new cluster with database and account `bench`. It expects `server.crt` and `server.key` in `certs`.
    ///
    /// # Errors
    /// Where a program of PostgreSQL's fails.
    pub fn start(stage: &Stage) -> Result<Self> {
        let programs = installed()?;
        let (port, socket) = (free_port()?, stage.path("pg"));
        std::fs::create_dir_all(&socket)?;
        std::fs::write(socket.join("password"), PASSWORD)?;
        for file in ["server.crt", "server.key"] {
            std::fs::copy(stage.path("certs").join(file), socket.join(file))?;
        }
        give_to_postgres(stage, &socket)?;
        let mut initdb = stage.unprivileged(programs.join("initdb"));
        initdb.arg("-D").arg(socket.join("data")).arg("--pwfile").arg(socket.join("password"));
        initdb.args(["-U", "bench", "--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8"]);
        stage.run(flags(initdb, &["--locale=C", "-N"]))?;
        let mut command = stage.unprivileged(programs.join("postgres"));
        command.arg("-D").arg(socket.join("data")).arg("-k").arg(&socket).args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("max_connections={CONNECTIONS}"),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", socket.join("server.crt").display()),
            format!("ssl_key_file={}", socket.join("server.key").display()),
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "shared_buffers=512MB".to_owned(),
            "max_wal_size=4GB".to_owned(),
            "autovacuum=off".to_owned(),
        ] {
            command.args(["-c", &setting]);
        }
        let mut program = stage.start("postgres", command, Signal::INT)?;
        program.wait_for_port(port)?;
        let server = Self { port, programs, socket, stage: stage.clone(), _program: program };
        server.wait()?;
        server.sql("postgres", "CREATE DATABASE bench")?;
        Ok(server)
    }

    pub fn tool(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// What the chosen parts need.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn fill(&self, settings: &Settings) -> Result<()> {
        let mut pgbench = self.local(self.tool("pgbench"));
        pgbench.args(["-i", "-q", "-s", &settings.scale.to_string(), "bench"]);
        self.stage.run(pgbench)?;
        self.sql("bench", "CREATE UNLOGGED TABLE sink (id bigint, filler text)")?;
        if settings.has("bulk") || settings.has("scale") {
            self.sql("bench", WIDE)?;
            self.sql("bench", ROWS)?;
        }
        self.sql("bench", "VACUUM ANALYZE")?;
        self.sql("bench", "CHECKPOINT").map(drop)
    }

    /// Runs SQL as superuser over the socket and answers unaligned rows.
    ///
    /// # Errors
    /// Where it fails.
    pub fn sql(&self, database: &str, text: &str) -> Result<String> {
        let mut psql = self.local("psql".into());
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text]);
        self.stage.run(psql)
    }

    /// Waits until the backends of clients that have left are gone, for half a minute at most.
    ///
    /// # Errors
    /// Where the server does not say.
    pub fn wait_for_quiet(&self) -> Result<()> {
        for _ in 0..60 {
            let count =
                self.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")?;
            if count.trim().parse::<u32>().is_ok_and(|count| count < 100) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        Ok(())
    }

    fn local(&self, program: PathBuf) -> Command {
        let mut command = self.stage.unpinned().command(program);
        command.arg("-h").arg(&self.socket).args(["-p", &self.port.to_string(), "-U", "bench"]);
        command
    }

    fn wait(&self) -> Result<()> {
        for _ in 0..300 {
            if self.sql("postgres", "SELECT 1").is_ok() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        self.sql("postgres", "SELECT 1").map(drop).context("PostgreSQL does not answer")
    }
}

/// About 1 KB a row, 512 MB in all.
const WIDE: &str = "CREATE UNLOGGED TABLE wide AS
 SELECT id, repeat(md5(id::text), 31) AS filler FROM generate_series(1, 500000) AS id";

/// About 87 bytes a row on the wire.
const ROWS: &str = "CREATE UNLOGGED TABLE rows5m AS
 SELECT id::int, (id % 1000)::int AS customer, md5(id::text) AS digest, 'a note of twenty byt' AS note
   FROM generate_series(1, 5000000) AS id";

/// The newest installed server's programs.
fn installed() -> Result<PathBuf> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL's server programs are not installed")?;
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.flatten().map(|entry| entry.path()).filter(|path| path.join("bin/initdb").exists());
    newest.max_by_key(version).map(|path| path.join("bin")).context("no PostgreSQL server is installed")
}

/// Started by root, PostgreSQL and PgBouncer run as the user `postgres`, who then owns their files.
///
/// # Errors
/// Where `chown` fails.
pub fn give_to_postgres(stage: &Stage, path: &std::path::Path) -> Result<()> {
    let key = path.join("server.key");
    std::fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    if !is_root() {
        return Ok(());
    }
    let mut chown = stage.command("chown");
    chown.arg("-R").arg("postgres:postgres").arg(path);
    stage.run(chown).map(drop)
}

fn flags(mut command: Command, flags: &[&str]) -> Command {
    command.args(flags);
    command
}
