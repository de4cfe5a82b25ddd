//! Only the journal makes a receipt.
use pgward::audit::Receipt;
use pgward::policy::Permit;

fn make(permit: Permit) -> Receipt {
    Receipt::new(permit, 1)
}

fn main() {
    let _ = make;
}
