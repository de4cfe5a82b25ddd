//! Function calls, aggregates and window functions; and the marks that were written as calls.

use sqlparser::ast;

use super::{Converter, Result};
use crate::sql::marker;
use crate::sql::tree::{Argument, Call, Expr, Over, SubqueryKind, Window};

impl Converter {
    pub(super) fn function(&mut self, found: ast::Function) -> Result<Expr> {
        if let Some(kind) = mark(&found.name) {
            return self.marked(kind.to_owned(), found);
        }
        Ok(Expr::Call(Box::new(self.call(found)?)))
    }

    /// A call by name.
    pub(super) fn call(&mut self, found: ast::Function) -> Result<Call> {
        let ast::Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            found;
        if uses_odbc_syntax || null_treatment.is_some() || parameters != ast::FunctionArguments::None {
            return self.refuse("this kind of call");
        }
        let ast::FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment: _, args, clauses }) = args
        else {
            return self.refuse("this kind of call");
        };
        let mut call = Call::plain(self.qualified(name)?, Vec::new());
        for argument in args {
            self.argument(&mut call, argument)?;
        }
        for clause in clauses {
            match clause {
                ast::FunctionArgumentClause::OrderBy(order) => call.order_by.append(&mut self.order(order)?),
                ast::FunctionArgumentClause::JsonNullClause(_) => {}
                ast::FunctionArgumentClause::IgnoreOrRespectNulls(_)
                | ast::FunctionArgumentClause::Where(_)
                | ast::FunctionArgumentClause::Limit(_)
                | ast::FunctionArgumentClause::OnOverflow(_)
                | ast::FunctionArgumentClause::Having(_)
                | ast::FunctionArgumentClause::Separator(_)
                | ast::FunctionArgumentClause::JsonReturningClause(_) => return self.refuse("this clause of a call"),
            }
        }
        call.within_group = self.order(within_group)?;
        call.filter = filter.map(|filter| self.expr(*filter)).transpose()?;
        call.over = over.map(|over| self.over(over)).transpose()?;
        Ok(call)
    }

    pub(super) fn argument(&mut self, call: &mut Call, found: ast::FunctionArg) -> Result<()> {
        match found {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard) => call.star = true,
            ast::FunctionArg::Unnamed(value) => {
                let expr = self.argument_value(value)?;
                call.arguments.push(Argument { name: None, expr });
            }
            ast::FunctionArg::ExprNamed { name, arg, operator } => self.named(call, name, arg, operator)?,
            ast::FunctionArg::Named { name, arg, operator } => {
                self.named(call, ast::Expr::Identifier(name), arg, operator)?;
            }
        }
        Ok(())
    }

    fn named(
        &mut self,
        call: &mut Call,
        name: ast::Expr,
        value: ast::FunctionArgExpr,
        operator: ast::FunctionArgOperator,
    ) -> Result<()> {
        let value = self.argument_value(value)?;
        match (name, operator) {
            (ast::Expr::Identifier(name), ast::FunctionArgOperator::RightArrow) => {
                if let Some(named) = marker::payload(&name.value, "variadic") {
                    call.variadic = true;
                    let name = (!named.is_empty()).then(|| named.into());
                    call.arguments.push(Argument { name, expr: value });
                } else {
                    call.arguments.push(Argument { name: Some(self.name(name)?), expr: value });
                }
            }
            // JSON_OBJECT(key : value) has two arguments there.
            (key, ast::FunctionArgOperator::Colon | ast::FunctionArgOperator::Value) => {
                let key = self.expr(key)?;
                call.arguments.push(Argument { name: None, expr: key });
                call.arguments.push(Argument { name: None, expr: value });
            }
            (
                _,
                ast::FunctionArgOperator::RightArrow
                | ast::FunctionArgOperator::Equals
                | ast::FunctionArgOperator::Assignment
                | ast::FunctionArgOperator::Space,
            ) => return self.refuse("this kind of argument"),
        }
        Ok(())
    }

    fn argument_value(&mut self, found: ast::FunctionArgExpr) -> Result<Expr> {
        match found {
            ast::FunctionArgExpr::Expr(expr) => self.expr(expr),
            ast::FunctionArgExpr::QualifiedWildcard(name) => Ok(Expr::WholeRow(self.qualified(name)?)),
            ast::FunctionArgExpr::Wildcard | ast::FunctionArgExpr::WildcardWithOptions(_) => {
                self.refuse("this kind of argument")
            }
        }
    }

    fn over(&mut self, found: ast::WindowType) -> Result<Over> {
        Ok(match found {
            ast::WindowType::NamedWindow(name) => Over::Named(self.name(name)?),
            ast::WindowType::WindowSpec(spec) => Over::Inline(self.window(spec)?),
        })
    }

    pub(super) fn window(&mut self, found: ast::WindowSpec) -> Result<Window> {
        let ast::WindowSpec { window_name, partition_by, order_by, window_frame } = found;
        let mut window = Window {
            base: window_name.map(|name| self.name(name)).transpose()?,
            partition_by: self.exprs(partition_by)?,
            order_by: self.order(order_by)?,
            bounds: Vec::new(),
        };
        if let Some(ast::WindowFrame { units: _, start_bound, end_bound }) = window_frame {
            for bound in [Some(start_bound), end_bound].into_iter().flatten() {
                match bound {
                    ast::WindowFrameBound::CurrentRow => {}
                    ast::WindowFrameBound::Preceding(bound) | ast::WindowFrameBound::Following(bound) => {
                        if let Some(bound) = bound {
                            window.bounds.push(self.expr(*bound)?);
                        }
                    }
                }
            }
        }
        Ok(window)
    }

    /// What a mark that was written as a call stands for.
    fn marked(&mut self, kind: String, found: ast::Function) -> Result<Expr> {
        let mut arguments = self.plain_arguments(found)?;
        match kind.as_str() {
            "coalesce" => self.common("coalesce", arguments),
            "greatest" => self.common("greatest", arguments),
            "least" => self.common("least", arguments),
            "nullif" => self.null_if(arguments),
            "xmlconcat" => self.common("xmlconcat", arguments),
            "grouping" => Ok(Expr::Boolean(self.exprs(arguments)?)),
            "tuple" => Ok(Expr::Row(self.exprs(arguments)?)),
            "array" => match (arguments.pop(), arguments.is_empty()) {
                (Some(argument), true) => self.array_query(argument),
                (_, _) => self.refuse("ARRAY() without a query"),
            },
            _ => self.refuse("this syntax"),
        }
    }

    fn common(&mut self, name: &'static str, arguments: Vec<ast::Expr>) -> Result<Expr> {
        Ok(Expr::Common { name, arguments: self.exprs(arguments)? })
    }

    /// NULLIF compares its arguments and yields the first.
    fn null_if(&mut self, arguments: Vec<ast::Expr>) -> Result<Expr> {
        let mut arguments = arguments.into_iter();
        let (Some(left), Some(right), None) = (arguments.next(), arguments.next(), arguments.next()) else {
            return self.refuse("NULLIF without two arguments");
        };
        let name = super::operator::symbol("=");
        let (left, right) = (self.boxed(left)?, self.boxed(right)?);
        Ok(Expr::Common { name: "nullif", arguments: vec![Expr::Operator { name, left: Some(left), right }] })
    }

    fn array_query(&mut self, argument: ast::Expr) -> Result<Expr> {
        let mut argument = argument;
        while let ast::Expr::Nested(inner) = argument {
            argument = *inner;
        }
        match argument {
            ast::Expr::Subquery(query) => self.subquery(SubqueryKind::Array, *query),
            _ => self.refuse("ARRAY() without a query"),
        }
    }

    /// The arguments of a mark: expressions and nothing else.
    pub(super) fn plain_arguments(&self, found: ast::Function) -> Result<Vec<ast::Expr>> {
        let ast::Function { name: _, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            found;
        let bare = !uses_odbc_syntax
            && parameters == ast::FunctionArguments::None
            && within_group.is_empty()
            && filter.is_none()
            && null_treatment.is_none()
            && over.is_none();
        let list = match args {
            ast::FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment: None, args, clauses })
                if bare && clauses.is_empty() =>
            {
                args
            }
            ast::FunctionArguments::List(_) | ast::FunctionArguments::None | ast::FunctionArguments::Subquery(_) => {
                return self.refuse("this syntax");
            }
        };
        let plain = |argument| match argument {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Ok(expr),
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::QualifiedWildcard(name)) => {
                let token = ast::helpers::attached_token::AttachedToken::empty();
                Ok(ast::Expr::QualifiedWildcard(name, token))
            }
            ast::FunctionArg::Unnamed(
                ast::FunctionArgExpr::Wildcard | ast::FunctionArgExpr::WildcardWithOptions(_),
            )
            | ast::FunctionArg::Named { .. }
            | ast::FunctionArg::ExprNamed { .. } => self.refuse("this kind of argument"),
        };
        list.into_iter().map(plain).collect()
    }

    /// Elements of GROUP BY: GROUPING SETS, CUBE and ROLLUP are laid flat.
    pub(super) fn group_by(&mut self, found: Vec<ast::Expr>) -> Result<Vec<Expr>> {
        let mut flat = Vec::new();
        for element in found {
            match element {
                ast::Expr::Function(function) if mark(&function.name) == Some("group") => {
                    let inner = self.plain_arguments(function)?;
                    flat.append(&mut self.deeper(|converter| converter.group_by(inner))?);
                }
                ast::Expr::Tuple(inner) => flat.append(&mut self.deeper(|converter| converter.group_by(inner))?),
                ast::Expr::Nested(inner) => {
                    flat.append(&mut self.deeper(|converter| converter.group_by(vec![*inner]))?)
                }
                other => flat.push(self.expr(other)?),
            }
        }
        Ok(flat)
    }
}

