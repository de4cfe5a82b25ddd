//! How long rows of the databases behind pgward may live: what is overdue, what keeps it, and how it goes.
//!
//! What is due is decided by the rows themselves, again with each batch: nothing is remembered that could be wrong after a
//! crash. Each batch is one transaction, told to a [`Ledger`] before it commits, with the transaction's number: so that whoever
//! comes after a crash can ask the database whether it did.
//!
//! | file | owns |
//! | --- | --- |
//! | `policy`, `keep` | what the configuration says |
//! | `facts` | tables, keys and partitions as the database has them |
//! | `check` | whether a policy can be carried out on them |
//! | `rows` | the conditions in SQL: overdue, held, needed by others, due |
//! | `plan` | counting, changing nothing |
//! | `run`, `batch`, `partition` | carrying it out |
//! | `hidden` | having PostgreSQL hide what is overdue |

mod batch;
mod check;
mod facts;
mod hidden;
mod keep;
mod partition;
mod plan;
mod policy;
mod rows;
mod run;
mod sql;

pub use check::{Fault, check};
pub use facts::{Column, Facts, ForeignKey, OnDelete, Partition, Table};
pub use hidden::{ROLE as HIDING_ROLE, any_overdue, is_filtered, script as hiding_script};
pub use keep::Keep;
pub use plan::{Blocker, Plan, PlannedPartition, Touched, plan};
pub use policy::{Action, Change, Hold, Policy, Relation};
pub use rows::Rows;
pub use run::{Batch, Done, Ended, HoldsTurn, Ledger, LedgerError, Outcome, cutoffs, in_words, run, settle};
