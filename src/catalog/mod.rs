//! A snapshot of an upstream's catalogs, and the names of a statement resolved against it as PostgreSQL would.

mod footprint;
mod load;
mod objects;
pub mod opinion;
mod resolve;
mod snapshot;
mod standing;
mod types;
mod values;

pub use footprint::{
    CalledBy, Columns, Effect, Footprint, JUDGED_BY_LITERALS, Oid, RelationKind, TouchedFunction, TouchedRelation,
    Unresolved,
};
pub use load::LoadError;
pub use load::within::{FROM, Within};
pub use objects::{Objects, RelationObject, RoutineObject};
pub use resolve::{Weighed, resolve, resolve_told, resolve_weighed, resolve_with};
pub use snapshot::Snapshot;
pub use standing::standing;
pub use values::Kind as TypeKind;
