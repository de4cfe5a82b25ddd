//! The shapes that brought other readers down, by stack or by time: each is read or refused, as it says here.

use pgward::sql::{Limits, read};

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Read,
    Refused,
    /// Either will do.
    Any,
}

/// Name, what becomes of it, text.
fn shapes() -> Vec<(String, Fate, String)> {
    let mut shapes = Vec::new();
    let mut add = |name: &str, fate, text: String| shapes.push((name.to_owned(), fate, text));
    let nested = |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    add("OR × 80,000 (400 KB)", Fate::Refused, format!("SELECT 1 WHERE {}a", "a OR ".repeat(80_000)));
    add("AND × 40,000 (240 KB)", Fate::Refused, format!("SELECT 1 WHERE {}a", "a AND ".repeat(40_000)));
    add("OR × 4,900", Fate::Read, format!("SELECT 1 WHERE {}a", "a OR ".repeat(4_900)));
    add("|| × 40,000", Fate::Refused, format!("SELECT a{}", "||a".repeat(40_000)));
    add("::int × 40,000", Fate::Refused, format!("SELECT a{}", "::int".repeat(40_000)));
    add("::int × 4,900", Fate::Any, format!("SELECT a{}", "::int".repeat(4_900)));
    add("UNION ALL × 100,000", Fate::Refused, format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(100_000)));
    add(
        "UNION ALL × 12,000 (within 256 KB)",
        Fate::Refused,
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(12_000)),
    );
    add("UNION ALL × 4,900", Fate::Read, format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(4_900)));
    for depth in [10, 16, 17, 25, 40, 60] {
        let fate = if depth > 16 { Fate::Refused } else { Fate::Any };
        add(&format!("POSITION( × {depth}"), fate, format!("SELECT {}", nested("POSITION(", ")", depth)));
        add(&format!("POSITION( … IN a) × {depth}"), fate, format!("SELECT {}", nested("POSITION(", " IN a)", depth)));
    }
    for open in ["(", "f(", "(SELECT ", "CAST(", "ARRAY[", "EXISTS (SELECT "] {
        let close = if open == "ARRAY[" { "]" } else { ")" };
        add(&format!("{open} × 10,000"), Fate::Refused, format!("SELECT {}", nested(open, close, 10_000)));
        add(&format!("{open} × 62"), Fate::Any, format!("SELECT {}", nested(open, close, 62)));
    }
    add("WITH x AS ( × 10,000", Fate::Refused, nested("WITH x AS (", ") SELECT 1", 10_000));
    add("FROM ( × 60, joined", Fate::Any, format!("SELECT * FROM {}a{}", "(".repeat(60), " JOIN b ON x)".repeat(60)));
    add("CASE × 10,000", Fate::Refused, format!("SELECT {}", nested("CASE WHEN ", " THEN 1 END", 10_000)));
    add("CASE × 200", Fate::Any, format!("SELECT {}", nested("CASE WHEN ", " THEN 1 END", 200)));
    add("NOT × 10,000", Fate::Refused, format!("SELECT {}a", "NOT ".repeat(10_000)));
    add("- × 10,000", Fate::Refused, format!("SELECT {}1", "- ".repeat(10_000)));
    add("IN (150,000 integers) (940 KB)", Fate::Refused, format!("SELECT a IN (1{})", ", 1000".repeat(150_000)));
    add("IN (40,000 integers)", Fate::Read, format!("SELECT a IN (1{})", ", 100".repeat(40_000)));
    add("VALUES × 100,000", Fate::Refused, format!("INSERT INTO t VALUES (1){}", ", (1)".repeat(100_000)));
    add("VALUES × 40,000", Fate::Read, format!("INSERT INTO t VALUES (1){}", ", (1)".repeat(40_000)));
    add("200,000 columns", Fate::Refused, format!("SELECT a{}", ",a".repeat(200_000)));
    add("100,000 columns", Fate::Read, format!("SELECT a{}", ",a".repeat(100_000)));
    add("100,000 statements", Fate::Refused, "SELECT 1;".repeat(100_000));
    add("1,000 statements", Fate::Read, "SELECT 1;".repeat(1_000));
    add("250,000 semicolons", Fate::Read, ";".repeat(250_000));
    add("IN × 60, nested", Fate::Any, format!("SELECT {}1{}", "(".repeat(60), " IN (1, 2))".repeat(60)));
    add("BETWEEN × 60, nested", Fate::Any, format!("SELECT {}1{}", "(".repeat(60), " BETWEEN 1 AND 2)".repeat(60)));
    add("JOIN × 2,000", Fate::Any, format!("SELECT * FROM a{}", " JOIN b USING (x)".repeat(2_000)));
    add("comments nested × 60,000", Fate::Refused, "/*".repeat(60_000));
    add("comment of 250 KB", Fate::Read, format!("/*{}*/", " *".repeat(120_000)));
    add("one name of 250 KB", Fate::Read, format!("SELECT {}", "a".repeat(250_000)));
    add("operators, not cut", Fate::Refused, format!("SELECT a {} b", "+*".repeat(100_000)));
    add("dollars without an end", Fate::Refused, format!("SELECT $a$ {}", "$b$ ".repeat(60_000)));
    add("quotes, doubled", Fate::Read, format!("SELECT '{}'", "''".repeat(120_000)));
    add("strings, continued", Fate::Read, format!("SELECT 'a'{}", "\n'a'".repeat(50_000)));
    add("strings, not quite continued", Fate::Refused, format!("SELECT 'a'{}", "\n ".repeat(60_000) + "b c d e '"));
    add("minus signs", Fate::Refused, format!("SELECT 1{}1", "- ".repeat(100_000)));
    add("dots", Fate::Any, format!("SELECT a{}", ".a".repeat(100_000)));
    shapes
}

#[test]
fn every_nasty_shape_meets_its_fate() {
    for (name, fate, text) in shapes() {
        let found = if read(&text, &Limits::default()).is_ok() { Fate::Read } else { Fate::Refused };
        assert!(fate == Fate::Any || fate == found, "{name}: {found:?}");
    }
}

#[test]
#[ignore = "prints how long each takes, which is of use from an optimised build alone"]
fn times() {
    for (name, _, text) in shapes() {
        let started = std::time::Instant::now();
        let outcome = match read(&text, &Limits::default()) {
            Ok(statements) => format!("read, {} statements", statements.len()),
            Err(error) => format!("refused: {error}"),
        };
        println!("{:9.2} ms  {name}: {outcome}", started.elapsed().as_secs_f64() * 1e3);
    }
}
