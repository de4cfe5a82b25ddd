//! Expressions: every column that is read, every function, operator and cast that runs, and the type that results.

use std::sync::Arc;

use super::scope::Item;
use super::{Parameters, Resolver};
use crate::catalog::footprint::{CalledBy, Oid, Unresolved};
use crate::catalog::snapshot::CastContext;
use crate::catalog::types::{BIT, BOOL, DATE, INT4, INT8, NAME, NUMERIC, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ, Type};
use crate::sql::tree::{
    Expr, Literal, Name, OperatorName, QualifiedName, Query, SetExpr, Subquery, SubqueryKind, TypeName,
};

/// What is done to a value on the way out of a chain that leans to the left.
enum Step<'e> {
    Operator(&'e OperatorName, &'e Expr),
    Cast(&'e TypeName),
    Collate(&'e QualifiedName),
    Subscript(&'e [Expr], bool),
}

impl Resolver<'_> {
    /// Resolves an expression. Chains such as `a || b || c …` and `x::t::u` are followed by a loop, not by recursion.
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Type, Unresolved> {
        self.spend(1)?;
        let (mut inner, mut steps) = (expr, Vec::new());
        loop {
            match inner {
                Expr::Operator { name, left: Some(left), right } => {
                    steps.push(Step::Operator(name, right));
                    inner = left;
                }
                Expr::Cast { expr, to } => {
                    steps.push(Step::Cast(to));
                    inner = expr;
                }
                Expr::Collate { expr, collation } => {
                    steps.push(Step::Collate(collation));
                    inner = expr;
                }
                Expr::Subscript { expr, indices, slice } => {
                    steps.push(Step::Subscript(indices, *slice));
                    inner = expr;
                }
                _innermost => break,
            }
        }
        let mut of = self.deeper(|resolver| resolver.innermost(inner))?;
        if let Some(Step::Operator(name, right)) = steps.last() {
            self.compared_setting = self.compared_with_access_method(name, inner, right)?;
        }
        for step in steps.into_iter().rev() {
            of = self.step(step, of)?;
            self.compared_setting = None;
        }
        Ok(of)
    }

    /// `amname <> current_setting($1)`, as some clients ask when they describe a table: whatever setting that is, the
    /// answer tells of nothing but names of access methods, and is as good as asking for the default one.
    fn compared_with_access_method(
        &mut self,
        operator: &OperatorName,
        left: &Expr,
        right: &Expr,
    ) -> Result<Option<&'static str>, Unresolved> {
        let Expr::Call(call) = right else { return Ok(None) };
        let asks = matches!(call.arguments.as_slice(), [only] if is_parameter(&only.expr));
        let plain = operator.schema.is_none() && matches!(&*operator.symbol, "=" | "<>");
        let of_setting = call.name.parts.last().is_some_and(|name| name.as_str() == "current_setting");
        if !asks || !plain || !of_setting {
            return Ok(None);
        }
        let Expr::Column(column) = left else { return Ok(None) };
        let Some((last, qualifier)) = column.parts.split_last() else { return Ok(None) };
        let Some(item) = self.named_item(&QualifiedName { parts: qualifier.to_vec() })? else { return Ok(None) };
        let methods = item.relation.and_then(|at| self.uses.get(at)).is_some_and(|used| used.relation == PG_AM);
        let found = methods && Self::item_column(&item, last.as_str())?.is_some_and(|column| &*column.name == "amname");
        let own = found && column_keeps_its_name(&item);
        Ok(own.then_some("default_table_access_method"))
    }

    fn step(&mut self, step: Step<'_>, of: Type) -> Result<Type, Unresolved> {
        match step {
            Step::Operator(name, right) => {
                if let Expr::Subscript { expr, indices, slice: _ } = right
                    && indices.is_empty()
                {
                    let array = self.expr(expr)?;
                    return self.quantified(name, of, array);
                }
                let right = self.expr(right)?;
                self.operator(name, Some(of), right)
            }
            Step::Cast(to) => self.cast(&of, to),
            Step::Collate(collation) => {
                let parts: Vec<&str> = collation.parts.iter().map(|part| part.as_str()).collect();
                let known = self.snapshot.has_collation(&parts);
                if let Some((Some(schema), _)) = self.snapshot.split(&parts) {
                    self.names_schema(schema);
                }
                known.then_some(of).ok_or_else(|| Unresolved::Collation(collation.to_string()))
            }
            Step::Subscript(indices, slice) => {
                for index in indices {
                    self.expr(index)?;
                }
                Ok(match of {
                    Type::Known(oid) if !slice && !indices.is_empty() => self.snapshot.subscripted(oid),
                    // One slice among several subscripts makes slices of them all.
                    Type::Known(_) | Type::Unknown | Type::Row(_) | Type::Any => Type::Any,
                })
            }
        }
    }

    /// `value op ANY (array)`: the operator works on the elements. `value op array[:]` looks the same in the tree, so that
    /// what the operator could be on the array itself counts too.
    fn quantified(&mut self, name: &OperatorName, left: Type, array: Type) -> Result<Type, Unresolved> {
        let element = match &array {
            Type::Unknown => Type::Unknown,
            Type::Known(oid) => self.snapshot.element(*oid).map_or(Type::Any, Type::Known),
            Type::Row(_) | Type::Any => Type::Any,
        };
        let of = self.operator(name, Some(left.clone()), element)?;
        let own = self.record_fitting(name, left, array);
        // ANY takes operators that give a boolean; what gives something else was a slice.
        Ok(if of == Type::Known(BOOL) && !own { of } else { Type::Any })
    }

    fn innermost(&mut self, expr: &Expr) -> Result<Type, Unresolved> {
        match expr {
            Expr::Column(name) => self.column(name),
            Expr::Literal(literal) => Ok(literal_type(literal)),
            Expr::Parameter(number) => Ok(self.parameter(*number)),
            Expr::Call(call) => Ok(self.call(call)?.of),
            Expr::Operator { name, left, right } => {
                let left = left.as_deref().map(|left| self.expr(left)).transpose()?;
                let right = self.expr(right)?;
                self.operator(name, left, right)
            }
            Expr::Boolean(operands) => {
                let mut boolean = true;
                for operand in operands {
                    let of = self.expr(operand)?;
                    self.coerced(&of, BOOL);
                    boolean = boolean && matches!(of, Type::Known(BOOL) | Type::Unknown);
                }
                // GROUPING comes here too, and is an integer: operands that are not boolean leave it open.
                Ok(if boolean { Type::Known(BOOL) } else { Type::Any })
            }
            Expr::Subquery(subquery) => self.subquery(subquery),
            Expr::Field { expr, name } => self.field(expr, name),
            Expr::Row(values) => {
                let fields = values.iter().map(|value| self.expr(value)).collect::<Result<Vec<_>, _>>()?;
                let named = |(index, of): (usize, Type)| (Arc::from(format!("f{}", index + 1)), of);
                Ok(Type::Row(fields.into_iter().enumerate().map(named).collect()))
            }
            Expr::Array(values) => {
                let common = self.common(values)?;
                Ok(self.array_type(common))
            }
            Expr::Case { operand, whens, otherwise } => self.case(operand.as_deref(), whens, otherwise.as_deref()),
            Expr::Common { name: "nullif", arguments } => self.null_if(arguments),
            Expr::Common { arguments, .. } => self.common(arguments),
            Expr::WholeRow(name) => {
                let item = self.named_item(name)?.ok_or_else(|| Unresolved::Relation(name.to_string()))?;
                self.whole_row(&item)
            }
            Expr::Keyword(keyword) => Ok(keyword_type(keyword)),
            Expr::Default => Ok(Type::Unknown),
            Expr::Cast { .. } | Expr::Collate { .. } | Expr::Subscript { .. } => self.expr(expr),
        }
    }

    fn parameter(&mut self, number: u16) -> Type {
        // Not heard of, its type may be anything.
        let Parameters::Declared(types) = &self.parameters else { return Type::Any };
        let declared = usize::from(number).checked_sub(1).and_then(|index| types.get(index));
        if let Some(oid) = declared.filter(|oid| **oid != 0) {
            return Type::Known(*oid);
        }
        *self.open_parameters.entry(number).or_default() += 1;
        if self.inferred.contains(&number) { Type::Unknown } else { Type::Any }
    }

    fn common(&mut self, values: &[Expr]) -> Result<Type, Unresolved> {
        let types = values.iter().map(|value| self.expr(value)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.unified(&types).settled())
    }

    /// NULLIF holds its comparison, and yields the comparison's left side.
    fn null_if(&mut self, arguments: &[Expr]) -> Result<Type, Unresolved> {
        let [Expr::Operator { name, left: Some(left), right }] = arguments else {
            arguments.iter().try_for_each(|argument| self.expr(argument).map(drop))?;
            return Ok(Type::Any);
        };
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        self.operator(name, Some(left.clone()), right)?;
        // A literal on the left takes the type that the comparison gives it.
        Ok(if left == Type::Unknown { Type::Any } else { left })
    }

    fn array_type(&self, element: Type) -> Type {
        match element {
            Type::Known(oid) if self.snapshot.element(oid).is_some() => Type::Known(oid),
            Type::Known(oid) => self.snapshot.array_of(oid).map_or(Type::Any, Type::Known),
            Type::Unknown | Type::Row(_) | Type::Any => Type::Any,
        }
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        whens: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) -> Result<Type, Unresolved> {
        let operand = operand.map(|operand| self.expr(operand)).transpose()?;
        let equals = OperatorName { schema: None, symbol: "=".into() };
        let mut results = vec![Type::Unknown];
        for (when, then) in whens {
            let when = self.expr(when)?;
            match &operand {
                Some(operand) => drop(self.operator(&equals, Some(operand.clone().settled()), when)?),
                None => self.coerced(&when, BOOL),
            }
            results.push(self.expr(then)?);
        }
        // ELSE comes first where the common type is sought.
        if let (Some(otherwise), Some(first)) = (otherwise, results.first_mut()) {
            *first = self.expr(otherwise)?;
        }
        Ok(self.unified(&results).settled())
    }

    fn subquery(&mut self, subquery: &Subquery) -> Result<Type, Unresolved> {
        let left = match &subquery.kind {
            SubqueryKind::Quantified { left, .. } => Some(self.expr(left)?),
            SubqueryKind::Scalar | SubqueryKind::Exists | SubqueryKind::Array => None,
        };
        self.in_exists = matches!(subquery.kind, SubqueryKind::Exists) && is_plain(&subquery.query);
        let outputs = self.query(&subquery.query)?;
        let first = outputs.first().map_or(Type::Any, |output| output.of.clone().settled());
        match &subquery.kind {
            SubqueryKind::Scalar => Ok(first),
            SubqueryKind::Exists => Ok(Type::Known(BOOL)),
            SubqueryKind::Array => Ok(self.array_type(first)),
            SubqueryKind::Quantified { operator, .. } => {
                match left {
                    Some(Type::Row(fields)) if outputs.len() > 1 => {
                        for ((_, field), output) in fields.iter().zip(outputs) {
                            self.operator(operator, Some(field.clone()), output.of.settled())?;
                        }
                    }
                    Some(left) => drop(self.operator(operator, Some(left), first)?),
                    None => {}
                }
                Ok(Type::Known(BOOL))
            }
        }
    }

    /// `a`, `t.a`, `s.t.a`: a column, a whole row, or a function in attribute notation, in PostgreSQL's order.
    fn column(&mut self, name: &QualifiedName) -> Result<Type, Unresolved> {
        let unknown = || Unresolved::Column(name.to_string());
        let Some((last, qualifier)) = name.parts.split_last() else { return Err(unknown()) };
        if qualifier.is_empty() {
            if let Some(of) = self.bare(last.as_str(), true)? {
                return Ok(of);
            }
            let item = self.item(None, last.as_str())?.ok_or_else(unknown)?;
            return self.whole_row(&item);
        }
        let Some(item) = self.named_item(&QualifiedName { parts: qualifier.to_vec() })? else {
            let open = self.levels.iter().any(|level| level.open);
            return if open { Ok(Type::Any) } else { Err(unknown()) };
        };
        if let Some(column) = Self::item_column(&item, last.as_str())? {
            return Ok(self.read(&column));
        }
        let row = self.whole_row(&item)?;
        self.attribute(last, row)
    }

    /// The FROM item whose whole row `name` refers to, if it is one. Reads nothing.
    pub(super) fn row_reference(&mut self, name: &QualifiedName) -> Result<Option<Item>, Unresolved> {
        if let [only] = name.parts.as_slice() {
            // A column of that name comes first.
            let column = self.has_column(only.as_str())?;
            return if column { Ok(None) } else { self.named_item(name) };
        }
        Ok(None)
    }

    /// `(expr).name`: a field of a row, else a function of that name.
    fn field(&mut self, expr: &Expr, name: &Name) -> Result<Type, Unresolved> {
        let row = match expr {
            Expr::Column(reference) => self.row_reference(reference)?,
            Expr::WholeRow(reference) => self.named_item(reference)?,
            _computed => None,
        };
        if let Some(item) = row {
            // As to PostgreSQL's privileges, `(t).a` reads the whole row.
            let row = self.whole_row(&item)?;
            return match Self::item_column(&item, name.as_str())? {
                Some(column) => Ok(column.of),
                None => self.attribute(name, row),
            };
        }
        let of = self.expr(expr)?;
        let fields = self.fields(&of);
        if let Some((_, of)) = fields.iter().flatten().find(|(field, _)| **field == *name.as_str()) {
            return Ok(of.clone());
        }
        self.attribute(name, of)
    }

    /// The columns of a row type; `None` where it is none, or pgward cannot tell.
    pub(super) fn fields(&self, of: &Type) -> Option<Vec<(Arc<str>, Type)>> {
        match of {
            Type::Row(fields) => Some(fields.to_vec()),
            Type::Known(oid) => {
                let relation = self.snapshot.relations.get(&self.snapshot.row_relation(*oid)?)?;
                let field =
                    |column: &crate::catalog::snapshot::Column| (Arc::clone(&column.name), Type::Known(column.of));
                Some(relation.columns.iter().map(field).collect())
            }
            Type::Unknown | Type::Any => None,
        }
    }

    /// The type that `name` means, and what runs when a value is made one of it.
    pub(super) fn type_name(&mut self, name: &TypeName) -> Result<Oid, Unresolved> {
        let parts: Vec<&str> = name.name.parts.iter().map(|part| part.as_str()).collect();
        let unknown = || Unresolved::Type(name.name.to_string());
        let oid = self.snapshot.named_type(&parts).ok_or_else(unknown)?;
        if let Some((Some(schema), _)) = self.snapshot.split(&parts) {
            self.names_schema(schema);
        }
        let oid = if name.array { self.snapshot.array_of(oid).ok_or_else(unknown)? } else { oid };
        for function in self.snapshot.type_functions(oid) {
            self.call_function(function, CalledBy::Type, Vec::new());
        }
        Ok(oid)
    }

    /// A type in a column definition list.
    pub(super) fn column_type(&mut self, name: &TypeName) -> Result<Oid, Unresolved> {
        self.type_name(name)
    }

    fn cast(&mut self, from: &Type, to: &TypeName) -> Result<Type, Unresolved> {
        let target = self.type_name(to)?;
        self.weigh(from, target);
        self.cast_functions(from, target, CastContext::Explicit);
        Ok(Type::Known(target))
    }

    /// Records the functions, none of them built in, by which a value of type `from` may become one of type `to` in a
    /// context that allows casts of at least `context`.
    pub(super) fn cast_functions(&mut self, from: &Type, to: Oid, context: CastContext) {
        let snapshot = self.snapshot;
        let mut targets = vec![to, snapshot.base_type(to)];
        targets.extend(snapshot.element(to));
        let sources: Option<Vec<Oid>> = from.oid().map(|oid| {
            let mut sources = vec![oid, snapshot.base_type(oid)];
            sources.extend(snapshot.element(oid));
            sources
        });
        let mut functions = Vec::new();
        for (source, target, cast) in &snapshot.code.user_casts {
            let from_here = sources.as_ref().is_none_or(|sources| sources.contains(source));
            if cast.context >= context && targets.contains(target) && from_here {
                functions.push(cast.function);
            }
        }
        functions.sort_unstable();
        for function in functions {
            self.call_function(function, CalledBy::Cast, Vec::new());
        }
    }
}

