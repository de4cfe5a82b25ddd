//! Servers that lie in a session: answers to nothing, answers of the wrong kind, lengths that cannot be, requests for the
//! client's data. The session ends, its record says why, and what comes behind reaches nobody.

use pgward::access::Operation;
use pgward::audit::{EndedBy, Event};
use pgward::wire::encode::{parse, query, sync};

use crate::bench::{Said, bind, copy_data, execute, shape};
use crate::evil::{Evil, Script, message};
use crate::world::{Case, World, closed, is_closed, sqlstate, to_the_end};

pub const CASES: &[Case] = &[
    ("server_replies::answers_to_nothing", |world| Box::pin(answers_to_nothing(world))),
    ("server_replies::answers_of_the_wrong_kind", |world| Box::pin(answers_of_the_wrong_kind(world))),
    ("server_replies::answers_shifted_to_another_step", |world| Box::pin(answers_shifted_to_another_step(world))),
    ("server_replies::the_clients_data_is_asked_for", |world| Box::pin(the_clients_data_is_asked_for(world))),
    ("server_replies::settings_changed_unasked", |world| Box::pin(settings_changed_unasked(world))),
    ("server_replies::lies_about_the_catalogs", |world| Box::pin(lies_about_the_catalogs(world))),
    ("server_replies::lengths_that_cannot_be", |world| Box::pin(lengths_that_cannot_be(world))),
    ("server_replies::rows_without_an_end_are_recorded", |world| Box::pin(rows_without_an_end_are_recorded(world))),
    ("server_replies::errors_of_odd_form", |world| Box::pin(errors_of_odd_form(world))),
];

const ROW: &[u8] = b"D\0\0\0\x0d\0\x01\0\0\0\x03abc";
const COLUMNS: &[u8] = b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
const DONE: &[u8] = b"C\0\0\0\x0dSELECT 1\0";
const READY: &[u8] = b"Z\0\0\0\x05I";

/// What a client that asks `messages` is told, by a server that answers `answer`.
async fn answered(world: &World, answer: &[u8], messages: &[bytes::Bytes]) -> (Evil, Vec<Said>) {
    let evil = Evil::start(world, Script { closes: false, ..Script::answering(&[answer]) }).await;
    let mut raw = evil.bench.session().await;
    raw.send(messages).await;
    let said = to_the_end(&mut raw).await;
    (evil, said)
}

/// The session must end with this answer; whatever is marked in it must not have come.
async fn breach(world: &World, answer: &[u8], messages: &[bytes::Bytes]) -> Evil {
    let (evil, said) = answered(world, answer, messages).await;
    assert!(is_closed(&said), "{said:?}");
    let error = said.iter().rev().find(|said| said.tag == b'E').unwrap_or_else(|| panic!("{answer:?}: {said:?}"));
    assert!(error.holds("08P01"), "{answer:?}: {said:?}");
    assert!(said.iter().all(|said| !said.holds("smuggled")), "{answer:?}: {said:?}");
    assert_eq!(closed(&evil.bench).await, Some(EndedBy::UpstreamDisconnect), "{answer:?}");
    let close = evil.bench.records(Event::SessionClose).pop().unwrap();
    assert!(close.detail.is_some(), "the record says why: {close:?}");
    let ends = evil.bench.records(Event::StatementEnd);
    assert_eq!(ends.len(), evil.bench.records(Event::Statement).len(), "each statement has its end: {ends:?}");
    evil
}

fn select() -> Vec<bytes::Bytes> {
    vec![query("SELECT id FROM notes")]
}

fn extended() -> Vec<bytes::Bytes> {
    vec![parse("", "SELECT id FROM notes"), bind("", "", &[]), execute("", 0), sync()]
}

