//! Notifications by e-mail, against a server of our own: encrypted or not at all, to each alone, and nothing that anybody wrote is
//! a header. What arrives is read by Python's `email`, as a mail program would.

use std::io::Write as _;
use std::process::{Command, Stdio};

use pgward::access::Secret;
use pgward::audit::Event;
use pgward::sinks::{Channel, Email, Recipient, Settings, SmtpTls};
use serde_json::Value;

use crate::notify::{filed, notification};
use crate::receivers::{MailServer, Manner};
use crate::rig::{Rig, ca, eventually};

fn email(server: &MailServer, tls: SmtpTls, to: &[&str]) -> Email {
    Email {
        host: "localhost".into(),
        port: server.port,
        tls,
        login: None,
        ca: Some(ca()),
        allow_private: true,
        from: "pgward@example.org".into(),
        to: to.iter().map(|address| Recipient::Address((*address).into())).collect(),
        people: vec![],
    }
}

fn by(email: Email) -> Settings {
    notification(Channel::Email(email))
}

/// The headers and the text, as Python reads them.
fn parsed(data: &str) -> Value {
    let program = "import sys,json,email,email.policy
m=email.message_from_bytes(sys.stdin.buffer.read(),policy=email.policy.default)
json.dump({'headers':[[k,str(v)] for k,v in m.items()],'text':m.get_content().replace(chr(13),''),'defects':[str(d) for d in m.defects]},sys.stdout)";
    let mut python =
        Command::new("python3").args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(data.as_bytes()).unwrap();
    serde_json::from_slice(&python.wait_with_output().unwrap().stdout).unwrap()
}

