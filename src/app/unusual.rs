//! Looks for unusual access in the journal as it is written, records what is found, and holds or ends what the rules say.
//!
//! It is off the data path: what it finds has run already, and what it holds or ends is what comes next.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio_util::sync::CancellationToken;

use crate::access::Clock;
use crate::audit::{Event, Filter, Journal, Record, RecordedVerdict, search};
use crate::session::Registry;
use crate::unusual::{Action, Finding, Rule, Settings, Watch};

/// Records that one read of the journal brings.
const READ_AT_ONCE: usize = 500;
/// Of a long journal, what is learnt from at the start.
const LOOK_BACK: u64 = 1_000_000;
/// Before a journal that could not be read or written is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Follows the journal.
#[derive(Debug)]
pub struct Unusual {
    settings: Option<Settings>,
    journal: Arc<Journal>,
    sessions: Arc<Registry>,
    clock: Arc<Clock>,
    counted: Counted,
}

/// Findings by rule.
#[derive(Clone, Debug, Default)]
pub struct Counted(Family<Labels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    rule: &'static str,
}

impl Counted {
    pub fn register(registry: &mut prometheus_client::registry::Registry) -> Self {
        let counted = Self::default();
        for rule in Rule::ALL {
            counted.of(rule);
        }
        registry.register("pgward_unusual", "Unusual access, by rule", counted.0.clone());
        counted
    }

    fn of(&self, rule: Rule) -> Counter {
        self.0.get_or_create(&Labels { rule: rule.as_str() }).clone()
    }
}

impl Unusual {
    pub fn new(
        settings: Option<Settings>,
        journal: Arc<Journal>,
        sessions: Arc<Registry>,
        clock: Arc<Clock>,
        counted: Counted,
    ) -> Self {
        Self { settings, journal, sessions, clock, counted }
    }

    /// Holds whom nobody had released when pgward ended, before any session is opened.
    ///
    /// # Errors
    /// Where the journal does not say: then nobody is served.
    pub async fn restore(&self) -> anyhow::Result<()> {
        if self.settings.is_none() {
            return Ok(());
        }
        let places = self.journal.places().clone();
        let found = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            for event in [Event::UnusualAccess, Event::AccessReleased] {
                let filter = Filter { event: Some(event), ..Filter::default() };
                found.extend(search(places.clone(), &filter, |_| true)?);
            }
            anyhow::Ok(found)
        });
        let mut found = found.await??;
        found.sort_by_key(|entry| entry.record.seq);
        for Record { event, principal, verdict, detail, .. } in found.into_iter().map(|entry| entry.record) {
            let Some(principal) = principal else { continue };
            if event == Event::AccessReleased {
                self.sessions.holds().release(&principal);
            } else if verdict == Some(RecordedVerdict::Deny) {
                self.sessions.holds().hold(&principal, detail.as_deref().unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Follows the journal until it is stopped. What it holds already is learnt from, and nothing else is done about it.
    pub async fn run(self, stop: CancellationToken) {
        let Some(settings) = self.settings.clone() else { return };
        let mut watch = Watch::new(settings);
        let known = self.journal.last_seq();
        let mut next = known.saturating_sub(LOOK_BACK) + 1;
        let mut subscription = self.journal.subscribe(next);
        loop {
            let entries = tokio::select! {
                () = stop.cancelled() => return,
                entries = subscription.next(READ_AT_ONCE) => entries,
            };
            match entries {
                Ok(entries) if entries.is_empty() => return,
                Ok(entries) => {
                    for entry in entries {
                        next = entry.record.seq + 1;
                        self.take(&mut watch, &entry.record, entry.record.seq > known, &stop).await;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "unusual access is not looked for: the journal cannot be read; it is tried again");
                    tokio::time::sleep(PAUSE).await;
                    subscription = self.journal.subscribe(next);
                }
            }
        }
    }

    async fn take(&self, watch: &mut Watch, record: &Record, is_new: bool, stop: &CancellationToken) {
        for finding in watch.take(record).into_iter().filter(|_| is_new) {
            self.act(finding, stop).await;
        }
    }

    async fn act(&self, finding: Finding, stop: &CancellationToken) {
        self.counted.of(finding.rule).inc();
        let why = format!("{}: {}", finding.rule.as_str(), finding.detail);
        tracing::warn!(principal = finding.principal, why, "unusual access");
        // First what keeps the principal from going on: its record may have to wait for a disk.
        match finding.action {
            Action::Off | Action::Report => {}
            Action::Hold => self.sessions.holds().hold(&finding.principal, &why),
            Action::End => {
                let end = |session| self.sessions.kill(session, "pgward", Some(&format!("unusual access: {why}")));
                let _ = finding.session.as_ref().is_some_and(end);
            }
        }
        let mut record = Record::new(self.clock.now(), Event::UnusualAccess);
        record.verdict = (finding.action == Action::Hold).then_some(RecordedVerdict::Deny);
        record.rule = Some(finding.rule.as_str().to_owned());
        record.detail = Some(why);
        record.principal = Some(finding.principal);
        record.database = finding.database;
        record.session = finding.session;
        record.grant = finding.grant;
        record.statement_seq = finding.statement_seq;
        record.relations = finding.relations;
        while let Err(error) = self.journal.record(record.clone()).await {
            tracing::error!(%error, "unusual access could not be recorded: it is tried again");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}