/// After a schema change in a transaction pgward asks what the catalogs are now: whoever answers something else is not believed.
async fn lies_about_the_catalogs(world: World) {
    let begun: &[u8] = b"C\0\0\0\x0aBEGIN\0Z\0\0\0\x05T";
    let made: &[u8] = b"C\0\0\0\x11CREATE TABLE\0Z\0\0\0\x05T";
    let steps: &[u8] = b"1\0\0\0\x042\0\0\0\x04";
    let in_block: &[u8] = b"Z\0\0\0\x05T";
    let error = message(b'E', b"SERROR\0VERROR\0C42501\0Mno\0\0");
    for lie in [
        // Nothing at all, a row without columns, a row of other columns, one cut short, the client's data asked for.
        [in_block, in_block].concat(),
        [steps, ROW].concat(),
        [steps, COLUMNS, ROW].concat(),
        [steps, COLUMNS, b"D\0\0\0\x0a\0\x01\0\0\0\x09"].concat(),
        [steps, b"G\0\0\0\x07\0\0\0"].concat(),
        [steps, b"I\0\0\0\x04"].concat(),
        // An error after which the transaction goes on, and one after which answers go on.
        [&error[..], in_block, b"3\0\0\0\x04", in_block].concat(),
        [&error[..], steps].concat(),
        // The transaction is over.
        [READY, READY].concat(),
    ] {
        let script = Script::answering(&[begun, made, &lie]);
        let evil = Evil::start(&world, Script { closes: false, ..script }).await;
        evil.bench.grant("makes", &["public.*"], &[Operation::Select, Operation::Insert, Operation::Ddl], None).await;
        let mut raw = evil.bench.session().await;
        for text in ["BEGIN", "CREATE TABLE public.made (id int)", "INSERT INTO public.made VALUES (1)"] {
            raw.send(&[query(text)]).await;
        }
        let said = to_the_end(&mut raw).await;
        assert!(is_closed(&said), "{lie:?}: {said:?}");
        assert!(said.iter().any(|said| said.tag == b'E' && said.holds("08P01")), "{lie:?}: {said:?}");
        // What was asked is not told to the client, and what waited has not gone.
        assert!(said.iter().all(|said| !said.holds("abc")), "{lie:?}: {said:?}");
        assert!(!evil.heard(b"INSERT INTO"), "{lie:?}");
        assert_eq!(closed(&evil.bench).await, Some(EndedBy::UpstreamDisconnect), "{lie:?}");
    }
}

async fn answers_to_nothing(world: World) {
    let whole = [COLUMNS, ROW, DONE, READY].concat();
    let error = message(b'E', b"SERROR\0VERROR\0C22012\0Msmuggled\0\0");
    for behind in [
        READY,
        DONE,
        ROW,
        COLUMNS,
        &error,
        b"1\0\0\0\x04",
        b"2\0\0\0\x04",
        b"3\0\0\0\x04",
        b"n\0\0\0\x04",
        b"s\0\0\0\x04",
        b"I\0\0\0\x04",
        b"c\0\0\0\x04",
        b"d\0\0\0\x0csmuggled",
        b"G\0\0\0\x07\0\0\0",
        b"H\0\0\0\x07\0\0\0",
        b"W\0\0\0\x07\0\0\0",
        b"V\0\0\0\x08\xff\xff\xff\xff",
        b"t\0\0\0\x06\0\0",
        b"R\0\0\0\x08\0\0\0\x03",
        b"R\0\0\0\x08\0\0\0\0",
        b"K\0\0\0\x0c\0\0\0\x01smug",
        b"v\0\0\0\x0c\0\0\0\0\0\0\0\0",
        b"~\0\0\0\x04",
    ] {
        breach(&world, &[&whole[..], behind, b"D\0\0\0\x0csmuggled"].concat(), &select()).await;
    }
}

async fn answers_of_the_wrong_kind(world: World) {
    for answer in [
        &b"1\0\0\0\x04"[..],
        b"2\0\0\0\x04",
        b"n\0\0\0\x04",
        b"s\0\0\0\x04",
        b"H\0\0\0\x07\0\0\0",
        b"d\0\0\0\x0csmuggled",
        b"W\0\0\0\x07\0\0\0",
        b"R\0\0\0\x08\0\0\0\x03",
        b"V\0\0\0\x0csmuggled",
    ] {
        breach(&world, answer, &select()).await;
    }
    // Two results of one statement: two readers would have read the text in two ways.
    let twice = [COLUMNS, ROW, DONE, COLUMNS, DONE, b"D\0\0\0\x0csmuggled"].concat();
    breach(&world, &twice, &select()).await;
}

/// Rows that come before their statement is run would be taken for another's.
async fn answers_shifted_to_another_step(world: World) {
    let begun: &[u8] = b"1\0\0\0\x04";
    for answer in [
        ROW.to_vec(),
        DONE.to_vec(),
        READY.to_vec(),
        b"2\0\0\0\x04".to_vec(),
        [begun, ROW].concat(),
        [begun, DONE].concat(),
        [begun, READY].concat(),
        [begun, begun].concat(),
        [begun, b"2\0\0\0\x04", COLUMNS].concat(),
        [begun, b"2\0\0\0\x04", READY].concat(),
        [begun, b"2\0\0\0\x04", ROW, DONE, DONE].concat(),
        [begun, b"2\0\0\0\x04", b"I\0\0\0\x04"].concat(),
    ] {
        breach(&world, &[&answer[..], b"D\0\0\0\x0csmuggled"].concat(), &extended()).await;
    }
    // A Parse that is recorded by itself is no statement that gives rows.
    let alone = [parse("s", "SELECT id FROM notes"), sync()];
    for answer in [ROW, b"H\0\0\0\x07\0\0\0", b"G\0\0\0\x07\0\0\0", b"d\0\0\0\x0csmuggled", DONE] {
        breach(&world, answer, &alone).await;
    }
}

