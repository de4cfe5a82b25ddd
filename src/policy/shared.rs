//! Whether a verdict on one statement is a verdict on all that differ from it in their literals.

use super::{catalogs, functions};
use crate::catalog::Footprint;

/// Whether nothing that this module weighs, now or once a rule about the server's own objects is added, depends on a literal
/// of a statement that touches this: it reads no catalog, and calls nothing but harmless functions that come with the server.
#[must_use]
pub fn is_literal_free(footprint: &Footprint) -> bool {
    footprint.relations.iter().all(|touched| !catalogs::is_catalog(&touched.schema))
        && footprint.functions.iter().all(functions::is_literal_free)
}
