//! Types of expressions, as far as overload resolution needs them, and which of them PostgreSQL coerces into which.
//!
//! Where pgward cannot tell a type it says [`Type::Any`], and every rule here then answers "could be".

use std::sync::Arc;

use super::footprint::Oid;
use super::snapshot::{CastContext, Snapshot};

pub(in crate::catalog) const BOOL: Oid = 16;
pub(in crate::catalog) const NAME: Oid = 19;
pub(in crate::catalog) const INT8: Oid = 20;
pub(in crate::catalog) const INT4: Oid = 23;
pub(in crate::catalog) const TEXT: Oid = 25;
pub(in crate::catalog) const TID: Oid = 27;
pub(in crate::catalog) const XID: Oid = 28;
pub(in crate::catalog) const CID: Oid = 29;
pub(in crate::catalog) const OID: Oid = 26;
pub(in crate::catalog) const UNKNOWN: Oid = 705;
pub(in crate::catalog) const DATE: Oid = 1082;
pub(in crate::catalog) const TIME: Oid = 1083;
pub(in crate::catalog) const TIMESTAMP: Oid = 1114;
pub(in crate::catalog) const TIMESTAMPTZ: Oid = 1184;
pub(in crate::catalog) const TIMETZ: Oid = 1266;
pub(in crate::catalog) const BIT: Oid = 1560;
pub(in crate::catalog) const NUMERIC: Oid = 1700;
pub(in crate::catalog) const RECORD: Oid = 2249;
pub(in crate::catalog) const XML: Oid = 142;
pub(in crate::catalog) const JSON: Oid = 114;
pub(in crate::catalog) const JSONB: Oid = 3802;
const RECORD_ARRAY: Oid = 2287;
const ANY: Oid = 2276;
const ANY_ARRAY: Oid = 2277;
const ANY_ELEMENT: Oid = 2283;
const ANY_NON_ARRAY: Oid = 2776;
const ANY_ENUM: Oid = 3500;
const ANY_RANGE: Oid = 3831;
const ANY_MULTIRANGE: Oid = 4537;
const ANY_COMPATIBLE: Oid = 5077;
const ANY_COMPATIBLE_ARRAY: Oid = 5078;
const ANY_COMPATIBLE_NON_ARRAY: Oid = 5079;
const ANY_COMPATIBLE_RANGE: Oid = 5080;
const ANY_COMPATIBLE_MULTIRANGE: Oid = 4538;

/// What is known of an expression's type.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::catalog) enum Type {
    Known(Oid),
    /// A literal that is still a string: PostgreSQL's pseudo-type `unknown`.
    Unknown,
    /// A row without a type of its own, by its columns.
    Row(Arc<[(Arc<str>, Type)]>),
    /// pgward cannot tell.
    Any,
}

impl Type {
    /// The identifier that overload resolution works with; `None` where it is not known.
    pub fn oid(&self) -> Option<Oid> {
        match self {
            Type::Known(oid) => Some(*oid),
            Type::Unknown => Some(UNKNOWN),
            Type::Row(_) => Some(RECORD),
            Type::Any => None,
        }
    }

    /// What a select list makes of it: a literal without a type becomes `text`.
    pub fn settled(self) -> Type {
        match self {
            Type::Unknown => Type::Known(TEXT),
            Type::Known(_) | Type::Row(_) | Type::Any => self,
        }
    }
}

/// Whether `oid` is one of the pseudo-types that stand for several types.
pub(in crate::catalog) fn is_polymorphic(oid: Oid) -> bool {
    matches!(
        oid,
        ANY_ARRAY
            | ANY_ELEMENT
            | ANY_NON_ARRAY
            | ANY_ENUM
            | ANY_RANGE
            | ANY_MULTIRANGE
            | ANY_COMPATIBLE
            | ANY_COMPATIBLE_ARRAY
            | ANY_COMPATIBLE_NON_ARRAY
            | ANY_COMPATIBLE_RANGE
            | ANY_COMPATIBLE_MULTIRANGE
    )
}

/// Whether `oid` is one of the pseudo-types whose arguments are brought to one type.
pub(in crate::catalog) fn is_compatible(oid: Oid) -> bool {
    matches!(
        oid,
        ANY_COMPATIBLE
            | ANY_COMPATIBLE_ARRAY
            | ANY_COMPATIBLE_NON_ARRAY
            | ANY_COMPATIBLE_RANGE
            | ANY_COMPATIBLE_MULTIRANGE
    )
}

impl Snapshot {
    /// The type under a domain, however many domains lie between.
    pub(in crate::catalog) fn base_type(&self, oid: Oid) -> Oid {
        let mut oid = oid;
        for _ in 0..32 {
            match self.types.get(&oid) {
                Some(entry) if entry.kind == 'd' => oid = entry.base,
                Some(_) | None => return oid,
            }
        }
        oid
    }

