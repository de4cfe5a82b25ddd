//! Disk space set aside, so that refusals and endings can still be recorded when the disk is full.
//! It is a file of fixed length; giving it up frees its blocks for the journal.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::medium::Appendable;

/// Holds some thousand records of refusals and endings.
pub(super) const RESERVE_BYTES: u64 = 1024 * 1024;

/// Written beyond the reserve, and cut again, to learn whether there is space.
const PROBE_BYTES: usize = 64 * 1024;

/// The reserve, held or given up.
#[derive(Debug)]
pub(super) struct Reserve {
    file: Arc<dyn Appendable>,
    held: bool,
    /// A full disk is asked again after this long, not at each statement.
    pause: Duration,
    asked: Option<Instant>,
}

impl Reserve {
    /// Takes the reserve if the disk has the space.
    pub(super) fn take(file: Arc<dyn Appendable>, pause: Duration) -> Self {
        let mut reserve = Self { file, held: false, pause, asked: None };
        // Without it the journal still opens: endings can be recorded, and nothing is admitted.
        let _ = reserve.fill();
        reserve
    }

    /// Frees the space. True if there was some to free.
    pub(super) fn release(&mut self) -> bool {
        if !self.held {
            return false;
        }
        self.held = false;
        self.file.cut(0).is_ok()
    }

    /// Has the reserve held again, or says why it cannot be.
    pub(super) fn ensure(&mut self) -> io::Result<()> {
        if self.held {
            return Ok(());
        }
        if self.asked.is_some_and(|asked| asked.elapsed() < self.pause) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full"));
        }
        self.fill().inspect_err(|_| self.asked = Some(Instant::now()))
    }

    /// Whether the disk has some space beyond the reserve.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        self.ensure()?;
        let filled = extend(&*self.file, PROBE_BYTES);
        let cut = self.file.cut(RESERVE_BYTES);
        filled.and(cut)
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.file.length()? != RESERVE_BYTES {
            self.file.cut(0)?;
            let filled = (0..RESERVE_BYTES / BLOCK as u64).try_for_each(|_| extend(&*self.file, BLOCK));
            if let Err(error) = filled {
                // What was had of it goes back: the rest of the system needs it more than half a reserve helps.
                let _ = self.file.cut(0);
                return Err(error);
            }
        }
        self.held = true;
        Ok(())
    }
}

/// What the reserve is filled with.
pub(super) const FILLING: u8 = b'.';

const BLOCK: usize = 64 * 1024;

fn extend(file: &dyn Appendable, length: usize) -> io::Result<()> {
    let written = file.append(&vec![FILLING; length])?;
    if written == length { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
}
