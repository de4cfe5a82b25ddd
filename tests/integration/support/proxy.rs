//! A running `pgward serve`, and its command line as alice, bob and the others would use it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use super::postgres::write_private;
use super::{Bench, binary, free_ports, wait_until};

/// What a configuration needs to know of where it runs.
#[derive(Debug)]
pub struct Setup {
    pub port: u16,
    pub control_port: u16,
    pub upstream_port: u16,
    pub certs: PathBuf,
    pub dir: PathBuf,
    /// `token_hash` by user.
    pub hashes: Vec<(String, String)>,
}

impl Setup {
    /// Writes a file that its owner alone may read.
    pub fn keep(&self, name: &str, text: &str) {
        write_private(&self.dir.join(name), text);
    }

    pub fn hash(&self, user: &str) -> &str {
        self.hashes.iter().find(|(name, _)| name == user).map(|(_, hash)| hash.as_str()).unwrap()
    }
}

#[derive(Debug)]
pub struct Proxy {
    pub setup: Setup,
    tokens: Vec<(String, String)>,
    child: Mutex<Child>,
    _dir: tempfile::TempDir,
}

#[derive(Clone, Debug, serde::Deserialize)]
pub struct Credentials {
    pub user: String,
    pub password: String,
    pub database: String,
}

/// Who there is, with tokens and their hashes.
#[derive(Clone, Debug)]
pub struct People {
    tokens: Vec<(String, String)>,
    hashes: Vec<(String, String)>,
}

impl People {
    pub fn new() -> Self {
        let (mut tokens, mut hashes) = (Vec::new(), Vec::new());
        for person in PEOPLE {
            let output = Command::new(binary()).args(["token", "-o", "json"]).output().unwrap();
            let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            tokens.push((person.to_owned(), made["token"].as_str().unwrap().to_owned()));
            hashes.push((person.to_owned(), made["hash"].as_str().unwrap().to_owned()));
        }
        Self { tokens, hashes }
    }
}

pub const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "billing"];

impl Proxy {
    pub fn start(bench: &Bench, config: &dyn Fn(&Setup) -> String) -> Self {
        Self::start_for(bench, &People::new(), config)
    }

    /// The same, for people who have their tokens already.
    pub fn start_for(bench: &Bench, people: &People, config: &dyn Fn(&Setup) -> String) -> Self {
        let dir = tempfile::Builder::new().prefix("pgwp").tempdir_in("/tmp").unwrap();
        let People { tokens, hashes } = people.clone();
        let [port, control_port] = free_ports();
        let setup = Setup {
            port,
            control_port,
            upstream_port: bench.postgres.port,
            certs: bench.certs.clone(),
            dir: dir.path().to_owned(),
            hashes,
        };
        write_private(&dir.path().join("shop_password"), "shop_backend_pw");
        write_private(&dir.path().join("admin_password"), "pgw_admin_pw");
        std::fs::write(dir.path().join("proxy.toml"), config(&setup)).unwrap();
        let child = Mutex::new(serve(dir.path()));
        let proxy = Self { setup, tokens, child, _dir: dir };
        proxy.wait_ready();
        proxy
    }