    pub(in crate::catalog) fn category(&self, oid: Oid) -> (char, bool) {
        self.types.get(&oid).map_or(('X', false), |entry| (entry.category, entry.preferred))
    }

    /// The element of an array type.
    pub(in crate::catalog) fn element(&self, oid: Oid) -> Option<Oid> {
        let entry = self.types.get(&self.base_type(oid))?;
        (entry.category == 'A' && entry.element != 0).then_some(entry.element)
    }

    /// What one subscript makes of a value of type `oid`. Of several on an array, PostgreSQL takes all together: after
    /// the first one nothing is known.
    pub(in crate::catalog) fn subscripted(&self, oid: Oid) -> Type {
        if self.base_type(oid) == JSONB {
            return Type::Known(JSONB);
        }
        match self.element(oid) {
            Some(element) if self.element(element).is_none() => Type::Known(element),
            Some(_) | None => Type::Any,
        }
    }

    /// The array type over `oid`.
    pub(in crate::catalog) fn array_of(&self, oid: Oid) -> Option<Oid> {
        self.types.get(&oid).map(|entry| entry.array).filter(|array| *array != 0)
    }

    /// The relation whose rows have this type.
    pub(in crate::catalog) fn row_relation(&self, oid: Oid) -> Option<Oid> {
        self.types.get(&self.base_type(oid)).map(|entry| entry.relation).filter(|relation| *relation != 0)
    }

    /// Whether a value of type `from` could be passed where `to` is declared without a cast being written. Says no only
    /// where PostgreSQL certainly refuses.
    pub(in crate::catalog) fn coercible(&self, from: Oid, to: Oid) -> bool {
        if from == to || from == UNKNOWN || to == ANY {
            return true;
        }
        if is_polymorphic(to) {
            return self.fits_polymorphic(from, to);
        }
        // Domains coerce as what they are over, on either side.
        let (source, to) = (self.base_type(from), self.base_type(to));
        if source == to || self.has_implicit_cast(from, to) || self.has_implicit_cast(source, to) {
            return true;
        }
        let is_row = |oid: Oid| oid == RECORD || self.row_relation(oid).is_some();
        if (to == RECORD && is_row(source)) || (source == RECORD && is_row(to)) {
            return true;
        }
        if let (Some(from), Some(to)) = (self.row_relation(source), self.row_relation(to)) {
            return self.descends(from, to);
        }
        match (self.element(source), self.element(to)) {
            (Some(_), None) if to == RECORD_ARRAY => true,
            (Some(from), Some(to)) => self.coercible(from, to),
            (Some(_) | None, _) => false,
        }
    }

    fn has_implicit_cast(&self, from: Oid, to: Oid) -> bool {
        self.code.casts.get(&(from, to)).is_some_and(|cast| cast.context == CastContext::Implicit)
    }

    fn fits_polymorphic(&self, from: Oid, to: Oid) -> bool {
        let kind = self.types.get(&self.base_type(from)).map_or('b', |entry| entry.kind);
        match to {
            ANY_ARRAY | ANY_COMPATIBLE_ARRAY => self.element(from).is_some() || kind == 'p',
            ANY_NON_ARRAY | ANY_COMPATIBLE_NON_ARRAY => self.element(from).is_none(),
            ANY_ENUM => kind == 'e',
            ANY_RANGE | ANY_COMPATIBLE_RANGE => kind == 'r',
            ANY_MULTIRANGE | ANY_COMPATIBLE_MULTIRANGE => kind == 'm',
            _any_element => true,
        }
    }

    /// Whether relation `child` inherits, at any distance, from `ancestor`.
    fn descends(&self, child: Oid, ancestor: Oid) -> bool {
        let mut open = vec![child];
        let mut seen = Vec::new();
        while let Some(oid) = open.pop() {
            if oid == ancestor {
                return true;
            }
            if !seen.contains(&oid) {
                seen.push(oid);
                open.extend(self.relations.get(&oid).into_iter().flat_map(|relation| &relation.parents));
            }
        }
        false
    }

    /// What a polymorphic result is, given the declared and the actual argument types.
    pub(in crate::catalog) fn polymorphic_result(&self, result: Oid, declared: &[Oid], actual: &[Type]) -> Type {
        if !is_polymorphic(result) {
            return Type::Known(result);
        }
        let wants_array = result == ANY_ARRAY;
        let wants_element = matches!(result, ANY_ELEMENT | ANY_NON_ARRAY | ANY_ENUM);
        if matches!(result, ANY_COMPATIBLE | ANY_COMPATIBLE_NON_ARRAY | ANY_COMPATIBLE_ARRAY) {
            return self.compatible_result(result, declared, actual);
        }
        for (declared, actual) in declared.iter().zip(actual) {
            let Type::Known(actual) = actual else { continue };
            let found = match *declared {
                ANY_ELEMENT | ANY_NON_ARRAY | ANY_ENUM if wants_element => Some(*actual),
                ANY_ELEMENT | ANY_NON_ARRAY | ANY_ENUM if wants_array => self.array_of(*actual),
                ANY_ARRAY if wants_array => Some(self.base_type(*actual)),
                ANY_ARRAY if wants_element => self.element(*actual),
                _other => None,
            };
            if let Some(found) = found {
                return Type::Known(found);
            }
        }
        Type::Any
    }