/// `pg_am`, whose identifier PostgreSQL fixes.
const PG_AM: Oid = 2601;

/// Whether no alias gives another column of the relation that name.
fn column_keeps_its_name(item: &Item) -> bool {
    let named = item.columns.iter().find(|column| &*column.name == "amname");
    named.is_some_and(|column| column.sources.iter().all(|(_, source)| &**source == "amname"))
}

fn is_parameter(expr: &Expr) -> bool {
    match expr {
        Expr::Parameter(_) => true,
        Expr::Cast { expr, to: _ } => is_parameter(expr),
        _other => false,
    }
}

/// The type of a literal (`make_const` in `parse_node.c`).
fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null | Literal::String(_) => Type::Unknown,
        Literal::Boolean(_) => Type::Known(BOOL),
        Literal::Integer(digits) if digits.parse::<i32>().is_ok() => Type::Known(INT4),
        Literal::Integer(digits) if digits.parse::<i64>().is_ok() => Type::Known(INT8),
        Literal::Integer(_) | Literal::Numeric(_) => Type::Known(NUMERIC),
        Literal::Bit(_) => Type::Known(BIT),
    }
}

/// One SELECT, and nothing that counts its targets.
fn is_plain(query: &Query) -> bool {
    query.with.is_none()
        && query.order_by.is_empty()
        && matches!(&query.body, SetExpr::Select(select) if select.distinct_on.is_empty() && select.group_by.is_empty())
}

fn keyword_type(keyword: &str) -> Type {
    match keyword {
        "current_date" => Type::Known(DATE),
        "current_time" => Type::Known(TIMETZ),
        "current_timestamp" => Type::Known(TIMESTAMPTZ),
        "localtime" => Type::Known(TIME),
        "localtimestamp" => Type::Known(TIMESTAMP),
        "current_user" | "current_role" | "session_user" | "user" | "current_catalog" | "current_schema" => {
            Type::Known(NAME)
        }
        _other => Type::Any,
    }
}
