//! What must not compile: writing SQL to an upstream without a receipt, and making a receipt or a permit by hand.

#[test]
fn sql_needs_a_receipt_and_nobody_makes_one() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
