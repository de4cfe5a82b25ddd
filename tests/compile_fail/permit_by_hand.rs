//! Only policy makes a permit.
use pgward::access::{GrantId, Guards};
use pgward::policy::Permit;

fn main() {
    let _ = Permit::new(GrantId::generate(), Guards::default());
}
