//! Where the journal's records go besides its own files: a PostgreSQL table, syslog, a webhook, OpenTelemetry, an archive in
//! object storage; and to people, as notifications.
//!
//! | file | owns |
//! | --- | --- |
//! | `settings`, `selection` | what a sink is told; which records are its |
//! | `receiver`, `batches`, `runner` | the trait of all receivers; reading the journal; delivering until it is acknowledged |
//! | `position`, `backoff`, `progress`, `metrics`, `watch` | what survives a restart; pauses; how far a sink is; alarms |
//! | `set` | all sinks of the process: started, exchanged by a reload, ended |
//! | `postgresql`, `syslog`, `webhook`, `otlp`, `archive` | one receiver each; `http`, `address` what some of them share |
//! | `notify` | messages to people: webhooks, Slack, e-mail |
//!
//! Each sink is one task that reads the journal's *files* from its own position. So the journal never waits for a sink, a
//! slow one delays nobody, and none needs more memory than one batch. A position is kept after the receiver has acknowledged,
//! never before: every record arrives at least once, in order, and one that comes twice is known by journal and `seq`.

mod address;
mod archive;
mod backoff;
mod batches;
mod http;
mod metrics;
mod notify;
mod otlp;
mod position;
mod postgresql;
mod progress;
mod receiver;
mod runner;
mod selection;
mod set;
mod settings;
mod syslog;
#[cfg(test)]
mod tests;
mod watch;
mod webhook;

pub use metrics::Metrics;
pub use notify::Requests;
pub use selection::{Regions, Selection};
pub use set::{Prepared, Sinks};
pub use settings::{
    Archive, ArchivePlace, Body, Channel, Email, Kind, Notify, Otlp, Pem, Person, Postgresql, Recipient, S3, Settings,
    SetupError, SmtpTls, Start, Syslog, Webhook,
};
