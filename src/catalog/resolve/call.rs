//! Calls and operators: the functions that could run, by argument types, and what they give back.

use std::sync::Arc;

use super::Resolver;
use super::candidates::{Candidate, Passing, choose, has_foreign};
use crate::catalog::footprint::{CalledBy, JUDGED_BY_LITERALS, Oid, Unresolved};
use crate::catalog::snapshot::{CastContext, FIRST_USER_OID, Operator};
use crate::catalog::types::{BOOL, JSON, JSONB, RECORD, TEXT, Type, UNKNOWN, XML};
use crate::sql::tree::{Call, Expr, Literal, Name, OperatorName, Over};

/// What a call gives.
pub(super) struct CallResult {
    pub of: Type,
    /// The columns of OUT parameters or RETURNS TABLE, where there are several.
    pub columns: Option<Vec<(Arc<str>, Type)>>,
    /// The name of the only OUT parameter.
    pub only_column: Option<Arc<str>>,
}

impl CallResult {
    fn of(of: Type) -> Self {
        Self { of, columns: None, only_column: None }
    }
}

impl Resolver<'_> {
    pub(super) fn call(&mut self, call: &Call) -> Result<CallResult, Unresolved> {
        self.resolve_call(call, false)
    }

    pub(super) fn procedure(&mut self, call: &Call) -> Result<(), Unresolved> {
        self.resolve_call(call, true).map(drop)
    }

    fn resolve_call(&mut self, call: &Call, procedure: bool) -> Result<CallResult, Unresolved> {
        let compared = self.compared_setting.take();
        let mut actual = Vec::new();
        for argument in &call.arguments {
            actual.push(self.expr(&argument.expr)?);
        }
        for expr in &call.within_group {
            actual.push(self.expr(expr)?);
        }
        for expr in &call.order_by {
            self.expr(expr)?;
        }
        if let Some(condition) = &call.filter {
            self.condition(condition)?;
        }
        if let Some(Over::Inline(window)) = &call.over {
            self.window(window)?;
        }
        let parts: Vec<&str> = call.name.parts.iter().map(|part| part.as_str()).collect();
        let names: Vec<Option<String>> =
            call.arguments.iter().map(|argument| argument.name.as_ref().map(ToString::to_string)).collect();
        let passing = Passing { count: actual.len(), names: &names, variadic: call.variadic, procedure };
        // Named arguments may stand in any order: which text is which is then not told.
        let judged = parts.last().is_some_and(|name| JUDGED_BY_LITERALS.contains(name));
        let positional = judged && names.iter().all(Option::is_none);
        let literal = |expr| if positional { literal_text(expr) } else { None };
        let literals = match compared {
            Some(setting) => vec![Some(setting.to_owned())],
            None if judged => call.arguments.iter().map(|argument| literal(&argument.expr)).collect(),
            None => Vec::new(),
        };
        self.pick(&parts, &passing, &actual, literals)
    }

    /// A function of one argument in attribute notation: `row.name`.
    pub(super) fn attribute(&mut self, name: &Name, of: Type) -> Result<Type, Unresolved> {
        let passing = Passing { count: 1, names: &[], variadic: false, procedure: false };
        let result = self.pick(&[name.as_str()], &passing, &[of], Vec::new());
        result.map(|result| result.of).map_err(|_| Unresolved::Column(name.to_string()))
    }

    fn pick(
        &mut self,
        parts: &[&str],
        passing: &Passing<'_>,
        actual: &[Type],
        literals: Vec<Option<String>>,
    ) -> Result<CallResult, Unresolved> {
        let candidates = self.function_candidates(parts, passing);
        self.spend(candidates.len())?;
        let chosen = choose(self.snapshot, &candidates, actual);
        let exact = matches!(chosen.as_slice(), [only] if actual.iter().map(Type::oid).eq(only.declared.iter().map(|oid| Some(*oid))));
        if !exact && passing.count == 1 && !passing.procedure {
            // `typename(value)` is a cast, unless a function takes exactly that.
            if let (Some(target), Some(from)) = (self.snapshot.named_type(parts), actual.first()) {
                if let Some((Some(schema), _)) = self.snapshot.split(parts) {
                    self.names_schema(schema);
                }
                self.type_cast(from, target);
                self.record(&chosen, actual, CalledBy::Call, &literals);
                return Ok(CallResult::of(Type::Known(target)));
            }
        }
        // Where nothing fits, PostgreSQL refuses the call; should pgward be wrong about a type, every candidate counts.
        let chosen = if chosen.is_empty() { candidates } else { chosen };
        if parts.last().is_some_and(|name| gives_json(name)) {
            self.becomes_json(actual);
        }
        if chosen.is_empty() {
            // `name(row)` is the row's column of that name where no function is called so. The row has been read.
            if let ([name], [row]) = (parts, actual)
                && let Some((_, of)) = self.fields(row).into_iter().flatten().find(|(field, _)| **field == **name)
            {
                return Ok(CallResult::of(of));
            }
            return match grammar_type(parts) {
                Some(of) => Ok(CallResult::of(of)),
                None => Err(Unresolved::Function(format!("{}(…)", parts.join(".")))),
            };
        }
        if self.trace.is_some() {
            self.tell_choice(&format!("function {}", parts.join(".")), &chosen);
        }
        self.record(&chosen, actual, CalledBy::Call, &literals);
        Ok(self.result(&chosen, actual))
    }

    fn type_cast(&mut self, from: &Type, target: Oid) {
        for function in self.snapshot.type_functions(target) {
            self.call_function(function, CalledBy::Type, Vec::new());
        }
        self.weigh(from, target);
        self.cast_functions(from, target, CastContext::Explicit);
    }

    /// Records what could run: the first built-in one, and every one that is not built in, with the casts that its
    /// arguments need.
    fn record(&mut self, chosen: &[Candidate], actual: &[Type], by: CalledBy, literals: &[Option<String>]) {
        let mut builtin = false;
        for candidate in chosen {
            self.compatible(&candidate.declared, actual);
            for (from, to) in actual.iter().zip(&candidate.declared) {
                self.weigh_passed(from, *to, actual);
                if from.oid() != Some(*to) {
                    self.cast_functions(from, *to, CastContext::Implicit);
                }
            }
            let foreign = candidate.oid >= FIRST_USER_OID;
            if foreign || (!builtin && by == CalledBy::Call) {
                self.call_function(candidate.oid, by, literals.to_vec());
                builtin = builtin || !foreign;
            }
        }
    }

    /// The type of a call, if all that it could mean agree on one.
    fn result(&self, chosen: &[Candidate], actual: &[Type]) -> CallResult {
        let of =
            |candidate: &Candidate| self.snapshot.polymorphic_result(candidate.returns, &candidate.declared, actual);
        let Some((first, rest)) = chosen.split_first() else { return CallResult::of(Type::Any) };
        let returned = of(first);
        if rest.iter().any(|candidate| of(candidate) != returned) {
            return CallResult::of(Type::Any);
        }
        let outputs = match self.snapshot.code.functions.get(&first.oid) {
            Some(function) if rest.is_empty() || !has_foreign(chosen) => function.outputs.as_slice(),
            Some(_) | None => &[],
        };
        let column = |(name, of): &(Arc<str>, Oid)| {
            (Arc::clone(name), self.snapshot.polymorphic_result(*of, &first.declared, actual))
        };
        match outputs {
            [] if returned == Type::Known(RECORD) => CallResult::of(Type::Any),
            [] => CallResult::of(returned),
            [(name, _)] => {
                let only_column = (!name.is_empty()).then(|| Arc::clone(name));
                CallResult { of: returned, columns: None, only_column }
            }
            several => {
                let columns: Vec<(Arc<str>, Type)> = several.iter().map(column).collect();
                CallResult { of: Type::Row(columns.clone().into()), columns: Some(columns), only_column: None }
            }
        }
    }

    /// An operator on its operands' types.
    pub(super) fn operator(
        &mut self,
        name: &OperatorName,
        left: Option<Type>,
        right: Type,
    ) -> Result<Type, Unresolved> {
        if let (Some(Type::Row(left)), Type::Row(right)) = (&left, &right)
            && left.len() == right.len()
        {
            // Rows are compared column by column, by each column's own operator.
            for ((_, left), (_, right)) in left.iter().zip(right.iter()) {
                self.operator(name, Some(left.clone()), right.clone())?;
            }
            return Ok(Type::Known(BOOL));
        }
        // `x IN (…)` asks the same thousands of times.
        if let Some((known, operands, result)) = &self.last_operator
            && known == name
            && operands.0 == left
            && operands.1 == right
        {
            return Ok(result.clone());
        }
        let operands = (left.clone(), right.clone());
        let result = self.resolve_operator(name, left, right)?;
        self.last_operator = Some((name.clone(), operands, result.clone()));
        Ok(result)
    }

    fn resolve_operator(&mut self, name: &OperatorName, left: Option<Type>, right: Type) -> Result<Type, Unresolved> {
        let symbol = if &*name.symbol == "!=" { "<>" } else { &*name.symbol };
        if let Some(schema) = &name.schema {
            self.names_schema(schema.as_str());
        }
        let found = self.operator_candidates(name.schema.as_ref().map(Name::as_str), symbol, left.is_none());
        if found.is_empty() {
            return Err(Unresolved::Operator(symbol.to_owned()));
        }
        self.spend(found.len())?;
        let actual: Vec<Type> = left.into_iter().chain([right]).collect();
        let chosen = self.choose_operator(&found, &actual);
        let chosen = if chosen.is_empty() { found } else { chosen };
        if self.trace.is_some() {
            self.tell_choice(&format!("operator {symbol}"), &chosen);
        }
        self.record(&chosen, &actual, CalledBy::Operator, &[]);
        let boolean = chosen.iter().all(|candidate| candidate.returns == BOOL);
        Ok(if boolean { Type::Known(BOOL) } else { self.result(&chosen, &actual).of })
    }

    /// Records the operators that fit these operands and did not come with the server; answers whether there are any.
    pub(super) fn record_fitting(&mut self, name: &OperatorName, left: Type, right: Type) -> bool {
        let found = self.operator_candidates(name.schema.as_ref().map(Name::as_str), &name.symbol, false);
        let actual = [left, right];
        let chosen = self.choose_operator(&found, &actual);
        let own = has_foreign(&chosen);
        if own {
            self.record(&chosen, &actual, CalledBy::Operator, &[]);
        }
        own
    }

    /// Operators by name and number of operands; of several with the same operand types, the first in the search path.
    fn operator_candidates(&self, schema: Option<&str>, symbol: &str, prefix: bool) -> Vec<Candidate> {
        let snapshot = self.snapshot;
        let schemas: Vec<Oid> = match schema {
            Some(schema) => snapshot.schemas.get(schema).copied().into_iter().collect(),
            None => snapshot.path.clone(),
        };
        let named = snapshot.code.operators.get(symbol).map_or(&[] as &[Operator], Vec::as_slice);
        let mut found: Vec<Candidate> = Vec::new();
        for schema in schemas {
            for operator in named.iter().filter(|operator| operator.schema == schema && (operator.left == 0) == prefix)
            {
                let declared = if prefix { vec![operator.right] } else { vec![operator.left, operator.right] };
                if found.iter().all(|earlier| earlier.declared != declared) {
                    let (oid, returns) = (operator.function, operator.result);
                    found.push(Candidate { oid, declared, returns, adapted: false });
                }
            }
        }
        found
    }

    /// `oper()` in `parse_oper.c`: an exact match first, in which an unknown literal is of the other side's type.
    fn choose_operator(&self, found: &[Candidate], actual: &[Type]) -> Vec<Candidate> {
        if let [Some(left), Some(right)] = actual.iter().map(Type::oid).collect::<Vec<_>>().as_slice() {
            let (left, right) = match (*left == UNKNOWN, *right == UNKNOWN) {
                (true, false) => (*right, *right),
                (false, true) => (*left, *left),
                (true, true) | (false, false) => (*left, *right),
            };
            let exact = |left, right| found.iter().find(|candidate| candidate.declared == [left, right]);
            let bases = (self.snapshot.base_type(left), self.snapshot.base_type(right));
            if let Some(exact) = exact(left, right).or_else(|| exact(bases.0, bases.1)) {
                return vec![exact.clone()];
            }
        }
        choose(self.snapshot, found, actual)
    }
}

