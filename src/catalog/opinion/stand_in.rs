//! Questions for statements that have relations and no query: a query on the same relations, in words of our own.

use super::Depth;
use super::ask::quoted;
use crate::sql::tree::{Action, Copy, CopyDirection, CopySource, Name, QualifiedName, RelationRef};

/// The query to ask about in place of `action`, and what of the answer speaks of it; `None` where there is none.
#[must_use]
pub fn stand_in(action: &Action) -> Option<(String, Depth)> {
    match action {
        Action::Copy(copy) => copied(copy).map(|text| (text, Depth::Full)),
        Action::Lock { relations } | Action::Truncate { relations, .. } => Some((named(relations), Depth::Names)),
        Action::Query(_)
        | Action::Insert(_)
        | Action::Update(_)
        | Action::Delete(_)
        | Action::Merge(_)
        | Action::Explain { .. }
        | Action::Prepare { .. }
        | Action::Execute { .. }
        | Action::Deallocate(_)
        | Action::DeclareCursor { .. }
        | Action::Fetch { .. }
        | Action::CloseCursor(_)
        | Action::Transaction(_)
        | Action::Set(_)
        | Action::Reset(_)
        | Action::Show(_)
        | Action::SetIdentity
        | Action::ResetIdentity
        | Action::SetConstraints
        | Action::Discard
        | Action::Channel
        | Action::Ddl(_)
        | Action::Call(_)
        | Action::Do
        | Action::Other => None,
    }
}

/// COPY of a table reads or writes its columns; a condition in it is an expression, which no words of ours repeat.
fn copied(copy: &Copy) -> Option<String> {
    let CopySource::Table { name, columns } = &copy.source else { return None };
    if copy.selection.is_some() {
        return None;
    }
    let table = qualified(name);
    let list = columns.iter().map(|column| quoted(column.as_str())).collect::<Vec<_>>().join(", ");
    Some(match (copy.direction, columns.as_slice()) {
        (CopyDirection::To, []) => format!("SELECT FROM ONLY {table}"),
        (CopyDirection::To, _) => format!("SELECT {list} FROM ONLY {table}"),
        (CopyDirection::From, []) => format!("INSERT INTO {table} DEFAULT VALUES"),
        (CopyDirection::From, columns) => {
            let defaults = columns.iter().map(|_: &Name| "DEFAULT").collect::<Vec<_>>().join(", ");
            format!("INSERT INTO {table} ({list}) VALUES ({defaults})")
        }
    })
}

fn named(relations: &[RelationRef]) -> String {
    let item = |(index, relation): (usize, &RelationRef)| format!("ONLY {} AS r{index}", qualified(&relation.name));
    format!("SELECT FROM {}", relations.iter().enumerate().map(item).collect::<Vec<_>>().join(", "))
}

fn qualified(name: &QualifiedName) -> String {
    name.parts.iter().map(|part| quoted(part.as_str())).collect::<Vec<_>>().join(".")
}
