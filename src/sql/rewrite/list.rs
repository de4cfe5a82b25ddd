//! Queries in lists and in ARRAY, where sqlparser takes the first parenthesis for the whole.

use sqlparser::tokenizer::Token as Core;

use super::{Frame, Mode, Rewriter};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::lex::Token;
use crate::sql::parse;
use crate::sql::tree::SubqueryKind;

impl Rewriter<'_> {
    /// `IN ((SELECT …), …)`: sqlparser takes the first of them for the whole.
    pub(super) fn in_list(&mut self) -> Result<(), Unreadable> {
        self.emit_keyword("in");
        self.cursor.advance(1);
        if !self.cursor.is_mark(1, '(') {
            return Ok(());
        }
        let inside = self.cursor.clone().group().unwrap_or_default();
        let elements = comma_separated(inside);
        let first = elements.first().copied().unwrap_or_default();
        if elements.len() < 2 || !is_query(first) {
            return Ok(());
        }
        self.emit(Core::LParen);
        self.frames.push(Frame::new(Mode::Plain));
        let found = parse::sized(first)?;
        self.emit_expr(found);
        self.cursor.advance(1 + first.len());
        Ok(())
    }

    /// Whether a set operation begins at a parenthesis that is not the whole: `((SELECT …) UNION …)`.
    pub(super) fn begins_set_operation(&self, ahead: usize) -> bool {
        let mut cursor = Cursor::at(self.tokens, self.cursor.index() + ahead);
        cursor.is_mark(0, '(') && cursor.group().is_some() && matches!(cursor.word(0), "union" | "intersect" | "except")
    }

    /// `ARRAY((SELECT …) UNION …)`.
    pub(super) fn array_of_query(&mut self) -> Result<(), Unreadable> {
        self.cursor.advance(1);
        let Some(inside) = self.cursor.group() else { return self.refuse_here("an unbalanced parenthesis") };
        let found = parse::subquery(SubqueryKind::Array, inside)?;
        self.emit_expr(found);
        Ok(())
    }
}

/// Whether the tokens are a query in parentheses.
fn is_query(tokens: &[Token]) -> bool {
    let mut cursor = Cursor::new(tokens);
    while cursor.take_mark('(') {}
    cursor.index() > 0 && matches!(cursor.word(0), "select" | "values" | "with" | "table")
}
