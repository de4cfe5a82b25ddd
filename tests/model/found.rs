//! Scripts that once told pgward from the server, made small.

use crate::step::{Burst, Name, Script, Step, Text};

fn alone(steps: Vec<Step>) -> Burst {
    // Cut everywhere: what comes late is met in another state than what comes at once.
    let cuts = (1..20).map(|twentieth| (f64::from(twentieth) / 20.0, true)).collect();
    Burst { units: vec![steps], extra: true, cuts }
}

fn burst(steps: Vec<Step>) -> Burst {
    Burst { units: vec![steps], extra: true, cuts: vec![] }
}

fn parse(name: &'static str, sql: &str) -> Step {
    Step::Parse { name, texts: vec![Text::of(sql)] }
}

fn bind(portal: &'static str, statement: &'static str) -> Step {
    Step::Bind { portal, statement, values: vec![], binary: false }
}

fn execute(portal: &'static str) -> Step {
    Step::Execute { portal, rows: 0 }
}

fn query(sql: &str) -> Step {
    Step::Query(vec![Text::of(sql)])
}

/// A Query that does nothing but run what a name means.
fn running(name: Name, sql: &str) -> Step {
    Step::Query(vec![Text { uses: Some(name), ..Text::of(sql) }])
}

pub fn scripts() -> Vec<Script> {
    vec![
        // A COPY that was prepared by the protocol, executed by name: its data was taken for what nobody asked for.
        vec![
            alone(vec![parse("s", "COPY (SELECT id FROM t ORDER BY id) TO STDOUT"), Step::Sync]),
            alone(vec![query("EXECUTE s")]),
            alone(vec![parse("", "EXECUTE s"), bind("", ""), execute(""), Step::Sync]),
        ],
        // A refused FunctionCall took the client's unnamed statement away.
        vec![alone(vec![parse("", "SELECT 1"), Step::Sync, Step::Call, bind("", ""), execute(""), Step::Sync])],
        // A Sync behind Execute, as some drivers send it, was answered once the COPY had failed.
        vec![alone(vec![
            parse("s", "COPY sink FROM STDIN"),
            bind("", "s"),
            execute(""),
            Step::Sync,
            Step::CopyData("wrong\tdata\n"),
            Step::CopyDone,
            Step::Sync,
            query("SELECT 'still in step'"),
        ])],
        // A portal whose Bind failed means no statement in the failed block: its Execute is answered as an empty query's.
        vec![
            burst(vec![query("BEGIN")]),
            burst(vec![
                parse("", "SELECT id, body FROM t WHERE id > $1 ORDER BY id"),
                Step::Bind { portal: "c", statement: "", values: vec!["not a number".to_owned()], binary: false },
            ]),
            burst(vec![
                parse("r", "SELECT id FROM t"),
                bind("c", "r"),
                Step::Sync,
                Step::Execute { portal: "c", rows: 2 },
            ]),
        ],
        // A Query runs what was prepared in front of it, without a Sync in between: had that failed, it would be skipped.
        vec![
            burst(vec![parse("s", "SHOW TimeZone")]),
            burst(vec![
                Step::Close(b'S', "s"),
                parse("s", "SELECT id FROM t ORDER BY id"),
                running(Name::Statement("s"), "EXECUTE s"),
            ]),
        ],
        // What a Bind runs by name was given another meaning in front of it.
        vec![
            burst(vec![parse("s", "SELECT count(*) FROM sink"), parse("x", "EXECUTE s")]),
            burst(vec![parse("s", "SELECT 1"), Step::Sync, bind("q", "x"), Step::Sync]),
        ],
        // The server leaves an unnamed portal of a Query that fails by itself; pgward's refusal leaves none.
        vec![
            burst(vec![query("BEGIN"), running(Name::Portal("q"), "FETCH 1 FROM q")]),
            burst(vec![Step::Describe(b'P', ""), Step::Sync]),
            burst(vec![query("ROLLBACK")]),
        ],
        // A statement that executes itself is not described: in a ring of those that give rows the server's stack would not end.
        vec![
            burst(vec![parse("x", "BEGIN"), Step::Sync]),
            burst(vec![Step::Close(b'S', "x"), parse("x", "EXECUTE x"), Step::Describe(b'S', "x"), Step::Sync]),
        ],
        // MOVE gives no rows whatever its cursor is: what moves one that is gone is described like any other.
        gone_in_front_of_the_bind("MOVE BACKWARD 1 IN c"),
        // A portal that was bound to fetch from a cursor that is gone.
        gone_in_front_of_the_bind("FETCH 1 FROM c"),
    ]
}

/// A portal of a cursor that is closed, though pgward does not know that yet.
fn gone_in_front_of_the_bind(sql: &str) -> Script {
    vec![
        burst(vec![
            query("BEGIN"),
            query("DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id"),
            parse("fetch", sql),
            Step::Sync,
        ]),
        burst(vec![query("CLOSE c"), bind("q", "fetch"), Step::Describe(b'P', "q"), Step::Sync]),
        burst(vec![query("ROLLBACK")]),
    ]
}
