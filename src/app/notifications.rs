//! From `[[notify]]` to what notifications are told, with every secret and certificate read; and where they learn what a record
//! does not say.

use std::sync::Arc;

use anyhow::Context as _;

use crate::access::{AccessRequest, Region, RequestId, Secret};
use crate::audit::Record;
use crate::config::{Config, MailRecipient, MailServer, MailTls, Notify, NotifyChannel};
use crate::sinks::{
    Channel, Email, Kind, Pem, Person, Recipient, Regions, Requests, Selection, Settings, SmtpTls, Start,
};
use crate::store::{SharedStore, StoreError};

/// All notifications, as they are now configured.
///
/// # Errors
/// Where a secret or a certificate cannot be read.
pub fn settings(config: &Config) -> anyhow::Result<Vec<Settings>> {
    // What a region keeps in a directory of its own is not told elsewhere.
    let regions = config.audit.regions.iter();
    let kept: Vec<Region> =
        regions.filter(|(_, audit)| audit.dir.is_some()).map(|(region, _)| region.clone()).collect();
    let of = |notify: &Notify| of(notify, config, &kept).with_context(|| format!("notification \"{}\"", notify.name));
    config.notifications.iter().map(of).collect()
}

fn of(notify: &Notify, config: &Config, kept: &[Region]) -> anyhow::Result<Settings> {
    let settings = crate::sinks::Notify {
        channel: channel(notify, config)?,
        scopes: notify.scopes.clone(),
        databases: notify.databases.clone(),
        link: notify.link.clone().unwrap_or_else(|| control_url(config)),
        give_up: notify.give_up,
    };
    Ok(Settings {
        name: notify.name.clone(),
        selection: Selection { regions: Regions::AllBut(kept.to_vec()), events: Some(notify.events.clone()) },
        // Nobody wants to be told what was before they asked to be.
        start: Start::Now,
        batch_records: READ_AT_ONCE,
        batch_bytes: 1 << 20,
        alarm_after: notify.alarm_after,
        kind: Kind::Notify(settings),
    })
}

/// Records that one read of the journal brings.
const READ_AT_ONCE: usize = 500;

fn channel(notify: &Notify, config: &Config) -> anyhow::Result<Channel> {
    let ca = notify.ca.as_deref().map(Pem::read).transpose()?;
    let allow_private = notify.allow_private;
    Ok(match &notify.channel {
        NotifyChannel::Webhook { url, secret } => {
            let secret = secret.read().map_err(anyhow::Error::msg)?.context("a secret is missing")?;
            Channel::Webhook { url: url.read().map_err(anyhow::Error::msg)?, secret, ca, allow_private }
        }
        NotifyChannel::Slack { url } => {
            let url = Secret::new(url.read().map_err(anyhow::Error::msg)?);
            Channel::Slack { url, ca, allow_private }
        }
        NotifyChannel::Email { server, from, to } => {
            let (from, to) = (from.clone(), to.iter().map(recipient).collect());
            let MailServer { host, port, tls, login } = server.clone();
            let login = match login {
                Some((user, password)) => {
                    Some((user, password.read().map_err(anyhow::Error::msg)?.context("the password is missing")?))
                }
                None => None,
            };
            let tls = match tls {
                MailTls::Implicit => SmtpTls::Implicit,
                MailTls::StartTls => SmtpTls::StartTls,
            };
            let people = people(config);
            Channel::Email(Email { host, port, tls, login, ca, allow_private, from, to, people })
        }
    })
}

fn recipient(recipient: &MailRecipient) -> Recipient {
    match recipient {
        MailRecipient::Address(address) => Recipient::Address(address.clone()),
        MailRecipient::Approvers => Recipient::Approvers,
        MailRecipient::Requester => Recipient::Requester,
    }
}

fn people(config: &Config) -> Vec<Person> {
    let person =
        |user: &crate::config::User| Some(Person { principal: user.principal.clone(), email: user.email.clone()? });
    config.users.iter().filter_map(person).collect()
}

/// Where browsers reach the control port, as far as it is known.
fn control_url(config: &Config) -> String {
    let address = config.control.listen;
    if address.ip().is_unspecified() {
        format!("https://{}:{}", config.proxy.public_host, address.port())
    } else {
        format!("https://{address}")
    }
}

/// The requests in the store.
#[derive(Debug)]
pub struct StoredRequests(pub SharedStore);

impl StoredRequests {
    pub fn shared(store: &SharedStore) -> Arc<dyn Requests> {
        Arc::new(Self(Arc::clone(store)))
    }

    async fn id(&self, record: &Record) -> Result<Option<RequestId>, StoreError> {
        match (&record.request, &record.grant) {
            (Some(id), _) => Ok(Some(id.clone())),
            (None, Some(grant)) => Ok(Some(self.0.grant(grant).await?.request)),
            (None, None) => Ok(None),
        }
    }
}

#[async_trait::async_trait]
impl Requests for StoredRequests {
    async fn about(&self, record: &Record) -> Result<Option<AccessRequest>, String> {
        let looking = async {
            match self.id(record).await? {
                Some(id) => self.0.request(&id).await.map(Some),
                None => Ok(None),
            }
        };
        match looking.await {
            Ok(request) => Ok(request),
            // It was recorded, and then could not be stored: the record says what there is to say.
            Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}
