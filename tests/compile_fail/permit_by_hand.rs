//! Only policy makes a permit.
use std::sync::Arc;

use pgward::access::Grant;
use pgward::policy::Permit;

fn make(grant: Arc<Grant>) -> Permit {
    Permit::new(grant)
}

fn main() {
    let _ = make;
}