/// As with `LOAD DATA LOCAL` elsewhere: a server must not get data of the client's by saying that it waits for them. psql and
/// others would send their own input.
async fn the_clients_data_is_asked_for(world: World) {
    for (messages, behind) in [(select(), &b""[..]), (extended(), b"1\0\0\0\x042\0\0\0\x04")] {
        let asks = [behind, b"G\0\0\0\x07\0\0\0"].concat();
        let evil = Evil::start(&world, Script::answering(&[&asks])).await;
        let mut raw = evil.bench.session().await;
        raw.send(&[&messages[..], &[copy_data(b"a private file")]].concat()).await;
        let said = to_the_end(&mut raw).await;
        assert!(!said.iter().any(|said| said.tag == b'G'), "the client is not asked: {said:?}");
        assert_eq!(sqlstate(&said), "08P01");
        assert_eq!(closed(&evil.bench).await, Some(EndedBy::UpstreamDisconnect));
    }
    let out = vec![query("COPY notes TO STDOUT")];
    let evil = breach(&world, b"G\0\0\0\x07\0\0\0", &out).await;
    assert!(!evil.heard(b"private"));
}

async fn settings_changed_unasked(world: World) {
    for (name, value) in [
        ("client_encoding", "SJIS"),
        ("client_encoding", "utf8\0"),
        ("standard_conforming_strings", "off"),
        ("session_authorization", "postgres"),
        ("is_superuser", "on"),
        ("server_encoding", "LATIN1"),
    ] {
        let told = message(b'S', &[name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        breach(&world, &told, &select()).await;
        breach(&world, &[&[COLUMNS, ROW, DONE, READY].concat()[..], &told].concat(), &select()).await;
    }
}

async fn lengths_that_cannot_be(world: World) {
    for answer in [
        &b"D\0\0\0\0"[..],
        b"D\0\0\0\x03",
        b"D\xff\xff\xff\xff",
        b"Z\0\0\0\x04",
        b"Z\0\0\0\x06II",
        b"Z\0\0\0\x05X",
        b"C\0\0\0\x05x",
        b"C\x7f\xff\xff\xff",
        b"E\x7f\xff\xff\xff",
        b"E\0\0\0\x06Sx",
        b"S\x7f\xff\xff\xff",
        b"S\0\0\0\x06ab",
        b"\0\0\0\0\0",
    ] {
        breach(&world, answer, &select()).await;
    }
}

/// Whoever takes rows must not be able to have them go unrecorded: also those of a statement that never ends are counted.
async fn rows_without_an_end_are_recorded(world: World) {
    for closes in [false, true] {
        let rows = [COLUMNS, ROW, ROW, ROW].concat();
        let rest: &[u8] = if closes { b"" } else { READY };
        let script = Script { closes, ..Script::answering(&[&[&rows[..], rest].concat()]) };
        let evil = Evil::start(&world, script).await;
        let mut raw = evil.bench.session().await;
        let said = shape(&raw.query("SELECT id FROM notes").await);
        assert_eq!(said, if closes { "T D D D E(08006) closed" } else { "T D D D Z(I)" });
        drop(raw);
        closed(&evil.bench).await;
        let end = evil.bench.records(Event::StatementEnd).pop().unwrap();
        assert_eq!(end.rows, Some(3), "{end:?}");
        assert_ne!(end.ended_by, Some(EndedBy::Completed));
    }
}

async fn errors_of_odd_form(world: World) {
    // Without severity, SQLSTATE or text, with a field of a megabyte: errors all the same.
    let long = [b"SERROR\0C22012\0M".as_slice(), &[b'x'; 1 << 20], b"\0\0"].concat();
    for body in [&b"\0"[..], b"Mx\0\0", b"C22012\0\0", b"M\xff\xfe\0\0", &long] {
        let answer = [&message(b'E', body)[..], READY].concat();
        let evil = Evil::start(&world, Script::answering(&[&answer, &[COLUMNS, ROW, DONE, READY].concat()])).await;
        let mut raw = evil.bench.session().await;
        let said = raw.query("SELECT id FROM notes").await;
        assert_eq!(said.iter().map(|said| said.tag).collect::<Vec<_>>(), b"EZ", "{:?}", &body[..body.len().min(40)]);
        assert_eq!(shape(&raw.query("SELECT id FROM notes").await), "T D C(SELECT 1) Z(I)", "the session goes on");
        let ends = evil.bench.records(Event::StatementEnd);
        assert!(ends.iter().any(|end| end.ended_by == Some(EndedBy::Error)), "{ends:?}");
    }
}
