//! Refusals: their records, and what the client is told.

use std::sync::Arc;

use super::{Batch, Gate, Instead, Message, Planned};
use crate::audit::{Protocol, Record, RecordedVerdict};
use crate::policy::Denial;
use crate::session::analysis::{Analysis, Meaning, Part};
use crate::session::binds::Parameters;
use crate::session::judge::Refused;
use crate::session::pass::{SqlFrame, ToUpstream};
use crate::session::records::{self, Item};
use crate::session::replies::Expected;
use crate::sql::tree::{Action, Name, Statement, Transaction};
use crate::sql::{Redacted, redact, redact_execute};
use crate::wire::encode::{ClientVisible, Severity};

impl Gate {
    pub(super) fn refuse(
        &mut self,
        analysis: &Arc<Analysis>,
        part: Option<Part>,
        refused: Refused,
        protocol: Protocol,
        expected: &mut Expected,
        batch: &mut Batch,
    ) {
        let version = self.judge.version();
        let (record, refused) = match part {
            Some(part) => {
                let meaning = Meaning { analysis: Arc::clone(analysis), part };
                let refused = scrubbed(refused, &analysis.recorded(part).redacted);
                let mut record = self.recorder.statement(&meaning, protocol, version);
                self.hide_arguments(&meaning, &mut record);
                (record, refused)
            }
            None => {
                let refused = scrubbed(refused, &redact(&analysis.text, None));
                (self.recorder.unread(&analysis.text, protocol, version), refused)
            }
        };
        self.refuse_record(record, refused, expected, batch);
    }

    /// Takes the arguments of an EXECUTE out of its record that are secrets to what it runs.
    pub(super) fn hide_arguments(&self, meaning: &Meaning, record: &mut Record) {
        if let Some(clean) = self.hidden_arguments(meaning) {
            records::put_rules(record, &clean);
            record.statement = Some(clean.text.into_owned());
        }
    }

