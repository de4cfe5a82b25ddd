//! Nothing that PostgreSQL's tree names is missing from ours, in any text that both read.

use std::collections::BTreeMap;
use std::time::Instant;

use pgward::sql::tree::{Action, Statement};
use pgward::sql::{Limits, read};

use crate::facts::Kind;
use crate::random::{Random, rounds};
use crate::theirs::Parsed;
use crate::{corpus, grammar, ours, theirs};

/// What comparing a text came to.
enum Outcome {
    /// PostgreSQL has a syntax error; ours may read it.
    NoSql {
        read: bool,
    },
    Refused(String),
    Same,
    Lost(Vec<(Loss, String)>),
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    Statement,
    Command,
    Range,
    Name(Kind),
}

fn compare(text: &str) -> Outcome {
    let ours = read(text, &Limits::default());
    let Some(theirs) = theirs::parse(text) else { return Outcome::NoSql { read: ours.is_ok() } };
    let ours = match ours {
        Ok(ours) => ours,
        Err(refused) => return Outcome::Refused(refused.message),
    };
    if ours.len() != theirs.len() {
        // BEGIN ATOMIC holds statements of its own, which ours takes for more statements: the first of them is denied.
        let atomic =
            ours.len() > theirs.len() && ours.iter().any(|statement| matches!(statement.action, Action::Other));
        if atomic {
            return Outcome::Same;
        }
        return Outcome::Lost(vec![(Loss::Statement, format!("{} for {}", ours.len(), theirs.len()))]);
    }
    let lost: Vec<_> = ours.iter().zip(&theirs).flat_map(|(our, their)| losses(our, their)).collect();
    if lost.is_empty() { Outcome::Same } else { Outcome::Lost(lost) }
}

fn losses(ours: &Statement, theirs: &Parsed) -> Vec<(Loss, String)> {
    let mut lost = Vec::new();
    if !same_command(ours, theirs) {
        lost.push((Loss::Command, format!("{} for {}", ours.kind, theirs.node)));
    }
    if ours.range.start < theirs.range.start || ours.range.end > theirs.range.end {
        lost.push((Loss::Range, format!("{:?} for {:?}", ours.range, theirs.range)));
    }
    if let Some(named) = ours::facts(ours) {
        let expected = theirs::facts(theirs);
        // Isolation levels and snapshots are strings to PostgreSQL's grammar; a definition has other places for labels.
        let left_out = |kind: Kind| match &ours.action {
            Action::Transaction(_) => kind == Kind::String,
            // SET TIME ZONE INTERVAL '…'.
            Action::Set(_) => kind == Kind::Type,
            Action::Ddl(_) => matches!(kind, Kind::Only | Kind::Alias),
            _ => false,
        };
        let missing = expected.missing_from(&named).filter(|(kind, _)| !left_out(*kind));
        lost.extend(missing.map(|(kind, name)| (Loss::Name(kind), name.to_owned())));
    }
    lost
}

