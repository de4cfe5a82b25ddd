//! `[[notify]]`.
#![allow(clippy::panic)]

use std::time::Duration;

use super::{GOOD, parse};
use crate::audit::Event;
use crate::config::{MailRecipient, MailTls, NotifyChannel, PasswordSource, UrlSource};

/// [`GOOD`], where bob reads e-mail, with a notification of these lines.
fn text(lines: &str) -> String {
    let good = GOOD.replace("name = \"bob\"\n", "name = \"bob\"\nemail = \"bob@example.org\"\n");
    format!("{good}\n[[notify]]\nname = \"n\"\n{lines}\n")
}

fn with(lines: &str) -> super::Config {
    parse(&text(lines)).unwrap()
}

const SLACK: &str = "type = \"slack\"\nurl_env = \"URL\"";
const EMAIL: &str =
    "type = \"email\"\nsmtp = \"smtps://mail.example.org\"\nfrom = \"pgward@example.org\"\nto = \"approvers\"";

#[test]
fn what_is_left_out() {
    let config = with(SLACK);
    let notify = &config.notifications[0];
    assert_eq!((notify.name.as_str(), notify.events.len()), ("n", 14));
    assert_eq!((&notify.scopes, &notify.databases, &notify.link, &notify.ca), (&None, &None, &None, &None));
    assert_eq!((notify.alarm_after, notify.give_up), (Duration::from_secs(300), Duration::from_secs(86_400)));
    assert!(!notify.allow_private);
    assert_eq!(notify.channel, NotifyChannel::Slack { url: UrlSource::Kept(PasswordSource::Env("URL".into())) });
    assert!(parse(GOOD).unwrap().notifications.is_empty());
}

#[test]
fn every_kind_with_every_key() {
    let common = "events = [\"request\", \"grant_end\"]\nscopes = [\"orders\"]\ndatabases = [\"shop\"]\n\
                  link = \"https://pgward.example/\"\nalarm_after = \"1m\"\ngive_up = \"1h\"\nca = \"ca.crt\"\nallow_private = true";
    let webhook = format!("type = \"webhook\"\nurl = \"https://hooks.example/in\"\nsecret_env = \"KEY\"\n{common}");
    let config = with(&webhook);
    let notify = &config.notifications[0];
    let expected = [Event::RequestFiled, Event::RequestEdited, Event::GrantExpired, Event::GrantRevoked];
    assert_eq!(notify.events, expected);
    assert_eq!((notify.link.as_deref(), notify.allow_private), (Some("https://pgward.example"), true));
    let url = UrlSource::Given("https://hooks.example/in".into());
    assert_eq!(notify.channel, NotifyChannel::Webhook { url, secret: PasswordSource::Env("KEY".into()) });
    let email = "type = \"email\"\nsmtp = \"smtp://ops%40example.org@[::1]:2525\"\npassword_env = \"P\"\nfrom = \"a@b.example\"\n\
                 to = [\"requester\", \"dba@example.org\"]";
    let NotifyChannel::Email { server, from, to } = &with(email).notifications[0].channel else { panic!() };
    assert_eq!(
        (server.host.as_str(), server.port, server.tls, from.as_str()),
        ("::1", 2525, MailTls::StartTls, "a@b.example")
    );
    assert_eq!(server.login, Some(("ops@example.org".into(), PasswordSource::Env("P".into()))));
    assert_eq!(*to, [MailRecipient::Requester, MailRecipient::Address("dba@example.org".into())]);
    let NotifyChannel::Email { server, .. } = &with(EMAIL).notifications[0].channel else { panic!() };
    assert_eq!((server.port, server.tls, &server.login), (465, MailTls::Implicit, &None));
}

#[test]
fn what_is_wrong_is_told_with_its_key() {
    let told = |lines: &str| match parse(&text(lines)) {
        Ok(_) => "nothing".to_owned(),
        Err(errors) => errors.to_string(),
    };
    for (lines, key, said) in [
        ("type = \"slak\"", "notify[0].type", "did you mean \"slack\""),
        ("type = \"slack\"", "notify[0].url", "is required, or url_file or url_env"),
        (&format!("{SLACK}\nurl = \"https://x.example\""), "notify[0].url", "one of them is enough"),
        ("type = \"slack\"\nurl = \"http://x.example\"", "notify[0].url", "is not an https:// URL"),
        ("type = \"webhook\"\nurl = \"https://x.example\"", "notify[0].secret_file", "is required"),
        (&format!("{SLACK}\nevents = [\"requests\"]"), "notify[0].events", "did you mean \"request\""),
        (&format!("{SLACK}\nscopes = [\"order\"]"), "notify[0].scopes", "did you mean \"orders\""),
        (&format!("{SLACK}\ndatabases = []"), "notify[0].databases", "is empty"),
        (&format!("{SLACK}\nlink = \"https://x.example/|y\""), "notify[0].link", "is not where a web UI is"),
        (&format!("{SLACK}\nfrom = \"a@b.example\""), "notify[0].from", "unknown key"),
        (&EMAIL.replace("smtps://", "smtps://u:p@"), "notify[0].smtp", "holds a password"),
        (&EMAIL.replace("smtps://", "smtps://u@"), "notify[0].password_file", "is required beside a user"),
        (&format!("{EMAIL}\npassword_env = \"P\""), "notify[0].smtp", "names no user"),
        (&EMAIL.replace("smtps://", "https://"), "notify[0].smtp", "is not a server such as"),
        (&EMAIL.replace("\"approvers\"", "\"a@b@c\""), "notify[0].to", "is not an e-mail address"),
        (&EMAIL.replace("pgward@example.org", "x\\r\\nBcc: y@z"), "notify[0].from", "is not an e-mail address"),
        (&EMAIL.replace("\nto = \"approvers\"", ""), "notify[0].to", "is required"),
    ] {
        let told = told(lines);
        assert!(told.contains(key) && told.contains(said), "{lines}\n{told}");
        assert!(!told.contains("u:p@"), "{told}");
    }
    let nobody = format!("{GOOD}\n[[notify]]\nname = \"n\"\n{EMAIL}\n");
    assert!(parse(&nobody).unwrap_err().to_string().contains("no [[user]] has an `email`"));
    let twice = text(&format!("{SLACK}\n[[notify]]\nname = \"n\"\n{SLACK}"));
    assert!(parse(&twice).unwrap_err().to_string().contains("declared already"));
}
