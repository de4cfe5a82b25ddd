//! What is known of a type by its number, for those who read values of it.

use super::footprint::Oid;
use super::snapshot::Snapshot;

/// What a value of a type is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Enum,
    /// A domain over another type.
    Domain(Oid),
    Array,
    Other,
}

impl Snapshot {
    /// What kind of type has this number.
    #[must_use]
    pub fn kind_of_type(&self, oid: Oid) -> Kind {
        match self.types.get(&oid) {
            Some(entry) if entry.kind == 'e' => Kind::Enum,
            Some(entry) if entry.kind == 'd' => Kind::Domain(entry.base),
            Some(entry) if entry.category == 'A' && entry.element != 0 => Kind::Array,
            Some(_) | None => Kind::Other,
        }
    }

    /// The name of the type with this number.
    #[must_use]
    pub fn type_name(&self, oid: Oid) -> Option<&str> {
        self.type_names.iter().find(|(_, types)| types.iter().any(|(_, known)| *known == oid)).map(|(name, _)| &**name)
    }
}
