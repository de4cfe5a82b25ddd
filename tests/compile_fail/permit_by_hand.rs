//! Only policy makes a permit.
use pgward::access::GrantId;
use pgward::policy::Permit;

fn main() {
    let _ = Permit::new(GrantId::generate(), None);
}
