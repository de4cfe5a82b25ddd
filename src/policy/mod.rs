//! decide(statement, footprint, context) → verdict. Pure: no clock, no store, no I/O.

mod catalogs;
mod context;
mod decide;
mod denial;
mod explain;
mod export;
mod filter;
mod functions;
mod guards;
mod harmless;
mod hidden;
mod labels;
mod needs;
mod only;
mod precedent;
mod relations;
mod renaming;
mod residency;
mod settings;
mod shared;
mod statements;
#[cfg(test)]
mod tests;
mod verdict;

pub use catalogs::is_catalog;
pub use context::{Context, DataClass, DatabasePolicy, RegionRule, SessionState};
pub use decide::decide;
pub use explain::{ExplainedRelation, Explanation, explain};
pub use export::{ExportClaim, Exported};
pub use hidden::{Hidden, HiddenRelation, Overdue};
pub use needs::{Need, needs};
pub use only::{counts, used_up};
pub use precedent::Matter;
pub use residency::data_region;
pub use shared::is_literal_free;
pub use verdict::{Denial, Permit, Rule, Verdict};
