//! The database file itself: made private, opened only if sound, and known to be still the one at its path.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::store::StoreError;

/// The mark in the file's header (`PRAGMA application_id`) that says whose it is: "pgwd".
const APPLICATION_ID: i32 = 0x7067_7764;

mod embedded {
    refinery::embed_migrations!("src/store/sqlite/migrations");
}

/// One open connection, and which file it holds open.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    connection: Connection,
    path: PathBuf,
    identity: (u64, u64),
}

impl DatabaseFile {
    pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<Self, StoreError> {
        let named = |error: StoreError| match error {
            StoreError::Failed(said) => StoreError::Failed(format!("{}: {said}", path.display())),
            other => other,
        };
        let is_new = create_private(path).map_err(named)?;
        let opened = Self::connect(path, busy_timeout, is_new).map_err(named);
        if is_new && opened.is_err() {
            // What was made just now must not stand in the way of the next attempt.
            for leftover in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
                let _ = fs::remove_file(leftover);
            }
        }
        opened
    }

    fn connect(path: &Path, busy_timeout: Duration, is_new: bool) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(busy_timeout)?;
        if is_new {
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        } else {
            check_sound(&connection)?;
        }
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Failed(format!(
                "its file system cannot keep a write-ahead log (journal mode {mode})"
            )));
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        embedded::migrations::runner()
            .run(&mut connection)
            .map_err(|error| StoreError::Failed(format!("its tables cannot be brought up to date: {error}")))?;
        Ok(Self { connection, path: path.to_owned(), identity: identity(path)? })
    }

    /// Begins a transaction on the file, if it still is the one at its path: SQLite would go on writing to one that was
    /// deleted or replaced, and lose it all.
    pub(super) fn begin(&mut self, behavior: TransactionBehavior) -> Result<Transaction<'_>, StoreError> {
        if identity(&self.path)? != self.identity {
            return Err(StoreError::Failed(format!("{} was replaced while in use", self.path.display())));
        }
        Ok(self.connection.transaction_with_behavior(behavior)?)
    }
}

/// Makes the file and its directory, where they are missing. Answers whether the file is new.
fn create_private(path: &Path) -> Result<bool, StoreError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|error| {
            StoreError::Failed(format!("the directory {} cannot be made: {error}", parent.display()))
        })?;
    }
    let log = beside(path, "-wal");
    if log.exists() && !path.exists() {
        return Err(StoreError::Failed(format!("is gone, though its log {} is there", log.display())));
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(StoreError::Failed(format!("cannot be made: {error}"))),
    }
    let metadata = fs::metadata(path).map_err(|error| StoreError::Failed(error.to_string()))?;
    if metadata.len() == 0 {
        return Err(StoreError::Failed("is empty, so what it held is lost; remove it to begin anew".to_owned()));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600))
            .map_err(|error| StoreError::Failed(format!("can be read by others, and chmod 600 fails: {error}")))?;
    }
    Ok(false)
}

/// A file that SQLite keeps beside the database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Reads an existing file through before anything is written to it.
fn check_sound(connection: &Connection) -> Result<(), StoreError> {
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(StoreError::Failed("is a database, but not one of pgward".to_owned()));
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Failed(format!("the database file is damaged ({verdict})")));
    }
    Ok(())
}

/// Device and inode of the file at `path`.
fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    let metadata = fs::metadata(path)
        .map_err(|error| StoreError::Failed(format!("{} is gone while in use: {error}", path.display())))?;
    Ok((metadata.dev(), metadata.ino()))
}
