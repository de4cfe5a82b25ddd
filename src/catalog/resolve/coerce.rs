//! Casts that nobody wrote: where PostgreSQL brings several values to one type, or one value to the type that a clause
//! wants. Only those matter that run functions of the database's own.

use super::Resolver;
use crate::catalog::footprint::{CalledBy, Oid};
use crate::catalog::snapshot::CastContext;
use crate::catalog::types::Type;

impl Resolver<'_> {
    /// The type that CASE, COALESCE, ARRAY, VALUES, USING and set operations give to several values, each cast to it.
    pub(super) fn unified(&mut self, types: &[Type]) -> Type {
        let common = self.snapshot.common_type(types);
        if self.snapshot.user_casts.is_empty() {
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
        for (source, _, cast) in &snapshot.user_casts {
            let starts = from.is_none_or(|from| *source == from || snapshot.element(from) == Some(*source));
            if cast.context == CastContext::Implicit && starts {
                self.call_function(cast.function, CalledBy::Cast, Vec::new());
            }
        }
    }

    /// A value that a clause wants to be of one type: a condition, a limit.
    pub(super) fn coerced(&mut self, from: &Type, to: Oid) {
        if !self.snapshot.user_casts.is_empty() && from.oid() != Some(to) {
            self.cast_functions(from, to, CastContext::Assignment);
        }
    }
}
