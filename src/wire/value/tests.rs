//! Values as a server prints them; the integration tests compare with a real one.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn check(oid: u32, bytes: &[u8], expected: &str) {
    assert_eq!(text(oid, bytes, &|_| Shape::Unknown).as_deref(), Some(expected), "{oid} {bytes:?}");
}

#[test]
fn scalars() {
    check(16, &[1], "t");
    check(23, &(-5_i32).to_be_bytes(), "-5");
    check(17, &[0, 0xff], "\\x00ff");
    check(701, &1.5_f64.to_be_bytes(), "1.5");
    check(701, &f64::NEG_INFINITY.to_be_bytes(), "-Infinity");
    check(1082, &0_i32.to_be_bytes(), "2000-01-01");
    check(1082, &(-730_119_i32).to_be_bytes(), "0001-01-01");
    check(1082, &(-730_120_i32).to_be_bytes(), "0001-12-31 BC");
    check(1114, &1_500_000_i64.to_be_bytes(), "2000-01-01 00:00:01.5");
    check(1184, &(-1_i64).to_be_bytes(), "1999-12-31 23:59:59.999999+00");
    check(1184, &i64::MAX.to_be_bytes(), "infinity");
    check(1700, &[0, 2, 0, 0, 0x40, 0, 0, 2, 0, 12, 0x0d, 0x48], "-12.34");
    check(1700, &[0, 1, 0xff, 0xff, 0, 0, 0, 4, 0, 5], "0.0005");
    check(1700, &[0, 1, 0, 2, 0, 0, 0, 0, 0, 3], "300000000");
    check(1700, &[0, 0, 0, 0, 0, 0, 0, 0], "0");
    check(869, &[2, 24, 0, 4, 10, 0, 0, 1], "10.0.0.1/24");
    check(869, &[2, 32, 0, 4, 10, 0, 0, 1], "10.0.0.1");
    check(3802, b"\x01{\"a\": 1}", "{\"a\": 1}");
    check(1560, &[0, 0, 0, 3, 0b1010_0000], "101");
}

#[test]
fn wrong_lengths_are_not_read() {
    for (oid, bytes) in
        [(23, &[0; 3][..]), (1700, &[0; 7]), (1007, &[0; 5]), (3904, &[]), (25, &[0xff]), (600, &[0; 16])]
    {
        assert_eq!(text(oid, bytes, &|_| Shape::Unknown), None, "{oid}");
    }
}

#[test]
fn arrays_and_ranges() {
    let mut array = [1_i32, 1, 25, 3, 1].map(i32::to_be_bytes).concat();
    for element in [Some("a b"), None, Some("c")] {
        let length = element.map_or(-1, |text| i32::try_from(text.len()).unwrap());
        array.extend(length.to_be_bytes());
        array.extend(element.unwrap_or_default().as_bytes());
    }
    check(1009, &array, "{\"a b\",NULL,c}");
    let range = [&[2_u8][..], &4_i32.to_be_bytes(), &1_i32.to_be_bytes(), &4_i32.to_be_bytes(), &5_i32.to_be_bytes()];
    check(3904, &range.concat(), "[1,5)");
    check(3904, &[1], "empty");
    let of_enum = text(99_999, b"happy", &|_| Shape::Text);
    assert_eq!(of_enum.as_deref(), Some("happy"));
    assert_eq!(text(99_999, &7_i32.to_be_bytes(), &|_| Shape::Domain(23)).as_deref(), Some("7"));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(oid in 0_u32..5_000, bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = text(oid, &bytes, &|_| Shape::Array);
    }
}

#[test]
fn floats_have_exponents_where_the_server_gives_them() {
    for (number, expected) in [
        (1e14, "100000000000000"),
        (1e15, "1e+15"),
        (-1.5e300, "-1.5e+300"),
        (0.0001, "0.0001"),
        (0.000_012, "1.2e-05"),
        (5e-324, "5e-324"),
        (0.0, "0"),
        (-0.0, "-0"),
    ] {
        check(701, &f64::to_be_bytes(number), expected);
    }
    for (number, expected) in [(123_456.0, "123456"), (1e6, "1e+06"), (1_234_567.0, "1.234567e+06"), (1e-5, "1e-05")] {
        check(700, &f32::to_be_bytes(number), expected);
    }
}

/// A few bytes that say they are hundreds of thousands of digits, alone and as every element of an array.
#[test]
fn values_that_would_be_far_longer_than_they_came_are_not_printed() {
    let endless = [[0, 1], [0x7f, 0xff], [0, 0], [0xff, 0xff], [0, 1]].concat();
    assert_eq!(text(1700, &endless, &|_| Shape::Unknown), None);
    let long = [[0, 1], [0, 25], [0, 0], [0, 0], [0, 1]].concat();
    assert_eq!(text(1700, &long, &|_| Shape::Unknown).map(|text| text.len()), Some(101));
    let array = |element: &[u8], count: i32| {
        let mut bytes = [1_i32, 0, 1700, count, 1].map(i32::to_be_bytes).concat();
        for _ in 0..count {
            bytes.extend(i32::try_from(element.len()).unwrap().to_be_bytes());
            bytes.extend(element);
        }
        text(1231, &bytes, &|_| Shape::Unknown)
    };
    assert_eq!(array(&long, 2).map(|text| text.len()), Some(205));
    let longer = [[0, 1], [0, 60], [0, 0], [0, 0], [0, 1]].concat();
    assert_eq!(array(&longer, 1).map(|text| text.len()), Some(243));
    assert_eq!(array(&longer, 100_000), None);
    assert_eq!(array(&endless, 3), None);
}
