//! One client's two runs: its program is started with the connection in the environment, its lines are read, and what it waits
//! for is brought about.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::manifest::{Client, here};
use crate::rig::{CERTIFIED, LOGIN, Rig, Way, principal};

/// The longest that a program may take.
const LIMIT: Duration = Duration::from_secs(240);

/// What a client said, directly and through pgward.
#[derive(Debug)]
pub struct Run {
    pub version: String,
    pub libpq: Option<String>,
    pub direct: Vec<Step>,
    pub through: Vec<Step>,
}

/// One line of a program: `{"step": …, "result": …}`, or `error`, or `skip`.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub step: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub result: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
}

/// `null` is a result.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    serde::Deserialize::deserialize(from).map(Some)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Path {
    Direct,
    Through,
}

pub fn run(client: &Client, rig: &Rig) -> Run {
    let (first, direct) = play(client, rig, Path::Direct, &rig.directly(client));
    let (second, through) = play(client, rig, Path::Through, &rig.through(client));
    assert_eq!(first, second, "the same client twice");
    let text = |name: &str| first[name].as_str().map(ToOwned::to_owned);
    Run { version: text("version").unwrap_or_default(), libpq: text("libpq"), direct, through }
}

/// Runs the program once; answers its version line and its steps.
fn play(client: &Client, rig: &Rig, path: Path, way: &Way) -> (Value, Vec<Step>) {
    let home = tempfile::tempdir().unwrap();
    let mut command = client.shell(&client.run);
    environment(&mut command, rig, path, way, home.path());
    command.process_group(0);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program to run");
    let watch = Watch::over(&child);
    let mut stdin = child.stdin.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = stderr.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    });
    let (mut version, mut steps) = (Value::Null, Vec::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = neutral(&line.expect("the program prints UTF-8"), way);
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{path:?}: {error}: {line}"));
        if let Some(what) = value["wait"].as_str() {
            prepare(client, rig, path, what);
            stdin.write_all(b"go\n").expect("the program waits");
            if what == "end" && path == Path::Direct {
                rig.terminate_sleeper(&way.database);
            }
        } else if value.get("version").is_some() {
            version = value;
        } else {
            steps.push(serde_json::from_value(value).unwrap_or_else(|error| panic!("{path:?}: {error}: {line}")));
        }
    }
    let status = child.wait().unwrap();
    drop(watch);
    let said = said.join().unwrap();
    assert!(status.success(), "{path:?}: the program ended with {status} after {:?}\n{said}", steps.last());
    (version, steps)
}

/// A line without what has to differ: the names of database and user, and the port.
fn neutral(line: &str, way: &Way) -> String {
    let line = line.replace(&way.database, "DATABASE").replace(&way.user, "USER").replace(LOGIN, "USER");
    line.replace(&format!(":{}", way.port), ":PORT").replace(&format!("port {}", way.port), "port PORT")
}

/// Brings about what the program waits for; directly there is nothing to do.
fn prepare(client: &Client, rig: &Rig, path: Path, what: &str) {
    if path == Path::Direct {
        return;
    }
    let user = principal(client);
    let lasts = match what {
        // A minute before its end it is told: a few seconds from now.
        "grant" => "66s",
        "end" => "6s",
        "again" => "8h",
        other => panic!("nothing is known of waiting for {other}"),
    };
    let kept = rig.grant(&user, client, lasts);
    rig.revoke_all_but(client, &kept);
}

fn environment(command: &mut Command, rig: &Rig, path: Path, way: &Way, home: &std::path::Path) {
    let Way { port, user, password, database } = way;
    let authority = rig.proxy.setup.certs.join("ca.crt");
    let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let uri = format!(
        "postgresql://{user}:{encoded}@localhost:{port}/{database}?sslmode=verify-full&sslrootcert={}",
        authority.display()
    );
    let service = format!(
        "[compat]\nhost=localhost\nport={port}\nuser={user}\npassword={password}\ndbname={database}\nsslmode=verify-full\n\
         sslrootcert={}\n",
        authority.display()
    );
    std::fs::write(home.join("services"), service).unwrap();
    let wait = match path {
        Path::Direct => "0",
        Path::Through => "20",
    };
    command
        .env("HOME", home)
        .env("PGHOST", "localhost")
        .env("PGPORT", port.to_string())
        .env("PGUSER", user)
        .env("PGPASSWORD", password)
        .env("PGDATABASE", database)
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", &authority)
        .env("PGSERVICEFILE", home.join("services"))
        .env("COMPAT_URI", uri)
        .env("COMPAT_CERT_USER", CERTIFIED)
        .env("COMPAT_CERT", rig.own("client.crt"))
        .env("COMPAT_CERT_KEY", rig.own("client.key"))
        .env("COMPAT_NOTICE_WAIT", wait)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
    for (name, text) in scenario() {
        command.env(format!("SQL_{}", name.to_uppercase()), text);
    }
}

/// The statements of the scenario, by name.
fn scenario() -> BTreeMap<String, String> {
    toml::from_str(&std::fs::read_to_string(here().join("scenario.toml")).unwrap()).unwrap()
}

/// Ends a program that takes too long, so that its pipe closes.
struct Watch {
    pid: u32,
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn over(child: &Child) -> Self {
        let (done, pid, begun) = (Arc::new(AtomicBool::new(false)), child.id(), Instant::now());
        let seen = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                if begun.elapsed() > LIMIT {
                    kill_group(pid);
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { pid, done, thread: Some(thread) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if std::thread::panicking() {
            kill_group(self.pid);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The program and what it started.
fn kill_group(pid: u32) {
    let _ = Command::new("sh").args(["-c", &format!("kill -KILL -{pid}")]).status();
}
