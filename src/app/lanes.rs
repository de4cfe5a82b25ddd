//! The threads of the data path. Each serves its sessions by itself: nothing that one session does wakes another thread, and the
//! control port, the journal's upkeep and the polls run elsewhere.

use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Bytes; address space, as pages are only taken when touched. Large enough for most statements to be read on; deeper ones are
/// lent another.
pub const STACK: usize = 8 * 1024 * 1024;

/// Threads that serve sessions. They end when this is dropped.
#[derive(Debug)]
pub struct Lanes {
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Lanes {
    /// Starts so many; at least one.
    ///
    /// # Errors
    /// Where a thread cannot be started.
    pub fn start(count: usize) -> anyhow::Result<Self> {
        let mut lanes = Self { handles: Vec::new(), threads: Vec::new(), stop: CancellationToken::new() };
        for number in 0..count.max(1) {
            let mut builder = Builder::new_current_thread();
            let runtime = builder.enable_all().thread_stack_size(STACK).build();
            let runtime = runtime.context("a thread for sessions could not be started")?;
            lanes.handles.push(runtime.handle().clone());
            let stop = lanes.stop.clone();
            let thread = std::thread::Builder::new().name(format!("sessions-{number}")).stack_size(STACK);
            let thread = thread.spawn(move || runtime.block_on(stop.cancelled()));
            lanes.threads.push(thread.context("a thread for sessions could not be started")?);
        }
        Ok(lanes)
    }

    #[must_use]
    pub fn handles(&self) -> Vec<Handle> {
        self.handles.clone()
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the data path ended badly");
            }
        }
    }
}

/// One thread fewer than there are processors: the kernel's share of a relay's work is the larger one, and threads that wake
/// each other cost more than they bring.
#[must_use]
pub fn default_count() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    processors.saturating_sub(1).max(1)
}
