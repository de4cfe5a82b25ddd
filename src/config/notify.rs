//! `[[notify]]`: who is told of what, and by what.

mod email;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use self::email::check_address;
pub use self::email::{MailRecipient, MailServer, MailTls};
use super::files::FileUse;
use super::names::check_unique;
use super::reader::{Table, Text};
use super::sink::{ca, check_sink_name, http_url, secret};
use super::{Database, PasswordSource, User};
use crate::access::Scope;
use crate::audit::Event;

/// One `[[notify]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    pub name: String,
    pub events: Vec<Event>,
    /// The only scopes that it is about, if any are named.
    pub scopes: Option<Vec<String>>,
    pub databases: Option<Vec<String>>,
    /// Where the web UI is; the control port's address if nothing is named. Without a slash at the end.
    pub link: Option<String>,
    pub alarm_after: Duration,
    pub give_up: Duration,
    pub ca: Option<PathBuf>,
    pub allow_private: bool,
    pub channel: NotifyChannel,
}

/// What messages go by, and what that needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyChannel {
    Webhook { url: UrlSource, secret: PasswordSource },
    Slack { url: UrlSource },
    Email { server: MailServer, from: String, to: Vec<MailRecipient> },
}

/// A URL, which may be a secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlSource {
    Given(String),
    Kept(PasswordSource),
}

impl UrlSource {
    /// The URL.
    ///
    /// # Errors
    /// In words that do not repeat it, where it cannot be read or is none.
    pub fn read(&self) -> Result<String, String> {
        match self {
            UrlSource::Given(url) => Ok(url.clone()),
            UrlSource::Kept(source) => {
                let kept = source.read()?.ok_or("the URL is missing")?;
                http_url(kept.expose(), false).map_err(|_| "what is kept as the URL is not an https:// URL".to_owned())
            }
        }
    }
}

/// The words of `events`, and the records that they mean.
const WORDS: [(&str, &[Event]); 10] = [
    ("request", &[Event::RequestFiled, Event::RequestEdited]),
    ("approval", &[Event::RequestApproved]),
    ("denial", &[Event::RequestDenied]),
    ("withdrawal", &[Event::RequestWithdrawn, Event::RequestExpired]),
    ("grant_start", &[Event::GrantCreated]),
    ("grant_ending", &[Event::GrantEnding]),
    ("grant_end", &[Event::GrantExpired, Event::GrantRevoked]),
    ("break_glass", &[Event::BreakGlassOpened]),
    ("review", &[Event::ReviewClosed, Event::ReviewOverdue]),
    ("unusual", &[Event::UnusualAccess]),
];

const COMMON: [&str; 10] =
    ["name", "type", "events", "scopes", "databases", "link", "alarm_after", "give_up", "ca", "allow_private"];

const KINDS: [&str; 3] = ["webhook", "slack", "email"];

/// What else is declared, that a notification may name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declared<'a> {
    pub users: &'a [User],
    pub databases: &'a [Database],
    pub scopes: &'a [Scope],
}

pub(super) fn notifications(
    root: &Table<'_>,
    directory: &Path,
    declared: Declared<'_>,
    files: &mut Vec<FileUse>,
) -> Vec<Notify> {
    let mut seen = Vec::new();
    let mut notifications = Vec::new();
    for table in root.tables("notify") {
        let name = table.required_text("name");
        if let Some(name) = &name {
            check_unique(&mut seen, name);
        }
        let name = name.and_then(|name| name.read(|text| check_sink_name(text, "a notification's")));
        let notify = notify(&table, directory, declared, files);
        if let (Some(name), Some(notify)) = (name, notify) {
            notifications.push(Notify { name, ..notify });
        }
    }
    notifications
}

