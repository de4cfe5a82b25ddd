//! Queries: WITH, set operations, SELECT and its clauses.

use sqlparser::ast;

use super::{Converter, Result};
use crate::sql::marker;
use crate::sql::tree::{Action, Cte, Expr, Query, RowLock, Select, SetExpr, Target, Window, With};

impl Converter {
    pub(super) fn query(&mut self, found: ast::Query) -> Result<Query> {
        let ast::Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = found;
        if for_clause.is_some() || settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty() {
            return self.refuse("this clause of a query");
        }
        Ok(Query {
            with: with.map(|with| self.with(with)).transpose()?.filter(|with| !with.ctes.is_empty()),
            body: self.body(*body)?,
            order_by: self.order_by(order_by)?,
            limits: self.limits(limit_clause, fetch)?,
            locks: locks.into_iter().map(|lock| self.lock(lock)).collect::<Result<_>>()?,
        })
    }

    pub(super) fn with(&mut self, found: ast::With) -> Result<With> {
        let ast::With { with_token: _, recursive, cte_tables } = found;
        let mut ctes = Vec::with_capacity(cte_tables.len());
        for ast::Cte { alias, query, from, materialized: _, closing_paren_token: _ } in cte_tables {
            let ast::TableAlias { explicit: _, name, columns, at } = alias;
            if at.is_some() {
                return self.refuse("this kind of WITH");
            }
            if marker::payload(&name.value, "none").is_some() {
                continue;
            }
            if from.is_some() {
                return self.refuse("this kind of WITH");
            }
            let mut columns = columns;
            let mut added = Vec::new();
            if let Some(index) = columns.last().and_then(|last| marker::payload(&last.name.value, "search")) {
                match index.parse::<usize>().ok().and_then(|index| self.side.searches.get(index)) {
                    Some(found) => added.clone_from(found),
                    None => return self.refuse("this kind of WITH"),
                }
                columns.pop();
            }
            let name = self.name(name)?;
            let columns = self.alias_columns(columns)?;
            let body = self.deeper(|converter| converter.query_or_change(*query))?;
            ctes.push(Cte { name, columns, body, added });
        }
        Ok(With { recursive, ctes })
    }

    /// A query, or INSERT, UPDATE, DELETE or MERGE with a WITH before it.
    pub(super) fn query_or_change(&mut self, found: ast::Query) -> Result<Action> {
        let change = matches!(
            found.body.as_ref(),
            ast::SetExpr::Insert(_) | ast::SetExpr::Update(_) | ast::SetExpr::Delete(_) | ast::SetExpr::Merge(_)
        );
        if !change {
            return Ok(Action::Query(Box::new(self.query(found)?)));
        }
        let ast::Query {
            with,
            body,
            order_by: None,
            limit_clause: None,
            fetch: None,
            locks,
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators,
        } = found
        else {
            return self.refuse("this clause of a query");
        };
        if !locks.is_empty() || !pipe_operators.is_empty() {
            return self.refuse("this clause of a query");
        }
        let with = with.map(|with| self.with(with)).transpose()?;
        match *body {
            ast::SetExpr::Insert(statement)
            | ast::SetExpr::Update(statement)
            | ast::SetExpr::Delete(statement)
            | ast::SetExpr::Merge(statement) => self.change(statement, with),
            ast::SetExpr::Select(_)
            | ast::SetExpr::Query(_)
            | ast::SetExpr::SetOperation { .. }
            | ast::SetExpr::Values(_)
            | ast::SetExpr::Table(_) => self.refuse("this kind of query"),
        }
    }

    fn body(&mut self, found: ast::SetExpr) -> Result<SetExpr> {
        match found {
            ast::SetExpr::Select(select) => Ok(SetExpr::Select(Box::new(self.select(*select)?))),
            ast::SetExpr::Query(query) => {
                Ok(SetExpr::Query(Box::new(self.deeper(|converter| converter.query(*query))?)))
            }
            ast::SetExpr::Values(ast::Values { explicit_row: false, value_keyword: false, rows }) => {
                let mut values = Vec::with_capacity(rows.len());
                for ast::Parens { opening_token: _, content, closing_token: _ } in rows {
                    values.push(self.exprs(content)?);
                }
                Ok(SetExpr::Values(values))
            }
            ast::SetExpr::SetOperation { left, op, set_quantifier, right } => {
                self.set_operation(*left, op, set_quantifier, *right)
            }
            ast::SetExpr::Values(_)
            | ast::SetExpr::Insert(_)
            | ast::SetExpr::Update(_)
            | ast::SetExpr::Delete(_)
            | ast::SetExpr::Merge(_)
            | ast::SetExpr::Table(_) => self.refuse("this kind of query"),
        }
    }

