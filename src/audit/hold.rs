//! Legal holds: records that meet a hold's filter stay readable beyond their time.
//!
//! Holds lie in `holds.json`, and placing or releasing one is a record itself. A purge keeps the keys of the single records
//! that a hold names, and destroys the rest of their bucket all the same.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;

use super::search::Filter;
use super::{Event, Journal, JournalError, Record};

/// One legal hold.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Hold {
    /// `ho_…`
    pub id: String,
    /// Which records are held: those that there are, and those that are still to come.
    pub filter: Filter,
    pub reason: String,
    /// Who placed it.
    pub by: String,
    pub placed: Timestamp,
}

/// Why a hold could not be placed or released.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    #[error("there is no hold \"{0}\"")]
    Unknown(String),
    #[error("the holds cannot be kept: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The holds that stand, oldest first.
///
/// # Errors
/// Where their file cannot be read: then nothing may be purged.
pub fn holds(dir: &Path) -> io::Result<Vec<Hold>> {
    match std::fs::read(dir.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        text => serde_json::from_slice(&text?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

impl Journal {
    /// Places a hold, and records that it was.
    ///
    /// # Errors
    /// Where it could not be recorded or kept; then it does not stand.
    pub async fn place_hold(&self, filter: Filter, reason: String, by: String) -> Result<Hold, HoldError> {
        let _turn = self.housekeeping().lock().await;
        let id = format!("ho_{}", uuid::Uuid::now_v7().simple());
        let hold = Hold { id, filter, reason, by, placed: Timestamp::now() };
        let before = holds(&self.settings().dir)?;
        let mut all = before.clone();
        all.push(hold.clone());
        // Kept first: a hold that is recorded and not kept would stop every purge, and nobody could release it.
        keep(&self.settings().dir, &all)?;
        if let Err(error) = self.record(speak(Event::HoldPlaced, &hold, &hold.by, &hold.reason)).await {
            keep(&self.settings().dir, &before)?;
            return Err(error.into());
        }
        Ok(hold)
    }

    /// Releases a hold, and records that it was. What only it held is erased by the next purge.
    ///
    /// # Errors
    /// Where there is none of that id, or it could not be recorded; then it stands.
    pub async fn release_hold(&self, id: &str, reason: &str, by: &str) -> Result<Hold, HoldError> {
        let _turn = self.housekeeping().lock().await;
        let mut all = holds(&self.settings().dir)?;
        let place = all.iter().position(|hold| hold.id == id).ok_or_else(|| HoldError::Unknown(id.to_owned()))?;
        let hold = all.remove(place);
        self.record(speak(Event::HoldReleased, &hold, by, reason)).await?;
        keep(&self.settings().dir, &all)?;
        Ok(hold)
    }
}

fn speak(event: Event, hold: &Hold, by: &str, reason: &str) -> Record {
    let mut record = Record::new(Timestamp::now(), event);
    record.principal = Some(by.to_owned());
    record.reason = Some(reason.to_owned());
    let filter = serde_json::to_string(&hold.filter).unwrap_or_default();
    record.detail = Some(format!("hold {}: {filter}", hold.id));
    record
}

fn keep(dir: &Path, holds: &[Hold]) -> io::Result<()> {
    let fresh = dir.join("holds.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&serde_json::to_vec_pretty(holds)?)?;
    file.sync_all()?;
    std::fs::rename(&fresh, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

const FILE: &str = "holds.json";
