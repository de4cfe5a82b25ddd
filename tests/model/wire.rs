//! A connection on which exactly the given bytes are said, in the pieces that are asked for; TLS or not.

use std::time::Duration;

use bytes::BytesMut;
use pgward::wire::{encode, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::bench::{Said, plain};
use crate::postgres::TestPostgres;
use crate::step::{Burst, Step};

const LIMIT: Duration = Duration::from_secs(20);
/// Syncs at the end of a burst: scripts never send so many in front of an empty Query.
const SYNCS: usize = 4;

pub struct Wire<S> {
    stream: S,
    input: BytesMut,
}

impl Wire<UnixStream> {
    /// Straight to the server, as soon as it has room.
    pub async fn plain(postgres: &TestPostgres, database: &str) -> Self {
        for _ in 0..100 {
            if let Some(wire) = Self::try_plain(postgres, database).await {
                return wire;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no connection to {database}");
    }

    async fn try_plain(postgres: &TestPostgres, database: &str) -> Option<Self> {
        let path = postgres.socket_directory().join(format!(".s.PGSQL.{}", postgres.port));
        let mut wire = Wire::new(UnixStream::connect(path).await.unwrap());
        let startup = encode::startup(0, &[("user", "postgres"), ("database", database), ("client_encoding", "UTF8")]);
        wire.stream.write_all(&startup).await.unwrap();
        while wire.next().await.ok()?.tag != b'Z' {}
        Some(wire)
    }

    /// Runs what must succeed.
    pub async fn run(&mut self, sql: &str) {
        assert!(self.tries(sql).await, "{sql}");
    }

    /// Whether a text runs.
    pub async fn tries(&mut self, sql: &str) -> bool {
        self.stream.write_all(&encode::query(sql)).await.unwrap();
        let mut succeeds = true;
        loop {
            match self.next().await.unwrap().tag {
                b'E' => succeeds = false,
                b'Z' => return succeeds,
                _ => {}
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new() }
    }

    async fn next(&mut self) -> Result<Said, String> {
        loop {
            if let Some(frame) = frame::take(&mut self.input, 1 << 24).unwrap() {
                return Ok(Said { tag: frame.tag(), body: frame.body().to_vec() });
            }
            let read = tokio::time::timeout(LIMIT, self.stream.read_buf(&mut self.input)).await;
            match read {
                Err(_) => return Err("nothing more comes".to_owned()),
                Ok(Ok(0) | Err(_)) => return Err("the connection was closed".to_owned()),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Says a segment, and answers what comes up to ReadyForQuery.
    pub async fn ask(&mut self, steps: &[Step]) -> Vec<Said> {
        let bytes: Vec<u8> = steps.iter().flat_map(|step| step.bytes().to_vec()).collect();
        self.stream.write_all(&bytes).await.unwrap();
        let mut all = Vec::new();
        while all.last().is_none_or(|said: &Said| said.tag != b'Z') {
            all.push(self.next().await.unwrap());
        }
        all
    }

    /// Says all of a burst, and answers everything that comes of it. `Err` has what had come before it went wrong.
    pub async fn play(&mut self, burst: &Burst, steps: &[Step]) -> Result<Vec<Said>, (String, Vec<Said>)> {
        let mut bytes: Vec<u8> = steps.iter().flat_map(|step| step.bytes().to_vec()).collect();
        bytes.extend_from_slice(&ending());
        let mut cuts: Vec<(usize, bool)> =
            burst.cuts.iter().map(|(at, pause)| ((at * bytes.len() as f64) as usize, *pause)).collect();
        cuts.sort_unstable();
        let mut from = 0;
        for (to, pause) in cuts.into_iter().chain([(bytes.len(), false)]) {
            let sent = async {
                self.stream.write_all(&bytes[from..to]).await?;
                self.stream.flush().await
            };
            // What was said before the other side left is still to be read.
            if sent.await.is_err() {
                break;
            }
            from = to;
            if pause {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let mut all: Vec<Said> = Vec::new();
        while !is_over(&all) {
            match self.next().await {
                Ok(said) => all.push(said),
                Err(why) => return Err((why, all)),
            }
        }
        Ok(all)
    }
}

/// Ends whatever is open: a COPY, a segment. Its answers are known by their shape.
fn ending() -> Vec<u8> {
    let mut bytes = Step::CopyFail.bytes().to_vec();
    for _ in 0..SYNCS {
        bytes.extend_from_slice(&plain(b'S'));
    }
    bytes.extend_from_slice(&encode::query(""));
    bytes
}

fn is_over(all: &[Said]) -> bool {
    let wanted = [b'Z'; SYNCS].into_iter().chain(*b"IZ");
    all.len() >= SYNCS + 2 && all[all.len() - SYNCS - 2..].iter().map(|said| said.tag).eq(wanted)
}
