//! What was written gives its receipts only once it is as durable as is asked for.
use pgward::audit::{Receipt, Unsettled};

fn take(unsettled: Unsettled) -> Vec<Receipt> {
    unsettled.receipts
}

fn main() {
    let _ = take;
}
