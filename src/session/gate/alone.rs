//! Messages that reach the upstream and are no statement's own: Bind, Describe, Close, empty texts. The record of a statement
//! of the same batch speaks for those that lead to it; every other one gets a record, and does not go without.

use std::sync::Arc;

use super::{Batch, Gate, Message, Planned};
use crate::audit::{Event, Protocol, Record};
use crate::session::analysis::{Analysis, Meaning, Part};
use crate::session::binds::Parameters;
use crate::session::given::Given;
use crate::session::names::Portal;
use crate::session::pass::{SqlFrame, ToUpstream};
use crate::session::records::Item;
use crate::session::replies::Expected;
use crate::wire::Frame;
use crate::wire::frontend::{Named, Target};

/// What a message is about, that carries no statement.
#[derive(Debug)]
pub(super) struct Alone {
    kind: &'static str,
    pub(super) target: Target,
    pub(super) name: Box<str>,
    about: About,
    parameters: Option<Arc<Parameters>>,
}

/// What a statement's record has to be about, to speak for a message.
#[derive(Debug)]
enum About {
    Nothing,
    Statement(Arc<Meaning>),
    /// A portal is known by what counts its rows.
    Portal(Arc<Given>, Option<Arc<Meaning>>),
}

/// The statements and portals that the records of a batch speak of, each with its item's place.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    statements: Vec<(Arc<Meaning>, usize)>,
    portals: Vec<(Arc<Given>, usize)>,
}

impl Spoken {
    pub(super) fn of_statement(&mut self, meaning: &Arc<Meaning>, item: usize) {
        self.statements.push((Arc::clone(meaning), item));
    }

    pub(super) fn of_portal(&mut self, portal: &Portal, item: usize) {
        self.portals.push((Arc::clone(&portal.rows), item));
        self.statements.extend(portal.meanings.iter().map(|meaning| (Arc::clone(meaning), item)));
    }

    /// The item whose record speaks for a message.
    fn speaker(&self, about: &About) -> Option<usize> {
        match about {
            About::Nothing => None,
            About::Statement(meaning) => {
                self.statements.iter().find(|(known, _)| Arc::ptr_eq(known, meaning)).map(|(_, item)| *item)
            }
            About::Portal(rows, _) => {
                self.portals.iter().find(|(known, _)| Arc::ptr_eq(known, rows)).map(|(_, item)| *item)
            }
        }
    }
}

impl Alone {
    pub(super) fn bind(portal: &Portal, name: &str, parameters: Arc<Parameters>) -> Self {
        let about = About::Portal(Arc::clone(&portal.rows), portal.meanings.first().map(Arc::clone));
        Self { kind: "BIND", target: Target::Portal, name: name.into(), about, parameters: Some(parameters) }
    }
}

impl Gate {
    /// A Describe or Close.
    pub(super) fn alone(&self, kind: &'static str, named: &Named<'_>) -> Alone {
        let about = match named.target {
            Target::Statement => {
                self.names.statements(named.name).last().map(|meaning| About::Statement(Arc::clone(meaning)))
            }
            Target::Portal => {
                let of =
                    |portal: &Portal| About::Portal(Arc::clone(&portal.rows), portal.meanings.first().map(Arc::clone));
                self.names.portals(named.name).last().map(of)
            }
        };
        let about = about.unwrap_or(About::Nothing);
        Alone { kind, target: named.target, name: named.name.into(), about, parameters: None }
    }

    /// What a Describe asks about, so that its answer is understood.
    pub(super) fn described(alone: &Alone) -> Option<Arc<Meaning>> {
        match &alone.about {
            About::Statement(meaning) => Some(Arc::clone(meaning)),
            About::Nothing | About::Portal(..) => None,
        }
    }

    /// Sees to it that every message of the batch has a record, its own or a statement's.
    pub(super) fn account(&self, batch: &mut Batch) {
        for planned in &mut batch.planned {
            let Some(alone) = planned.alone.take() else { continue };
            planned.item = Some(batch.spoken.speaker(&alone.about).unwrap_or_else(|| {
                batch.items.push(Item::Message(self.message(&alone)));
                batch.items.len() - 1
            }));
        }
    }

    fn message(&self, alone: &Alone) -> Box<Record> {
        let meaning = match &alone.about {
            About::Nothing => None,
            About::Statement(meaning) => Some(meaning),
            About::Portal(_, meaning) => meaning.as_ref(),
        };
        let mut record = match meaning {
            Some(meaning) => self.recorder.statement(meaning, Protocol::Extended, self.judge.version()),
            None => {
                let mut record = Box::new(self.recorder.entry(Event::Message));
                record.protocol = Some(Protocol::Extended);
                record
            }
        };
        record.event = Event::Message;
        record.kind = Some(alone.kind.to_owned());
        record.detail = Some(match alone.target {
            Target::Statement => format!("prepared statement \"{}\"", alone.name),
            Target::Portal => format!("portal \"{}\"", alone.name),
        });
        if let Some(parameters) = &alone.parameters {
            parameters.put(&mut record);
        }
        record
    }

    /// A Query or Parse of a text without any statement.
    pub(super) fn plan_empty(
        &mut self,
        frame: Frame,
        analysis: &Arc<Analysis>,
        protocol: Protocol,
        expected: Expected,
        batch: &mut Batch,
    ) {
        let meaning = Meaning { analysis: Arc::clone(analysis), part: Part::Empty };
        let mut record = self.recorder.statement(&meaning, protocol, self.judge.version());
        record.event = Event::Message;
        record.kind = Some("EMPTY".to_owned());
        let item = batch.items.len();
        batch.items.push(Item::Message(record));
        self.send_empty(frame, expected, item, batch);
    }

    /// A message that holds no statement, once its record is made.
    pub(super) fn send_empty(&mut self, frame: Frame, expected: Expected, item: usize, batch: &mut Batch) {
        let message = match SqlFrame::new(frame, 0).admit(&[]) {
            Ok(message) => Message::Free(message),
            Err(_) => Message::Free(ToUpstream::failing_query()),
        };
        batch.planned.push(Planned { message, expected: Some(expected), alone: None, item: Some(item) });
    }
}
