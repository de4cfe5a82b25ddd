//! Casts that nobody wrote: where PostgreSQL brings several values to one type, or one value to the type that a clause
//! wants. Only those matter that run functions of the database's own.

use super::Resolver;
use crate::catalog::footprint::{CalledBy, Oid};
use crate::catalog::snapshot::CastContext;
use crate::catalog::types::{JSON, Type, is_compatible};

impl Resolver<'_> {
    /// The type that CASE, COALESCE, ARRAY, VALUES, USING and set operations give to several values, each cast to it.
    pub(super) fn unified(&mut self, types: &[Type]) -> Type {
        let common = self.snapshot.common_type(types);
        self.weigh_unified(types, &common);
        if self.snapshot.code.user_casts.is_empty() {
            return common;
        }
        match &common {
            Type::Known(to) => {
                for from in types.iter().filter(|from| from.oid() != Some(*to)) {
                    self.cast_functions(from, *to, CastContext::Implicit);
                }
            }
            // Which type it is cannot be told: any that one of them could become.
            Type::Any => types.iter().for_each(|from| self.cast_anywhere(from)),
            Type::Unknown | Type::Row(_) => {}
        }
        common
    }

    /// Records every implicit cast that could start at a value of this type.
    fn cast_anywhere(&mut self, from: &Type) {
        let snapshot = self.snapshot;
        let from = from.oid().map(|oid| snapshot.base_type(oid));
        for (source, _, cast) in &snapshot.code.user_casts {
            let starts = from.is_none_or(|from| *source == from || snapshot.element(from) == Some(*source));
            if cast.context == CastContext::Implicit && starts {
                self.call_function(cast.function, CalledBy::Cast, Vec::new());
            }
        }
    }

    /// Arguments that are passed for the `anycompatible` family are brought to one type.
    pub(super) fn compatible(&mut self, declared: &[Oid], actual: &[Type]) {
        if self.snapshot.code.user_casts.is_empty() {
            return;
        }
        let taken = declared.iter().zip(actual).filter(|(to, _)| is_compatible(**to));
        let mut types: Vec<Type> = Vec::new();
        for (_, from) in taken {
            types.push(from.clone());
            // An array goes in by its elements.
            types.extend(from.oid().and_then(|oid| self.snapshot.element(oid)).map(Type::Known));
        }
        if types.len() < 2 {
            return;
        }
        types.iter().for_each(|from| self.cast_anywhere(from));
    }

    /// A value that becomes JSON does so by its type's cast to `json`, if it has one of the database's own, wherever in
    /// the value it stands (`json_categorize_type` in `json.c`).
    pub(super) fn becomes_json(&mut self, values: &[Type]) {
        let snapshot = self.snapshot;
        let casts: Vec<(Oid, Oid)> = snapshot
            .code
            .user_casts
            .iter()
            .filter(|(_, target, _)| *target == JSON)
            .map(|(source, _, cast)| (*source, cast.function))
            .collect();
        if casts.is_empty() {
            return;
        }
        let reached = values.iter().map(|value| snapshot.reached_types(value)).collect::<Option<Vec<_>>>();
        for (source, function) in casts {
            // A value of a type that cannot be told may be of any.
            if reached.as_ref().is_none_or(|reached| reached.iter().flatten().any(|oid| *oid == source)) {
                self.call_function(function, CalledBy::Cast, Vec::new());
            }
        }
    }

    /// A value that a clause wants to be of one type: a condition, a limit.
    pub(super) fn coerced(&mut self, from: &Type, to: Oid) {
        if !self.snapshot.code.user_casts.is_empty() && from.oid() != Some(to) {
            self.cast_functions(from, to, CastContext::Assignment);
        }
    }
}
