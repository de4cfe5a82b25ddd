//! Expressions.

use sqlparser::ast;
use sqlparser::ast::{BinaryOperator, Value};

use super::operator::symbol;
use super::{Converter, Result, type_mark};
use crate::sql::marker;
use crate::sql::tree::{Call, Expr, Literal, QualifiedName, Subquery, SubqueryKind};

/// How many fields and subscripts may follow one another: each deepens the tree.
const LONGEST_ACCESS: usize = 32;

impl Converter {
    /// Converts an expression and all in it.
    pub fn expr(&mut self, found: ast::Expr) -> Result<Expr> {
        self.made += 1;
        self.deeper(|converter| converter.expr_here(found))
    }

    pub(super) fn exprs(&mut self, found: Vec<ast::Expr>) -> Result<Vec<Expr>> {
        found.into_iter().map(|expr| self.expr(expr)).collect()
    }

    pub(super) fn boxed(&mut self, found: ast::Expr) -> Result<Box<Expr>> {
        Ok(Box::new(self.expr(found)?))
    }

    pub(super) fn optional(&mut self, found: Option<ast::Expr>) -> Result<Option<Expr>> {
        found.map(|expr| self.expr(expr)).transpose()
    }

    fn expr_here(&mut self, found: ast::Expr) -> Result<Expr> {
        use ast::Expr as Core;
        match found {
            Core::Identifier(ident) => self.column(vec![ident]),
            Core::CompoundIdentifier(idents) => self.column(idents),
            Core::CompoundFieldAccess { root, access_chain } => self.access(*root, access_chain),
            Core::Value(value) => self.value(value.value),
            Core::Nested(inner) => self.expr(*inner),
            Core::IsFalse(inner)
            | Core::IsNotFalse(inner)
            | Core::IsTrue(inner)
            | Core::IsNotTrue(inner)
            | Core::IsNull(inner)
            | Core::IsNotNull(inner)
            | Core::IsUnknown(inner)
            | Core::IsNotUnknown(inner) => Ok(Expr::Boolean(vec![self.expr(*inner)?])),
            Core::IsDistinctFrom(left, right) | Core::IsNotDistinctFrom(left, right) => {
                self.comparison("=", *left, *right)
            }
            Core::InList { expr, list, negated } => self.in_list(*expr, list, negated),
            Core::InSubquery { expr, subquery, negated } => {
                let operator = symbol(if negated { "<>" } else { "=" });
                let kind = SubqueryKind::Quantified { left: self.expr(*expr)?, operator };
                self.subquery(kind, *subquery)
            }
            Core::Between { expr, negated, low, high } => self.between(*expr, negated, *low, *high),
            Core::BinaryOp { left, op, right } => self.binary(*left, op, *right),
            Core::UnaryOp { op, expr } => match self.prefix(op)? {
                Some(name) => Ok(Expr::Operator { name, left: None, right: self.boxed(*expr)? }),
                None => Ok(Expr::Boolean(vec![self.expr(*expr)?])),
            },
            Core::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(if negated { "!~~" } else { "~~" }, "like_escape", *expr, *pattern, escape_char)
            }
            Core::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like(if negated { "!~~*" } else { "~~*" }, "like_escape", *expr, *pattern, escape_char)
            }
            Core::SimilarTo { negated, expr, pattern, escape_char } => {
                self.similar(if negated { "!~" } else { "~" }, *expr, *pattern, escape_char)
            }
            Core::Cast { kind: ast::CastKind::Cast | ast::CastKind::DoubleColon, expr, data_type, format: None } => {
                self.cast(*expr, &data_type)
            }
            Core::AtTimeZone { timestamp, time_zone } => {
                let arguments = vec![self.expr(*time_zone)?, self.expr(*timestamp)?];
                Ok(Expr::Call(Box::new(Call::plain(QualifiedName::builtin("timezone"), arguments))))
            }
            Core::Function(function) => self.function(function),
            Core::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.case(operand, conditions, else_result)
            }
            Core::Exists { subquery, negated: _ } => self.subquery(SubqueryKind::Exists, *subquery),
            Core::Subquery(query) => self.subquery(SubqueryKind::Scalar, *query),
            Core::Tuple(elements) => Ok(Expr::Row(self.exprs(elements)?)),
            Core::Array(ast::Array { elem, named: _ }) => Ok(Expr::Array(self.exprs(elem)?)),
            Core::QualifiedWildcard(name, _) => Ok(Expr::WholeRow(self.qualified(name)?)),
            Core::JsonAccess { .. }
            | Core::IsJson { .. }
            | Core::IsNormalized { .. }
            | Core::InUnnest { .. }
            | Core::Like { .. }
            | Core::ILike { .. }
            | Core::RLike { .. }
            | Core::AnyOp { .. }
            | Core::AllOp { .. }
            | Core::Convert { .. }
            | Core::Cast { .. }
            | Core::Extract { .. }
            | Core::Ceil { .. }
            | Core::Floor { .. }
            | Core::Position { .. }
            | Core::Substring { .. }
            | Core::Trim { .. }
            | Core::Overlay { .. }
            | Core::Collate { .. }
            | Core::Prefixed { .. }
            | Core::TypedString(_)
            | Core::GroupingSets(_)
            | Core::Cube(_)
            | Core::Rollup(_)
            | Core::Struct { .. }
            | Core::Named { .. }
            | Core::Dictionary(_)
            | Core::Map(_)
            | Core::Interval(_)
            | Core::MatchAgainst { .. }
            | Core::Wildcard(_)
            | Core::OuterJoin(_)
            | Core::Prior(_)
            | Core::Lambda(_)
            | Core::MemberOf(_) => self.refuse("this kind of expression"),
        }
    }

    /// A column, or one of the marks that go as columns.
    fn column(&mut self, mut idents: Vec<ast::Ident>) -> Result<Expr> {
        if let [ident] = idents.as_slice()
            && let Some((kind, payload)) = marker::split(&ident.value)
        {
            return match kind {
                "default" => Ok(Expr::Default),
                "expr" => match payload.parse::<usize>().ok().and_then(|index| self.side.exprs.get(index)) {
                    Some(found) => {
                        self.made += found.size;
                        Ok(found.of.clone())
                    }
                    None => self.refuse("this syntax"),
                },
                "keyword" => match keyword(payload) {
                    Some(word) => Ok(Expr::Keyword(word)),
                    None => self.refuse("this keyword"),
                },
                _ => self.refuse("this syntax"),
            };
        }
        let row = idents.last().is_some_and(|ident| marker::payload(&ident.value, "row").is_some());
        if row {
            idents.pop();
        }
        let name = QualifiedName { parts: self.names(idents)? };
        Ok(if row { Expr::WholeRow(name) } else { Expr::Column(name) })
    }

    /// `(x).a`, `x[1]`, and chains of them.
    fn access(&mut self, root: ast::Expr, chain: Vec<ast::AccessExpr>) -> Result<Expr> {
        if chain.len() > LONGEST_ACCESS {
            return self.refuse("a chain of fields this long");
        }
        let mut chain = chain.into_iter().peekable();
        // `t.a[1].b`: names before the first subscript belong to the column.
        let mut idents = Vec::new();
        let mut expr = match root {
            ast::Expr::Identifier(ident) => {
                idents.push(ident);
                while let Some(ast::AccessExpr::Dot(ast::Expr::Identifier(ident))) = chain.peek() {
                    idents.push(ident.clone());
                    chain.next();
                }
                self.column(idents)?
            }
            ast::Expr::CompoundIdentifier(found) => self.column(found)?,
            other => self.expr(other)?,
        };
        for step in chain {
            expr = match step {
                ast::AccessExpr::Dot(ast::Expr::Identifier(ident)) => {
                    // `(x).*` outside of a list of targets is the value itself.
                    if marker::payload(&ident.value, "star").is_some() {
                        continue;
                    }
                    Expr::Field { expr: Box::new(expr), name: self.name(ident)? }
                }
                ast::AccessExpr::Dot(_) => return self.refuse("this kind of field"),
                ast::AccessExpr::Subscript(subscript) => {
                    let slice = matches!(subscript, ast::Subscript::Slice { .. });
                    Expr::Subscript { expr: Box::new(expr), indices: self.subscript(subscript)?, slice }
                }
            };
        }
        Ok(expr)
    }

    fn subscript(&mut self, found: ast::Subscript) -> Result<Vec<Expr>> {
        match found {
            ast::Subscript::Index { index } => Ok(vec![self.expr(index)?]),
            ast::Subscript::Slice { lower_bound, upper_bound, stride: None } => {
                let bounds = [lower_bound, upper_bound].into_iter().flatten().collect();
                self.exprs(bounds)
            }
            ast::Subscript::Slice { .. } => self.refuse("a slice with a stride"),
        }
    }

    fn value(&mut self, found: Value) -> Result<Expr> {
        Ok(Expr::Literal(match found {
            Value::Number(digits, false) => {
                let integer = digits.bytes().all(|byte| byte.is_ascii_digit());
                if integer { Literal::Integer(digits) } else { Literal::Numeric(digits) }
            }
            Value::SingleQuotedString(body) => match marker::payload(&body, "bit") {
                Some(bits) => Literal::Bit(bits.to_owned()),
                None => Literal::String(body),
            },
            Value::Boolean(value) => Literal::Boolean(value),
            Value::Null => Literal::Null,
            Value::Placeholder(name) => match name.strip_prefix('$').and_then(|digits| digits.parse().ok()) {
                Some(number) => return Ok(Expr::Parameter(number)),
                None => return self.refuse("this placeholder"),
            },
            Value::Number(_, true)
            | Value::DollarQuotedString(_)
            | Value::TripleSingleQuotedString(_)
            | Value::TripleDoubleQuotedString(_)
            | Value::EscapedStringLiteral(_)
            | Value::UnicodeStringLiteral(_)
            | Value::SingleQuotedByteStringLiteral(_)
            | Value::DoubleQuotedByteStringLiteral(_)
            | Value::TripleSingleQuotedByteStringLiteral(_)
            | Value::TripleDoubleQuotedByteStringLiteral(_)
            | Value::SingleQuotedRawStringLiteral(_)
            | Value::DoubleQuotedRawStringLiteral(_)
            | Value::TripleSingleQuotedRawStringLiteral(_)
            | Value::TripleDoubleQuotedRawStringLiteral(_)
            | Value::NationalStringLiteral(_)
            | Value::QuoteDelimitedStringLiteral(_)
            | Value::NationalQuoteDelimitedStringLiteral(_)
            | Value::HexStringLiteral(_)
            | Value::DoubleQuotedString(_) => return self.refuse("this kind of constant"),
        }))
    }

    /// AND and OR are gathered into one list however many there are; other operators keep their shape.
    fn binary(&mut self, left: ast::Expr, operator: BinaryOperator, right: ast::Expr) -> Result<Expr> {
        match operator {
            BinaryOperator::And | BinaryOperator::Or => self.gather(left, right),
            BinaryOperator::Overlaps => {
                let mut arguments = Vec::with_capacity(4);
                for side in [left, right] {
                    match self.expr(side)? {
                        Expr::Row(mut both) if both.len() == 2 => arguments.append(&mut both),
                        _ => return self.refuse("OVERLAPS without two pairs"),
                    }
                }
                Ok(Expr::Call(Box::new(Call::plain(QualifiedName::builtin("overlaps"), arguments))))
            }
            other => {
                let name = self.infix(other)?;
                let left = self.expr(left)?;
                self.operation(name, left, right)
            }
        }
    }

    fn gather(&mut self, left: ast::Expr, right: ast::Expr) -> Result<Expr> {
        let mut operands = Vec::new();
        let mut open = vec![right, left];
        while let Some(next) = open.pop() {
            match next {
                ast::Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                    open.push(*right);
                    open.push(*left);
                }
                ast::Expr::Nested(inner) => open.push(*inner),
                other => operands.push(self.expr(other)?),
            }
        }
        Ok(Expr::Boolean(operands))
    }

    /// Casts, and the postfix marks that were written as casts.
    fn cast(&mut self, expr: ast::Expr, to: &ast::DataType) -> Result<Expr> {
        let expr = self.boxed(expr)?;
        let builtin = |name: &str, expr: Box<Expr>| {
            Ok(Expr::Call(Box::new(Call::plain(QualifiedName::builtin(name), vec![*expr]))))
        };
        match type_mark(to).and_then(marker::split) {
            Some(("collate", index)) => {
                match index.parse::<usize>().ok().and_then(|index| self.side.collations.get(index)) {
                    Some(collation) => Ok(Expr::Collate { expr, collation: collation.clone() }),
                    None => self.refuse("this collation"),
                }
            }
            Some(("atlocal", _)) => builtin("timezone", expr),
            Some(("normalized", _)) => builtin("is_normalized", expr),
            Some(_) | None => Ok(Expr::Cast { expr, to: self.type_name(to)? }),
        }
    }

    fn case(
        &mut self,
        operand: Option<Box<ast::Expr>>,
        conditions: Vec<ast::CaseWhen>,
        otherwise: Option<Box<ast::Expr>>,
    ) -> Result<Expr> {
        let operand = operand.map(|operand| self.boxed(*operand)).transpose()?;
        let mut whens = Vec::with_capacity(conditions.len());
        for ast::CaseWhen { condition, result } in conditions {
            whens.push((self.expr(condition)?, self.expr(result)?));
        }
        let otherwise = otherwise.map(|otherwise| self.boxed(*otherwise)).transpose()?;
        Ok(Expr::Case { operand, whens, otherwise })
    }

    pub(super) fn subquery(&mut self, kind: SubqueryKind, query: ast::Query) -> Result<Expr> {
        let query = self.deeper(|converter| converter.query(query))?;
        Ok(Expr::Subquery(Box::new(Subquery { kind, query })))
    }
}

fn keyword(word: &str) -> Option<&'static str> {
    const WORDS: [&str; 11] = [
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "localtime",
        "localtimestamp",
        "session_user",
        "user",
    ];
    WORDS.into_iter().find(|known| *known == word)
}