/// Whether the two take a statement for the same command.
fn same_command(ours: &Statement, theirs: &Parsed) -> bool {
    let node = theirs.node.as_str();
    match &ours.action {
        Action::Query(_) => node == "SelectStmt",
        Action::Insert(_) => node == "InsertStmt",
        Action::Update(_) => node == "UpdateStmt",
        Action::Delete(_) => node == "DeleteStmt",
        Action::Merge(_) => node == "MergeStmt",
        Action::Copy(_) => node == "CopyStmt",
        Action::Explain { .. } => node == "ExplainStmt",
        Action::Prepare { .. } => node == "PrepareStmt",
        Action::Execute { .. } => node == "ExecuteStmt",
        Action::Deallocate(_) => node == "DeallocateStmt",
        Action::DeclareCursor { .. } => node == "DeclareCursorStmt",
        Action::Fetch { .. } => node == "FetchStmt",
        Action::CloseCursor(_) => node == "ClosePortalStmt",
        Action::Transaction(_) => matches!(node, "TransactionStmt" | "VariableSetStmt"),
        Action::Set(_) | Action::Reset(_) | Action::SetIdentity | Action::ResetIdentity => node == "VariableSetStmt",
        Action::Show(_) => node == "VariableShowStmt",
        Action::SetConstraints => node == "ConstraintsSetStmt",
        Action::Discard => node == "DiscardStmt",
        Action::Channel => matches!(node, "ListenStmt" | "UnlistenStmt" | "NotifyStmt"),
        Action::Lock { .. } => node == "LockStmt",
        Action::Truncate { .. } => node == "TruncateStmt",
        Action::Call(_) => node == "CallStmt",
        Action::Do => node == "DoStmt",
        Action::Ddl(_) => matches!(
            node,
            "CreateStmt"
                | "CreateTableAsStmt"
                | "ViewStmt"
                | "IndexStmt"
                | "CreateSchemaStmt"
                | "AlterTableStmt"
                | "RenameStmt"
                | "DropStmt"
                | "VacuumStmt"
                | "CommentStmt"
                | "CompositeTypeStmt"
                | "CreateEnumStmt"
                | "AlterEnumStmt"
                | "CreateSeqStmt"
                | "AlterSeqStmt"
                | "CreateStatsStmt"
                | "AlterStatsStmt"
                | "AlterObjectSchemaStmt"
                | "RefreshMatViewStmt"
        ),
        Action::Other => !matches!(
            node,
            "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" | "CopyStmt" | "ExplainStmt"
        ),
    }
}

#[derive(Default)]
struct Tally {
    texts: usize,
    both: usize,
    no_sql: usize,
    only_ours: usize,
    refused: BTreeMap<String, (usize, String)>,
    lost: BTreeMap<Loss, usize>,
    examples: Vec<String>,
}

impl Tally {
    fn take(&mut self, text: &str) {
        self.texts += 1;
        match compare(text) {
            Outcome::NoSql { read } => {
                self.no_sql += 1;
                self.only_ours += usize::from(read);
            }
            Outcome::Refused(reason) => {
                self.refused.entry(reason).or_insert_with(|| (0, text.to_owned())).0 += 1;
            }
            Outcome::Same => self.both += 1,
            Outcome::Lost(lost) => {
                self.both += 1;
                let shown: Vec<_> = lost.iter().map(|(loss, what)| format!("{loss:?} {what:?}")).collect();
                self.examples.push(format!("{}: {text:?}", shown.join(", ")));
                for (loss, _) in lost {
                    *self.lost.entry(loss).or_default() += 1;
                }
            }
        }
    }