    /// Waits until both ports answer; panics with the log if the process is gone.
    pub fn wait_ready(&self) {
        wait_until("pgward accepts connections", Duration::from_secs(30), || {
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            if let Some(status) = ended {
                panic!("pgward ended with {status}: {}", self.log());
            }
            [self.setup.port, self.setup.control_port]
                .iter()
                .all(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok())
        });
    }

    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    pub fn is_running(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_none()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.setup.dir.join("serve.log")).unwrap()).into_owned()
    }

    pub fn signal(&self, name: &str) {
        super::signal(name, self.pid());
    }

    /// Ends the process as a service manager would, and leaves its files.
    pub fn stop(&self) {
        self.signal("TERM");
        self.child.lock().unwrap().wait().unwrap();
    }

    /// Kills the process as a crash would.
    pub fn crash(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again on the same files; whether it comes up is for the caller to see.
    pub fn start_again(&self) {
        *self.child.lock().unwrap() = serve(&self.setup.dir);
    }

    /// Kills the process as a crash would, and starts it again on the same files.
    pub fn crash_and_restart(&self) {
        self.crash_then(|_| {});
    }

    /// The same, and something happens to its directory in between.
    pub fn crash_then(&self, change: impl FnOnce(&Path)) {
        {
            let mut child = self.child.lock().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            change(&self.setup.dir);
            *child = serve(&self.setup.dir);
        }
        self.wait_ready();
    }

    /// Restarts the process on a disk that fails when [`Self::fault`] says so.
    pub fn on_a_failing_disk(&self) {
        let source = super::root().join("tests/integration/support/failing_disk.c");
        let library = self.setup.dir.join(FAILING_DISK);
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(library).arg(source).arg("-ldl");
        assert!(compiler.status().unwrap().success());
        self.crash_and_restart();
    }

    /// What fails from now on: `write 5`, `sync 5`, `all 30`; nothing where it is `None`.
    pub fn fault(&self, what: Option<&str>) {
        let file = self.setup.dir.join("fault");
        match what {
            Some(what) => {
                std::fs::write(file.with_extension("new"), what).unwrap();
                std::fs::rename(file.with_extension("new"), file).unwrap();
            }
            None => std::fs::remove_file(file).unwrap(),
        }
    }

    pub fn token(&self, person: &str) -> &str {
        self.tokens.iter().find(|(name, _)| name == person).map(|(_, token)| token.as_str()).unwrap()
    }

    /// `pgward ARGUMENTS` as `person`.
    pub fn cli(&self, person: &str, arguments: &[&str]) -> Output {
        Command::new(binary())
            .args(arguments)
            .env("PGWARD_URL", format!("https://127.0.0.1:{}", self.setup.control_port))
            .env("PGWARD_TOKEN", self.token(person))
            .env("PGWARD_CA", self.setup.certs.join("ca.crt"))
            .env("HOME", &self.setup.dir)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The one JSON document that the command prints; panics if it fails.
    pub fn json(&self, person: &str, arguments: &[&str]) -> serde_json::Value {
        let mut all = arguments.to_vec();
        all.extend(["-o", "json"]);
        let output = self.cli(person, &all);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `person` asks for `scope`, bob approves; answers the grant's id.
    pub fn grant(&self, person: &str, scope: &str, duration: &str) -> String {
        let filed = self.json(person, &["request", scope, "--for", duration, "--reason", "the tests need it"]);
        let id = filed["id"].as_str().unwrap();
        let approved = self.json("bob", &["approve", id]);
        assert_eq!(approved["state"], "approved", "{approved}");
        approved["grant"]["id"].as_str().unwrap().to_owned()
    }

    pub fn revoke(&self, grant: &str) {
        let output = self.cli("bob", &["revoke", grant, "--reason", "enough"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn credentials(&self, person: &str, database: &str) -> Credentials {
        serde_json::from_value(self.json(person, &["credentials", database])).unwrap()
    }

    /// `psql` on a database through this proxy, with credentials minted for `person`.
    pub fn psql(&self, person: &str, database: &str) -> Command {
        let minted = self.credentials(person, database);
        self.psql_with(&minted)
    }

    pub fn psql_with(&self, minted: &Credentials) -> Command {
        let mut command = self.client("psql", minted);
        command.arg("-X").stdin(Stdio::null());
        command
    }

    /// Any libpq client, told where to go by the environment.
    pub fn client(&self, program: &str, minted: &Credentials) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", "localhost")
            .env("PGPORT", self.setup.port.to_string())
            .env("PGUSER", &minted.user)
            .env("PGPASSWORD", &minted.password)
            .env("PGDATABASE", &minted.database)
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", self.setup.certs.join("ca.crt"))
            .env("HOME", &self.setup.dir);
        command
    }

    /// Runs one `psql -c` and answers (stdout, stderr, succeeded).
    pub fn sql(&self, minted: &Credentials, sql: &str) -> (String, String, bool) {
        let output = self.psql_with(minted).args(["-At", "-v", "VERBOSITY=verbose", "-c", sql]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        (text(&output.stdout), text(&output.stderr), output.status.success())
    }

    /// What `/metrics` says.
    pub fn metrics(&self) -> String {
        const FETCH: &str = "import ssl, sys, urllib.request as u
print(u.urlopen(sys.argv[1], context=ssl.create_default_context(cafile=sys.argv[2])).read().decode())";
        let url = format!("https://localhost:{}/metrics", self.setup.control_port);
        let mut fetch = Command::new("/usr/bin/python3");
        fetch.args(["-c", FETCH, &url]).arg(self.setup.certs.join("ca.crt"));
        String::from_utf8_lossy(&fetch.output().unwrap().stdout).into_owned()
    }

    /// The journal's records that `audit search` finds, as bob.
    pub fn audit(&self, filters: &[&str]) -> Vec<serde_json::Value> {
        let output = self.cli("bob", &[&["audit", "search"], filters].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

const FAILING_DISK: &str = "failing_disk.so";

fn serve(dir: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(dir.join("serve.log")).unwrap();
    let mut command = Command::new("setpriv");
    let disk = dir.join(FAILING_DISK);
    if disk.exists() {
        command.env("LD_PRELOAD", &disk).env("PGWARD_TEST_FAULT", dir.join("fault"));
    }
    // A clock that is not the machine's.
    if dir.join("clock").exists() {
        let libraries = [fake_clock(), disk].into_iter().filter(|library| library.exists());
        let libraries: Vec<String> = libraries.map(|library| library.display().to_string()).collect();
        command.env("LD_PRELOAD", libraries.join(":")).env("FAKETIME_TIMESTAMP_FILE", dir.join("clock"));
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    }
    command
        .args(["--pdeathsig", "KILL"])
        .arg(binary())
        .args(["serve", "--config"])
        .arg(dir.join("proxy.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The library that makes a clock wrong.
fn fake_clock() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found =
        folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).filter(|path| path.exists());
    found.next().expect("libfaketime: run scripts/install-deps.sh test")
}
