//! Where in a statement its query stands: the SELECT, INSERT, UPDATE, DELETE or MERGE that it is, or that it wraps. The same
//! steps as the readers in `utility` take, over the same tokens.

use std::ops::Range;

use super::cursor::Cursor;
use super::lex::Token;
use super::tree::{Action, CopySource};
use super::utility;

/// The range of the query in the text that `tokens` were cut from; `None` where the statement holds none.
pub fn query(tokens: &[Token], action: &Action) -> Option<Range<usize>> {
    match action {
        Action::Query(_) | Action::Insert(_) | Action::Update(_) | Action::Delete(_) | Action::Merge(_) => span(tokens),
        Action::Explain { analyze: _, inner } => {
            let mut cursor = Cursor::new(tokens);
            utility::explain_options(&mut cursor).ok()?;
            query(cursor.rest(), inner)
        }
        // FOR is reserved: no unquoted name in front of the query is one.
        Action::DeclareCursor { .. } => behind(tokens, "for"),
        Action::Prepare { inner, .. } => Some(inner.range.clone()),
        Action::Copy(copy) => match copy.source {
            CopySource::Query(_) => {
                let mut cursor = Cursor::at(tokens, 1);
                cursor.is_mark(0, '(').then(|| cursor.group()).flatten().and_then(span)
            }
            CopySource::Table { .. } => None,
        },
        Action::Ddl(ddl) if ddl.query.is_some() => {
            let mut cursor = Cursor::new(tokens);
            cursor.until(&["as"]);
            span(utility::without_options(cursor.rest().get(1..)?))
        }
        Action::Execute { .. }
        | Action::Deallocate(_)
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
        | Action::Lock { .. }
        | Action::Truncate { .. }
        | Action::Ddl(_)
        | Action::Call(_)
        | Action::Do
        | Action::Other => None,
    }
}

/// What stands behind the first `word` outside of parentheses.
fn behind(tokens: &[Token], word: &str) -> Option<Range<usize>> {
    let mut cursor = Cursor::new(tokens);
    cursor.until(&[word]);
    span(cursor.rest().get(1..)?)
}

fn span(tokens: &[Token]) -> Option<Range<usize>> {
    Some(tokens.first()?.range.start..tokens.last()?.range.end)
}
