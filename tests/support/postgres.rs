//! A throw-away PostgreSQL for tests: its own data directory, a socket in a short path, nothing on the network unless
//! asked for, gone when dropped. Started by root it runs as the system user `postgres`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[path = "guard.rs"]
mod guard;

/// A running server. Dropping it stops the server and removes its files.
#[derive(Debug)]
pub struct TestPostgres {
    programs: PathBuf,
    directory: PathBuf,
    process: Option<Child>,
    /// The port in the socket's name; the server listens on no address.
    pub port: u16,
}

impl TestPostgres {
    /// Makes a cluster with superuser `postgres` (no password on the socket), encoding UTF8, locale C, and starts it.
    ///
    /// # Panics
    /// Where PostgreSQL's server programs are missing or do not start.
    #[must_use]
    #[allow(dead_code, reason = "each test takes what it needs of this")]
    pub fn start() -> Self {
        Self::start_from(programs())
    }

    /// The same with the server programs of one folder.
    ///
    /// # Panics
    /// Where they do not start.
    #[must_use]
    pub fn start_from(programs: PathBuf) -> Self {
        Self::start_for(programs, 50)
    }

    /// The same for many connections, with the newest server that is installed.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    #[allow(dead_code, reason = "each test takes what it needs of this")]
    pub fn start_wide(connections: u32) -> Self {
        Self::start_for(programs(), connections)
    }

    fn start_for(programs: PathBuf, connections: u32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("pgw-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for the server");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&directory));
        }
        let mut server = Self { programs, directory, process: None, port: 5432 };
        run(server.program("initdb").arg("-D").arg(server.data()).args([
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]));
        let mut command = server.program("postgres");
        command.arg("-D").arg(server.data()).arg("-k").arg(&server.directory).args(["-p", &server.port.to_string()]);
        for setting in ["listen_addresses=", "fsync=off"] {
            command.args(["-c", setting]);
        }
        command.args(["-c", &format!("max_connections={connections}")]);
        let log = std::fs::File::create(server.directory.join("log")).expect("the server's log");
        server.process = Some(guard::spawn(&command, &server.directory, log.into()));
        server.wait_until_it_answers();
        server
    }

    #[allow(dead_code, reason = "each test takes what it needs of this")]
    /// Where the socket lies: what `host` means to libpq and tokio-postgres.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// A connection string of tokio-postgres for `user` on `database`.
    #[must_use]
    pub fn dsn(&self, user: &str, database: &str) -> String {
        format!("host={} port={} user={user} dbname={database}", self.directory.display(), self.port)
    }

    #[allow(dead_code, reason = "each test takes what it needs of this")]
    /// Runs a script through `psql` as superuser; any error in it is one.
    ///
    /// # Panics
    /// Where the script fails.
    pub fn run_script(&self, database: &str, script: &Path) {
        run(Command::new("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-f"])
            .arg(script)
            .args(["-h", &self.directory.display().to_string(), "-p", &self.port.to_string()]));
    }

    /// One of the server's programs, run as a user who may run it.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(&self.directory);
        command
    }

    fn wait_until_it_answers(&self) {
        for _ in 0..600 {
            let mut ready = Command::new("pg_isready");
            ready.args(["-q", "-h"]).arg(&self.directory).args(["-p", &self.port.to_string()]);
            if ready.status().is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!(
            "PostgreSQL does not start: {}",
            std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
        );
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            guard::stop(process);
        }
    }
}

/// The newest installed server's programs, or those in the directory that `PGWARD_TEST_PROGRAMS` names.
#[allow(dead_code, reason = "each test takes what it needs of this")]
fn programs() -> PathBuf {
    if let Some(programs) = std::env::var_os("PGWARD_TEST_PROGRAMS") {
        return programs.into();
    }
    let installed = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL's server programs are installed");
    let mut versions: Vec<(u32, PathBuf)> = installed
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/initdb").exists().then(|| (version, path.join("bin")))
        })
        .collect();
    versions.sort();
    versions.pop().expect("a PostgreSQL server").1
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id -u");
    output.stdout == b"0\n"
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("the program runs");
    assert!(status.success(), "{command:?} failed");
}
