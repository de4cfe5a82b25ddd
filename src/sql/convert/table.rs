//! FROM: relations, functions, subqueries and joins.

use sqlparser::ast;

use super::function::mark;
use super::{Converter, Result};
use crate::sql::marker;
use crate::sql::rewrite::Source;
use crate::sql::tree::{Alias, Call, FromItem, JoinConstraint, Name, QualifiedName, RelationRef, TypeName};

impl Converter {
    pub(super) fn from(&mut self, found: Vec<ast::TableWithJoins>) -> Result<Vec<FromItem>> {
        found.into_iter().filter(|item| !is_nothing(item)).map(|item| self.joined(item)).collect()
    }

    fn joined(&mut self, found: ast::TableWithJoins) -> Result<FromItem> {
        let ast::TableWithJoins { relation, joins } = found;
        let mut item = self.factor(relation)?;
        if joins.len() > super::DEEPEST {
            return self.refuse("a chain of joins this long");
        }
        for ast::Join { relation, global, join_operator } in joins {
            if global {
                return self.refuse("GLOBAL JOIN");
            }
            let right = self.factor(relation)?;
            let constraint = self.constraint(join_operator)?;
            item = FromItem::Join { left: Box::new(item), right: Box::new(right), constraint, alias: Alias::default() };
        }
        Ok(item)
    }

    fn constraint(&mut self, found: ast::JoinOperator) -> Result<JoinConstraint> {
        use ast::JoinOperator as Core;
        match found {
            Core::Join(constraint)
            | Core::Inner(constraint)
            | Core::Left(constraint)
            | Core::LeftOuter(constraint)
            | Core::Right(constraint)
            | Core::RightOuter(constraint)
            | Core::FullOuter(constraint)
            | Core::CrossJoin(constraint) => self.join_constraint(constraint),
            Core::Semi(_)
            | Core::LeftSemi(_)
            | Core::RightSemi(_)
            | Core::Anti(_)
            | Core::LeftAnti(_)
            | Core::RightAnti(_)
            | Core::CrossApply
            | Core::OuterApply
            | Core::AsOf { .. }
            | Core::StraightJoin(_)
            | Core::ArrayJoin
            | Core::LeftArrayJoin
            | Core::InnerArrayJoin => self.refuse("this kind of join"),
        }
    }

    fn join_constraint(&mut self, found: ast::JoinConstraint) -> Result<JoinConstraint> {
        Ok(match found {
            ast::JoinConstraint::On(expr) => JoinConstraint::On(self.expr(expr)?),
            ast::JoinConstraint::Natural => JoinConstraint::Natural,
            ast::JoinConstraint::None => JoinConstraint::None,
            ast::JoinConstraint::Using(columns) => {
                let (mut names, mut alias) = (Vec::with_capacity(columns.len()), None);
                for column in columns {
                    match single_value(&column).and_then(|value| marker::payload(value, "alias")) {
                        Some(name) => alias = Some(Name::from(name)),
                        None => names.push(self.single(column)?),
                    }
                }
                JoinConstraint::Using(names, alias)
            }
        })
    }

    /// One item of FROM; also the table of UPDATE, DELETE and MERGE.
    pub(super) fn factor(&mut self, found: ast::TableFactor) -> Result<FromItem> {
        self.deeper(|converter| converter.factor_here(found))
    }

    fn factor_here(&mut self, found: ast::TableFactor) -> Result<FromItem> {
        use ast::TableFactor as Core;
        match found {
            Core::Table {
                name,
                alias,
                args,
                with_hints,
                version: None,
                with_ordinality,
                partitions,
                json_path: None,
                sample,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                self.table(name, alias, args, with_ordinality, sample)
            }
            Core::Derived { lateral, subquery, alias, sample: None } => {
                let (alias, definitions) = self.alias(alias)?;
                if !definitions.is_empty() {
                    return self.refuse("column definitions here");
                }
                Ok(FromItem::Subquery { query: Box::new(self.query(*subquery)?), lateral, alias })
            }
            Core::Function { lateral, name, args, with_ordinality, alias } => {
                self.table_function(name, args, lateral, with_ordinality, alias)
            }
            Core::NestedJoin { table_with_joins, alias } => self.nested(*table_with_joins, alias),
            Core::Table { .. }
            | Core::Derived { .. }
            | Core::TableFunction { .. }
            | Core::UNNEST { .. }
            | Core::JsonTable { .. }
            | Core::OpenJsonTable { .. }
            | Core::Pivot { .. }
            | Core::Unpivot { .. }
            | Core::UnpivotExpr { .. }
            | Core::MatchRecognize { .. }
            | Core::XmlTable { .. }
            | Core::SemanticView { .. } => self.refuse("this kind of item in FROM"),
        }
    }

