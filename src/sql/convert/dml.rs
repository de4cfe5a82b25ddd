//! INSERT, UPDATE, DELETE and MERGE.

use sqlparser::ast;

use super::{Converter, Result};
use crate::sql::marker;
use crate::sql::tree::{
    Action, Alias, Assignment, Delete, Expr, FromItem, Insert, Merge, MergeAction, MergeWhen, Name, OnConflict,
    RelationRef, Update, With,
};

impl Converter {
    /// The statements that sqlparser reads for us; all others have readers of their own.
    pub fn statement(&mut self, found: ast::Statement) -> Result<Action> {
        match found {
            ast::Statement::Query(query) => self.query_or_change(*query),
            ast::Statement::Insert(_)
            | ast::Statement::Update(_)
            | ast::Statement::Delete(_)
            | ast::Statement::Merge(_) => self.change(found, None),
            _ => self.refuse("this statement"),
        }
    }

    pub(super) fn change(&mut self, found: ast::Statement, with: Option<With>) -> Result<Action> {
        match found {
            ast::Statement::Insert(insert) => Ok(Action::Insert(Box::new(self.insert(insert, with)?))),
            ast::Statement::Update(update) => Ok(Action::Update(Box::new(self.update(update, with)?))),
            ast::Statement::Delete(delete) => Ok(Action::Delete(Box::new(self.delete(delete, with)?))),
            ast::Statement::Merge(merge) => Ok(Action::Merge(Box::new(self.merge(merge, with)?))),
            _ => self.refuse("this statement"),
        }
    }

