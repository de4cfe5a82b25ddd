//! Earlier reports, each a file with its time for a name, for the service alone to read; the oldest go.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::standing::Report;

/// More than a year of days.
const MOST: usize = 400;

/// Keeps a report.
pub(super) async fn keep(dir: &Path, at: Timestamp, report: &Report) -> io::Result<()> {
    let (dir, text) = (dir.to_owned(), serde_json::to_vec(report)?);
    let written = tokio::task::spawn_blocking(move || {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let path = dir.join(format!("{:020}.json", at.as_millisecond()));
        let fresh = path.with_extension("new");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        io::Write::write_all(&mut file, &text)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        let mut all = files(&dir)?;
        all.sort();
        let surplus = all.len().saturating_sub(MOST);
        // The first of all stays: it is what the oldest question is compared with.
        all.into_iter().skip(1).take(surplus).try_for_each(|(_, path)| std::fs::remove_file(path))
    });
    written.await.map_err(io::Error::other)?
}

/// The newest report that is not from after an instant; where all are, the oldest.
pub(super) async fn at(dir: &Path, instant: Timestamp) -> Option<Report> {
    let dir = dir.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let mut all = files(&dir).ok()?;
        all.sort();
        let before = all.iter().rev().find(|(at, _)| *at <= instant.as_millisecond());
        let (_, path) = before.or(all.first())?;
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    });
    read.await.ok().flatten()
}

/// When the newest was kept.
pub(super) async fn newest(dir: &Path) -> Option<Timestamp> {
    let dir = dir.to_owned();
    let newest = tokio::task::spawn_blocking(move || files(&dir).ok()?.into_iter().map(|(at, _)| at).max());
    newest.await.ok().flatten().and_then(|at| Timestamp::from_millisecond(at).ok())
}

fn files(dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let at = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        let is_report = path.extension().is_some_and(|extension| extension == "json");
        all.extend(at.filter(|_| is_report).map(|at| (at, path)));
    }
    Ok(all)
}
