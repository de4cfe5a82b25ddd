//! Statements that real clients sent and that attackers tried, with the world's names put in and a token changed here and
//! there.

use crate::grammar::schema::{Kind, TABLES, Table};
use crate::grants::Spec;
use crate::oracle::{Case, Probe};
use crate::random::Random;
use pgward::access::Operation;
use pgward::sql::tree::{Action, Transaction};
use pgward::sql::{self, Limits};

pub struct Mutations<'s> {
    random: Random,
    spec: &'s Spec,
    texts: Vec<String>,
}

impl<'s> Mutations<'s> {
    pub fn new(seed: u64, spec: &'s Spec) -> Self {
        Self { random: Random::new(seed), spec, texts: texts() }
    }

    pub fn case(&mut self) -> Case {
        loop {
            let text = self.random.pick(&self.texts).clone();
            let mut tokens = tokens(&text);
            if self.random.chance(70) {
                self.put_names(&mut tokens);
            }
            if self.random.chance(45) {
                self.change(&mut tokens);
            }
            let text = tokens.concat();
            if let Some(probe) = probe(&text) {
                return Case { text, probe };
            }
        }
    }

    /// Every word that is no keyword becomes a name of the world's: after FROM and its kin a relation's, else a column's.
    fn put_names(&mut self, tokens: &mut [String]) {
        let granted: Vec<&Table> =
            TABLES.iter().filter(|table| self.spec.columns(&table.path(), Operation::Select).is_some()).collect();
        let table = if granted.is_empty() || self.random.chance(20) {
            self.random.pick(TABLES)
        } else {
            *self.random.pick(&granted)
        };
        let columns: Vec<&str> = match self.spec.columns(&table.path(), Operation::Select) {
            Some(Some(names)) if self.random.chance(80) => names,
            _ => table.columns.iter().filter(|(_, kind)| *kind != Kind::Address).map(|(name, _)| *name).collect(),
        };
        let mut expects_relation = false;
        for index in 0..tokens.len() {
            let word = tokens[index].to_ascii_lowercase();
            if !word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"') {
                expects_relation = expects_relation && word.trim().is_empty();
                continue;
            }
            let calls = tokens.get(index + 1).is_some_and(|next| next == "(");
            if expects_relation && !KEYWORDS.contains(&word.as_str()) && !calls {
                tokens[index] = if self.random.chance(50) && table.schema == "public" {
                    format!("\"{}\"", table.name)
                } else {
                    format!("\"{}\".\"{}\"", table.schema, table.name)
                };
                // What is left of a qualified name goes.
                let mut after = index + 1;
                while tokens.get(after).is_some_and(|next| next == ".") {
                    tokens[after].clear();
                    if let Some(last) = tokens.get_mut(after + 1) {
                        last.clear();
                    }
                    after += 2;
                }
            } else if !KEYWORDS.contains(&word.as_str()) && !calls && self.random.chance(60) {
                let before = index.checked_sub(1).map(|before| tokens[before].clone());
                let qualified = before.is_some_and(|before| before == ".");
                if qualified || self.random.chance(30) {
                    tokens[index] = format!("\"{}\"", self.random.pick(&columns));
                }
            }
            expects_relation =
                matches!(word.as_str(), "from" | "join" | "into" | "update" | "table" | "only" | "truncate" | "copy");
        }
    }

    fn change(&mut self, tokens: &mut Vec<String>) {
        for _ in 0..=self.random.below(2) {
            if tokens.is_empty() {
                return;
            }
            let at = self.random.below(tokens.len());
            match self.random.below(5) {
                0 => drop(tokens.remove(at)),
                1 => {
                    let twin = tokens[at].clone();
                    tokens.insert(at, format!(" {twin}"));
                }
                2 => {
                    let other = self.random.below(tokens.len());
                    tokens.swap(at, other);
                }
                3 => tokens.insert(at, format!(" {} ", self.random.pick(FRAGMENTS))),
                _ => {
                    let text = self.random.pick(&self.texts).clone();
                    let others = self::tokens(&text);
                    if !others.is_empty() {
                        tokens[at] = format!(" {} ", self.random.pick(&others));
                    }
                }
            }
        }
    }
}

/// How to ask about a text; none where asking would leave the transaction or reach beyond the database.
fn probe(text: &str) -> Option<Probe> {
    if text.len() > 8_000 || text.contains('\0') || text.contains("$1") {
        return None;
    }
    let upper = text.to_ascii_uppercase();
    let first = upper.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !word.is_empty()).unwrap_or("");
    let words: Vec<&str> = upper.split(|c: char| !c.is_ascii_alphabetic()).collect();
    // Transaction control anywhere, also behind a semicolon that only PostgreSQL sees.
    let leaves = [
        "COMMIT",
        "ROLLBACK",
        "ABORT",
        "BEGIN",
        "END",
        "START",
        "SAVEPOINT",
        "RELEASE",
        "DISCARD",
        "TRANSACTION",
        "DO",
    ];
    let apart = upper.split(';').any(|part| {
        let word = part.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !word.is_empty()).unwrap_or("");
        leaves.contains(&word)
    });
    let reaches =
        ["TERMINATE", "CANCEL", "SLEEP", "DATABASE", "TABLESPACE", "LOCK"].iter().any(|word| words.contains(word))
            || upper.contains("PG_TERMINATE")
            || upper.contains("PG_SLEEP")
            || upper.contains("ADVISORY");
    if apart || reaches || first.is_empty() || words.contains(&"TRANSACTION") {
        return None;
    }
    let statements = sql::read(text, &Limits::default());
    if let Ok(statements) = &statements {
        let [only] = statements.as_slice() else { return None };
        let control = matches!(
            &only.action,
            Action::Transaction(Transaction::Begin(_)) | Action::Discard | Action::Transaction(_)
        );
        if control {
            return None;
        }
    }
    if upper.trim_end().trim_end_matches(';').contains(';') {
        return None;
    }
    let into = words.contains(&"INTO") && first == "SELECT";
    Some(match first {
        "SELECT" | "WITH" | "VALUES" | "TABLE" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" if !into => Probe::Explain,
        "COPY" if words.contains(&"STDIN") => Probe::CopyFrom,
        "PREPARE" | "EXECUTE" => return None,
        _ => Probe::Run,
    })
}

