//! Comparisons that gram.y spells with words: IN, BETWEEN, LIKE, SIMILAR TO, ANY and ALL.

use sqlparser::ast;

use super::function::quantifier;
use super::operator::symbol;
use super::{Converter, Result};
use crate::sql::tree::{Call, Expr, OperatorName, QualifiedName, Query, Subquery, SubqueryKind};

/// How many expressions may be copies of others.
const MOST_COPIED: usize = 300_000;

impl Converter {
    /// An expression and how many it is made of.
    fn sized(&mut self, found: ast::Expr) -> Result<(Expr, usize)> {
        let before = self.made;
        let expr = self.expr(found)?;
        Ok((expr, self.made - before))
    }

    /// Counts a copy: IN and BETWEEN repeat their left side, which doubles with each nesting.
    fn copy(&mut self, size: usize) -> Result<()> {
        self.made += size;
        self.copied += size;
        if self.copied > MOST_COPIED { self.refuse("an expression this large") } else { Ok(()) }
    }

    pub(super) fn comparison(&mut self, name: &str, left: ast::Expr, right: ast::Expr) -> Result<Expr> {
        let left = self.expr(left)?;
        self.operation(symbol(name), left, right)
    }

    /// `left op right`, where the right side may be ANY or ALL.
    pub(super) fn operation(&mut self, name: OperatorName, left: Expr, right: ast::Expr) -> Result<Expr> {
        match self.quantified(right)? {
            Quantified::Plain(right) => Ok(Expr::Operator { name, left: Some(Box::new(left)), right: Box::new(right) }),
            Quantified::Query(query) => {
                let kind = SubqueryKind::Quantified { left, operator: name };
                Ok(Expr::Subquery(Box::new(Subquery { kind, query })))
            }
        }
    }

    /// ANY and ALL over a query stay queries; over an array they compare with its elements.
    fn quantified(&mut self, right: ast::Expr) -> Result<Quantified> {
        let mut argument = match quantifier(right) {
            Ok(argument) => argument,
            Err(plain) => return Ok(Quantified::Plain(self.expr(*plain)?)),
        };
        while let ast::Expr::Nested(inner) = argument {
            argument = *inner;
        }
        if let ast::Expr::Subquery(query) = argument {
            return Ok(Quantified::Query(self.deeper(|converter| converter.query(*query))?));
        }
        let array = self.boxed(argument)?;
        Ok(Quantified::Plain(Expr::Subscript { expr: array, indices: Vec::new(), slice: false }))
    }

    pub(super) fn in_list(&mut self, expr: ast::Expr, list: Vec<ast::Expr>, negated: bool) -> Result<Expr> {
        let (left, size) = self.sized(expr)?;
        let name = symbol(if negated { "<>" } else { "=" });
        let mut comparisons = Vec::with_capacity(list.len());
        for element in list {
            self.copy(size)?;
            comparisons.push(Expr::Operator {
                name: name.clone(),
                left: Some(Box::new(left.clone())),
                right: self.boxed(element)?,
            });
        }
        Ok(Expr::Boolean(comparisons))
    }

    pub(super) fn between(&mut self, expr: ast::Expr, negated: bool, low: ast::Expr, high: ast::Expr) -> Result<Expr> {
        let (left, size) = self.sized(expr)?;
        self.copy(size)?;
        let left = Box::new(left);
        let (above, below) = if negated { ("<", ">") } else { (">=", "<=") };
        Ok(Expr::Boolean(vec![
            Expr::Operator { name: symbol(above), left: Some(left.clone()), right: self.boxed(low)? },
            Expr::Operator { name: symbol(below), left: Some(left), right: self.boxed(high)? },
        ]))
    }

    pub(super) fn like(
        &mut self,
        name: &str,
        escape: &str,
        expr: ast::Expr,
        pattern: ast::Expr,
        character: Option<Box<ast::Expr>>,
    ) -> Result<Expr> {
        let left = self.expr(expr)?;
        let Some(character) = character else { return self.operation(symbol(name), left, pattern) };
        let arguments = vec![self.expr(pattern)?, self.expr(*character)?];
        let right = Expr::Call(Box::new(Call::plain(QualifiedName::builtin(escape), arguments)));
        Ok(Expr::Operator { name: symbol(name), left: Some(Box::new(left)), right: Box::new(right) })
    }

    pub(super) fn similar(
        &mut self,
        name: &str,
        expr: ast::Expr,
        pattern: ast::Expr,
        character: Option<Box<ast::Expr>>,
    ) -> Result<Expr> {
        let left = self.boxed(expr)?;
        let mut arguments = vec![self.expr(pattern)?];
        if let Some(character) = character {
            arguments.push(self.expr(*character)?);
        }
        let escape = Call::plain(QualifiedName::builtin("similar_to_escape"), arguments);
        Ok(Expr::Operator { name: symbol(name), left: Some(left), right: Box::new(Expr::Call(Box::new(escape))) })
    }
}

enum Quantified {
    Plain(Expr),
    Query(Query),
}
