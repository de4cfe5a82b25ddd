//! A whole session, driven from both sides: a client that says anything, a server that answers anything, and in between
//! gate, replies, relay and records as they are. The first byte says how many of the next are the server's.
//!
//! What reaches the server is whole messages, and each text among them is recorded as allowed or is pgward's own; nothing that
//! is denied reaches it; the client gets no more ReadyForQuery than it asked for; and the session ends.

use std::cell::RefCell;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pgward::audit::{EndedBy, Event, Record, RecordedVerdict};
use pgward::sql::{Limits, read};
use pgward::wire::{encode, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::UnixStream;

#[path = "session/script.rs"]
mod script;
#[path = "session/server.rs"]
mod server;
#[path = "session/world.rs"]
mod world;

use crate::postgres;
use script::Step;
use server::Heard;
use world::World;

const LIMIT: usize = 1 << 20;
/// Sessions in one journal: its files are removed with it.
const MOST: u32 = 4_000;
/// A client that gets no answer goes on after this.
const PATIENCE: Duration = Duration::from_millis(4);

struct Stage {
    postgres: postgres::TestPostgres,
    world: World,
    played: u32,
}

thread_local! {
    static STAGE: RefCell<Option<Stage>> = const { RefCell::new(None) };
}

pub fn check(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else { return };
    let (whims, said) = rest.split_at(usize::from(*count).min(rest.len()));
    STAGE.with_borrow_mut(|stage| {
        let stage = match stage.take() {
            Some(kept) if kept.played < MOST => stage.insert(kept),
            worn => stage.insert(new_stage(worn)),
        };
        stage.played += 1;
        play(&mut stage.world, whims, said);
    });
}

fn new_stage(worn: Option<Stage>) -> Stage {
    let runtime = world::runtime();
    let postgres = worn.map_or_else(|| world::postgres(&runtime), |worn| worn.postgres);
    let world = World::new(runtime, &postgres);
    Stage { postgres, world, played: 0 }
}

fn play(world: &mut World, whims: &[u8], said: &[u8]) {
    let World { runtime, server, journal, records, .. } = world;
    let (told, heard, records) = runtime.block_on(async {
        let (client, near) = tokio::io::duplex(1 << 20);
        let (far, upstream) = UnixStream::pair().expect("a pair of sockets");
        let both = async {
            tokio::join!(
                server.rehearse(world::alice(), "plain", near, far),
                speak(client, script::steps(said)),
                server::serve(upstream, whims)
            )
        };
        let (session, told, heard) =
            tokio::time::timeout(Duration::from_secs(15), both).await.expect("the session ends");
        let session = session.expect("a session");
        let mut all = Vec::new();
        loop {
            let batch = records.next(1_000).await.expect("the journal can be read");
            let last = batch.last().map(|entry| entry.record.seq);
            all.extend(batch.into_iter().map(|entry| entry.record));
            if last.is_none_or(|last| last >= journal.last_seq()) {
                break;
            }
        }
        all.retain(|record| record.session.as_ref() == Some(&session));
        (told, heard, all)
    });
    assert!(records.iter().all(|record| record.ended_by != Some(EndedBy::Fault)), "a fault of pgward's own");
    assert!(records.last().is_some_and(|record| record.event == Event::SessionClose), "its end is recorded last");
    assert!(told.ready <= told.asked, "{told:?}: more ReadyForQuery than were asked for");
    judge(&heard, &records);
}

/// What the client was told, and had asked for.
#[derive(Debug, Default)]
struct Told {
    ready: usize,
    asked: usize,
}

/// Says all of the script, reads all that comes, and leaves.
async fn speak(mut stream: DuplexStream, steps: Vec<Step>) -> Told {
    let (mut told, mut input, mut sent) = (Told::default(), BytesMut::new(), BytesMut::new());
    for step in steps.into_iter().chain([Step::Say(encode::sync()), Step::Wait, Step::Say(encode::terminate())]) {
        match step {
            Step::Say(bytes) => {
                told.asked += asked(&mut sent, &bytes);
                if stream.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            Step::Wait => {
                let before = told.ready;
                while told.ready == before {
                    if !matches!(
                        tokio::time::timeout(PATIENCE, hear(&mut stream, &mut input, &mut told)).await,
                        Ok(true)
                    ) {
                        break;
                    }
                }
            }
        }
    }
    // A client that has said goodbye in the middle of a message has to close.
    while let Ok(true) = tokio::time::timeout(PATIENCE, hear(&mut stream, &mut input, &mut told)).await {}
    told
}

/// How many answers these bytes ask for, behind those that came before.
fn asked(sent: &mut BytesMut, bytes: &Bytes) -> usize {
    sent.extend_from_slice(bytes);
    let mut asked = 0;
    while let Ok(Some(frame)) = frame::take(sent, LIMIT) {
        asked += usize::from(matches!(frame.tag(), b'Q' | b'S' | b'F'));
    }
    asked
}

/// Reads once; whether there may be more.
async fn hear(stream: &mut DuplexStream, input: &mut BytesMut, told: &mut Told) -> bool {
    let read = stream.read_buf(input).await.unwrap_or(0);
    while let Some(frame) = frame::take(input, LIMIT).expect("a client is told whole messages") {
        told.ready += usize::from(frame.tag() == b'Z');
    }
    read > 0
}

/// Whether all that the server was sent may have been sent to it.
fn judge(heard: &Heard, records: &[Record]) {
    assert_eq!(heard.broken, None, "the server is sent whole messages");
    assert!(heard.tags.iter().all(|tag| b"QPBDECHSXFcdf".contains(tag)), "{:?}", heard.tags);
    let allowed: Vec<&str> = records
        .iter()
        .filter(|record| record.event == Event::Statement && record.verdict == Some(RecordedVerdict::Allow))
        .filter_map(|record| record.statement.as_deref())
        .collect();
    for text in heard.texts.iter().filter(|text| !is_own(text)) {
        assert!(!text.contains("secret"), "{text:?} is denied and was sent");
        let statements = read(text, &Limits::default()).expect("what is sent can be read");
        for statement in &statements {
            let part = text[statement.range.clone()].trim();
            assert!(
                allowed.iter().any(|allowed| allowed.contains(part)) || redacted(records),
                "{part:?} was sent and is not recorded as allowed: {allowed:?}"
            );
        }
    }
}

/// Something was taken out of a record, so that the text is not in it as it was sent.
fn redacted(records: &[Record]) -> bool {
    records.iter().any(|record| !record.redacted.is_empty())
}

/// What pgward sends in place of a text, or for itself.
fn is_own(text: &str) -> bool {
    text == "pgward_denied"
        || text.ends_with("SELECT pgward_denied")
        || text.starts_with("SET default_transaction_read_only = ")
        || text.contains("AS pgward (")
        || (text.starts_with("SELECT NULL::text AS ") && text.ends_with(" LIMIT 0"))
}
