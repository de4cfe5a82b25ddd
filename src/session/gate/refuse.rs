//! Refusals: their records, and what the client is told.

use std::sync::Arc;

use super::{Batch, Gate, Message, Planned};
use crate::audit::{Protocol, Record};
use crate::policy::Denial;
use crate::session::analysis::{Analysis, Meaning, Part};
use crate::session::judge::Refused;
use crate::session::pass::ToUpstream;
use crate::session::records::{self, Item};
use crate::session::replies::Expected;
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
        let record = match part {
            Some(part) => {
                let meaning = Meaning { analysis: Arc::clone(analysis), part };
                self.recorder.statement(&meaning, protocol, version)
            }
            None => self.recorder.unread(&analysis.text, protocol, version),
        };
        self.refuse_record(record, refused, expected, batch);
    }

    pub(super) fn refuse_meaning(
        &mut self,
        meaning: &Meaning,
        refused: Refused,
        parameters: Option<&Vec<Option<String>>>,
        expected: &mut Expected,
        batch: &mut Batch,
    ) {
        let mut record = self.recorder.statement(meaning, Protocol::Extended, self.judge.version());
        record.parameters = parameters.cloned();
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
        expected.denied = Some(visible(&refused.denial));
        batch.items.push(Item::Refuse(record));
    }

    pub(super) fn doom(&mut self, message: ToUpstream, expected: Expected, batch: &mut Batch) {
        self.doomed = true;
        batch.planned.push(Planned { message: Message::Free(message), expected: Some(expected) });
    }
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
