//! What an e-mail notification needs: a server, a sender, and whom it is for.

use std::net::IpAddr;
use std::path::Path;

use super::NotifyChannel;
use crate::config::files::FileUse;
use crate::config::reader::{Table, Text};
use crate::config::sink::secret;
use crate::config::{PasswordSource, User};

/// Where e-mail is handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub login: Option<(String, PasswordSource)>,
}

/// When encryption begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// `smtps://`
    Implicit,
    /// `smtp://`: STARTTLS, without which nothing is sent.
    StartTls,
}

/// Who gets an e-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailRecipient {
    Address(String),
    Approvers,
    Requester,
}

pub(super) fn email(
    table: &Table<'_>,
    directory: &Path,
    users: &[User],
    files: &mut Vec<FileUse>,
) -> Option<NotifyChannel> {
    let password = secret(table, "password", directory, files);
    let server = table.required_text("smtp").and_then(|text| text.read(server));
    let from = table.required_text("from").and_then(|text| text.read(check_address));
    let to = recipients(table, users);
    let (mut server, user) = server?;
    server.login = match (user, password) {
        (Some(user), password @ (PasswordSource::File(_) | PasswordSource::Env(_))) => Some((user, password)),
        (Some(_), PasswordSource::None) => {
            table.refuse("password_file", "is required beside a user in smtp, or password_env");
            None
        }
        (None, PasswordSource::File(_) | PasswordSource::Env(_)) => {
            table.refuse("smtp", "names no user for the password: smtps://user@host");
            None
        }
        (None, PasswordSource::None) => None,
    };
    Some(NotifyChannel::Email { server, from: from?, to: to? })
}

/// `to = "approvers"`, or a list.
fn recipients(table: &Table<'_>, users: &[User]) -> Option<Vec<MailRecipient>> {
    if !table.has("to") {
        table.refuse("to", "is required: \"approvers\", \"requester\" or addresses");
        return None;
    }
    let texts = match table.peek_text("to") {
        Some(_) => table.text("to").map(|text| vec![text]),
        None => table.some_texts("to"),
    };
    Some(texts?.iter().filter_map(|text| recipient(text, users)).collect())
}

fn recipient(text: &Text<'_>, users: &[User]) -> Option<MailRecipient> {
    let recipient = match text.value {
        "approvers" => MailRecipient::Approvers,
        "requester" => MailRecipient::Requester,
        _ => return text.read(check_address).map(MailRecipient::Address),
    };
    if users.iter().all(|user| user.email.is_none()) {
        text.place.refuse(format!("no [[user]] has an `email`, so that \"{}\" reaches nobody", text.value));
    }
    Some(recipient)
}

/// `smtps://user@host:465` or `smtp://user@host:587`, and the user.
fn server(text: &str) -> Result<(MailServer, Option<String>), String> {
    let expected = || format!("{text:?} is not a server such as \"smtps://user@mail.example.org:465\"");
    let (tls, default_port, rest) = match (text.strip_prefix("smtps://"), text.strip_prefix("smtp://")) {
        (Some(rest), _) => (MailTls::Implicit, 465, rest),
        (None, Some(rest)) => (MailTls::StartTls, 587, rest),
        (None, None) => return Err(expected()),
    };
    // The name of an account is often an address itself.
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user.replace("%40", "@")), place),
        None => (None, rest),
    };
    if user.as_ref().is_some_and(|user| user.contains(':')) {
        return Err("the URL holds a password; it belongs into a file or the environment".to_owned());
    }
    if user.as_ref().is_some_and(|user| user.is_empty() || !user.chars().all(|c| c.is_ascii_graphic())) {
        return Err(expected());
    }
    let is_v6_alone = place.ends_with(']');
    let (host, port) = match place.rsplit_once(':').filter(|_| !is_v6_alone) {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(expected)?),
        None => (place, default_port),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !is_name && host.parse::<IpAddr>().is_err() {
        return Err(expected());
    }
    Ok((MailServer { host: host.to_owned(), port, tls, login: None }, user))
}

/// An address that means nothing else in a header or a command.
pub(in crate::config) fn check_address(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let good = text.split_once('@').is_some_and(|(local, domain)| {
        let is_local = !local.is_empty() && local.len() <= 64 && local.chars().all(is_plain);
        is_local && !domain.is_empty() && domain.chars().all(is_host)
    });
    if good && text.len() <= 254 {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not an e-mail address such as \"dba@example.org\""))
    }
}