    /// A chain of set operations is as deep as it is long; which of them is which does not matter here, so that it becomes
    /// a balanced tree with the same leaves in the same order.
    fn set_operation(
        &mut self,
        left: ast::SetExpr,
        operator: ast::SetOperator,
        quantifier: ast::SetQuantifier,
        right: ast::SetExpr,
    ) -> Result<SetExpr> {
        self.known_set_operation(operator, quantifier)?;
        let mut leaves = Vec::new();
        let mut open = vec![right, left];
        while let Some(next) = open.pop() {
            match next {
                ast::SetExpr::SetOperation { left, op, set_quantifier, right } => {
                    self.known_set_operation(op, set_quantifier)?;
                    open.push(*right);
                    open.push(*left);
                }
                other => leaves.push(self.deeper(|converter| converter.body(other))?),
            }
        }
        while leaves.len() > 1 {
            let mut pairs = Vec::with_capacity(leaves.len().div_ceil(2));
            let mut source = leaves.into_iter();
            while let Some(left) = source.next() {
                pairs.push(match source.next() {
                    Some(right) => SetExpr::SetOperation { left: Box::new(left), right: Box::new(right) },
                    None => left,
                });
            }
            leaves = pairs;
        }
        match leaves.pop() {
            Some(root) => Ok(root),
            None => self.refuse("an empty set operation"),
        }
    }

    fn known_set_operation(&self, operator: ast::SetOperator, quantifier: ast::SetQuantifier) -> Result<()> {
        match (operator, quantifier) {
            (
                ast::SetOperator::Union | ast::SetOperator::Except | ast::SetOperator::Intersect,
                ast::SetQuantifier::All | ast::SetQuantifier::Distinct | ast::SetQuantifier::None,
            ) => Ok(()),
            (ast::SetOperator::Minus, _)
            | (_, ast::SetQuantifier::ByName | ast::SetQuantifier::AllByName | ast::SetQuantifier::DistinctByName) => {
                self.refuse("this set operation")
            }
        }
    }

    fn select(&mut self, found: ast::Select) -> Result<Select> {
        let ast::Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = found;
        let foreign = !optimizer_hints.is_empty()
            || select_modifiers.is_some()
            || top.is_some()
            || top_before_distinct
            || exclude.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || qualify.is_some()
            || value_table_mode.is_some()
            || flavor != ast::SelectFlavor::Standard;
        if foreign {
            return self.refuse("this clause of SELECT");
        }
        let distinct_on = match distinct {
            Some(ast::Distinct::On(exprs)) => self.exprs(exprs)?,
            Some(ast::Distinct::All | ast::Distinct::Distinct) | None => Vec::new(),
        };
        Ok(Select {
            distinct_on,
            targets: self.targets(projection)?,
            into: into.map(|into| self.into(into)).transpose()?,
            from: self.from(from)?,
            selection: self.optional(selection)?,
            group_by: match group_by {
                ast::GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => self.group_by(exprs)?,
                ast::GroupByExpr::Expressions(_, _) | ast::GroupByExpr::All(_) => {
                    return self.refuse("this kind of GROUP BY");
                }
            },
            having: self.optional(having)?,
            windows: self.windows(named_window)?,
        })
    }

    fn windows(&mut self, found: Vec<ast::NamedWindowDefinition>) -> Result<Vec<(crate::sql::tree::Name, Window)>> {
        let mut windows = Vec::with_capacity(found.len());
        for ast::NamedWindowDefinition(name, definition) in found {
            let ast::NamedWindowExpr::WindowSpec(spec) = definition else {
                return self.refuse("a window that is another's name");
            };
            windows.push((self.name(name)?, self.window(spec)?));
        }
        Ok(windows)
    }

    fn into(&mut self, found: ast::SelectInto) -> Result<crate::sql::tree::QualifiedName> {
        let ast::SelectInto { temporary: false, unlogged: false, table: false, targets } = found else {
            return self.refuse("this kind of SELECT INTO");
        };
        let mut targets = targets.into_iter();
        match (targets.next(), targets.next()) {
            (Some(ast::Expr::Identifier(ident)), None) => {
                Ok(crate::sql::tree::QualifiedName { parts: vec![self.name(ident)?] })
            }
            (Some(ast::Expr::CompoundIdentifier(idents)), None) => {
                Ok(crate::sql::tree::QualifiedName { parts: self.names(idents)? })
            }
            (_, _) => self.refuse("this kind of SELECT INTO"),
        }
    }

    pub(super) fn targets(&mut self, found: Vec<ast::SelectItem>) -> Result<Vec<Target>> {
        let nothing = |item: &ast::SelectItem| match item {
            ast::SelectItem::UnnamedExpr(ast::Expr::Identifier(ident)) => {
                marker::payload(&ident.value, "nothing").is_some()
            }
            _ => false,
        };
        found.into_iter().filter(|item| !nothing(item)).map(|item| self.target(item)).collect()
    }

