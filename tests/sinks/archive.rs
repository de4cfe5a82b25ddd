//! The archive: closed segments as they are, and nothing that is there is changed.

use std::path::Path;

use pgward::sinks::{Archive, ArchivePlace, Kind};

use crate::rig::{Rig, eventually, sink, statement};

fn archive(to: &Path) -> Kind {
    Kind::Archive(Archive { place: ArchivePlace::Directory(to.to_owned()), prefix: "p".into() })
}

pub fn segments(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("journal-"));
    names.sort();
    names
}

/// A journal with two closed segments and an open one.
pub async fn filled() -> Rig {
    let rig = Rig::new();
    let long = "x".repeat(8 << 20);
    for _ in 0..100 {
        if segments(&rig.dir.path().join("audit")).len() == 3 {
            break;
        }
        rig.record(statement(&long)).await;
    }
    assert_eq!(segments(&rig.dir.path().join("audit")).len(), 3);
    rig
}

#[tokio::test]
async fn closed_segments_are_archived_once_and_as_they_are() {
    let rig = filled().await;
    let (journal, to) = (rig.dir.path().join("audit"), rig.dir.path().join("archive"));
    let there = to.join("p").join(rig.journal.id());
    let closed = segments(&journal)[..2].to_vec();
    let sinks = rig.start(vec![sink(archive(&to))]).await;
    eventually("both are there", || segments(&there) == closed).await;
    for name in &closed {
        assert!(std::fs::read(journal.join(name)).unwrap() == std::fs::read(there.join(name)).unwrap(), "{name}");
    }
    eventually("it is up to date", || rig.metric("pgward_audit_sink_lag_records") == 0.0).await;
    let last: u64 = segments(&journal)[2].trim_start_matches("journal-").trim_end_matches(".log").parse().unwrap();
    assert_eq!(rig.position().unwrap()["seq"], last - 1);
    sinks.stop().await;
    // A position that was lost finds everything there already.
    std::fs::remove_file(journal.join("sinks/s.json")).unwrap();
    let sinks = rig.start(vec![sink(archive(&to))]).await;
    eventually("the position is back", || rig.position().is_some_and(|position| position["seq"] == last - 1)).await;
    sinks.stop().await;
}

#[tokio::test]
async fn what_lies_in_the_archive_under_a_segments_name_is_not_changed() {
    let rig = filled().await;
    let (journal, to) = (rig.dir.path().join("audit"), rig.dir.path().join("archive"));
    let there = to.join("p").join(rig.journal.id());
    std::fs::create_dir_all(&there).unwrap();
    let first = segments(&journal)[0].clone();
    std::fs::write(there.join(&first), "somebody else's").unwrap();
    let sinks = rig.start(vec![sink(archive(&to))]).await;
    eventually("it fails", || rig.metric("pgward_audit_sink_failures_total") >= 1.0).await;
    assert_eq!(std::fs::read_to_string(there.join(&first)).unwrap(), "somebody else's");
    assert!(rig.position().is_none(), "{:?}", rig.position());
    sinks.stop().await;
}

#[tokio::test]
async fn the_log_goes_along_and_proves_what_its_checkpoint_says() {
    let rig = Rig::new();
    let to = rig.dir.path().join("archive");
    let there = to.join("p").join(rig.journal.id());
    rig.statements(600).await;
    let sinks = rig.start(vec![sink(archive(&to))]).await;
    let checkpoint = || std::fs::read_to_string(there.join("checkpoint")).unwrap_or_default();
    let size = || checkpoint().lines().nth(1).and_then(|line| line.parse::<u64>().ok()).unwrap_or_default();
    eventually("the log is there", || size() >= 512).await;
    rig.statements(600).await;
    eventually("it goes on", || size() >= 1024).await;
    sinks.stop().await;
    let (size, checkpoint) = (size(), checkpoint());
    assert_eq!(rig.position().unwrap()["leaves"], size);
    let archived = pgward::tlog::TileReader::new(&there, size);
    let said = checkpoint.lines().nth(2).unwrap();
    let root = archived.root().unwrap();
    assert_eq!(pgward::tlog::Checkpoint { origin: "x".into(), size, root }.to_body().lines().nth(2).unwrap(), said);
    assert!(archived.inclusion(700).is_ok());
    assert!(there.join("log.vkey").exists() && !there.join("keys").exists());
}