    fn finish(&mut self, what: &str, started: Instant) {
        let refused: usize = self.refused.values().map(|(count, _)| count).sum();
        let lost =
            |kinds: &[Kind]| -> usize { kinds.iter().filter_map(|kind| self.lost.get(&Loss::Name(*kind))).sum() };
        println!(
            "{what}: {} texts, {} no SQL to PostgreSQL ({} of them read by ours), {} read by both, {refused} refused by ours; lost: \
             {} relations, {} functions, {} columns, {} in all; {:.1} s",
            self.texts,
            self.no_sql,
            self.only_ours,
            self.both,
            lost(&[Kind::Relation]),
            lost(&[Kind::Function]),
            lost(&[Kind::Column, Kind::Target, Kind::Field]),
            self.lost.values().sum::<usize>(),
            started.elapsed().as_secs_f64(),
        );
        let mut reasons: Vec<_> = self.refused.iter().collect();
        reasons.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        let shown = std::env::var("PGWARD_FUZZ_REASONS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
        for (reason, (count, example)) in reasons.into_iter().take(shown) {
            println!("  {count:7} {reason}: {:.160}", example.escape_debug().to_string());
        }
        self.examples.sort_by_key(String::len);
        let first: Vec<_> = self.examples.iter().take(60).cloned().collect();
        assert!(first.is_empty(), "{} texts lose something:\n{}", self.examples.len(), first.join("\n"));
    }
}

#[test]
fn nothing_of_what_clients_send_is_lost() {
    let (mut tally, started) = (Tally::default(), Instant::now());
    corpus::texts().iter().for_each(|text| tally.take(text));
    tally.finish("corpora", started);
    assert!(tally.both > 3_000);
}

#[test]
fn nothing_of_made_up_statements_is_lost() {
    let (rounds, seed) = rounds(20_000);
    let mut random = Random::new(seed);
    // What is short is mutated to more effect, and read faster.
    let corpus: Vec<_> = corpus::texts().into_iter().filter(|text| text.len() < 700).collect();
    let (mut tally, started) = (Tally::default(), Instant::now());
    for _ in 0..rounds {
        tally.take(&grammar::text(&mut random, &corpus));
    }
    tally.finish("mutations", started);
    assert!(tally.both > rounds / 10);
}

/// The comparison itself: what one text names and the other does not is told.
#[test]
fn what_is_missing_is_noticed() {
    use Kind::*;
    for (theirs, ours, kind, name) in [
        ("SELECT a FROM hr.secret", "SELECT a FROM secret", Relation, "hr.secret"),
        ("SELECT a FROM t, t", "SELECT a FROM t", Relation, "t"),
        ("SELECT a FROM ONLY t", "SELECT a FROM t", Only, "t"),
        ("INSERT INTO t SELECT x.f(1)", "INSERT INTO t SELECT f(1)", Function, "x.f"),
        ("SELECT t.a FROM t", "SELECT a FROM t", Column, "t.a"),
        ("SELECT t.* FROM t", "SELECT * FROM t", Column, "t.*"),
        ("UPDATE t SET a = 1, b = 2", "UPDATE t SET a = 1", Target, "b"),
        ("SELECT a::x.t", "SELECT a::t", Type, "x.t"),
        ("SELECT (a).b", "SELECT a", Field, "b"),
        ("SELECT a OPERATOR(x.+) b", "SELECT a + b", Operator, "x.+"),
        ("SELECT a COLLATE \"C\"", "SELECT a", Collation, "C"),
        ("SELECT $1", "SELECT 1", Parameter, "1"),
        ("SELECT 'a'", "SELECT 'b'", String, "a"),
        ("SELECT a AS b FROM t", "SELECT a FROM t", Alias, "b"),
        ("SELECT a FROM x", "WITH x AS (SELECT 1) SELECT a FROM x", Stored, "x"),
        ("WITH x AS (SELECT a FROM x) SELECT 1", "WITH RECURSIVE x AS (SELECT a FROM x) SELECT 1", Stored, "x"),
        ("SELECT (WITH x AS (SELECT 1) SELECT 1) FROM x", "WITH x AS (SELECT 1) SELECT 1 FROM x", Stored, "x"),
        ("EXPLAIN ANALYZE SELECT 1", "EXPLAIN SELECT 1", Flag, "analyze"),
        ("COPY t FROM STDIN", "COPY t TO STDOUT", Flag, "from"),
        ("COPY t TO 'a'", "COPY t TO STDOUT", Flag, "file"),
        ("TRUNCATE t CASCADE", "TRUNCATE t", Flag, "cascade"),
        ("SET LOCAL a.b = 1", "SET a.b = 1", Flag, "local"),
        ("CLOSE c", "CLOSE d", Label, "c"),
        ("WITH x AS (SELECT 1) SELECT 1", "WITH y AS (SELECT 1) SELECT 1", Alias, "x"),
    ] {
        let theirs = &theirs::parse(theirs).unwrap()[0];
        let ours = &read(ours, &Limits::default()).unwrap()[0];
        assert!(losses(ours, theirs).contains(&(Loss::Name(kind), name.to_owned())), "{name}");
    }
}
