//! A permit lets nothing through: the statement has to be recorded first.
use pgward::policy::Permit;
use pgward::session::pass::{SqlFrame, ToUpstream};

fn forward(frame: SqlFrame, permits: &[Permit]) -> Option<ToUpstream> {
    frame.admit(permits).ok()
}

fn main() {
    let _ = forward;
}
