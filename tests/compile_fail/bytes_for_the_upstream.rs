//! Bytes alone never become a message for the upstream.
use pgward::session::pass::ToUpstream;

fn main() {
    let _ = ToUpstream(b"Q\0\0\0\x0dDROP ...\0"[..].into());
}
