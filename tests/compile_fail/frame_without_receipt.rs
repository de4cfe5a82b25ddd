//! A message with SQL becomes one for the upstream only through `SqlFrame::admit`, which takes receipts.
use pgward::session::pass::{SqlFrame, ToUpstream};

fn forward(frame: SqlFrame) -> ToUpstream {
    frame.admit().unwrap_or_else(|_| ToUpstream::sync())
}

fn main() {
    let _ = forward;
}
