//! A witness beside a running pgward: what it signs stands behind every proof, and what happens to the journal shows there.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, Setup, binary, config, free_port, root, wait_until};

pub const CASES: &[Case] = &[
    ("witness::stands_behind_every_proof", stands_behind_every_proof),
    ("witness::is_missed_and_heard_again", is_missed_and_heard_again),
    ("witness::tells_that_the_journal_was_put_back", tells_that_the_journal_was_put_back),
];

const PATIENCE: Duration = Duration::from_secs(60);

/// `pgward witness`, ended with the test.
pub struct Witness {
    port: u16,
    vkey: String,
    log: String,
    child: Mutex<Child>,
}

impl Witness {
    /// Makes the log's key and the witness's, and starts the witness.
    pub fn start(dir: &Path) -> Self {
        let key = dir.join("audit.key");
        let log = say(&["audit", "key", "--file", key.to_str().unwrap(), "--origin", "pgward/test"]);
        let own = dir.join("witness.key");
        let vkey = say(&["witness", "--key", own.to_str().unwrap(), "--name", "witness.example", "--show"]);
        let port = free_port();
        let child = Mutex::new(Self::spawn(dir, port, &log));
        Self { port, vkey, log, child }
    }

    fn spawn(dir: &Path, port: u16, log: &str) -> Child {
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(binary())
            .args(["witness", "--listen", &format!("127.0.0.1:{port}"), "--log", log, "--key"])
            .arg(dir.join("witness.key"))
            .arg("--state")
            .arg(dir.join("witness"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn end(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn begin_again(&self, dir: &Path) {
        *self.child.lock().unwrap() = Self::spawn(dir, self.port, &self.log);
    }

    pub fn config(&self, silent_after: &str) -> String {
        let (port, vkey) = (self.port, &self.vkey);
        format!(
            "\n[[audit.witness]]\nurl = \"http://127.0.0.1:{port}\"\nvkey = \"{vkey}\"\nevery = \"1s\"\nsilent_after = \"{silent_after}\"\n"
        )
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn say(arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn start(bench: &Bench, silent_after: &str) -> (Proxy, Witness) {
    let witness = Mutex::new(None);
    let with_witness = |setup: &Setup| {
        let started = Witness::start(&setup.dir);
        let text = config(setup, &Scopes { more: started.config(silent_after), ..Scopes::default() });
        *witness.lock().unwrap() = Some(started);
        text
    };
    let proxy = Proxy::start(bench, &with_witness);
    let witness = witness.into_inner().unwrap().unwrap();
    (proxy, witness)
}

/// The records that the newest checkpoint covers which the witness cosigned.
fn witnessed(proxy: &Proxy) -> u64 {
    let text = std::fs::read_to_string(proxy.setup.dir.join("audit/checkpoint.witnessed")).unwrap_or_default();
    text.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0)
}

fn wait_witnessed(proxy: &Proxy, seq: u64) {
    wait_until("the witness cosigns", PATIENCE, || witnessed(proxy) >= seq);
}

fn last_seq(proxy: &Proxy) -> u64 {
    proxy.audit(&["--limit", "1"])[0]["seq"].as_u64().unwrap()
}

fn stands_behind_every_proof(bench: &Bench) {
    let (proxy, witness) = start(bench, "1h");
    let grant = proxy.grant("alice", "world", "30m");
    let alice = proxy.credentials("alice", "shop");
    assert!(proxy.sql(&alice, "SELECT id FROM public.customers WHERE id < 4").2);
    let found = proxy.audit(&["--grant", &grant, "--text", "id < 4"]);
    let seq = found[0]["seq"].as_u64().unwrap();
    wait_witnessed(&proxy, seq);

    let file = proxy.setup.dir.join("proof.json");
    let file = file.to_str().unwrap();
    let output = proxy.cli("alice", &["audit", "prove", &seq.to_string(), "--out", file]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let arguments = ["audit", "verify", "--bundle", file, "--vkey", &witness.log, "--witness", &witness.vkey];
    let proved = say(&arguments);
    assert!(proved.contains("cosigned by witness.example") && proved.contains("WHERE id < 4"), "{proved}");

    // Without pgward: the proof, and the whole journal.
    let tool = root().join("tools/verify_journal.py");
    let audit = proxy.setup.dir.join("audit");
    for what in [&["--bundle", file][..], &[audit.to_str().unwrap()]] {
        let mut verify = Command::new("/usr/bin/python3");
        verify.arg(&tool).args(what).args(["--vkey", &witness.log, "--witness", &witness.vkey]);
        let output = verify.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

fn is_missed_and_heard_again(bench: &Bench) {
    let (proxy, witness) = start(bench, "2s");
    wait_witnessed(&proxy, 1);
    witness.end();
    // Something new to witness.
    proxy.grant("alice", "world", "30m");
    let recorded = |event: &str| proxy.audit(&[]).into_iter().find(|record| record["event"] == event);
    wait_until("the silence is recorded", PATIENCE, || recorded("witness_silent").is_some());
    let detail = recorded("witness_silent").unwrap()["detail"].to_string();
    assert!(detail.contains("witness.example does not cosign"), "{detail}");
    let silent = "pgward_audit_witness_silent{witness=\"witness.example\"}";
    assert!(proxy.metrics().contains(&format!("{silent} 1")), "{}", proxy.metrics());

    witness.begin_again(&proxy.setup.dir);
    wait_until("it is heard again", PATIENCE, || recorded("witness_heard").is_some());
    wait_until("it is counted", PATIENCE, || proxy.metrics().contains(&format!("{silent} 0")));
    wait_witnessed(&proxy, last_seq(&proxy));
}

/// The whole directory, put back as it was: whole in itself, signed by the log's own key, and still found out.
fn tells_that_the_journal_was_put_back(bench: &Bench) {
    let (proxy, witness) = start(bench, "1h");
    let (audit, copy) = (proxy.setup.dir.join("audit"), proxy.setup.dir.join("copy"));
    // It listens before it has its journal, and answers after.
    proxy.json("bob", &["grants"]);
    proxy.crash_then(|_| copy_dir(&audit, &copy));
    for _ in 0..8 {
        proxy.grant("alice", "world", "30m");
    }
    let seq = last_seq(&proxy);
    wait_witnessed(&proxy, seq);
    proxy.crash_then(|_| {
        std::fs::remove_dir_all(&audit).unwrap();
        copy_dir(&copy, &audit);
        // Whoever has the key can also make it forget what it signed.
        std::fs::remove_file(proxy.setup.dir.join("audit.key.last")).unwrap();
    });
    let told = || proxy.audit(&[]).into_iter().find(|record| record["event"] == "witness_silent");
    wait_until("it is recorded", PATIENCE, || told().is_some());
    let detail = told().unwrap()["detail"].to_string();
    assert!(detail.contains("its end was cut off") || detail.contains("written anew"), "{detail}");
    // By itself the journal looks whole; the checkpoint that the witness keeps says otherwise.
    assert_eq!(proxy.json("bob", &["audit", "verify"])["ok"], true);
    drop(witness);
}

fn copy_dir(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}