    /// The text of an EXECUTE without the arguments that are secrets to what it runs; `None` where there are none.
    pub(super) fn hidden_arguments(&self, meaning: &Meaning) -> Option<Redacted<'static>> {
        let statement = meaning.statement()?;
        let name = executed(&statement.action)?;
        let prepared = self.names.statements(name.as_str());
        let secrets: Vec<u16> =
            prepared.flat_map(|meaning| meaning.analysis.recorded(meaning.part).redacted.parameters.clone()).collect();
        let text = meaning.analysis.text_of(meaning.part);
        (!secrets.is_empty()).then(|| redact_execute(text, statement, &secrets).into_owned())
    }

    /// Refuses a Query for one of its statements. The savepoints that the text begins with are set all the same, as PostgreSQL
    /// would have set them before it came to the error: a client that sends a SAVEPOINT with each of its statements rolls
    /// back to it then, and would lose its whole transaction if it were not there.
    pub(super) fn refuse_query(
        &mut self,
        analysis: &Arc<Analysis>,
        part: Option<Part>,
        refused: Refused,
        (mut expected, mut judged): (Expected, Vec<Item>),
        batch: &mut Batch,
    ) {
        let savepoints = leading_savepoints(analysis, part);
        // What the other statements in front of the denied one would have named is withdrawn with the error.
        for running in expected.statements.split_off(savepoints.len().min(expected.statements.len())) {
            expected.changes.extend(running.changes);
        }
        judged.truncate(savepoints.len());
        let first = batch.items.len();
        batch.items.append(&mut judged);
        let items = first..batch.items.len();
        self.refuse_others(analysis, savepoints.len(), part, batch);
        self.refuse(analysis, part, refused, Protocol::Simple, &mut expected, batch);
        let message = if items.is_empty() {
            Message::Free(ToUpstream::failing_query())
        } else {
            let frame = SqlFrame::failing_behind(&savepoints);
            Message::Sql { frame, answer: None, items, instead: Instead::Query }
        };
        batch.planned.push(Planned::new(message, expected));
    }

    /// The statements that share a message with a refused one are refused with it, but for the first few that are not.
    fn refuse_others(&mut self, analysis: &Arc<Analysis>, spared: usize, refused: Option<Part>, batch: &mut Batch) {
        let others = (spared..analysis.statements().len()).map(Part::Whole).filter(|part| Some(*part) != refused);
        for part in others.filter(|_| refused.is_some()) {
            let meaning = Meaning { analysis: Arc::clone(analysis), part };
            let mut record = self.recorder.statement(&meaning, Protocol::Simple, self.judge.version());
            self.hide_arguments(&meaning, &mut record);
            record.verdict = Some(RecordedVerdict::Deny);
            record.rule = Some("message".to_owned());
            record.detail = Some("another statement of the message was refused".to_owned());
            batch.items.push(Item::Refuse(record));
        }
    }

    pub(super) fn refuse_meaning(
        &mut self,
        meaning: &Meaning,
        refused: Refused,
        parameters: Option<&Parameters>,
        expected: &mut Expected,
        batch: &mut Batch,
    ) {
        let mut record = self.recorder.statement(meaning, Protocol::Extended, self.judge.version());
        self.hide_arguments(meaning, &mut record);
        if let Some(parameters) = parameters {
            parameters.put(&mut record);
        }
        let refused = scrubbed(refused, &meaning.analysis.recorded(meaning.part).redacted);
        self.refuse_record(record, refused, expected, batch);
    }

    pub(super) fn refuse_record(
        &mut self,
        mut record: Box<Record>,
        refused: Refused,
        expected: &mut Expected,
        batch: &mut Batch,
    ) {
        records::deny(&mut record, &refused.denial, refused.footprint.footprint());
        record.data_region = self.judge.data_region(refused.footprint.footprint());
        self.judge.count_denial(refused.denial.rule);
        let instead = self.judge.uncommitted.instead(refused.denial.rule);
        let instead = instead.or_else(|| self.inquiry.instead.take().map(|said| *said));
        expected.denied = Some(Box::new(instead.unwrap_or_else(|| visible(&refused.denial))));
        batch.items.push(Item::Refuse(record));
    }

    pub(super) fn doom(&mut self, message: ToUpstream, expected: Expected, batch: &mut Batch) {
        self.doomed = true;
        batch.planned.push(Planned::new(Message::Free(message), expected));
    }
}

/// The names of the savepoints that a text begins with, as far as they stand in front of the statement that is refused.
fn leading_savepoints(analysis: &Analysis, refused: Option<Part>) -> Vec<&Name> {
    let before = match refused {
        Some(Part::Whole(index)) => index,
        Some(_) | None => 0,
    };
    analysis.statements().iter().take(before).map_while(savepoint).collect()
}

fn savepoint(statement: &Statement) -> Option<&Name> {
    if let Action::Transaction(Transaction::Savepoint(name)) = &statement.action { Some(name) } else { None }
}

/// The name that an EXECUTE runs.
fn executed(action: &Action) -> Option<&Name> {
    match action {
        Action::Execute { name, arguments: _ } => Some(name),
        Action::Explain { analyze: _, inner } => executed(inner),
        _ => None,
    }
}

/// A refusal quotes no secret.
fn scrubbed(mut refused: Refused, redacted: &Redacted<'_>) -> Refused {
    let denial = &mut refused.denial;
    for text in [&mut denial.message, &mut denial.detail].into_iter().chain(&mut denial.hint) {
        *text = redacted.scrub(text).into_owned();
    }
    refused
}

pub(super) fn visible(denial: &Denial) -> ClientVisible {
    ClientVisible {
        severity: Severity::Error,
        sqlstate: denial.rule.sqlstate(),
        message: denial.message.clone(),
        detail: Some(denial.detail.clone()).filter(|detail| !detail.is_empty()),
        hint: denial.hint.clone(),
    }
}