/// The argument of ANY or ALL, or the expression back if it is neither.
pub(super) fn quantifier(found: ast::Expr) -> std::result::Result<ast::Expr, Box<ast::Expr>> {
    let ast::Expr::Function(function) = found else { return Err(Box::new(found)) };
    if !matches!(mark(&function.name), Some("any" | "all")) {
        return Err(Box::new(ast::Expr::Function(function)));
    }
    match function.args {
        ast::FunctionArguments::List(ast::FunctionArgumentList {
            mut args,
            duplicate_treatment: None,
            ref clauses,
        }) if clauses.is_empty() && args.len() == 1 => {
            match args.pop() {
                Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr))) => Ok(expr),
                // Converted as a mark in the wrong place, and so refused.
                _ => Err(Box::new(ast::Expr::Wildcard(ast::helpers::attached_token::AttachedToken::empty()))),
            }
        }
        _ => Err(Box::new(ast::Expr::Wildcard(ast::helpers::attached_token::AttachedToken::empty()))),
    }
}

/// The kind of mark that a call's name is.
pub(super) fn mark(name: &ast::ObjectName) -> Option<&str> {
    let ast::ObjectName(parts) = name;
    match parts.as_slice() {
        [ast::ObjectNamePart::Identifier(ident)] => marker::split(&ident.value).map(|(kind, _)| kind),
        [..] => None,
    }
}
