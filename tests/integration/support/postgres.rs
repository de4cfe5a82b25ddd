//! A throw-away PostgreSQL over TLS, never run as root, that dies with the test process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{free_port, wait_until};

#[path = "../../support/guard.rs"]
mod guard;

#[derive(Debug)]
pub struct Postgres {
    pub port: u16,
    pub dir: PathBuf,
    programs: Option<PathBuf>,
    child: Child,
}

pub const SUPERUSER: &str = "pgw_admin";
const PASSWORD: &str = "pgw_admin_pw";

impl Postgres {
    /// Starts a cluster under `dir` with the server certificate of `certs`.
    pub fn start(dir: &Path, certs: &Path) -> Self {
        Self::start_from(None, dir, certs)
    }

    /// The same with the server's programs in `programs`, where that is said.
    pub fn start_from(programs: Option<PathBuf>, dir: &Path, certs: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        own(dir);
        let data = dir.join("data");
        let password_file = dir.join("password");
        write_private(&password_file, PASSWORD);
        own(&password_file);
        let mut initdb = unprivileged(&bin(programs.as_deref(), "initdb"));
        initdb.arg("-D").arg(&data).args(["-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-N"]);
        initdb.arg("--pwfile").arg(&password_file);
        let made = initdb.output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        for (from, to, private) in [("server.crt", "server.crt", false), ("server.key", "server.key", true)] {
            let target = data.join(to);
            std::fs::copy(certs.join(from), &target).unwrap();
            if private {
                restrict(&target);
            }
            own(&target);
        }
        Self::launch(programs, dir)
    }

    /// A standby of this server under `dir`, which follows nothing.
    pub fn standby(&self, dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        own(dir);
        let mut backup = unprivileged(&bin(self.programs.as_deref(), "pg_basebackup"));
        backup.arg("-D").arg(dir.join("data")).args([
            "--checkpoint=fast",
            "-U",
            SUPERUSER,
            "-p",
            &self.port.to_string(),
        ]);
        backup.arg("-h").arg(&self.dir).env("PGPASSWORD", PASSWORD).stdin(Stdio::null());
        let made = backup.output().unwrap();
        assert!(made.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(dir.join("data/standby.signal"), "").unwrap();
        Self::launch(self.programs.clone(), dir)
    }

    /// Runs the cluster under `dir`.
    fn launch(programs: Option<PathBuf>, dir: &Path) -> Self {
        Self::launch_at(programs, dir, free_port())
    }

    /// Kills every process of it, as a machine that loses its power does.
    pub fn crash(&mut self) {
        let pid = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).unwrap();
        let pid: u32 = pid.lines().next().unwrap().parse().unwrap();
        // The guard first: it would remove the files.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        super::signal("KILL", pid);
        wait_until("its backends end", Duration::from_secs(30), || !self.answers());
    }

    /// Starts it again on the same files.
    pub fn start_again(&mut self) {
        for _ in 0..20 {
            self.child = spawn(self.programs.as_deref(), &self.dir, self.port);
            let begun = std::time::Instant::now();
            while begun.elapsed() < Duration::from_secs(3) {
                if self.answers() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            // Processes of before were not gone yet, and it gave up: its guard alone is left.
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        panic!("PostgreSQL does not start again: {}", self.log());
    }

    fn launch_at(programs: Option<PathBuf>, dir: &Path, port: u16) -> Self {
        let child = spawn(programs.as_deref(), dir, port);
        let postgres = Self { port, dir: dir.to_owned(), programs, child };
        wait_until("PostgreSQL accepts connections", Duration::from_secs(60), || postgres.answers());
        postgres
    }

    /// Runs SQL as the superuser and answers rows as `psql -At` prints them.
    pub fn run(&self, database: &str, sql: &str) -> String {
        let output = self.psql(database).arg("-c").arg(sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub fn run_file(&self, database: &str, file: &Path) {
        let output = self.psql(database).arg("-q").arg("-f").arg(file).output().unwrap();
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    }

    /// The server's own log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join("server.log")).unwrap()).into_owned()
    }

    /// The server's processes that run as `application_name`.
    pub fn backends(&self, application: &str) -> usize {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'");
        self.run("postgres", &sql).parse().unwrap()
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", SUPERUSER, "-d", database, "-p", &self.port.to_string()]);
        command.arg("-h").arg(&self.dir).env("PGPASSWORD", PASSWORD).stdin(Stdio::null());
        command
    }

    fn answers(&self) -> bool {
        self.psql("postgres").args(["-c", "SELECT 1"]).output().is_ok_and(|output| output.status.success())
    }
}

/// The cluster under `dir`, with a guard that ends it with this process.
fn spawn(programs: Option<&Path>, dir: &Path, port: u16) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(dir.join("server.log")).unwrap();
    let mut server = unprivileged(&bin(programs, "postgres"));
    server.arg("-D").arg(dir.join("data")).arg("-k").arg(dir).arg("-p").arg(port.to_string());
    for setting in SETTINGS {
        server.arg("-c").arg(setting);
    }
    guard::spawn(&server, dir, log.into())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        guard::stop(&mut self.child);
    }
}

const SETTINGS: [&str; 13] = [
    "listen_addresses=127.0.0.1",
    "ssl=on",
    "ssl_cert_file=server.crt",
    "ssl_key_file=server.key",
    "fsync=off",
    "max_connections=300",
    "log_statement=all",
    "log_min_messages=log",
    "log_line_prefix=%m [%p] %q%a|",
    "max_prepared_transactions=10",
    "wal_level=logical",
    // A standby is made while others write.
    "wal_keep_size=1GB",
    "log_error_verbosity=terse",
];

/// Of these programs; else the newest server that is installed, or the one in the folder that `PGWARD_TEST_POSTGRES_BIN`
/// names.
fn bin(programs: Option<&Path>, name: &str) -> PathBuf {
    if let Some(programs) = programs {
        return programs.join(name);
    }
    if let Some(folder) = std::env::var_os("PGWARD_TEST_POSTGRES_BIN") {
        return PathBuf::from(folder).join(name);
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin").join(name)).collect())
        .unwrap_or_default();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// A command as the `postgres` user where we are root, as ourselves elsewhere.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
    command
}

fn own(path: &Path) {
    if is_root() {
        let status = Command::new("chown").arg("postgres:postgres").arg(path).status().unwrap();
        assert!(status.success());
    }
}

fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    restrict(path);
}
