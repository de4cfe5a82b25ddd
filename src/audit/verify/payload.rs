//! A record's payload: that it opens to one text alone, bears its number, and fits what the session had before.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::Path;

use super::super::Event;
use super::super::frame::Entry;
use super::super::keys::{KeyDirectory, KeyReader};
use super::super::purge::named_buckets;
use super::super::seal::KeyId;
use super::super::sessions::{Brief, OpenSessions};
use super::Problem;

/// What became of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Read,
    /// Its key was destroyed.
    Erased,
    /// There are no keys here at all: a copy that was made without them.
    Sealed,
}

/// Opens payloads, with the keys of one directory.
#[derive(Debug)]
pub(super) struct Opener {
    keys: KeyReader,
    has_keys: bool,
    must_have_keys: bool,
}

impl Opener {
    pub(super) fn of(dir: &Path, must_have_keys: bool) -> Self {
        Self { keys: KeyReader::of(dir), has_keys: KeyDirectory::of(dir).exists(), must_have_keys }
    }

    /// Opens `sealed` in place.
    pub(super) fn open<'a>(&mut self, entry: &Entry, sealed: &'a mut [u8]) -> Result<(Seen, &'a [u8]), Problem> {
        if !self.has_keys && self.must_have_keys {
            return Err(Problem::of(entry.seq, "its keys are gone"));
        }
        if !self.has_keys {
            return Ok((Seen::Sealed, &[]));
        }
        let key = self.keys.record_key(entry.bucket, entry.seq);
        let key = key.map_err(|error| Problem::of(entry.seq, format!("the key of its bucket: {error}")))?;
        let Some(key) = key else {
            return self
                .is_erased(entry)
                .then_some((Seen::Erased, [].as_slice()))
                .ok_or_else(|| Problem::of(entry.seq, format!("the key of its bucket, {}, is missing", entry.bucket)));
        };
        if key.id() != entry.key_id {
            return Err(Problem::of(entry.seq, format!("the key of its bucket, {}, was changed", entry.bucket)));
        }
        match key.open(entry.seq, entry.bucket, sealed) {
            Some(canonical) => Ok((Seen::Read, canonical)),
            None => Err(Problem::of(entry.seq, "its payload is not what was sealed")),
        }
    }

    /// The id of the record's key, as far as there is one.
    pub(super) fn key_id(&mut self, seq: u64, bucket: u32) -> Result<KeyId, Problem> {
        let key = self.keys.record_key(bucket, seq);
        let key = key.map_err(|error| Problem::of(seq, format!("the key of its bucket: {error}")))?;
        Ok(key.map(|key| key.id()).unwrap_or_default())
    }

    /// Whether the record's text is gone for good, and may be.
    pub(super) fn is_erased(&mut self, entry: &Entry) -> bool {
        match self.keys.record_key(entry.bucket, entry.seq) {
            Ok(None) => self.keys.is_destroyed(entry.bucket),
            Ok(Some(_)) | Err(_) => false,
        }
    }
}

/// What payloads must say, one after the other.
#[derive(Debug, Default)]
pub(super) struct Contents {
    sessions: OpenSessions,
    journal_id: Option<String>,
    /// Buckets that a record says were erased.
    purged: Vec<RangeInclusive<u32>>,
}

impl Contents {
    /// The journal that the segments say they belong to.
    pub(super) fn journal(&mut self, seq: u64, id: &str) -> Result<(), Problem> {
        match &self.journal_id {
            Some(known) if known != id => Err(Problem::of(seq, "its segment is of another journal")),
            Some(_) => Ok(()),
            None => {
                self.journal_id = Some(id.to_owned());
                Ok(())
            }
        }
    }

    /// Whether a record says that the bucket was erased.
    pub(super) fn says_purged(&self, bucket: u32) -> bool {
        self.purged.iter().any(|range| range.contains(&bucket))
    }

    /// A record whose text could not be read stood here.
    pub(super) fn pass_over(&mut self) {
        self.sessions.pass_over();
    }

    pub(super) fn take(&mut self, seq: u64, canonical: &[u8]) -> Result<(), Problem> {
        let brief = Brief::read(canonical).map_err(|error| Problem::of(seq, format!("it cannot be read: {error}")))?;
        if brief.seq != seq {
            return Err(Problem::of(seq, format!("it says that it is record {}", brief.seq)));
        }
        if brief.event == Event::JournalOpened {
            let names = |id: &String| brief.detail.as_ref().is_some_and(|it: &Cow<'_, str>| it.contains(id.as_str()));
            if !self.journal_id.as_ref().is_some_and(names) {
                return Err(Problem::of(seq, "it opens another journal than its segment says"));
            }
        }
        if let (Event::RecordsPurged, Some(detail)) = (brief.event, &brief.detail) {
            // The newest names all that the ones before it did.
            self.purged = named_buckets(detail).collect();
        }
        self.sessions.take(&brief).map_err(|what| Problem::of(seq, what))
    }
}
