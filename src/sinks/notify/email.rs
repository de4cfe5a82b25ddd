//! Messages as e-mail: who gets one, what stands in it. Each address gets a mail of its own, so that one that is wrong keeps
//! nobody else from being told, and nobody reads who else was.

use std::collections::BTreeSet;

use super::mime::Mail;
use super::notice::Notice;
use super::settings::{Email, Person, Recipient};
use super::smtp::{Outgoing, Submission};
use crate::access::{AccessRequest, Subject};
use crate::audit::Event;
use crate::sinks::receiver::{Delivered, DeliveryError};

/// The server and whom it is given mail for.
pub(super) struct Mailer {
    server: Submission,
    from: String,
    to: Vec<Recipient>,
    people: Vec<Person>,
    /// Of the message under way: who was told, or never will be.
    under_way: Option<UnderWay>,
}

#[derive(Clone, Debug, Default)]
struct UnderWay {
    seq: u64,
    told: BTreeSet<String>,
    /// Addresses with what the server said.
    refused: Vec<String>,
}

impl Mailer {
    pub(super) fn new(settings: &Email) -> Result<Self, String> {
        let (from, to, people) = (settings.from.clone(), settings.to.clone(), settings.people.clone());
        Ok(Self { server: Submission::new(settings)?, from, to, people, under_way: None })
    }

    pub(super) async fn send(
        &mut self,
        notice: &Notice,
        request: Option<&AccessRequest>,
    ) -> Result<Delivered, DeliveryError> {
        let all = addressees(&self.to, &self.people, notice, request);
        if all.is_empty() {
            return Ok(Delivered::AllBut(1, "nobody whom it is for has an `email` in a [[user]]".to_owned()));
        }
        let under_way = self.under_way.take().filter(|under_way| under_way.seq == notice.seq);
        let mut under_way = under_way.unwrap_or_else(|| UnderWay { seq: notice.seq, ..UnderWay::default() });
        let (subject, text) = (subject(notice), text(notice));
        let mails: Vec<Outgoing> = all
            .into_iter()
            .filter(|to| !under_way.told.contains(to))
            .map(|to| Outgoing { bytes: self.mail(&to, &subject, &text, notice), to })
            .collect();
        let sent = self.server.send(&mails, |to, handed| {
            under_way.told.insert(to.to_owned());
            under_way.refused.extend(handed.err().map(|reply| format!("{to}: {reply}")));
        });
        match sent.await {
            Ok(()) if under_way.refused.is_empty() => Ok(Delivered::All),
            Ok(()) => Ok(Delivered::AllBut(1, under_way.refused.join("; "))),
            Err(error) => {
                self.under_way = Some(under_way);
                Err(DeliveryError::Failed(error.to_string()))
            }
        }
    }

    fn mail(&self, to: &str, subject: &str, text: &str, notice: &Notice) -> Vec<u8> {
        let id = format!("ntf-{}-{}", notice.journal, notice.seq);
        Mail { from: &self.from, to, subject, text, id: &id, date: notice.time }.bytes()
    }
}

/// The addresses, each once.
pub(super) fn addressees(
    to: &[Recipient],
    people: &[Person],
    notice: &Notice,
    request: Option<&AccessRequest>,
) -> BTreeSet<String> {
    let mut addresses = BTreeSet::new();
    let mut add = |wanted: &dyn Fn(&Person) -> bool| {
        addresses.extend(people.iter().filter(|person| wanted(person)).map(|person| person.email.clone()));
    };
    for recipient in to {
        match recipient {
            Recipient::Address(_) => {}
            Recipient::Requester => add(&|person| Some(&person.principal.name) == requester(notice, request)),
            Recipient::Approvers => add(&|person| request.is_some_and(|request| is_told(person, notice, request))),
        }
    }
    addresses.extend(to.iter().filter_map(|recipient| match recipient {
        Recipient::Address(address) => Some(address.clone()),
        Recipient::Approvers | Recipient::Requester => None,
    }));
    addresses
}

fn requester<'a>(notice: &'a Notice, request: Option<&'a AccessRequest>) -> Option<&'a String> {
    request.map(|request| &request.principal.name).or(notice.principal.as_ref())
}

/// Those who may decide on the request; of a break-glass whom its scope names too.
fn is_told(person: &Person, notice: &Notice, request: &AccessRequest) -> bool {
    let is_emergency = matches!(notice.event, Event::BreakGlassOpened | Event::ReviewOverdue | Event::ReviewClosed);
    let alert = request.scope.rules.break_glass.iter().filter(|_| is_emergency).flat_map(|rules| &rules.alert);
    let named = |subject: &Subject| subject.names(&person.principal);
    person.principal.name != request.principal.name
        && (request.may_decide(&person.principal) || alert.into_iter().any(named))
}

fn subject(notice: &Notice) -> String {
    format!("[pgward] {}", notice.headline())
}

/// The mail's text.
pub(super) fn text(notice: &Notice) -> String {
    let mut text = format!("{}\n\n", notice.title);
    for (label, value) in notice.facts() {
        text.push_str(&format!("{:<10}{value}\n", format!("{label}:")));
    }
    if let Some(statement) = &notice.statement {
        text.push_str("\nStatement:\n");
        statement.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    text.push_str(&format!("\n{}\n\nRecord {} of journal {}.\n", notice.link, notice.seq, notice.journal));
    text
}
