//! Prefix operators. sqlparser knows a few, and lets them bind tighter than PostgreSQL does: all but a plain sign are
//! read here, with exactly the operand that gram.y gives them.

use super::extent;
use super::{Rewriter, Sized};
use crate::sql::Unreadable;
use crate::sql::cursor::Cursor;
use crate::sql::lex::Kind;
use crate::sql::marker;
use crate::sql::parse;
use crate::sql::tree::{Expr, Name, OperatorName};

/// How many prefix operators may stand side by side.
const MOST: usize = 64;

/// Moves a cursor past an operand.
type Extent = fn(&mut Cursor<'_>) -> Option<()>;

impl Rewriter<'_> {
    /// Stands on an operator where an operand is due.
    pub(super) fn prefix_operator(&mut self) -> Result<(), Unreadable> {
        let mut names = Vec::new();
        while let Some(name) = other_operator(&mut self.cursor)? {
            names.push(name);
            if names.len() > MOST {
                return self.refuse_here("so many prefix operators");
            }
        }
        self.applied(names, extent::operand)
    }

    /// Operators on the operand that stands here, as far as `extent` lets it reach.
    fn applied(&mut self, names: Vec<OperatorName>, extent: Extent) -> Result<(), Unreadable> {
        let start = self.cursor.clone();
        if extent(&mut self.cursor).is_none() {
            return Err(start.refuse("an operator without an operand"));
        }
        let tokens = start.rest().get(..self.cursor.index() - start.index()).unwrap_or_default();
        let mut found = parse::sized(tokens)?;
        for name in names.into_iter().rev() {
            found = Sized { of: Expr::Operator { name, left: None, right: Box::new(found.of) }, size: found.size + 1 };
        }
        self.emit_expr(found);
        Ok(())
    }

    /// Whether the sign here applies to less than sqlparser would give it: it binds tighter than `^` and AT TIME ZONE.
    pub(super) fn sign_binds_tighter(&self) -> bool {
        let mut ahead = Cursor::at(self.tokens, self.cursor.index());
        while let Some(Kind::Operator(symbol)) = ahead.kind(0)
            && matches!(symbol.as_str(), "+" | "-")
        {
            ahead.advance(1);
        }
        extent::primary(&mut ahead).is_some() && (ahead.is_operator(0, "^") || ahead.word(0) == "at")
    }

    /// Signs and the one operand that they apply to.
    pub(super) fn signed(&mut self) -> Result<(), Unreadable> {
        let mut names = Vec::new();
        while let Some(Kind::Operator(symbol)) = self.cursor.kind(0)
            && matches!(symbol.as_str(), "+" | "-")
            && names.len() < MOST
        {
            names.push(OperatorName { schema: None, symbol: symbol.as_str().into() });
            self.cursor.advance(1);
        }
        self.applied(names, extent::primary)
    }

    /// An expression that was read already.
    pub(super) fn emit_expr(&mut self, found: Sized<Expr>) {
        self.side.exprs.push(found);
        self.emit_name(&marker::with("expr", self.side.exprs.len() - 1));
    }
}

/// Moves past an operator that is no sign.
fn other_operator(cursor: &mut Cursor<'_>) -> Result<Option<OperatorName>, Unreadable> {
    match cursor.kind(0) {
        Some(Kind::Operator(symbol)) if !matches!(symbol.as_str(), "+" | "-") => {
            cursor.advance(1);
            Ok(Some(OperatorName { schema: None, symbol: symbol.as_str().into() }))
        }
        Some(Kind::Word(word)) if word == "operator" && cursor.is_mark(1, '(') => {
            cursor.advance(1);
            match cursor.group().and_then(operator_name) {
                Some(name) => Ok(Some(name)),
                None => Err(cursor.refuse("an operator name that is not understood")),
            }
        }
        Some(_) | None => Ok(None),
    }
}

/// What stands between the parentheses of `OPERATOR(…)`.
pub(super) fn operator_name(inside: &[crate::sql::lex::Token]) -> Option<OperatorName> {
    let (symbol, qualifier) = inside.split_last()?;
    let Kind::Operator(symbol) = &symbol.kind else { return None };
    let schema = match qualifier {
        [] => None,
        [schema, dot] if dot.kind == Kind::Mark('.') => {
            let schema = Cursor::new(std::slice::from_ref(schema)).name()?;
            Some(Name::from(schema.as_str()))
        }
        [..] => return None,
    };
    Some(OperatorName { schema, symbol: symbol.as_str().into() })
}