fn notify(table: &Table<'_>, directory: &Path, declared: Declared<'_>, files: &mut Vec<FileUse>) -> Option<Notify> {
    let kind = table.required_text("type")?;
    let own: &[&str] = match kind.value {
        "webhook" => &["url", "url_file", "url_env", "secret_file", "secret_env"],
        "slack" => &["url", "url_file", "url_env"],
        "email" => &["smtp", "password_file", "password_env", "from", "to"],
        _ => {
            let known: Vec<String> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
            kind.is_known("type of notification", &known);
            return None;
        }
    };
    table.allow(&[&COMMON, own].concat());
    let scopes: Vec<String> = declared.scopes.iter().map(|scope| scope.name.clone()).collect();
    let databases: Vec<String> = declared.databases.iter().map(|database| database.policy.name.clone()).collect();
    let common = Notify {
        name: String::new(),
        events: events(table),
        scopes: named(table, "scopes", "scope", &scopes),
        databases: named(table, "databases", "database", &databases),
        link: table.text("link").and_then(|text| text.read(check_link)),
        alarm_after: table.duration("alarm_after").unwrap_or(Duration::from_secs(5 * 60)),
        give_up: table.duration("give_up").unwrap_or(Duration::from_secs(24 * 60 * 60)),
        ca: ca(table, directory, files),
        allow_private: table.flag("allow_private").unwrap_or(false),
        channel: NotifyChannel::Slack { url: UrlSource::Given(String::new()) },
    };
    let channel = match kind.value {
        "webhook" => webhook(table, directory, files),
        "slack" => url(table, directory, files).map(|url| NotifyChannel::Slack { url }),
        _ => email::email(table, directory, declared.users, files),
    };
    Some(Notify { channel: channel?, ..common })
}

fn webhook(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<NotifyChannel> {
    let url = url(table, directory, files);
    let secret = secret(table, "secret", directory, files);
    if secret == PasswordSource::None {
        table.refuse("secret_file", "is required, or secret_env: the key that messages are signed with, whsec_…");
    }
    Some(NotifyChannel::Webhook { url: url?, secret })
}

fn url(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<UrlSource> {
    let kept = secret(table, "url", directory, files);
    match (table.text("url"), kept) {
        (Some(text), PasswordSource::None) => text.read(|url| http_url(url, false)).map(UrlSource::Given),
        (Some(text), PasswordSource::File(_) | PasswordSource::Env(_)) => {
            text.place.refuse("url_file or url_env is given too; one of them is enough");
            None
        }
        (None, PasswordSource::None) => {
            table.refuse("url", "is required, or url_file or url_env");
            None
        }
        (None, kept @ (PasswordSource::File(_) | PasswordSource::Env(_))) => Some(UrlSource::Kept(kept)),
    }
}

fn events(table: &Table<'_>) -> Vec<Event> {
    let Some(texts) = table.some_texts("events") else {
        return WORDS.iter().flat_map(|(_, events)| events.iter().copied()).collect();
    };
    let words: Vec<String> = WORDS.iter().map(|(word, _)| (*word).to_owned()).collect();
    let meant = |text: Text<'_>| {
        text.is_known("event", &words).then_some(())?;
        WORDS.iter().find(|(word, _)| *word == text.value).map(|(_, events)| events.to_vec())
    };
    texts.into_iter().filter_map(meant).flatten().collect()
}

fn named(table: &Table<'_>, key: &str, what: &str, known: &[String]) -> Option<Vec<String>> {
    let texts = table.some_texts(key)?;
    Some(texts.iter().filter(|text| text.is_known(what, known)).map(|text| text.value.to_owned()).collect())
}

/// It stands in messages: nothing in it may mean anything there.
fn check_link(text: &str) -> Result<String, String> {
    let url = http_url(text, true)?;
    if url.contains(['<', '>', '|', '"', '\'', '?', '#', '\\', '`']) {
        return Err(format!("{text:?} is not where a web UI is, such as \"https://pgward.example.org\""));
    }
    Ok(url.trim_end_matches('/').to_owned())
}
