//! What a sink is told. Everything that a change of makes another sink of it is in here, secrets and certificates too, so that
//! a reload finds out what to start anew by comparing.

use std::path::PathBuf;
use std::time::Duration;

pub use super::notify::{Channel, Email, Notify, Person, Recipient, SmtpTls};
use super::selection::Selection;
use crate::access::Secret;
use crate::audit::Entry;
use crate::guarded::Proof;
pub use crate::tls::PemFile as Pem;

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Names the sink or the notification in metrics, and its position's file.
    pub name: String,
    pub selection: Selection,
    /// Where a sink without a position begins.
    pub start: Start,
    /// Records in one delivery.
    pub batch_records: usize,
    /// Bytes of records in one delivery, unless one record alone is longer.
    pub batch_bytes: usize,
    /// How old a record may get undelivered before there is an alarm.
    pub alarm_after: Duration,
    pub kind: Kind,
}

impl Settings {
    /// Whether the record goes there.
    pub(super) fn takes(&self, entry: &Entry) -> bool {
        self.selection.takes(entry) && self.notify().is_none_or(|notify| notify.takes(&entry.record))
    }

    /// What a notification is told; `None` of other sinks.
    pub(super) fn notify(&self) -> Option<&Notify> {
        match &self.kind {
            Kind::Notify(notify) => Some(notify),
            Kind::Postgresql(_) | Kind::Syslog(_) | Kind::Webhook(_) | Kind::Otlp(_) | Kind::Archive(_) => None,
        }
    }

    /// Most records of one delivery. A message speaks of one.
    pub(super) fn at_once(&self) -> usize {
        if self.notify().is_some() { 1 } else { self.batch_records }
    }

    /// Where below the journal's directory its position is kept.
    pub(super) fn folder(&self) -> &'static str {
        if self.notify().is_some() { "notifications" } else { "sinks" }
    }

    /// As messages call it.
    pub(super) fn title(&self) -> String {
        let what = if self.notify().is_some() { "notification" } else { "sink" };
        format!("{what} \"{}\"", self.name)
    }

    /// Differs when what the sink does changes, and tells nothing of its secrets.
    pub(super) fn mark(&self) -> String {
        // Secrets and the contents of files print as nothing.
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, format!("{:?}", self.kind).as_bytes());
        digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Where a sink without a position begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that is kept.
    Oldest,
    /// With the next one that is made.
    Now,
}

/// What a record looks like where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The canonical JSON.
    Jsonl,
    /// An event of the Open Cybersecurity Schema Framework.
    Ocsf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Postgresql(Postgresql),
    Syslog(Syslog),
    Webhook(Webhook),
    Otlp(Otlp),
    Archive(Archive),
    /// Messages to people, one for each record.
    Notify(Notify),
}

/// A table of a PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgresql {
    /// A host name or address, or the directory of a socket.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub database: String,
    pub password: Option<Secret>,
    /// What the server has to ask for at login.
    pub proof: Proof,
    /// Who signs the server's certificate; without it, nothing is encrypted.
    pub ca: Option<Pem>,
    /// In the order schema, name; the schema may be left out.
    pub table: (Option<String>, String),
    pub create_table: bool,
    pub body: Body,
}

/// A collector that takes RFC 5424 messages over TLS (RFC 5425).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    pub host: String,
    pub port: u16,
    pub ca: Pem,
    /// A certificate and its key, where the collector wants one.
    pub client: Option<(Pem, Pem)>,
    /// HOSTNAME of the messages.
    pub hostname: String,
    /// The private enterprise number of the structured data.
    pub enterprise_id: u32,
    pub body: Body,
}

/// An endpoint after Standard Webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub url: String,
    /// Who signs the server's certificate; the system's authorities if nobody is named.
    pub ca: Option<Pem>,
    /// `whsec_…`
    pub secret: Secret,
    pub allow_private: bool,
    pub body: Body,
}

/// A collector of OpenTelemetry logs over OTLP/HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    pub url: String,
    pub ca: Option<Pem>,
    /// Names and values.
    pub headers: Vec<(String, Secret)>,
    pub allow_private: bool,
    /// `service.instance.id`
    pub instance: String,
}

/// An archive of the closed segments and of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    pub place: ArchivePlace,
    /// Before the objects' names.
    pub prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchivePlace {
    S3(S3),
    Directory(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// Amazon's own for the region if nothing is named.
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
    pub access_key_id: Secret,
    pub secret_access_key: Secret,
    pub ca: Option<Pem>,
}

/// Why a sink cannot be made as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("{sink}: {what}")]
pub struct SetupError {
    /// With its kind: `sink "siem"`.
    pub sink: String,
    pub what: String,
}
