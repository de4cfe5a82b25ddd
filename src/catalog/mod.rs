//! A snapshot of an upstream's catalogs, and the names of a statement resolved against it as PostgreSQL would.

mod footprint;

pub use footprint::{
    CalledBy, Columns, Effect, Footprint, Oid, RelationKind, TouchedFunction, TouchedRelation, Unresolved,
};