fn header(mail: &Value, name: &str) -> Vec<String> {
    let headers = mail["headers"].as_array().unwrap().iter();
    headers.filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn mail_arrives_by_tls_from_the_start_and_by_starttls() {
    for (tls, implicit) in [(SmtpTls::Implicit, true), (SmtpTls::StartTls, false)] {
        let (rig, server) = (Rig::new(), MailServer::start(Manner { implicit, ..Manner::default() }).await);
        rig.record(filed("Rückerstattung ✓")).await;
        let sinks = rig.notify(by(email(&server, tls, &["dba@example.org"])), None).await;
        eventually("it arrives", || server.mails().len() == 1).await;
        sinks.stop().await;
        let mail = &server.mails()[0];
        assert_eq!((mail.from.as_str(), mail.to.as_str()), ("pgward@example.org", "dba@example.org"));
        let mail = parsed(&mail.data);
        assert_eq!(header(&mail, "Subject"), ["[pgward] Access requested: carol, orders-read on shop"]);
        let text = mail["text"].as_str().unwrap();
        assert!(text.contains("Why:      Rückerstattung ✓\n") && text.contains("    SELECT * FROM orders\n"), "{text}");
        assert!(text.contains("https://pgward.example/#/requests/req_1"), "{text}");
        assert_eq!(mail["defects"], serde_json::json!([]));
        let plain: Vec<String> =
            server.commands().into_iter().filter(|(encrypted, _)| !encrypted).map(|(_, said)| said).collect();
        let expected: &[&str] = if implicit { &[] } else { &["EHLO pgward.localdomain", "STARTTLS"] };
        assert_eq!(plain, expected, "nothing else is said in plain text");
    }
}

#[tokio::test]
async fn nothing_that_anybody_wrote_is_a_header_or_ends_the_mail() {
    let (rig, server) = (Rig::new(), MailServer::start(Manner { implicit: true, ..Manner::default() }).await);
    let mut hostile = filed("x\r\nBcc: eve@evil.example\r\n\r\n.\r\nMAIL FROM:<eve@evil.example>\r\n");
    hostile.scope = Some("orders\r\nBcc: eve@evil.example".into());
    hostile.statement = Some("SELECT 1\r\n.\r\nQUIT\r\n".into());
    rig.record(hostile).await;
    rig.record(filed("next")).await;
    let sinks = rig.notify(by(email(&server, SmtpTls::Implicit, &["dba@example.org"])), None).await;
    eventually("both arrive", || server.mails().len() == 2).await;
    sinks.stop().await;
    let mail = parsed(&server.mails()[0].data);
    assert_eq!((header(&mail, "Bcc"), header(&mail, "Cc")), (vec![], vec![]));
    assert_eq!(header(&mail, "To"), ["dba@example.org"]);
    assert_eq!(header(&mail, "Subject"), ["[pgward] Access requested: carol, orders  Bcc: eve@evil.example on shop"]);
    let text = mail["text"].as_str().unwrap();
    assert!(text.contains("Why:      x  Bcc: eve@evil.example") && text.contains("    .\n    QUIT\n"), "{text}");
    assert!(server.mails().iter().all(|mail| mail.from == "pgward@example.org"));
}

#[tokio::test]
async fn the_server_may_want_a_login() {
    for login_only in [false, true] {
        let login = Some(("ops@example.org", "pa:ss wörd"));
        let server = MailServer::start(Manner { implicit: true, login, login_only, ..Manner::default() }).await;
        let rig = Rig::new();
        rig.record(filed("one")).await;
        let mut wrong = email(&server, SmtpTls::Implicit, &["dba@example.org"]);
        wrong.login = Some(("ops@example.org".into(), Secret::new("not-the-password")));
        let sinks = rig.notify(by(wrong.clone()), None).await;
        eventually("it fails", || rig.metric("pgward_notification_failures_total") >= 1.0).await;
        sinks.stop().await;
        assert!(server.mails().is_empty());
        wrong.login = Some(("ops@example.org".into(), Secret::new("pa:ss wörd")));
        let sinks = rig.notify(by(wrong), None).await;
        eventually("it arrives", || server.mails().len() == 1).await;
        sinks.stop().await;
    }
}

#[tokio::test]
async fn nothing_is_sent_without_tls_to_a_stranger_or_behind_injected_answers() {
    let manners = [
        (Manner { plain_only: true, ..Manner::default() }, true),
        (Manner { injects: true, ..Manner::default() }, true),
        (Manner::default(), false),
    ];
    for (manner, ours) in manners {
        let (rig, server) = (Rig::new(), MailServer::start(manner).await);
        rig.record(filed("one")).await;
        let mut settings = email(&server, SmtpTls::StartTls, &["dba@example.org"]);
        if !ours {
            // The system's authorities do not know the server's.
            settings.ca = None;
        }
        let sinks = rig.notify(by(settings), None).await;
        eventually("it fails", || rig.metric("pgward_notification_failures_total") >= 1.0).await;
        sinks.stop().await;
        assert!(server.mails().is_empty());
        let said: Vec<String> = server.commands().into_iter().map(|(_, said)| said).collect();
        assert!(said.iter().all(|said| said.starts_with("EHLO") || said == "STARTTLS"), "{said:?}");
    }
}

#[tokio::test]
async fn a_wrong_address_keeps_nobody_else_from_being_told_and_nobody_is_told_twice() {
    let manner = Manner { implicit: true, refuses: Some("gone@example.org"), ..Manner::default() };
    let (rig, server) = (Rig::new(), MailServer::start(manner).await);
    // The first has it when the second is put off.
    server.answer(&["250 taken", "451 later"]);
    rig.record(filed("one")).await;
    let to = ["a@example.org", "b@example.org", "gone@example.org", "z@example.org"];
    let sinks = rig.notify(by(email(&server, SmtpTls::Implicit, &to)), None).await;
    eventually("the others are told", || server.mails().len() == 3).await;
    eventually("the journal says who was not", || rig.details(Event::NotificationFailed).len() == 1).await;
    sinks.stop().await;
    let told: Vec<String> = server.mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(told, ["a@example.org", "b@example.org", "z@example.org"]);
    let detail = &rig.details(Event::NotificationFailed)[0];
    assert!(detail.ends_with("gone@example.org: 550 no such user"), "{detail}");
}

#[tokio::test]
async fn a_message_for_nobody_is_a_failure() {
    let (rig, server) = (Rig::new(), MailServer::start(Manner { implicit: true, ..Manner::default() }).await);
    rig.record(filed("one")).await;
    let mut settings = email(&server, SmtpTls::Implicit, &[]);
    settings.to = vec![Recipient::Approvers];
    let sinks = rig.notify(by(settings), None).await;
    eventually("the journal says so", || rig.details(Event::NotificationFailed).len() == 1).await;
    sinks.stop().await;
    assert!(rig.details(Event::NotificationFailed)[0].contains("nobody whom it is for has an `email`"));
}