    /// The `anycompatible` family: all that is passed for it becomes of one type (`enforce_generic_type_consistency`).
    fn compatible_result(&self, result: Oid, declared: &[Oid], actual: &[Type]) -> Type {
        let mut types = Vec::new();
        for (declared, actual) in declared.iter().zip(actual) {
            match *declared {
                ANY_COMPATIBLE | ANY_COMPATIBLE_NON_ARRAY => types.push(actual.clone()),
                ANY_COMPATIBLE_ARRAY => types.push(match actual {
                    Type::Known(array) => self.element(*array).map_or(Type::Any, Type::Known),
                    Type::Unknown => Type::Unknown,
                    Type::Row(_) | Type::Any => Type::Any,
                }),
                ANY_COMPATIBLE_RANGE | ANY_COMPATIBLE_MULTIRANGE => return Type::Any,
                _other => {}
            }
        }
        match (self.common_type(&types).settled(), result) {
            (Type::Known(common), ANY_COMPATIBLE_ARRAY) => self.array_of(common).map_or(Type::Any, Type::Known),
            (Type::Known(common), _) => Type::Known(common),
            (Type::Unknown | Type::Row(_) | Type::Any, _) => Type::Any,
        }
    }

    /// The type that CASE, COALESCE, ARRAY, VALUES and set operations give to several (`select_common_type` in
    /// `parse_coerce.c`): the first one's, unless a later one of its category takes it in and not the other way round.
    pub(in crate::catalog) fn common_type(&self, types: &[Type]) -> Type {
        let mut decided = types.iter().filter(|found| **found != Type::Unknown);
        let Some(first) = decided.next() else { return Type::Unknown };
        let mut common = first.clone();
        for found in decided {
            if *found == common {
                continue;
            }
            let (Type::Known(one), Type::Known(other)) = (&common, found) else { return Type::Any };
            let (one, other) = (self.base_type(*one), self.base_type(*other));
            let ((category, preferred), (other_category, _)) = (self.category(one), self.category(other));
            if category != other_category {
                return Type::Any;
            }
            let gives_way = !preferred && self.coercible(one, other) && !self.coercible(other, one);
            common = Type::Known(if gives_way { other } else { one });
        }
        common
    }

    /// The types of a value and of all in it: elements, fields, what domains are over. `None` where they cannot be told.
    pub(in crate::catalog) fn reached_types(&self, of: &Type) -> Option<Vec<Oid>> {
        let (mut open, mut rows, mut seen) = (Vec::new(), vec![of], Vec::new());
        while let Some(of) = rows.pop() {
            match of {
                Type::Known(oid) => open.push(*oid),
                Type::Unknown => {}
                Type::Row(fields) => rows.extend(fields.iter().map(|(_, field)| field)),
                Type::Any => return None,
            }
        }
        while let Some(oid) = open.pop() {
            if seen.contains(&oid) {
                continue;
            }
            if oid == RECORD || seen.len() > 10_000 {
                return None;
            }
            seen.push(oid);
            let Some(entry) = self.types.get(&oid) else { continue };
            open.extend([entry.base, entry.element].into_iter().filter(|inner| *inner != 0));
            if let Some(relation) = self.relations.get(&entry.relation) {
                open.extend(relation.columns.iter().map(|column| column.of));
            }
        }
        Some(seen)
    }

    /// The functions, none of them built in, that run when a value becomes one of type `oid`: input functions, and the
    /// checks of domains, also inside arrays and rows.
    pub(in crate::catalog) fn type_functions(&self, oid: Oid) -> Vec<Oid> {
        let (mut open, mut seen, mut functions) = (vec![oid], Vec::new(), Vec::new());
        while let Some(oid) = open.pop() {
            if seen.contains(&oid) || seen.len() > 10_000 {
                continue;
            }
            seen.push(oid);
            let Some(entry) = self.types.get(&oid) else { continue };
            functions.extend(entry.input.iter().chain(&entry.checks).copied());
            open.extend([entry.base, entry.element].into_iter().filter(|inner| *inner != 0));
            if let Some(relation) = self.relations.get(&entry.relation) {
                open.extend(relation.columns.iter().map(|column| column.of));
            }
        }
        functions
    }
}
