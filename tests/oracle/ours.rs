//! A walk over our own tree. Exhaustive: a new kind of node has to say here what it names.

use pgward::sql::tree::{
    Action, Alias, Assignment, Call, CopyDirection, CopyEndpoint, CopySource, Cte, Ddl, DdlObject, Expr, FromItem,
    JoinConstraint, Literal, Merge, MergeAction, Name, OnConflict, OperatorName, Over, QualifiedName, Query,
    RelationRef, Select, SetExpr, Statement, SubqueryKind, Target, Transaction, TypeName, Window, With,
};

use crate::facts::{Facts, Kind};

/// What the statement names, or `None` for one that policy denies whatever it holds.
pub fn facts(statement: &Statement) -> Option<Facts> {
    let mut walk = Walk { facts: Facts::default(), scope: Vec::new(), opaque: false };
    walk.action(&statement.action);
    (!walk.opaque).then_some(walk.facts)
}

struct Walk {
    facts: Facts,
    /// The names that WITH has given so far.
    scope: Vec<String>,
    opaque: bool,
}

impl Walk {
    fn action(&mut self, action: &Action) {
        let outside = self.scope.len();
        self.parts(action);
        self.scope.truncate(outside);
    }

    fn parts(&mut self, action: &Action) {
        match action {
            Action::Query(query) => self.query(query),
            Action::Insert(insert) => {
                self.with(insert.with.as_ref());
                self.relation(&insert.table);
                self.labels(&insert.alias);
                self.targets_written(&insert.columns);
                self.exprs(&insert.indices);
                insert.source.iter().for_each(|query| self.query(query));
                insert.on_conflict.iter().for_each(|conflict| self.conflict(conflict));
                self.targets(&insert.returning);
            }
            Action::Update(update) => {
                self.with(update.with.as_ref());
                self.relation_ref(&update.table);
                self.alias(&update.alias);
                self.assignments(&update.assignments);
                self.from(&update.from);
                self.exprs(update.selection.as_slice());
                update.current_of.iter().for_each(|name| self.facts.add(Kind::Label, name.as_str()));
                self.targets(&update.returning);
            }
            Action::Delete(delete) => {
                self.with(delete.with.as_ref());
                self.relation_ref(&delete.table);
                self.alias(&delete.alias);
                self.from(&delete.using);
                self.exprs(delete.selection.as_slice());
                delete.current_of.iter().for_each(|name| self.facts.add(Kind::Label, name.as_str()));
                self.targets(&delete.returning);
            }
            Action::Merge(merge) => self.merge(merge),
            Action::Copy(copy) => {
                self.flag(copy.direction == CopyDirection::From, "from");
                self.flag(copy.endpoint == CopyEndpoint::Program, "program");
                self.flag(copy.endpoint == CopyEndpoint::File, "file");
                match &copy.source {
                    CopySource::Table { name, columns } => {
                        self.relation(name);
                        self.targets_written(columns);
                    }
                    CopySource::Query(action) => self.action(action),
                }
                self.exprs(copy.selection.as_slice());
            }
            Action::Explain { analyze, inner } => {
                self.flag(*analyze, "analyze");
                self.action(inner);
            }
            Action::Prepare { name, types, inner } => {
                self.facts.add(Kind::Label, name.as_str());
                self.types(types);
                self.action(&inner.action);
            }
            Action::Execute { name, arguments } => {
                self.facts.add(Kind::Label, name.as_str());
                self.exprs(arguments);
            }
            Action::DeclareCursor { name, hold: _, query } => {
                self.facts.add(Kind::Label, name.as_str());
                self.query(query);
            }
            Action::Fetch { cursor } => self.facts.add(Kind::Label, cursor.as_str()),
            Action::Deallocate(name) | Action::CloseCursor(name) => {
                name.iter().for_each(|name| self.facts.add(Kind::Label, name.as_str()));
            }
            Action::Transaction(
                Transaction::Savepoint(name) | Transaction::Release(name) | Transaction::RollbackTo(name),
            ) => {
                self.facts.add(Kind::Label, name.as_str());
            }
            Action::Transaction(Transaction::Commit { chain } | Transaction::Rollback { chain }) => {
                self.flag(*chain, "chain")
            }
            Action::Transaction(
                Transaction::Begin(_)
                | Transaction::SetModes(_)
                | Transaction::SetSnapshot
                | Transaction::SetSessionModes(_)
                | Transaction::TwoPhase,
            ) => {}
            Action::Set(setting) => {
                self.flag(setting.local, "local");
                self.facts.add(Kind::Label, setting.name.as_str());
                setting.values.iter().flatten().for_each(|value| self.facts.add(Kind::String, value.as_str()));
            }
            Action::Reset(name) | Action::Show(name) => {
                name.iter().for_each(|name| self.facts.add(Kind::Label, name.as_str()));
            }
            Action::Truncate { relations, restart_identity, cascade } => {
                self.flag(*restart_identity, "restart");
                self.flag(*cascade, "cascade");
                relations.iter().for_each(|relation| self.relation_ref(relation));
            }
            Action::Lock { relations } => {
                relations.iter().for_each(|relation| self.relation_ref(relation));
            }
            Action::Ddl(ddl) => self.ddl(ddl),
            Action::Call(call) => self.call(call),
            Action::SetIdentity
            | Action::ResetIdentity
            | Action::SetConstraints
            | Action::Discard
            | Action::Channel
            | Action::Do
            | Action::Other => {
                self.opaque = true;
            }
        }
    }

