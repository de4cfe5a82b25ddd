//! Hostile sizes and shapes: refused, quickly, and on the two mebibytes of stack that a test's thread has.

use super::*;

fn refused(text: &str) {
    assert!(try_read(text).is_err(), "{}… was read", &text[..40]);
}

#[test]
fn long_chains_are_refused() {
    refused(&format!("SELECT 1 WHERE {}a", "a OR ".repeat(40_000)));
    refused(&format!("SELECT 1 WHERE {}a", "a OR ".repeat(100_000)));
    refused(&format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(10_000)));
    refused(&format!("SELECT 1, 2 {}", "UNION ALL SELECT 1, 2 ".repeat(10_000)));
    refused(&format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(100_000)));
    refused(&format!("SELECT a{}", "::int".repeat(40_000)));
    refused(&format!("SELECT a{}", " || a".repeat(40_000)));
    refused(&format!("SELECT {}1", "- ".repeat(40_000)));
    refused(&format!("SELECT {}a", "NOT ".repeat(40_000)));
    refused(&format!("SELECT {}a", "NOT ".repeat(4_000)));
    refused(&format!("SELECT a{}", "[1]".repeat(40_000)));
    refused(&format!("SELECT (a){}", ".b".repeat(40_000)));
    refused(&format!("SELECT {}", "CASE WHEN ".repeat(20_000)));
    refused(&format!("SELECT * FROM a {}", "JOIN b ON x ".repeat(10_000)));
    refused(&format!("SELECT * FROM a {}{}", "JOIN b ".repeat(3_000), "ON x ".repeat(3_000)));
    refused(&format!("SELECT 1{}", " COLLATE a".repeat(20_000)));
}

#[test]
fn deep_nesting_is_refused() {
    for opening in ["(", "POSITION(", "f(", "ARRAY[", "(SELECT ", "CAST(", "EXISTS (SELECT ", "ARRAY(SELECT ", "a IN ("]
    {
        refused(&format!("SELECT {}1", opening.repeat(10_000)));
        let closing = if opening.contains('[') { "]" } else { ")" };
        refused(&format!("SELECT {}1{}", opening.repeat(10_000), closing.repeat(10_000)));
    }
    refused(&format!("SELECT * FROM {}a{}", "(".repeat(10_000), ")".repeat(10_000)));
    refused(&format!("{}SELECT 1{}", "WITH a AS (".repeat(10_000), ")".repeat(10_000)));
}

#[test]
fn just_below_the_limits_nothing_breaks() {
    let long = format!("SELECT 1 WHERE {}a = 1", "a = 1 OR ".repeat(2_400));
    assert!(matches!(one(&long).action, Action::Query(_)));
    assert_eq!(try_read(&format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(4_900))).unwrap().len(), 1);
    one(&format!("INSERT INTO t VALUES (1, -2){}", ", (1, -2)".repeat(20_000)));
    one(&format!("SELECT a IN (1{})", ", 2".repeat(50_000)));
    // The shapes at the deepest nesting that is let through: read or refused, but in little time and stack.
    for (opening, closing) in [
        ("(", ")"),
        ("(SELECT ", ")"),
        ("f(", ")"),
        ("POSITION(", " IN b)"),
        ("SUBSTRING(", " FROM 1)"),
        ("CAST(", " AS int)"),
        ("a IN (", ")"),
        ("ARRAY[", "]"),
        ("CASE WHEN (", ") THEN 1 END"),
        ("EXISTS (SELECT ", ")"),
        ("COALESCE(", ")"),
        ("(SELECT * FROM (SELECT ", ") x)"),
        ("EXTRACT(year FROM ", ")"),
        ("TRIM(BOTH FROM ", ")"),
        ("(a, ", ")"),
        ("- (", ")"),
        ("NOT (", ")"),
        ("(1 BETWEEN 2 AND ", ")"),
    ] {
        for depth in [14, 30, 62] {
            let _ = try_read(&format!("SELECT {}1{}", opening.repeat(depth), closing.repeat(depth)));
        }
    }
    let _ = try_read(&format!("SELECT {}a", "NOT ".repeat(240)));
    let _ = try_read(&format!("SELECT 1{}", " BETWEEN 1 AND 2".repeat(200)));
    let _ = try_read(&format!("SELECT {}1{}", "(".repeat(60), " IN (1, 2))".repeat(60)));
    let _ = try_read(&format!("SELECT {}1{}", "(".repeat(60), " BETWEEN 1 AND 2)".repeat(60)));
    let _ = try_read(&format!("SELECT * FROM {}a{}", "(".repeat(60), " JOIN b ON x)".repeat(60)));
}

#[test]
fn sizes_are_bounded() {
    refused(&format!("SELECT '{}'", "x".repeat(300 * 1024)));
    refused(&"SELECT 1;".repeat(1_001));
    assert_eq!(try_read(&"SELECT 1;".repeat(1_000)).unwrap().len(), 1_000);
}

#[test]
fn what_is_read_on_the_callers_stack_needs_little_of_it() {
    let shapes = || {
        for (opening, closing) in [
            ("(", ")"),
            ("(SELECT ", ")"),
            ("(SELECT * FROM (SELECT ", ") x)"),
            ("ARRAY(SELECT ", ")"),
            ("sum(a) OVER (ORDER BY ", ")"),
            ("(WITH x AS (SELECT ", ") SELECT 1)"),
            ("CASE WHEN a THEN (", ") END"),
            ("NOT ", ""),
            ("- ", ""),
            ("CASE WHEN ", " THEN 1 END"),
        ] {
            for depth in 1..8 {
                let _ = try_read(&format!("SELECT {}1{}", opening.repeat(depth), closing.repeat(depth)));
            }
        }
        let _ = try_read(&format!("SELECT 1 WHERE {}a", "a = 1 AND ".repeat(90)));
        let _ = try_read(&format!("SELECT 1 {}", "UNION SELECT 1 ".repeat(190)));
        let _ = try_read(&format!("SELECT a {}", "|| a ".repeat(190)));
    };
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(shapes).unwrap();
    thread.join().unwrap();
}

/// Operands of prefix operators are read one inside of the other: a chain of them must not take the stack.
#[test]
fn prefix_operators_are_bounded() {
    for piece in ["@ a + ", "@ - ", "OPERATOR(pg_catalog.@) a + ", "~", "- @ a ^ "] {
        let text = format!("SELECT {} a", piece.repeat(2_000));
        assert!(try_read(&text).is_err(), "{piece}");
        let text = format!("SELECT {} a", piece.repeat(40));
        assert!(piece == "~" || try_read(&text).is_ok(), "{piece}: {:?}", try_read(&text));
    }
    let listed = vec!["@ a"; 2_000].join(", ");
    assert!(try_read(&format!("SELECT {listed}")).is_ok());
    let nested = format!("SELECT {} a {}", "@ (".repeat(60), ")".repeat(60));
    assert!(try_read(&nested).is_ok());
    let signs = format!("SELECT {} a ^ 2", "- ".repeat(60));
    assert!(try_read(&signs).is_ok());
}
