//! `audit tail`: records as they are made, read from the files, so that a slow reader loses none and delays nobody.

use tokio::sync::watch;

use super::{Entry, Places, ReadError, Reader};

/// Records from some `seq` on, for as long as the journal lives.
#[derive(Debug)]
pub struct Subscription {
    places: Places,
    next_seq: u64,
    head: watch::Receiver<u64>,
    /// Gone while a batch is read, and left so if that is given up: then it is opened anew at `next_seq`.
    reader: Option<Reader>,
}

impl Subscription {
    pub(super) fn new(places: Places, from_seq: u64, head: watch::Receiver<u64>) -> Self {
        Self { places, next_seq: from_seq.max(1), head, reader: None }
    }

    /// The next records, at least one and at most `most`; waits for one. An empty answer is the journal's end. Cancel
    /// safe: records that nobody got are read again.
    ///
    /// # Errors
    /// Where the files cannot be read or are damaged.
    pub async fn next(&mut self, most: usize) -> Result<Vec<Entry>, ReadError> {
        loop {
            if self.head.wait_for(|head| *head >= self.next_seq).await.is_err() {
                return Ok(Vec::new());
            }
            // What the writer has not called written may still be cut again.
            let head = *self.head.borrow();
            let mut reader = self.reader.take().unwrap_or_else(|| Reader::new(self.places.clone(), self.next_seq));
            let read = tokio::task::spawn_blocking(move || {
                reader.forget_ahead()?;
                let mut entries = Vec::new();
                while entries.len() < most.clamp(1, MAX_BATCH) && reader.next_seq() <= head {
                    match reader.read()? {
                        Some(entry) => entries.push(entry),
                        None => break,
                    }
                }
                Ok::<_, ReadError>((reader, entries))
            });
            let (reader, entries) = read.await.map_err(std::io::Error::other)??;
            if reader.next_seq() == self.next_seq {
                let what = "it was written, but is not in the files".to_owned();
                return Err(ReadError::Damaged { seq: self.next_seq, what });
            }
            self.next_seq = reader.next_seq();
            self.reader = Some(reader);
            // Records whose text is gone, or kept elsewhere, are passed over.
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
    }
}

/// Records that one call reads at most.
const MAX_BATCH: usize = 1024;