    fn target(&mut self, found: ast::SelectItem) -> Result<Target> {
        if let ast::SelectItem::UnnamedExpr(ast::Expr::Identifier(ident)) = &found
            && let Some(name) = marker::payload(&ident.value, "rowalias")
        {
            return Ok(Target::RowAlias(crate::sql::tree::Name::from(name)));
        }
        match found {
            ast::SelectItem::UnnamedExpr(expr) => self.unnamed(expr),
            ast::SelectItem::ExprWithAlias { expr, alias } => {
                Ok(Target::Expr { expr: self.expr(expr)?, alias: Some(self.name(alias)?) })
            }
            ast::SelectItem::Wildcard(options) => {
                self.no_options(options)?;
                Ok(Target::Star)
            }
            ast::SelectItem::QualifiedWildcard(kind, options) => {
                self.no_options(options)?;
                match kind {
                    ast::SelectItemQualifiedWildcardKind::ObjectName(name) => {
                        Ok(Target::QualifiedStar(self.qualified(name)?))
                    }
                    ast::SelectItemQualifiedWildcardKind::Expr(expr) => Ok(Target::FieldStar(self.expr(expr)?)),
                }
            }
            ast::SelectItem::ExprWithAliases { .. } => self.refuse("more than one alias"),
        }
    }

    /// A target without alias; `(x).*` comes with a mark at its end.
    fn unnamed(&mut self, found: ast::Expr) -> Result<Target> {
        let star = match &found {
            ast::Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last() {
                Some(ast::AccessExpr::Dot(ast::Expr::Identifier(ident))) => {
                    marker::payload(&ident.value, "star").is_some()
                }
                Some(_) | None => false,
            },
            ast::Expr::QualifiedWildcard(..) => {
                let ast::Expr::QualifiedWildcard(name, _) = found else { return self.refuse("this target") };
                return Ok(Target::QualifiedStar(self.qualified(name)?));
            }
            _ => false,
        };
        let expr = self.expr(found)?;
        Ok(if star { Target::FieldStar(expr) } else { Target::Expr { expr, alias: None } })
    }

    fn no_options(&self, found: ast::WildcardAdditionalOptions) -> Result<()> {
        match found {
            ast::WildcardAdditionalOptions {
                wildcard_token: _,
                opt_ilike: None,
                opt_exclude: None,
                opt_except: None,
                opt_replace: None,
                opt_rename: None,
                opt_alias: None,
            } => Ok(()),
            ast::WildcardAdditionalOptions { .. } => self.refuse("an option of *"),
        }
    }

    fn order_by(&mut self, found: Option<ast::OrderBy>) -> Result<Vec<Expr>> {
        match found {
            None => Ok(Vec::new()),
            Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(exprs), interpolate: None }) => self.order(exprs),
            Some(ast::OrderBy { .. }) => self.refuse("this kind of ORDER BY"),
        }
    }

    pub(super) fn order(&mut self, found: Vec<ast::OrderByExpr>) -> Result<Vec<Expr>> {
        let mut order = Vec::with_capacity(found.len());
        for ast::OrderByExpr { expr, options, with_fill } in found {
            let ast::OrderByOptions { sort, nulls_first: _ } = options;
            if with_fill.is_some() || matches!(sort, Some(ast::OrderBySort::Using(_))) {
                return self.refuse("this kind of ORDER BY");
            }
            order.push(self.expr(expr)?);
        }
        Ok(order)
    }

    fn limits(&mut self, clause: Option<ast::LimitClause>, fetch: Option<ast::Fetch>) -> Result<Vec<Expr>> {
        let mut limits = Vec::new();
        match clause {
            None => {}
            Some(ast::LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                limits.extend(self.optional(limit)?);
                if let Some(ast::Offset { value, rows: _ }) = offset {
                    limits.push(self.expr(value)?);
                }
            }
            Some(ast::LimitClause::LimitOffset { .. } | ast::LimitClause::OffsetCommaLimit { .. }) => {
                return self.refuse("this kind of LIMIT");
            }
        }
        match fetch {
            None => {}
            Some(ast::Fetch { with_ties: _, percent: false, quantity }) => limits.extend(self.optional(quantity)?),
            Some(ast::Fetch { .. }) => return self.refuse("this kind of FETCH"),
        }
        Ok(limits)
    }

    fn lock(&self, found: ast::LockClause) -> Result<RowLock> {
        let ast::LockClause { lock_type: ast::LockType::Update, of: Some(of), nonblock: None } = found else {
            return self.refuse("this locking clause");
        };
        let ast::ObjectName(parts) = of;
        let index = match parts.as_slice() {
            [ast::ObjectNamePart::Identifier(ident)] => marker::payload(&ident.value, "lock"),
            [..] => None,
        };
        match index.and_then(|index| self.side.locks.get(index.parse::<usize>().ok()?)) {
            Some(of) => Ok(RowLock { of: of.clone() }),
            None => self.refuse("this locking clause"),
        }
    }
}
