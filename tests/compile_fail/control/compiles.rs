//! This compiles: what the others need is there, and it is what they do that is refused.
use pgward::audit::{Receipt, Unsettled};
use pgward::policy::Permit;
use pgward::session::pass::{SqlFrame, ToUpstream};

fn forward(frame: SqlFrame, receipts: &[Receipt]) -> Option<ToUpstream> {
    frame.admit(receipts).ok()
}

fn main() {
    let _ = (forward, std::mem::size_of::<(Permit, Unsettled)>(), bytes::Bytes::new());
}
