//! A log and its witnesses over the network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::witness::{Alarm, Keeper, Metrics, Place, Tls, Witness, serve};

/// A witness that listens.
struct Running {
    address: SocketAddr,
    verifier: Verifier,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Running {
    async fn start(name: &str, log: &Verifier, dir: &Path) -> Self {
        let witness = Witness::open(cosigner(name), vec![log.clone()], dir).unwrap();
        Self::listen(witness, "127.0.0.1:0".parse().unwrap(), Tls::Off).await
    }

    async fn listen(witness: Witness, address: SocketAddr, tls: Tls) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, verifier, stop) = (listener.local_addr().unwrap(), witness.verifier(), CancellationToken::new());
        let served = tokio::spawn(serve(Arc::new(witness), listener, tls, stop.clone()));
        Self { address, verifier, stop, served }
    }

    fn place(&self) -> Place {
        Place {
            url: format!("http://{}", self.address),
            verifier: self.verifier.clone(),
            ca: None,
            every: Duration::from_millis(10),
            silent_after: Duration::from_secs(600),
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.served.await.unwrap();
    }
}

/// A keeper that runs, and what it raised.
struct Kept {
    file: CheckpointFile,
    alarms: UnboundedReceiver<Alarm>,
    stop: CancellationToken,
    metrics: prometheus_client::registry::Registry,
}

impl Kept {
    fn start(log: &Log, places: Vec<Place>) -> Self {
        let (raised, alarms) = unbounded_channel();
        let (file, stop) = (log.file.clone(), CancellationToken::new());
        let mut metrics = prometheus_client::registry::Registry::default();
        let counts = Metrics::register(&mut metrics);
        let alarm = move |alarm| raised.send(alarm).unwrap_or_default();
        let keeper = Keeper::new(log.path(), file.clone(), places, counts, alarm).unwrap();
        tokio::spawn(keeper.run(stop.clone()));
        Self { file, alarms, stop, metrics }
    }

    async fn alarm(&mut self) -> Alarm {
        tokio::time::timeout(PATIENCE, self.alarms.recv()).await.expect("no alarm").unwrap()
    }

