//! Entries as they lie in bundles: two bytes of length, big endian, and the entry, up to 256 times.

use std::ops::Range;
use std::sync::Arc;

use super::path::WIDTH;
use super::reader::{TileError, TileReader};

/// Up to 256 entries, read.
#[derive(Clone, Debug)]
pub struct Bundle {
    bytes: Arc<[u8]>,
    places: Vec<Range<usize>>,
}

impl Bundle {
    /// The first `width` entries of `bytes`. None where it has not as many.
    pub(super) fn parse(bytes: Arc<[u8]>, width: usize) -> Option<Self> {
        let mut places = Vec::with_capacity(width);
        let mut at = 0;
        for _ in 0..width {
            let (length, _) = bytes.get(at..)?.split_first_chunk::<2>()?;
            let start = at + 2;
            at = start + usize::from(u16::from_be_bytes(*length));
            bytes.get(start..at)?;
            places.push(start..at);
        }
        Some(Self { bytes, places })
    }

    /// The file's bytes, as far as these entries go.
    pub(super) fn bytes(&self) -> &[u8] {
        self.places.last().and_then(|last| self.bytes.get(..last.end)).unwrap_or_default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    #[must_use]
    pub fn get(&self, place: usize) -> Option<&[u8]> {
        self.bytes.get(self.places.get(place)?.clone())
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().filter_map(|place| self.bytes.get(place.clone()))
    }
}

/// The entries of a tree in order, see [`TileReader::entries`].
#[derive(Debug)]
pub struct Entries<'a> {
    reader: &'a TileReader,
    next: u64,
    bundle: Option<(u64, Bundle)>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(reader: &'a TileReader, from: u64) -> Self {
        Self { reader, next: from, bundle: None }
    }

    fn read(&mut self) -> Result<Vec<u8>, TileError> {
        let index = self.next / WIDTH;
        if self.bundle.as_ref().is_none_or(|(of, _)| *of != index) {
            self.bundle = Some((index, self.reader.bundle(index)?));
        }
        let place = usize::try_from(self.next % WIDTH).unwrap_or(usize::MAX);
        let entry = self.bundle.as_ref().and_then(|(_, bundle)| bundle.get(place));
        entry.map(<[u8]>::to_vec).ok_or(TileError::OutOfRange { index: self.next, size: self.reader.size() })
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(u64, Vec<u8>), TileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.reader.size() {
            return None;
        }
        let index = self.next;
        let entry = self.read();
        self.next = if entry.is_ok() { index + 1 } else { u64::MAX };
        Some(entry.map(|entry| (index, entry)))
    }
}
