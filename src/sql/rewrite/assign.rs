//! Columns that are written: SET of UPDATE, and the list of columns of INSERT. sqlparser knows no subscripts there; columns
//! that have some become marks.

use sqlparser::tokenizer::Token as Core;

use super::{Rewriter, Sized};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::lex::{Kind, Token};
use crate::sql::marker;
use crate::sql::parse;
use crate::sql::tree::{Expr, Literal, Name};

/// A column, and what its subscripts hold.
type Indexed = (Name, Sized<Vec<Expr>>);

impl Rewriter<'_> {
    /// After SET or a comma of its list: a target with subscripts becomes a mark.
    pub(super) fn assignment_target(&mut self) -> Result<(), Unreadable> {
        if !self.frames.last().is_some_and(|frame| frame.assignments) {
            return Ok(());
        }
        if self.cursor.is_mark(0, '(') {
            let mut ahead = self.cursor.clone();
            let inside = ahead.group().unwrap_or_default();
            return if ahead.is_operator(0, "=") { self.column_list(inside, ahead) } else { Ok(()) };
        }
        let mut ahead = self.cursor.clone();
        let Some((column, indices)) = indexed(&mut ahead)? else { return Ok(()) };
        if indices.of.is_empty() || !ahead.is_operator(0, "=") {
            return Ok(());
        }
        self.side.targets.push((column, indices));
        self.emit_name(&marker::with("target", self.side.targets.len() - 1));
        self.cursor = ahead;
        Ok(())
    }

    /// A list of columns that are assigned, in parentheses: those with subscripts become marks.
    pub(super) fn column_list(&mut self, inside: &[Token], after: Cursor<'_>) -> Result<(), Unreadable> {
        if !inside.iter().any(|token| token.kind == Kind::Mark('[')) {
            return Ok(());
        }
        self.emit(Core::LParen);
        for (position, element) in comma_separated(inside).into_iter().enumerate() {
            let mut cursor = Cursor::new(element);
            let Some((column, indices)) = indexed(&mut cursor)? else {
                return Err(cursor.refuse("a column that is not understood"));
            };
            if !cursor.is_done() {
                return Err(cursor.refuse("a column that is not understood"));
            }
            if position > 0 {
                self.emit_comma();
            }
            self.side.targets.push((column, indices));
            self.emit_name(&marker::with("target", self.side.targets.len() - 1));
        }
        self.emit(Core::RParen);
        self.operand = true;
        self.cursor = Cursor::at(self.tokens, after.index());
        Ok(())
    }

    /// The list of columns of INSERT, if one with subscripts stands here; true if it was written.
    pub(super) fn insert_columns(&mut self) -> Result<bool, Unreadable> {
        let mut ahead = self.cursor.clone();
        let Some(inside) = ahead.group() else { return Ok(false) };
        let subscripts = inside.iter().any(|token| token.kind == Kind::Mark('['));
        let first = Cursor::new(inside);
        let query = first.is_mark(0, '(') || matches!(first.word(0), "select" | "values" | "with" | "table");
        if !subscripts || query || !self.follows_insert() {
            return Ok(false);
        }
        self.column_list(inside, ahead).map(|()| true)
    }

    /// Whether `INSERT INTO name [AS alias]`, or INSERT of MERGE, stands before this.
    fn follows_insert(&self) -> bool {
        if self.before(1) == "insert" {
            return self.before(2) == "then";
        }
        let is_name = |back: usize| matches!(self.kind_before(back), Some(Kind::Word(_) | Kind::Quoted(_)));
        let mut back = if self.before(2) == "as" { 3 } else { 1 };
        while is_name(back) && self.kind_before(back + 1) == Some(&Kind::Mark('.')) {
            back += 2;
        }
        is_name(back) && self.before(back + 1) == "into" && self.before(back + 2) == "insert"
    }
}

/// A column with its fields and subscripts; what the subscripts hold.
fn indexed(cursor: &mut Cursor<'_>) -> Result<Option<Indexed>, Unreadable> {
    let Some(column) = cursor.name() else { return Ok(None) };
    let mut indices = Sized { of: Vec::new(), size: 0 };
    loop {
        if cursor.take_mark('.') {
            if cursor.label().is_none() {
                return Ok(None);
            }
        } else if cursor.is_mark(0, '[') {
            let Some(inside) = cursor.group() else { return Ok(None) };
            let bounds = bounds(inside);
            if bounds.is_empty() {
                // `a[:]` has no bound, and is a subscript all the same.
                indices.of.push(Expr::Literal(Literal::Null));
            }
            for bound in bounds {
                let index = parse::sized(bound)?;
                indices.of.push(index.of);
                indices.size += index.size;
            }
        } else {
            return Ok(Some((column, indices)));
        }
    }
}

/// The bounds of a subscript: at its own depth, as a bound may hold a slice of its own.
fn bounds(inside: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0_usize;
    let parts = inside.split(|token| {
        match token.kind {
            Kind::Mark('(' | '[') => depth += 1,
            Kind::Mark(')' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.kind == Kind::Mark(':')
    });
    parts.filter(|bound| !bound.is_empty()).collect()
}