    /// A table, whatever WITH says.
    fn relation(&mut self, name: &QualifiedName) {
        self.facts.add(Kind::Relation, name.to_string());
        self.facts.add(Kind::Stored, name.to_string());
    }

    /// A table, or a query of WITH.
    fn named_in_from(&mut self, relation: &RelationRef) {
        let name = relation.name.to_string();
        if self.scope.contains(&name) {
            self.facts.add(Kind::Relation, name.clone());
        } else {
            self.relation(&relation.name);
        }
        if relation.only {
            self.facts.add(Kind::Only, name);
        }
    }

    fn flag(&mut self, on: bool, name: &str) {
        if on {
            self.facts.add(Kind::Flag, name);
        }
    }

    fn relation_ref(&mut self, relation: &RelationRef) {
        self.relation(&relation.name);
        if relation.only {
            self.facts.add(Kind::Only, relation.name.to_string());
        }
    }

    fn alias(&mut self, alias: &Alias) {
        self.labels(alias.name.iter().chain(&alias.columns));
    }

    fn labels<'n>(&mut self, names: impl IntoIterator<Item = &'n Name>) {
        names.into_iter().for_each(|name| self.facts.add(Kind::Alias, name.as_str()));
    }

    fn targets_written(&mut self, columns: &[Name]) {
        columns.iter().for_each(|column| self.facts.add(Kind::Target, column.as_str()));
    }

    fn with(&mut self, with: Option<&With>) {
        let Some(With { recursive, ctes }) = with else { return };
        if *recursive {
            self.scope.extend(ctes.iter().map(|query| query.name.to_string()));
        }
        for Cte { name, columns, body, added } in ctes {
            self.labels([name].into_iter().chain(columns).chain(added));
            self.action(body);
            if !recursive {
                self.scope.push(name.to_string());
            }
        }
    }

    fn query(&mut self, query: &Query) {
        let Query { with, body, order_by, limits, locks } = query;
        let outside = self.scope.len();
        self.with(with.as_ref());
        self.set_expr(body);
        self.exprs(order_by);
        self.exprs(limits);
        // FOR UPDATE names what FROM has.
        locks.iter().flat_map(|lock| &lock.of).for_each(|name| self.facts.add(Kind::Relation, name.to_string()));
        self.scope.truncate(outside);
    }

    fn set_expr(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(rows) => rows.iter().for_each(|row| self.exprs(row)),
            SetExpr::SetOperation { left, right } => {
                self.set_expr(left);
                self.set_expr(right);
            }
        }
    }

    fn select(&mut self, select: &Select) {
        let Select { distinct_on, targets, into, from, selection, group_by, having, windows } = select;
        self.exprs(distinct_on);
        self.targets(targets);
        into.iter().for_each(|name| self.relation(name));
        self.from(from);
        self.exprs(selection.as_slice());
        self.exprs(group_by);
        self.exprs(having.as_slice());
        for (name, window) in windows {
            self.labels([name]);
            self.window(window);
        }
    }

    fn targets(&mut self, targets: &[Target]) {
        for target in targets {
            match target {
                Target::Expr { expr, alias } => {
                    self.labels(alias);
                    self.expr(expr);
                }
                Target::RowAlias(name) => self.facts.add(Kind::Alias, name.as_str()),
                Target::Star => self.facts.add(Kind::Column, "*"),
                Target::QualifiedStar(name) => self.facts.add(Kind::Column, format!("{name}.*")),
                Target::FieldStar(expr) => {
                    self.facts.add(Kind::Field, "*");
                    self.expr(expr);
                }
            }
        }
    }

    fn from(&mut self, items: &[FromItem]) {
        items.iter().for_each(|item| self.item_of_from(item));
    }

    fn item_of_from(&mut self, item: &FromItem) {
        match item {
            FromItem::Relation { relation, alias, sample } => {
                self.alias(alias);
                self.named_in_from(relation);
                sample.iter().for_each(|call| self.call(call));
            }
            FromItem::Functions { calls, lateral: _, ordinality: _, alias, definitions } => {
                self.alias(alias);
                self.labels(definitions.iter().flatten().map(|(name, _)| name));
                calls.iter().for_each(|call| self.call(call));
                definitions.iter().flatten().for_each(|(_, found)| self.type_name(found));
            }
            FromItem::Subquery { query, lateral: _, alias } => {
                self.alias(alias);
                self.query(query);
            }
            FromItem::Join { left, right, constraint, alias } => {
                self.alias(alias);
                self.item_of_from(left);
                self.item_of_from(right);
                match constraint {
                    JoinConstraint::On(expr) => self.expr(expr),
                    JoinConstraint::Using(columns, alias) => {
                        self.targets_written(columns);
                        self.labels(alias);
                    }
                    JoinConstraint::Natural | JoinConstraint::None => {}
                }
            }
        }
    }

    fn window(&mut self, window: &Window) {
        let Window { base: _, partition_by, order_by, bounds } = window;
        self.exprs(partition_by);
        self.exprs(order_by);
        self.exprs(bounds);
    }

    fn exprs(&mut self, exprs: &[Expr]) {
        exprs.iter().for_each(|expr| self.expr(expr));
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Column(name) => self.facts.add(Kind::Column, name.to_string()),
            Expr::WholeRow(name) => self.facts.add(Kind::Column, format!("{name}.*")),
            Expr::Literal(literal) => self.literal(literal),
            Expr::Parameter(number) => self.facts.add(Kind::Parameter, number.to_string()),
            Expr::Call(call) => self.call(call),
            Expr::Operator { name, left, right } => {
                self.operator(name);
                left.iter().for_each(|expr| self.expr(expr));
                self.expr(right);
            }
            Expr::Boolean(exprs) | Expr::Row(exprs) | Expr::Array(exprs) => self.exprs(exprs),
            Expr::Cast { expr, to } => {
                self.expr(expr);
                self.type_name(to);
            }
            Expr::Collate { expr, collation } => {
                self.expr(expr);
                self.facts.add(Kind::Collation, collation.to_string());
            }
            Expr::Subquery(subquery) => {
                match &subquery.kind {
                    SubqueryKind::Scalar | SubqueryKind::Exists | SubqueryKind::Array => {}
                    SubqueryKind::Quantified { left, operator } => {
                        self.expr(left);
                        self.operator(operator);
                    }
                }
                self.query(&subquery.query);
            }
            Expr::Field { expr, name } => {
                self.expr(expr);
                self.facts.add(Kind::Field, name.as_str());
            }
            Expr::Subscript { expr, indices, slice: _ } => {
                self.expr(expr);
                self.exprs(indices);
            }
            Expr::Case { operand, whens, otherwise } => {
                operand.iter().for_each(|expr| self.expr(expr));
                for (when, then) in whens {
                    self.expr(when);
                    self.expr(then);
                }
                otherwise.iter().for_each(|expr| self.expr(expr));
            }
            Expr::Common { name: _, arguments } => self.exprs(arguments),
            Expr::Keyword(_) | Expr::Default => {}
        }
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::String(text) => self.facts.add(Kind::String, text.as_str()),
            Literal::Null | Literal::Boolean(_) | Literal::Integer(_) | Literal::Numeric(_) | Literal::Bit(_) => {}
        }
    }

    fn operator(&mut self, name: &OperatorName) {
        let OperatorName { schema, symbol } = name;
        let schema = schema.as_ref().map_or(String::new(), |schema| format!("{schema}."));
        self.facts.add(Kind::Operator, format!("{schema}{symbol}"));
    }

    fn call(&mut self, call: &Call) {
        let Call { name, arguments, star: _, variadic: _, order_by, within_group, filter, over } = call;
        self.facts.add(Kind::Function, name.to_string());
        arguments.iter().for_each(|argument| self.expr(&argument.expr));
        self.exprs(order_by);
        self.exprs(within_group);
        self.exprs(filter.as_slice());
        match over {
            Some(Over::Inline(window)) => self.window(window),
            Some(Over::Named(_)) | None => {}
        }
    }

    fn types(&mut self, types: &[TypeName]) {
        types.iter().for_each(|found| self.type_name(found));
    }

    fn type_name(&mut self, found: &TypeName) {
        self.facts.add(Kind::Type, found.name.to_string());
    }

    fn assignments(&mut self, assignments: &[Assignment]) {
        for Assignment { columns, indices, value } in assignments {
            self.targets_written(columns);
            self.exprs(indices);
            self.expr(value);
        }
    }

    fn conflict(&mut self, conflict: &OnConflict) {
        let OnConflict { inference, constraint: _, update } = conflict;
        self.exprs(inference);
        if let Some((assignments, selection)) = update {
            self.assignments(assignments);
            self.exprs(selection.as_slice());
        }
    }

    fn merge(&mut self, merge: &Merge) {
        let Merge { with, table, alias, source, on, whens, returning } = merge;
        self.alias(alias);
        self.with(with.as_ref());
        self.relation_ref(table);
        self.item_of_from(source);
        self.expr(on);
        for when in whens {
            self.exprs(when.condition.as_slice());
            match &when.action {
                MergeAction::Insert { columns, indices, values } => {
                    self.targets_written(columns);
                    self.exprs(indices);
                    self.exprs(values);
                }
                MergeAction::Update(assignments) => self.assignments(assignments),
                MergeAction::Delete | MergeAction::DoNothing => {}
            }
        }
        self.targets(returning);
    }

    fn ddl(&mut self, ddl: &Ddl) {
        let Ddl {
            targets,
            references,
            types,
            expressions,
            query,
            temporary: _,
            cascade,
            renamed_columns: _,
            renames: _,
        } = ddl;
        self.flag(*cascade, "cascade");
        for target in targets {
            match target.kind {
                // PostgreSQL's tree calls a composite type that is made a relation, and a type that is dropped a type.
                DdlObject::Type => {
                    self.facts.add(Kind::Type, target.name.to_string());
                    self.relation(&target.name);
                }
                DdlObject::Table
                | DdlObject::View
                | DdlObject::MaterializedView
                | DdlObject::Index
                | DdlObject::Sequence
                | DdlObject::Schema => self.relation(&target.name),
            }
        }
        references.iter().for_each(|name| self.relation(name));
        self.types(types);
        self.exprs(expressions);
        query.iter().for_each(|query| self.query(query));
    }
}
