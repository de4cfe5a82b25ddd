//! FROM: tables, subqueries, functions, joins, and what each lets the rest of the query see (`parse_clause.c`).

use std::sync::Arc;

use super::Resolver;
use super::query::Output;
use super::scope::{CommonTableState, Item, Offered};
use crate::access::Operation;
use crate::catalog::footprint::{CalledBy, RelationKind, Unresolved};
use crate::catalog::types::{INT8, Type};
use crate::sql::tree::{
    Alias, Call, FromItem, JoinConstraint, Name, OperatorName, QualifiedName, RelationRef, TypeName,
};

/// What one FROM item adds to the namespace.
pub(super) struct Added {
    /// Everything that is visible, `whole` among it.
    pub items: Vec<Item>,
    /// The item itself, with all its columns: what a join around it merges.
    pub whole: Item,
}

impl Added {
    fn single(item: Item) -> Self {
        Self { items: vec![item.clone()], whole: item }
    }
}

impl Resolver<'_> {
    /// A comma list: each item is seen by the LATERAL ones after it, all are seen by the rest of the query.
    pub(super) fn add_items(&mut self, items: &[FromItem]) -> Result<(), Unresolved> {
        for item in items {
            let mut added = self.added_item(item)?.items;
            added.iter_mut().for_each(|item| item.lateral_only = true);
            self.here()?.items.extend(added);
        }
        self.here()?.items.iter_mut().for_each(|item| item.lateral_only = false);
        Ok(())
    }

    pub(super) fn added_item(&mut self, item: &FromItem) -> Result<Added, Unresolved> {
        self.spend(1)?;
        match item {
            FromItem::Relation { relation, alias, sample } => {
                let item = self.relation_item(relation, alias)?;
                if let Some(sample) = sample {
                    self.sample(sample)?;
                }
                Ok(Added::single(item))
            }
            FromItem::Functions { calls, ordinality, alias, definitions, lateral: _ } => {
                // The arguments of a function in FROM always see the items before it, with or without LATERAL.
                let item =
                    self.laterally(true, |resolver| resolver.function_item(calls, *ordinality, alias, definitions))?;
                Ok(Added::single(item))
            }
            FromItem::Subquery { query, lateral, alias } => {
                let outputs = self.laterally(*lateral, |resolver| resolver.query(query))?;
                let name = alias.name.as_ref().map(|name| Arc::from(name.as_str()));
                Ok(Added::single(with_columns(Self::computed_item(name, &outputs), &alias.columns)))
            }
            FromItem::Join { left, right, constraint, alias } => {
                self.deeper(|resolver| resolver.join(left, right, constraint, alias))
            }
        }
    }

    fn laterally<T>(
        &mut self,
        lateral: bool,
        body: impl FnOnce(&mut Self) -> Result<T, Unresolved>,
    ) -> Result<T, Unresolved> {
        let before = std::mem::replace(&mut self.here()?.lateral, lateral);
        let result = body(self);
        self.here()?.lateral = before;
        result
    }

    fn relation_item(&mut self, relation: &RelationRef, alias: &Alias) -> Result<Item, Unresolved> {
        if let [name] = relation.name.parts.as_slice()
            && let Some(table) = self.common_table(name.as_str())
        {
            let CommonTableState::Known(columns) = &table.state else {
                return Err(Unresolved::Unsupported(format!("the reference to \"{name}\" before its definition")));
            };
            let columns = columns.clone();
            self.tell(|_| format!("{name} is the table of WITH of that name"));
            let outputs: Vec<Output> =
                columns.iter().map(|(name, of)| Output { name: Arc::clone(name), of: of.clone() }).collect();
            let shown = alias.name.as_ref().unwrap_or(name);
            return Ok(with_columns(Self::computed_item(Some(shown.as_str().into()), &outputs), &alias.columns));
        }
        let use_index = self.use_relation(&relation.name, relation.only)?;
        self.touch(use_index, Operation::Select);
        let item = self.table_item(use_index, alias.name.as_ref())?;
        if let Some(alias) = &alias.name {
            self.tell(|_| format!("{alias} stands for {}", relation.name));
        }
        Ok(with_columns(item, &alias.columns))
    }

    /// The FROM item of a relation: a target of DML, or a table in FROM.
    pub(super) fn table_item(&mut self, use_index: usize, alias: Option<&Name>) -> Result<Item, Unresolved> {
        let snapshot = self.snapshot;
        let relation = self.uses.get(use_index).and_then(|used| snapshot.relations.get(&used.relation));
        let Some(relation) = relation else { return Err(Unresolved::Relation("?".to_owned())) };
        match relation.kind {
            RelationKind::Table
            | RelationKind::Partitioned
            | RelationKind::View
            | RelationKind::MaterializedView
            | RelationKind::Sequence
            | RelationKind::ForeignTable => {}
            RelationKind::Composite | RelationKind::Index | RelationKind::Toast => {
                return Err(Unresolved::Relation(relation.name.to_string()));
            }
        }
        self.spend(relation.columns.len())?;
        let offered = |column: &crate::catalog::snapshot::Column| Offered {
            name: Arc::clone(&column.name),
            of: Type::Known(column.of),
            sources: vec![(use_index, Arc::clone(&column.name))],
        };
        let schema = alias.is_none().then(|| Arc::from(snapshot.schema_name(relation.schema)));
        Ok(Item {
            name: Some(alias.map_or_else(|| Arc::clone(&relation.name), |alias| alias.as_str().into())),
            schema,
            columns: relation.columns.iter().map(offered).collect(),
            relation: Some(use_index),
            system_columns: relation.has_system_columns(),
            row_type: Type::Known(relation.row_type),
            columns_visible: true,
            lateral_only: false,
        })
    }

    /// TABLESAMPLE: the built-in methods run no code of anyone's.
    fn sample(&mut self, sample: &Call) -> Result<(), Unresolved> {
        self.laterally(true, |resolver| {
            sample.arguments.iter().try_for_each(|argument| resolver.expr(&argument.expr).map(drop))
        })?;
        let method = sample.name.parts.last().map_or("", |part| part.as_str());
        let snapshot = self.snapshot;
        for oid in snapshot.code.function_names.get(method).into_iter().flatten() {
            if snapshot.code.functions.get(oid).is_none_or(|function| !function.is_builtin()) {
                self.call_function(*oid, CalledBy::Call, Vec::new());
            }
        }
        Ok(())
    }

    fn function_item(
        &mut self,
        calls: &[Call],
        ordinality: bool,
        alias: &Alias,
        definitions: &[Vec<(Name, TypeName)>],
    ) -> Result<Item, Unresolved> {
        let mut defined = Vec::with_capacity(definitions.len());
        for list in definitions {
            let column = |(name, of): &(Name, TypeName)| {
                Ok(Output { name: name.as_str().into(), of: Type::Known(self.column_type(of)?) })
            };
            defined.push(list.iter().map(column).collect::<Result<Vec<_>, Unresolved>>()?);
        }
        let mut split = Vec::with_capacity(calls.len());
        for (index, call) in calls.iter().enumerate() {
            let columns = defined.get(index).cloned().unwrap_or_default();
            split.extend(split_unnest(call).into_iter().map(|call| (call, columns.clone())));
        }
        let only = alias.name.as_ref().filter(|_| split.len() == 1);
        let (mut outputs, mut row_type) = (Vec::new(), None);
        for (call, defined) in &split {
            let result = self.call(call)?;
            let fields = result.columns.clone().or_else(|| self.fields(&result.of));
            match fields {
                _ if !defined.is_empty() => outputs.extend(defined.iter().cloned()),
                Some(fields) => {
                    row_type = Some(result.of);
                    outputs.extend(fields.into_iter().map(|(name, of)| Output { name, of }));
                }
                None => {
                    let own = || call.name.parts.last().map_or_else(|| "".into(), |part| Arc::from(part.as_str()));
                    let name = result.only_column.or_else(|| only.map(|name| name.as_str().into())).unwrap_or_else(own);
                    outputs.push(Output { name, of: result.of });
                }
            }
        }
        if ordinality {
            outputs.push(Output { name: "ordinality".into(), of: Type::Known(INT8) });
        }
        let own = || split.first().and_then(|(call, _)| call.name.parts.last()).map(|part| Arc::from(part.as_str()));
        let name = alias.name.as_ref().map(|name| Arc::from(name.as_str())).or_else(own);
        let mut item = Self::computed_item(name, &outputs);
        if let (Some(row_type), 1, false) = (row_type, split.len(), ordinality) {
            item.row_type = row_type;
        }
        Ok(with_columns(item, &alias.columns))
    }

    fn join(
        &mut self,
        left: &FromItem,
        right: &FromItem,
        constraint: &JoinConstraint,
        alias: &Alias,
    ) -> Result<Added, Unresolved> {
        let left = self.added_item(left)?;
        let before = self.here()?.items.len();
        self.spend(left.items.len())?;
        let lateral = left.items.iter().map(|item| Item { lateral_only: true, ..item.clone() });
        self.here()?.items.extend(lateral);
        let right = self.added_item(right);
        self.here()?.items.truncate(before);
        let right = right?;
        let merged = self.merged(&left.whole, &right.whole, constraint)?;
        if let JoinConstraint::On(condition) = constraint {
            // ON sees the two sides and, beyond them, only outer queries.
            self.spend(left.items.len() + right.items.len())?;
            let sides = left.items.iter().chain(&right.items).cloned().collect();
            let others = std::mem::replace(&mut self.here()?.items, sides);
            let condition = self.condition(condition);
            self.here()?.items = others;
            condition?;
        }
        let whole = self.joined_item(&left.whole, &right.whole, &merged, alias)?;
        let mut items = Vec::new();
        if alias.name.is_none() {
            let sides = left.items.into_iter().chain(right.items).filter(|item| item.name.is_some());
            items.extend(sides.map(|item| Item { columns_visible: false, ..item }));
        }
        if let JoinConstraint::Using(_, Some(using)) = constraint {
            let item = Item { columns: merged.into(), columns_visible: false, ..whole.clone() };
            items.push(Item { name: Some(using.as_str().into()), row_type: Type::Any, ..item });
        }
        items.push(whole.clone());
        Ok(Added { items, whole })
    }

    /// The columns that USING or NATURAL merges: read on both sides, compared by `=`.
    fn merged(&mut self, left: &Item, right: &Item, constraint: &JoinConstraint) -> Result<Vec<Offered>, Unresolved> {
        let names: Vec<Arc<str>> = match constraint {
            JoinConstraint::On(_) | JoinConstraint::None => return Ok(Vec::new()),
            JoinConstraint::Using(names, _) => names.iter().map(|name| name.as_str().into()).collect(),
            JoinConstraint::Natural => {
                self.spend(left.columns.len().saturating_mul(right.columns.len()))?;
                let shared = |name: &Arc<str>| right.columns.iter().any(|column| column.name == *name);
                left.columns.iter().map(|column| Arc::clone(&column.name)).filter(shared).collect()
            }
        };
        let equals = OperatorName { schema: None, symbol: "=".into() };
        let mut merged = Vec::new();
        for name in names {
            let mut sides = Vec::new();
            for side in [left, right] {
                self.spend(side.columns.len())?;
                let mut matching = side.columns.iter().filter(|column| column.name == name);
                match (matching.next(), matching.next()) {
                    (Some(column), None) => sides.push(column.clone()),
                    (Some(_), Some(_)) => return Err(Unresolved::Ambiguous(name.to_string())),
                    (None, _) => return Err(Unresolved::Column(name.to_string())),
                }
            }
            let types: Vec<Type> = sides.iter().map(|column| self.read(column)).collect();
            if let [one, other] = types.as_slice() {
                self.operator(&equals, Some(one.clone()), other.clone())?;
            }
            let sources = sides.into_iter().flat_map(|column| column.sources).collect();
            merged.push(Offered { name, of: self.unified(&types), sources });
        }
        Ok(merged)
    }

    /// The join as one item: merged columns first, then the rest of the left, then of the right.
    fn joined_item(
        &mut self,
        left: &Item,
        right: &Item,
        merged: &[Offered],
        alias: &Alias,
    ) -> Result<Item, Unresolved> {
        self.spend((left.columns.len() + right.columns.len()).saturating_mul(merged.len() + 1))?;
        let rest = |item: &Item| -> Vec<Offered> {
            let kept = |column: &&Offered| merged.iter().all(|merged| merged.name != column.name);
            item.columns.iter().filter(kept).cloned().collect()
        };
        let columns: Arc<[Offered]> = merged.iter().cloned().chain(rest(left)).chain(rest(right)).collect();
        let item = Item {
            name: alias.name.as_ref().map(|name| Arc::from(name.as_str())),
            schema: None,
            columns,
            relation: None,
            system_columns: false,
            row_type: Type::Any,
            columns_visible: true,
            lateral_only: false,
        };
        Ok(with_columns(item, &alias.columns))
    }

    /// The item that `t`, `s.t` or `d.s.t` means.
    pub(super) fn named_item(&mut self, name: &QualifiedName) -> Result<Option<Item>, Unresolved> {
        let parts: Vec<&str> = name.parts.iter().map(|part| part.as_str()).collect();
        match self.snapshot.split(&parts) {
            Some((schema, name)) => self.item(schema, name),
            None => Ok(None),
        }
    }
}

