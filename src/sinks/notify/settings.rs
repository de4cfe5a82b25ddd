//! What a notification is told: whom it tells, by what, of which records.

use std::time::Duration;

use crate::access::{Principal, Secret};
use crate::audit::Record;
use crate::tls::PemFile as Pem;

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    pub channel: Channel,
    /// Only what is about these; a record without a scope is about none of them.
    pub scopes: Option<Vec<String>>,
    /// Only what is about these.
    pub databases: Option<Vec<String>>,
    /// Where the web UI is, without a slash at the end.
    pub link: String,
    /// How old a message may get before a failure to deliver it is the last.
    pub give_up: Duration,
}

impl Notify {
    pub(in crate::sinks) fn takes(&self, record: &Record) -> bool {
        is_among(self.scopes.as_ref(), record.scope.as_ref())
            && is_among(self.databases.as_ref(), record.database.as_ref())
    }
}

fn is_among(wanted: Option<&Vec<String>>, name: Option<&String>) -> bool {
    wanted.is_none_or(|wanted| name.is_some_and(|name| wanted.contains(name)))
}

/// What messages go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// After Standard Webhooks.
    Webhook {
        url: String,
        secret: Secret,
        ca: Option<Pem>,
        allow_private: bool,
    },
    /// An Incoming Webhook as Slack has them. Its URL is its password.
    Slack {
        url: Secret,
        ca: Option<Pem>,
        allow_private: bool,
    },
    Email(Email),
}

/// A server that takes e-mail from us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    /// Who logs in there, where somebody has to.
    pub login: Option<(String, Secret)>,
    /// Who signs the server's certificate; the system's authorities if nobody is named.
    pub ca: Option<Pem>,
    pub allow_private: bool,
    pub from: String,
    pub to: Vec<Recipient>,
    /// Whose address is known.
    pub people: Vec<Person>,
}

/// When encryption begins. There is none without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// At once: `smtps://`.
    Implicit,
    /// By STARTTLS, before anything else is said: `smtp://`.
    StartTls,
}

/// Who gets a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    Address(String),
    /// Who may decide on the request that it is about; of a break-glass those too that are to be told.
    Approvers,
    /// Who the access is for.
    Requester,
}

/// A user and where they read e-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub principal: Principal,
    pub email: String,
}
