//! What literals become. A value that is compared or stored is one thing, the name of a relation another: `'orders'::regclass`
//! means what it says, so that no statement may stand for others that say something else there.

use super::Resolver;
use crate::catalog::footprint::Oid;
use crate::catalog::snapshot::Snapshot;
use crate::catalog::types::{
    BIT, BOOL, DATE, INT4, INT8, JSON, JSONB, NUMERIC, TEXT, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ, Type, is_polymorphic,
};

impl Resolver<'_> {
    /// A value becomes one of type `to`.
    pub(super) fn weigh(&mut self, from: &Type, to: Oid) {
        self.plain = self.plain && (is_plain(self.snapshot, to) || (is_decided(from) && !names(self.snapshot, to)));
    }

    /// One of the arguments of a call or operator becomes what that declares.
    pub(super) fn weigh_passed(&mut self, from: &Type, to: Oid, all: &[Type]) {
        if !is_polymorphic(to) {
            self.weigh(from, to);
            return;
        }
        // It becomes what the others are.
        for other in all {
            match other {
                Type::Known(oid) => self.weigh(from, *oid),
                Type::Unknown => {}
                Type::Row(_) | Type::Any => self.plain = self.plain && is_decided(from),
            }
        }
    }

    /// Several values become one type.
    pub(super) fn weigh_unified(&mut self, types: &[Type], common: &Type) {
        match common {
            Type::Known(to) => types.iter().for_each(|from| self.weigh(from, *to)),
            // A literal among them may become anything.
            Type::Any | Type::Row(_) => self.plain = self.plain && types.iter().all(is_decided),
            // They are text.
            Type::Unknown => {}
        }
    }
}

/// Whether a value has a type already, so that it is no literal whose text is still to be read.
fn is_decided(from: &Type) -> bool {
    match from {
        Type::Known(_) => true,
        Type::Unknown | Type::Any => false,
        Type::Row(fields) => fields.iter().all(|(_, of)| is_decided(of)),
    }
}

/// `"any"`, and the types that come with the server whose values mean nothing but themselves.
const ANY: Oid = 2276;
const PLAIN: [Oid; 30] = [
    ANY,
    BOOL,
    INT4,
    INT8,
    TEXT,
    JSON,
    JSONB,
    NUMERIC,
    DATE,
    TIME,
    TIMETZ,
    TIMESTAMP,
    TIMESTAMPTZ,
    BIT,
    // bytea, int2, float4, float8, money, inet, cidr, macaddr, macaddr8, bpchar, varchar, interval, varbit, uuid, tsvector,
    // and what a literal is that nothing was made of.
    17,
    21,
    700,
    701,
    790,
    869,
    650,
    829,
    774,
    1042,
    1043,
    1186,
    1562,
    2950,
    3614,
    705,
];

/// Whether a literal of type `oid` is a value and nothing else: of a plain type, an enumeration, an array of such, or a domain
/// over one that checks nothing.
fn is_plain(snapshot: &Snapshot, oid: Oid) -> bool {
    let inner = snapshot.element(oid).unwrap_or(oid);
    let base = snapshot.base_type(inner);
    let is_enum = snapshot.types.get(&base).is_some_and(|entry| entry.kind == 'e');
    (PLAIN.contains(&base) || is_enum) && snapshot.type_functions(oid).is_empty()
}

/// Whether values of type `oid` are names of things, whatever they are made of: `regclass` and its kin.
fn names(snapshot: &Snapshot, oid: Oid) -> bool {
    let inner = snapshot.element(oid).unwrap_or(oid);
    matches!(snapshot.base_type(inner), 24 | 2202..=2206 | 3734 | 3769 | 4089 | 4096 | 4191)
}
