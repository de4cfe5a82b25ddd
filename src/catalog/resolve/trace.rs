//! What the resolver found, told step by step to who asks for it. Costs nothing where nobody does.

use super::Resolver;
use super::candidates::Candidate;
use crate::catalog::footprint::{Oid, RelationKind};
use crate::catalog::snapshot::{Relation, Snapshot};
use crate::sql::tree::QualifiedName;

/// Lines of one telling: who asks about a statement with more names than this sees the first of them.
const MOST: usize = 400;

/// What was found so far.
#[derive(Default)]
pub(super) struct Trace {
    lines: Vec<String>,
}

impl Trace {
    pub fn lines(self) -> Vec<String> {
        self.lines
    }
}

impl<'s> Resolver<'s> {
    /// Adds a line, once.
    pub(super) fn tell(&mut self, line: impl FnOnce(&'s Snapshot) -> String) {
        let snapshot = self.snapshot;
        if let Some(trace) = &mut self.trace
            && trace.lines.len() < MOST
        {
            let line = line(snapshot);
            if !trace.lines.contains(&line) {
                trace.lines.push(line);
            }
        }
    }

    pub(super) fn tell_relation(&mut self, name: &QualifiedName, relation: &'s Relation) {
        let qualified = name.parts.len() > 1;
        self.tell(|snapshot| {
            let how = if qualified {
                "as it is qualified".to_owned()
            } else {
                format!("by the search path {}", snapshot.search_path)
            };
            format!("{name} is {} {}, {how}", kind(relation.kind), full(snapshot, relation))
        });
    }

    /// The function that a call or operator means, or those that it could.
    pub(super) fn tell_choice(&mut self, what: &str, chosen: &[Candidate]) {
        self.tell(|snapshot| match chosen {
            [only] => format!("{what} is {}", signature(snapshot, only)),
            several => {
                let all: Vec<String> = several.iter().take(8).map(|one| signature(snapshot, one)).collect();
                let more = if several.len() > all.len() { ", …" } else { "" };
                format!("{what} could be any of {}{more}: all that are not built in count", all.join(", "))
            }
        });
    }
}

pub(super) fn full(snapshot: &Snapshot, relation: &Relation) -> String {
    format!("{}.{}", snapshot.schema_name(relation.schema), relation.name)
}

/// `schema.name(types)`, what identifies a function.
fn signature(snapshot: &Snapshot, candidate: &Candidate) -> String {
    let Some(function) = snapshot.code.functions.get(&candidate.oid) else { return candidate.oid.to_string() };
    let arguments: Vec<String> = function.arguments.iter().map(|oid| type_name(snapshot, *oid)).collect();
    format!("{}.{}({})", snapshot.schema_name(function.schema), function.name, arguments.join(", "))
}

fn type_name(snapshot: &Snapshot, oid: Oid) -> String {
    let named = snapshot.type_names.iter().find(|(_, found)| found.iter().any(|(_, named)| *named == oid));
    named.map_or_else(|| oid.to_string(), |(name, _)| name.to_string())
}

pub(super) fn kind(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table => "table",
        RelationKind::Partitioned => "partitioned table",
        RelationKind::View => "view",
        RelationKind::MaterializedView => "materialized view",
        RelationKind::Sequence => "sequence",
        RelationKind::ForeignTable => "foreign table",
        RelationKind::Composite => "type",
        RelationKind::Index => "index",
        RelationKind::Toast => "toast table",
    }
}
