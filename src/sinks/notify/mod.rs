//! Notifications: messages to people about what the journal records, by a webhook, Slack or e-mail. Each is a sink whose
//! deliveries are one record each: in order, at least once, tried again until it is too old to matter.
//!
//! | file | owns |
//! | --- | --- |
//! | `settings` | what a notification is told |
//! | `notice`, `text` | what a message says, whatever carries it; texts that others wrote, made harmless |
//! | `webhook`, `slack`, `email`, `mime`, `smtp` | the carriers |

mod email;
mod mime;
mod notice;
mod settings;
mod slack;
mod smtp;
#[cfg(test)]
mod tests;
mod text;
mod webhook;

use std::sync::Arc;

use jiff::Timestamp;

use self::email::Mailer;
use self::notice::Notice;
pub use self::settings::{Channel, Email, Notify, Person, Recipient, SmtpTls};
use self::slack::Workspace;
use self::text::one_line;
use self::webhook::Hook;
use super::receiver::{Delivered, DeliveryError, Receiver};
use crate::access::AccessRequest;
use crate::audit::{Entry, Event, Record};

/// Where notifications learn what a record does not say.
#[async_trait::async_trait]
pub trait Requests: Send + Sync + std::fmt::Debug {
    /// The request that a record is about, by its id or by its grant's; `None` where it is about none.
    ///
    /// # Errors
    /// In words, where it cannot be looked up now.
    async fn about(&self, record: &Record) -> Result<Option<AccessRequest>, String>;
}

/// For sinks, which say what the record says.
#[derive(Debug)]
pub(super) struct NoRequests;

#[async_trait::async_trait]
impl Requests for NoRequests {
    async fn about(&self, _record: &Record) -> Result<Option<AccessRequest>, String> {
        Ok(None)
    }
}

/// One notification, ready to tell.
pub(super) struct Notifier {
    journal: String,
    link: String,
    requests: Arc<dyn Requests>,
    carrier: Carrier,
}

enum Carrier {
    Webhook(Hook),
    Slack(Workspace),
    Email(Box<Mailer>),
}

impl Notifier {
    pub(super) fn new(settings: &Notify, journal: String, requests: Arc<dyn Requests>) -> Result<Self, String> {
        let carrier = match &settings.channel {
            Channel::Webhook { url, secret, ca, allow_private } => {
                Carrier::Webhook(Hook::new(url, secret, ca.as_ref(), *allow_private)?)
            }
            Channel::Slack { url, ca, allow_private } => {
                Carrier::Slack(Workspace::new(url, ca.as_ref(), *allow_private)?)
            }
            Channel::Email(email) => Carrier::Email(Box::new(Mailer::new(email)?)),
        };
        Ok(Self { journal, link: settings.link.clone(), requests, carrier })
    }

    async fn tell(&mut self, entry: &Entry) -> Result<Delivered, DeliveryError> {
        let request = self.requests.about(&entry.record).await;
        let request = request.map_err(|error| DeliveryError::Failed(format!("looking up the request: {error}")))?;
        let notice = Notice::new(&entry.record, request.as_ref(), &self.journal, &self.link);
        match &mut self.carrier {
            Carrier::Webhook(hook) => hook.send(&notice).await,
            Carrier::Slack(workspace) => workspace.send(&notice).await,
            Carrier::Email(mailer) => mailer.send(&notice, request.as_ref()).await,
        }
    }
}

#[async_trait::async_trait]
impl Receiver for Notifier {
    async fn deliver(&mut self, entries: &[Entry]) -> Result<Delivered, DeliveryError> {
        let (mut refused, mut why) = (0, String::new());
        for entry in entries {
            match self.tell(entry).await? {
                Delivered::All => {}
                Delivered::AllBut(more, said) => (refused, why) = (refused + more, said),
            }
        }
        Ok(if refused == 0 { Delivered::All } else { Delivered::AllBut(refused, why) })
    }
}

/// The record of a message that was given up.
pub(super) fn failure(title: &str, told: &Record, why: &str, now: Timestamp) -> Record {
    let mut record = Record::new(now, Event::NotificationFailed);
    record.principal.clone_from(&told.principal);
    record.database.clone_from(&told.database);
    record.scope.clone_from(&told.scope);
    record.request.clone_from(&told.request);
    record.grant.clone_from(&told.grant);
    record.data_region.clone_from(&told.data_region);
    record.upstream_region.clone_from(&told.upstream_region);
    let (event, seq, why) = (told.event.as_str(), told.seq, one_line(why, LONGEST_WHY));
    record.detail = Some(format!("{title}: nobody was told of {event} (record {seq}): {why}"));
    record
}

/// In characters.
const LONGEST_WHY: usize = 500;