    fn table(
        &mut self,
        name: ast::ObjectName,
        alias: Option<ast::TableAlias>,
        args: Option<ast::TableFunctionArgs>,
        with_ordinality: bool,
        sample: Option<ast::TableSampleKind>,
    ) -> Result<FromItem> {
        if let Some(ast::TableFunctionArgs { args, settings }) = args {
            if settings.is_some() || sample.is_some() {
                return self.refuse("this kind of item in FROM");
            }
            return self.table_function(name, args, false, with_ordinality, alias);
        }
        let (alias, definitions) = self.alias(alias)?;
        // CURRENT_USER and the like are functions in FROM.
        if let Some(word) = single_value(&name).and_then(|value| marker::payload(value, "keyword")) {
            let call = Call::plain(QualifiedName::builtin(word), Vec::new());
            return Ok(FromItem::Functions {
                calls: vec![call],
                lateral: false,
                ordinality: with_ordinality,
                alias,
                definitions: vec![definitions],
            });
        }
        // Grammar that is a function in FROM.
        if let Some(index) = single_value(&name).and_then(|value| marker::payload(value, "expr")) {
            let found = index.parse::<usize>().ok().and_then(|index| self.side.exprs.get(index));
            let Some(found) = found else { return self.refuse("this kind of item in FROM") };
            self.made += found.size;
            let call = Call::plain(QualifiedName::builtin("coalesce"), vec![found.of.clone()]);
            let (ordinality, definitions) = (with_ordinality, vec![definitions]);
            return Ok(FromItem::Functions { calls: vec![call], lateral: false, ordinality, alias, definitions });
        }
        if with_ordinality || !definitions.is_empty() {
            return self.refuse("this kind of item in FROM");
        }
        Ok(FromItem::Relation { relation: self.relation(name)?, alias, sample: self.sample(sample)? })
    }

    /// A relation's name, with the mark of ONLY in front if it was there.
    pub(super) fn relation(&self, name: ast::ObjectName) -> Result<RelationRef> {
        let mut idents = self.idents(name)?;
        let only = idents.first().is_some_and(|first| marker::payload(&first.value, "only").is_some());
        if only {
            idents.remove(0);
        }
        Ok(RelationRef { name: QualifiedName { parts: self.names(idents)? }, only })
    }

    fn sample(&mut self, found: Option<ast::TableSampleKind>) -> Result<Option<Call>> {
        let sample = match found {
            None => return Ok(None),
            Some(ast::TableSampleKind::BeforeTableAlias(sample) | ast::TableSampleKind::AfterTableAlias(sample)) => {
                *sample
            }
        };
        let ast::TableSample { modifier: _, name: _, quantity, seed: None, bucket: None, offset: None } = sample else {
            return self.refuse("this kind of TABLESAMPLE");
        };
        let Some(ast::TableSampleQuantity { parenthesized: true, value: ast::Expr::Value(value), unit: None }) =
            quantity
        else {
            return self.refuse("this kind of TABLESAMPLE");
        };
        let index = match value.value {
            ast::Value::Number(digits, _) => digits.parse::<usize>().ok(),
            _ => None,
        };
        match index.and_then(|index| self.side.samples.get(index)) {
            Some(call) => {
                self.made += call.size;
                Ok(Some(call.of.clone()))
            }
            None => self.refuse("this kind of TABLESAMPLE"),
        }
    }