    fn insert(&mut self, found: ast::Insert, with: Option<With>) -> Result<Insert> {
        let ast::Insert {
            insert_token: _,
            optimizer_hints,
            or,
            ignore,
            into,
            table,
            table_alias,
            columns,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = found;
        let foreign = !optimizer_hints.is_empty()
            || or.is_some()
            || ignore
            || !into
            || overwrite
            || !assignments.is_empty()
            || partitioned.is_some()
            || !after_columns.is_empty()
            || has_table_keyword
            || output.is_some()
            || replace_into
            || priority.is_some()
            || insert_alias.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || multi_table_insert_type.is_some()
            || !multi_table_into_clauses.is_empty()
            || !multi_table_when_clauses.is_empty()
            || multi_table_else_clause.is_some();
        if foreign {
            return self.refuse("this kind of INSERT");
        }
        let table = match table {
            ast::TableObject::TableName(name) => self.qualified(name)?,
            ast::TableObject::TableFunction(_) | ast::TableObject::TableQuery(_) => {
                return self.refuse("this kind of INSERT");
            }
        };
        let alias = match table_alias {
            None => None,
            Some(ast::TableAliasWithoutColumns { explicit: true, alias }) => Some(self.name(alias)?),
            Some(ast::TableAliasWithoutColumns { explicit: false, .. }) => return self.refuse("this kind of INSERT"),
        };
        let (columns, indices) = self.assigned_list(columns)?;
        Ok(Insert {
            with,
            table,
            alias,
            columns,
            indices,
            source: source.map(|query| self.query(*query)).transpose()?,
            on_conflict: on.map(|on| self.on_insert(on)).transpose()?,
            returning: self.targets(returning.unwrap_or_default())?,
        })
    }

    /// The column of an insert's list or of SET: what follows a dot is a field of it.
    fn column_name(&self, name: ast::ObjectName) -> Result<Name> {
        match self.qualified(name)?.parts.into_iter().next() {
            Some(column) => Ok(column),
            None => self.refuse("an empty name"),
        }
    }

    fn on_insert(&mut self, found: ast::OnInsert) -> Result<OnConflict> {
        let ast::OnInsert::OnConflict(ast::OnConflict { conflict_target, action }) = found else {
            return self.refuse("ON DUPLICATE KEY");
        };
        let (mut inference, mut constraint) = (Vec::new(), None);
        match conflict_target {
            None => {}
            Some(ast::ConflictTarget::OnConstraint(name)) => constraint = Some(self.single(name)?),
            Some(ast::ConflictTarget::Columns(columns)) => inference = self.inference(&columns)?,
        }
        let update = match action {
            ast::OnConflictAction::DoNothing => None,
            ast::OnConflictAction::DoUpdate(ast::DoUpdate { assignments, selection }) => {
                Some((self.assignments(assignments)?, self.optional(selection)?))
            }
        };
        Ok(OnConflict { inference, constraint, update })
    }

    fn inference(&mut self, columns: &[ast::Ident]) -> Result<Vec<Expr>> {
        let index = match columns {
            [column] => marker::payload(&column.value, "conflict").and_then(|index| index.parse::<usize>().ok()),
            [..] => None,
        };
        match index.and_then(|index| self.side.conflicts.get_mut(index)) {
            Some(inference) => {
                self.made += inference.size;
                Ok(std::mem::take(&mut inference.of))
            }
            None => self.refuse("this kind of ON CONFLICT"),
        }
    }

    fn assignments(&mut self, found: Vec<ast::Assignment>) -> Result<Vec<Assignment>> {
        let mut assignments = Vec::with_capacity(found.len());
        for ast::Assignment { target, value } in found {
            let value = self.expr(value)?;
            let (columns, indices) = match target {
                ast::AssignmentTarget::ColumnName(name) => self.assigned(name)?,
                ast::AssignmentTarget::Tuple(names) => self.assigned_list(names)?,
            };
            assignments.push(Assignment { columns, indices, value });
        }
        Ok(assignments)
    }

    /// Columns that are written, and what stands in their subscripts.
    fn assigned_list(&mut self, names: Vec<ast::ObjectName>) -> Result<(Vec<Name>, Vec<Expr>)> {
        let (mut columns, mut indices) = (Vec::with_capacity(names.len()), Vec::new());
        for name in names {
            let (mut column, mut subscripts) = self.assigned(name)?;
            columns.append(&mut column);
            indices.append(&mut subscripts);
        }
        Ok((columns, indices))
    }

    fn assigned(&mut self, name: ast::ObjectName) -> Result<(Vec<Name>, Vec<Expr>)> {
        if let [ast::ObjectNamePart::Identifier(ident)] = name.0.as_slice()
            && let Some(index) = marker::payload(&ident.value, "target")
        {
            return match index.parse::<usize>().ok().and_then(|index| self.side.targets.get_mut(index)) {
                Some((column, indices)) => {
                    self.made += indices.size;
                    Ok((vec![column.clone()], std::mem::take(&mut indices.of)))
                }
                None => self.refuse("this kind of SET"),
            };
        }
        Ok((vec![self.column_name(name)?], Vec::new()))
    }

    fn update(&mut self, found: ast::Update, with: Option<With>) -> Result<Update> {
        let ast::Update {
            update_token: _,
            optimizer_hints,
            table,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
        } = found;
        let foreign = !optimizer_hints.is_empty()
            || output.is_some()
            || or.is_some()
            || !order_by.is_empty()
            || limit.is_some()
            || !table.joins.is_empty();
        if foreign {
            return self.refuse("this kind of UPDATE");
        }
        let (table, alias) = self.changed_table(table.relation)?;
        let from = match from {
            None => Vec::new(),
            Some(ast::UpdateTableFromKind::AfterSet(items)) => self.from(items)?,
            Some(ast::UpdateTableFromKind::BeforeSet(_)) => return self.refuse("FROM before SET"),
        };
        let assignments = self.assignments(assignments)?;
        let (selection, current_of) = self.selection(selection)?;
        let returning = self.targets(returning.unwrap_or_default())?;
        Ok(Update { with, table, alias, assignments, from, selection, current_of, returning })
    }

    fn delete(&mut self, found: ast::Delete, with: Option<With>) -> Result<Delete> {
        let ast::Delete {
            delete_token: _,
            optimizer_hints,
            tables,
            from,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
        } = found;
        let foreign = !optimizer_hints.is_empty()
            || !tables.is_empty()
            || output.is_some()
            || !order_by.is_empty()
            || limit.is_some();
        if foreign {
            return self.refuse("this kind of DELETE");
        }
        let ast::FromTable::WithFromKeyword(from) = from else { return self.refuse("DELETE without FROM") };
        let mut from = from.into_iter();
        let (table, alias) = match (from.next(), from.next()) {
            (Some(ast::TableWithJoins { relation, joins }), None) if joins.is_empty() => {
                self.changed_table(relation)?
            }
            (_, _) => return self.refuse("this kind of DELETE"),
        };
        let using = self.from(using.unwrap_or_default())?;
        let (selection, current_of) = self.selection(selection)?;
        let returning = self.targets(returning.unwrap_or_default())?;
        Ok(Delete { with, table, alias, using, selection, current_of, returning })
    }

    fn changed_table(&mut self, found: ast::TableFactor) -> Result<(RelationRef, Alias)> {
        match self.factor(found)? {
            FromItem::Relation { relation, alias, sample: None } => Ok((relation, alias)),
            FromItem::Relation { .. }
            | FromItem::Functions { .. }
            | FromItem::Subquery { .. }
            | FromItem::Join { .. } => self.refuse("changing anything but a table"),
        }
    }

    /// WHERE, or the cursor of WHERE CURRENT OF.
    fn selection(&mut self, found: Option<ast::Expr>) -> Result<(Option<Expr>, Option<Name>)> {
        if let Some(ast::Expr::Identifier(ident)) = &found
            && let Some(cursor) = marker::payload(&ident.value, "current_of")
        {
            return Ok((None, Some(Name::from(cursor))));
        }
        Ok((self.optional(found)?, None))
    }

    fn merge(&mut self, found: ast::Merge, with: Option<With>) -> Result<Merge> {
        let ast::Merge { merge_token: _, optimizer_hints, into: true, table, source, on, clauses, output } = found
        else {
            return self.refuse("this kind of MERGE");
        };
        if !optimizer_hints.is_empty() {
            return self.refuse("this kind of MERGE");
        }
        let (table, alias) = self.changed_table(table)?;
        let source = self.factor(source)?;
        let on = self.expr(*on)?;
        let whens = clauses.into_iter().map(|clause| self.merge_when(clause)).collect::<Result<_>>()?;
        let returning = match output {
            None => Vec::new(),
            Some(ast::OutputClause::Returning { returning_token: _, select_items }) => self.targets(select_items)?,
            Some(ast::OutputClause::Output { .. }) => return self.refuse("OUTPUT"),
        };
        Ok(Merge { with, table, alias, source, on, whens, returning })
    }

    fn merge_when(&mut self, found: ast::MergeClause) -> Result<MergeWhen> {
        let ast::MergeClause { when_token: _, clause_kind: _, predicate, action } = found;
        let condition = self.optional(predicate)?;
        let action = match action {
            ast::MergeAction::Delete { delete_token: _ } => MergeAction::Delete,
            ast::MergeAction::DoNothing { do_token: _, nothing_token: _ } => MergeAction::DoNothing,
            ast::MergeAction::Update(ast::MergeUpdateExpr {
                update_token: _,
                kind: ast::MergeUpdateKind::Set(assignments),
                update_predicate: None,
                delete_predicate: None,
            }) => MergeAction::Update(self.assignments(assignments)?),
            ast::MergeAction::Insert(ast::MergeInsertExpr {
                insert_token: _,
                columns,
                kind_token: _,
                kind: ast::MergeInsertKind::Values(values),
                insert_predicate: None,
            }) => self.merge_insert(columns, values)?,
            ast::MergeAction::Update(_) | ast::MergeAction::Insert(_) => return self.refuse("this kind of MERGE"),
        };
        Ok(MergeWhen { condition, action })
    }

    fn merge_insert(&mut self, columns: Vec<ast::ObjectName>, values: ast::Values) -> Result<MergeAction> {
        let (columns, indices) = self.assigned_list(columns)?;
        let ast::Values { explicit_row: _, value_keyword: _, rows } = values;
        let mut rows = rows.into_iter();
        match (rows.next(), rows.next()) {
            (Some(ast::Parens { opening_token: _, content, closing_token: _ }), None) => {
                Ok(MergeAction::Insert { columns, indices, values: self.exprs(content)? })
            }
            (_, _) => self.refuse("this kind of MERGE"),
        }
    }
}