/// Column aliases rename from the left; what they leave over keeps its name.
fn with_columns(item: Item, names: &[Name]) -> Item {
    if names.is_empty() {
        return item;
    }
    let renamed = |(index, column): (usize, &Offered)| match names.get(index) {
        Some(name) => Offered { name: name.as_str().into(), ..column.clone() },
        None => column.clone(),
    };
    let columns: Arc<[Offered]> = item.columns.iter().enumerate().map(renamed).collect();
    let row_type = match item.row_type {
        Type::Row(_) => Type::Row(columns.iter().map(|column| (Arc::clone(&column.name), column.of.clone())).collect()),
        named @ (Type::Known(_) | Type::Unknown | Type::Any) => named,
    };
    Item { columns, row_type, ..item }
}

/// `unnest(a, b)` in FROM is one `unnest` for each argument, side by side.
fn split_unnest(call: &Call) -> Vec<Call> {
    let is_unnest = match call.name.parts.as_slice() {
        [name] => name.as_str() == "unnest",
        [schema, name] => schema.as_str() == "pg_catalog" && name.as_str() == "unnest",
        _ => false,
    };
    if !is_unnest || call.arguments.len() < 2 {
        return vec![call.clone()];
    }
    call.arguments.iter().map(|argument| Call::plain(call.name.clone(), vec![argument.expr.clone()])).collect()
}