    /// Waits until all witnesses cosigned the checkpoint of this size.
    async fn witnessed(&self, size: u64) -> Note {
        let all = async {
            loop {
                match self.file.read_witnessed().unwrap() {
                    Some((checkpoint, note)) if checkpoint.size == size => return note,
                    Some(_) | None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("not witnessed")
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        text
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_checkpoint_is_cosigned_by_all_witnesses() {
    let states = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let one = Running::start("one", &log.vkey(), &states.path().join("1")).await;
    let two = Running::start("two", &log.vkey(), &states.path().join("2")).await;
    let mut kept = Kept::start(&log, vec![one.place(), two.place()]);
    for size in [1, 300, 301, 1000] {
        log.grow(size);
        let note = kept.witnessed(size).await;
        for witness in [&one, &two] {
            note.cosigned_at(&witness.verifier).unwrap();
        }
        note.verified_by(&log.vkey()).unwrap();
        let (_, newest) = kept.file.read().unwrap().unwrap();
        newest.cosigned_at(&one.verifier).unwrap();
        newest.cosigned_at(&two.verifier).unwrap();
    }
    assert!(kept.alarms.try_recv().is_err());
    kept.stop.cancel();

    // A process that starts anew learns from the witnesses how far they are.
    let kept = Kept::start(&log, vec![one.place(), two.place()]);
    log.grow(1500);
    kept.witnessed(1500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_witness_is_told_of_and_told_of_when_it_speaks_again() {
    let states = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let key = cosigner("w");
    let text = key.to_text().unwrap();
    let open =
        || Witness::open(Cosigner::from_text(&text).unwrap(), vec![log.signer.verifier()], states.path()).unwrap();
    let running = Running::listen(open(), "127.0.0.1:0".parse().unwrap(), Tls::Off).await;
    let (address, place) = (running.address, Place { silent_after: Duration::from_millis(500), ..running.place() });
    running.end().await;

    let mut kept = Kept::start(&log, vec![place]);
    log.grow(10);
    let Alarm::Silent { witness, said } = kept.alarm().await else { panic!("another alarm") };
    assert_eq!(witness, "w");
    assert!(!said.is_empty());
    let is_set = kept.metrics();
    assert!(is_set.contains("pgward_audit_witness_silent{witness=\"w\"} 1"), "{is_set}");

    let witness = Witness::open(key, vec![log.vkey()], states.path()).unwrap();
    let running = Running::listen(witness, address, Tls::Off).await;
    assert_eq!(kept.alarm().await, Alarm::Heard { witness: "w".to_owned() });
    kept.witnessed(10).await;
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_and_one_that_was_written_anew_are_found() {
    let states = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let witness = Running::start("w", &log.vkey(), states.path()).await;
    log.grow(500);
    let kept = Kept::start(&log, vec![witness.place()]);
    kept.witnessed(500).await;
    drop(kept);

    let mut cut = Log::with_key("a", &log.signer);
    cut.grow(400);
    let mut kept = Kept::start(&cut, vec![witness.place()]);
    let name = || "w".to_owned();
    assert_eq!(kept.alarm().await, Alarm::Ahead { witness: name(), theirs: 500, ours: 400 });
    drop(kept);

    let mut other = Log::with_key("b", &log.signer);
    for size in [500, 600] {
        other.grow(size);
        let mut kept = Kept::start(&other, vec![witness.place()]);
        assert_eq!(kept.alarm().await, Alarm::Forked { witness: name(), size: 500 });
        assert!(kept.file.read_witnessed().unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_under_another_key_or_for_another_log_is_refused() {
    let states = TempDir::new().unwrap();
    let mut log = Log::new("a");
    log.grow(10);
    let witness = Running::start("w", &log.vkey(), &states.path().join("1")).await;
    let stranger = Place { verifier: cosigner("w").verifier(), ..witness.place() };
    let mut kept = Kept::start(&log, vec![stranger]);
    let Alarm::Refused { said, .. } = kept.alarm().await else { panic!("another alarm") };
    assert!(said.contains("by another key"), "{said}");

    let elsewhere =
        Running::start("w", &Signer::generate("elsewhere").unwrap().verifier(), &states.path().join("2")).await;
    let mut kept = Kept::start(&log, vec![elsewhere.place()]);
    let Alarm::Refused { said, .. } = kept.alarm().await else { panic!("another alarm") };
    assert!(said.contains("404") && said.contains("not witnessed here"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_verified() {
    let states = TempDir::new().unwrap();
    let mut log = Log::new("a");
    log.grow(10);
    let files = crate::devcerts::generate(&states.path().join("certs"), &[]).unwrap();
    let certificate = crate::tls::ReloadableCertificate::load(&files.server_cert, &files.server_key).unwrap();
    let config = crate::tls::server_config(certificate, None, &[b"http/1.1"]).unwrap();
    let witness = Witness::open(cosigner("w"), vec![log.vkey()], &states.path().join("1")).unwrap();
    let running = Running::listen(witness, "127.0.0.1:0".parse().unwrap(), Tls::On(config)).await;
    let url = format!("https://localhost:{}", running.address.port());

    let untrusted = Place { url: url.clone(), silent_after: Duration::from_millis(300), ..running.place() };
    let mut kept = Kept::start(&log, vec![untrusted]);
    assert!(matches!(kept.alarm().await, Alarm::Silent { .. }));
    drop(kept);

    let trusted = Place { url, ca: Some(files.ca), ..running.place() };
    let kept = Kept::start(&log, vec![trusted]);
    kept.witnessed(10).await;
}

#[test]
fn only_safe_addresses_are_taken() {
    let dir = TempDir::new().unwrap();
    let place = |url: &str| Place {
        url: url.to_owned(),
        verifier: cosigner("w").verifier(),
        ca: None,
        every: Duration::from_secs(1),
        silent_after: Duration::from_secs(60),
    };
    let keeper =
        |url| Keeper::new(dir.path(), CheckpointFile::of(dir.path()), vec![place(url)], Metrics::default(), |_| {});
    for url in
        ["https://w.example", "https://w.example/a/", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"]
    {
        assert!(keeper(url).is_ok(), "{url}");
    }
    for url in [
        "",
        "w.example",
        "http://w.example",
        "http://10.0.0.1",
        "https://u:p@w.example",
        "https://w.example?x",
        "ftp://w",
    ] {
        assert!(keeper(url).is_err(), "{url}");
    }
}

/// The protocol as others speak it: statuses and content types.
#[tokio::test(flavor = "multi_thread")]
async fn the_port_speaks_the_protocol() {
    let states = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let witness = Running::start("w", &log.vkey(), states.path()).await;
    let ten = log.grow(10);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/add-checkpoint", witness.address);
    let call = async |body: Vec<u8>| {
        let response = http.post(&url).body(body).send().await.unwrap();
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (response.status().as_u16(), kind, response.text().await.unwrap())
    };
    let (status, _, text) = call(log.submission(0, &ten).to_body().into()).await;
    assert_eq!((status, text.starts_with("— w ") && text.ends_with('\n')), (200, true), "{text}");
    let (status, kind, text) = call(log.submission(0, &ten).to_body().into()).await;
    assert_eq!((status, kind.as_str(), text.as_str()), (409, "text/x.tlog.size", "10\n"));
    let twenty = log.grow(20);
    let unproved = AddCheckpoint { old: 10, proof: Vec::new(), note: twenty };
    assert_eq!(call(unproved.to_body().into()).await.0, 422);
    let other = Log::new("b").grow(5);
    assert_eq!(call(AddCheckpoint { old: 5, proof: Vec::new(), note: other }.to_body().into()).await.0, 403);
    assert_eq!(call(b"nonsense".to_vec()).await.0, 400);
    assert_eq!(call(b"\xff\xfe".to_vec()).await.0, 400);
    // It may hang up before it was told everything.
    if let Ok(answer) = http.post(&url).body(vec![b'a'; 1 << 20]).send().await {
        assert_eq!(answer.status().as_u16(), 400);
    }
    // Not on the connection that may have been hung up.
    let another = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(another.get(&url).send().await.unwrap().status().as_u16(), 405);
}