    fn table_function(
        &mut self,
        name: ast::ObjectName,
        args: Vec<ast::FunctionArg>,
        lateral: bool,
        ordinality: bool,
        alias: Option<ast::TableAlias>,
    ) -> Result<FromItem> {
        let (alias, definitions) = self.alias(alias)?;
        if mark(&name) == Some("source") {
            if !definitions.is_empty() || !args.is_empty() {
                return self.refuse("this kind of item in FROM");
            }
            let Source { calls, definitions, size } = self.source(&name)?;
            self.made += size;
            return Ok(FromItem::Functions { calls, lateral, ordinality, alias, definitions });
        }
        let calls = if let Some(kind @ ("coalesce" | "greatest" | "least" | "nullif")) = mark(&name) {
            // Grammar, no function of that name; what it holds is all that matters.
            let builtin = QualifiedName::builtin(kind);
            vec![self.call_with(builtin, args)?]
        } else {
            vec![self.call_with(self.qualified(name)?, args)?]
        };
        Ok(FromItem::Functions { calls, lateral, ordinality, alias, definitions: vec![definitions] })
    }

    /// What a mark for an item in a grammar of its own stands for; each stands once.
    fn source(&mut self, name: &ast::ObjectName) -> Result<Source> {
        let index = single_value(name).and_then(|value| marker::payload(value, "source")?.parse::<usize>().ok());
        match index.and_then(|index| self.side.sources.get_mut(index)) {
            Some(source) => Ok(std::mem::take(source)),
            None => self.refuse("this kind of item in FROM"),
        }
    }

    fn call_with(&mut self, name: QualifiedName, args: Vec<ast::FunctionArg>) -> Result<Call> {
        let mut call = Call::plain(name, Vec::new());
        for argument in args {
            self.argument(&mut call, argument)?;
        }
        Ok(call)
    }

    fn nested(&mut self, found: ast::TableWithJoins, outer: Option<ast::TableAlias>) -> Result<FromItem> {
        let item = self.joined(found)?;
        let (outer, definitions) = self.alias(outer)?;
        if !definitions.is_empty() {
            return self.refuse("column definitions here");
        }
        match (item, outer.name.is_some()) {
            (item, false) => Ok(item),
            (FromItem::Join { left, right, constraint, alias: _ }, true) => {
                Ok(FromItem::Join { left, right, constraint, alias: outer })
            }
            (FromItem::Relation { .. } | FromItem::Functions { .. } | FromItem::Subquery { .. }, true) => {
                self.refuse("an alias of parentheses")
            }
        }
    }

    /// An alias, and the column definitions if it has types.
    pub(super) fn alias(&self, found: Option<ast::TableAlias>) -> Result<(Alias, Vec<(Name, TypeName)>)> {
        let Some(ast::TableAlias { explicit: _, name, columns, at }) = found else {
            return Ok((Alias::default(), Vec::new()));
        };
        if at.is_some() {
            return self.refuse("this kind of alias");
        }
        let unnamed = marker::payload(&name.value, "unnamed").is_some();
        let name = if unnamed { None } else { Some(self.name(name)?) };
        let typed = columns.iter().any(|column| column.data_type.is_some());
        if !typed {
            return Ok((Alias { name, columns: self.alias_columns(columns)? }, Vec::new()));
        }
        let mut definitions = Vec::with_capacity(columns.len());
        for ast::TableAliasColumnDef { name, data_type } in columns {
            match data_type {
                Some(found) => definitions.push((self.name(name)?, self.type_name(&found)?)),
                None => return self.refuse("this kind of alias"),
            }
        }
        Ok((Alias { name, columns: Vec::new() }, definitions))
    }

    pub(super) fn alias_columns(&self, found: Vec<ast::TableAliasColumnDef>) -> Result<Vec<Name>> {
        let column = |ast::TableAliasColumnDef { name, data_type }| match data_type {
            None => self.name(name),
            Some(_) => self.refuse("a type here"),
        };
        found.into_iter().map(column).collect()
    }
}

/// The text of a name of one part.
fn single_value(name: &ast::ObjectName) -> Option<&str> {
    let ast::ObjectName(parts) = name;
    match parts.as_slice() {
        [ast::ObjectNamePart::Identifier(ident)] => Some(&ident.value),
        [..] => None,
    }
}

/// FROM that was written only so that something else is read right.
fn is_nothing(found: &ast::TableWithJoins) -> bool {
    match &found.relation {
        ast::TableFactor::Table { name, .. } => {
            found.joins.is_empty()
                && single_value(name).is_some_and(|value| marker::payload(value, "nothing").is_some())
        }
        _ => false,
    }
}
