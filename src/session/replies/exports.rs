//! Rows that leave their region: each is counted before it goes on, and none goes uncounted.

use super::{Happened, Pass, Replies, Running};
use crate::audit::EndedBy;
use crate::session::exports::Counted;
use crate::wire::Header;

/// Counts one row of a statement; what becomes of it where it may not go on now.
pub(super) fn count(running: &mut Running, header: Header, happened: &mut Happened) -> Option<Pass> {
    match running.meter.as_mut()?.count(header.total() as u64) {
        Counted::Passes => None,
        Counted::Waits => Some(Pass::Wait),
        Counted::Over(message) => {
            running.ending = Some(Box::new((EndedBy::Export, message)));
            running.cut = true;
            happened.cancel = true;
            Some(Pass::Drop)
        }
    }
}

impl Replies {
    /// Reserves what the row that waits needs; where it gets that not, the row's next try ends its statement.
    pub async fn top_up(&mut self) {
        if let Some(meter) = self.current().and_then(|running| running.meter.as_mut()) {
            meter.top_up().await;
        }
    }
}