/// What functions give that only the grammar knows: they have no entry in `pg_proc` and run no code of anyone's. `None`
/// where there is no such function.
fn grammar_type(parts: &[&str]) -> Option<Type> {
    let name = match parts {
        [name] | ["pg_catalog", name] => *name,
        _ => return None,
    };
    Some(match name {
        "json_exists" => Type::Known(BOOL),
        "json_query" => Type::Known(JSONB),
        "json_scalar" => Type::Known(JSON),
        "json_value" | "merge_action" => Type::Known(TEXT),
        "xmlelement" | "xmlforest" | "xmlparse" | "xmlpi" | "xmlroot" => Type::Known(XML),
        "coalesce" | "current_catalog" | "current_date" | "current_role" | "current_time" | "current_timestamp"
        | "greatest" | "grouping" | "json_array" | "json_arrayagg" | "json_object" | "json_objectagg"
        | "json_serialize" | "json_table" | "least" | "localtime" | "localtimestamp" | "nullif" | "user"
        | "xmlconcat" | "xmlserialize" | "xmltable" => Type::Any,
        _ => return None,
    })
}

/// Whether a function of that name makes JSON of whatever it is passed.
fn gives_json(name: &str) -> bool {
    ["json", "to_json", "row_to_json", "array_to_json"].iter().any(|prefix| name.starts_with(prefix))
}

/// The text of a literal argument, through casts: `current_setting('x'::text)` is judged by its `x`.
fn literal_text(expr: &Expr) -> Option<String> {
    let mut expr = expr;
    loop {
        match expr {
            Expr::Cast { expr: inner, .. } => expr = inner,
            Expr::Literal(Literal::String(text) | Literal::Integer(text) | Literal::Numeric(text)) => {
                return Some(text.clone());
            }
            Expr::Literal(Literal::Boolean(value)) => return Some(value.to_string()),
            _not_a_literal => return None,
        }
    }
}