/// Words, quoted things, numbers, symbols and white space, each as it stands.
pub fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let start = at;
        let c = chars[at];
        let word = |c: char| c.is_alphanumeric() || c == '_';
        if word(c) {
            while at < chars.len() && word(chars[at]) {
                at += 1;
            }
        } else if c == '\'' || c == '"' {
            let escapes = c == '\'' && found.last().is_some_and(|before: &String| before.eq_ignore_ascii_case("e"));
            at += 1;
            while at < chars.len() && chars[at] != c {
                at += if escapes && chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if let Some(tag) = dollar_tag(&chars[at..]) {
            at += tag.len();
            while at < chars.len() && !chars[at..].starts_with(&tag) {
                at += 1;
            }
            at += tag.len();
        } else if c.is_whitespace() {
            while at < chars.len() && chars[at].is_whitespace() {
                at += 1;
            }
        } else {
            at += 1;
        }
        at = at.min(chars.len());
        found.push(chars[start..at].iter().collect());
    }
    found
}

/// `$$` or `$tag$` at the start.
fn dollar_tag(chars: &[char]) -> Option<Vec<char>> {
    let length = chars.iter().skip(1).position(|c| !c.is_alphanumeric() && *c != '_')? + 2;
    let tag = chars.get(..length)?;
    let quoted = tag.first() == Some(&'$') && tag.last() == Some(&'$') && !tag.get(1).is_some_and(char::is_ascii_digit);
    quoted.then(|| tag.to_vec())
}

/// The corpora of clients, of attempts, and the world's own cases.
fn texts() -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in include_str!("../corpora/clients.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        found.push(row["sql"].as_str().unwrap().to_owned());
    }
    for corpus in [
        include_str!("../corpora/byp.txt"),
        include_str!("../corpora/probe1.txt"),
        include_str!("../corpora/probe2.txt"),
        include_str!("../corpora/probe3.txt"),
    ] {
        found.extend(corpus.split("\n----\n").map(|text| text.trim().to_owned()));
    }
    for corpus in [
        include_str!("../world/sample.jsonl"),
        include_str!("../world/more.jsonl"),
        include_str!("../world/wide.jsonl"),
    ] {
        for line in corpus.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let steps = case["session"].as_array().cloned().unwrap_or_default();
            for step in steps {
                let text = step.as_str().or_else(|| step["sql"].as_str()).map(ToOwned::to_owned);
                found.extend(text);
            }
        }
    }
    found.retain(|text| !text.is_empty());
    found
}

const FRAGMENTS: &[&str] = &[
    "ONLY",
    "LATERAL",
    "NOT",
    "NULL",
    "*",
    "(",
    ")",
    ",",
    ".",
    "AS",
    "'x'",
    "1",
    "customers",
    "c.ssn",
    "email",
    "hr.salaries",
    "payroll",
    "TABLE payroll",
    "FOR UPDATE",
    "OR",
    "AND",
    "||",
    "::text",
    "COLLATE \"C\"",
    "DISTINCT",
    "ALL",
    "USING (id)",
    "NATURAL JOIN customers",
    "UNION SELECT ssn FROM customers",
    ", customers",
    "WHERE ssn IS NOT NULL",
    "ORDER BY ssn",
    "--",
    "/*",
    "*/",
    "$$",
    "E'\\''",
    "U&\"\\0073sn\"",
    "INTO",
    "RETURNING *",
    "LIMIT 1",
    "[1]",
    "-",
    "EXISTS (SELECT FROM payroll)",
    "events",
    "v_eu",
];

#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "select", "from", "where", "and", "or", "not", "null", "is", "in", "as", "on", "join", "left", "right", "full", "inner", "outer",
    "cross", "natural", "using", "group", "by", "order", "having", "limit", "offset", "fetch", "first", "next", "row", "rows", "only",
    "union", "all", "intersect", "except", "distinct", "case", "when", "then", "else", "end", "with", "recursive", "insert", "into",
    "values", "update", "set", "delete", "returning", "exists", "any", "some", "between", "like", "ilike", "similar", "to", "true",
    "false", "cast", "collate", "asc", "desc", "nulls", "last", "for", "share", "of", "nowait", "lateral", "table", "copy", "stdout",
    "stdin", "explain", "analyze", "verbose", "create", "drop", "alter", "view", "index", "truncate", "lock", "mode", "cursor",
    "declare", "prepare", "execute", "show", "reset", "over", "partition", "window", "filter", "within", "ordinality", "array",
    "default", "conflict", "do", "nothing", "merge", "matched", "interval", "date", "timestamp", "time", "zone", "at", "if",
    "grouping", "sets", "rollup", "cube", "e", "u", "b", "x", "materialized", "temp", "temporary", "pg_catalog", "int", "text", "regclass",
    "integer", "numeric", "boolean", "jsonb", "oid", "name", "char", "current_user", "session_user", "current_date", "operator",
];
