//! Bind and Execute: a portal is judged by what it means, at each Execute anew. While it may mean several things, it is not used.

use std::sync::Arc;

use super::{Batch, Gate, Message, Planned, refuse::visible, running};
use crate::audit::{Protocol, Record};
use crate::session::analysis::{Meaning, Part};
use crate::session::judge::{Evidence, Judged, Refused, depends_on_names, too_many_names, unknown_portal, unsettled};
use crate::session::names::{Key, Portal, TooMany};
use crate::session::pass::{SqlFrame, ToUpstream};
use crate::session::records::Item;
use crate::session::replies::{Expected, Step};
use crate::wire::frontend;
use crate::wire::{Frame, ProtocolError};

impl Gate {
    pub(super) async fn plan_bind(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let bind = frontend::bind(frame.body())?;
        if self.doomed {
            return Ok(());
        }
        let meanings: Vec<Arc<Meaning>> = self.names.statements(&Key::new(bind.statement)).map(Arc::clone).collect();
        let parameters = self.recorder.parameters(&bind.values);
        batch.bound = None;
        if let [_, .., newest] = meanings.as_slice() {
            let mut expected = Expected::new(Step::Bind, self.names.next_change());
            let refused = Refused { denial: unsettled(bind.statement), footprint: Evidence::None };
            self.refuse_meaning(newest, refused, parameters.as_deref(), &mut expected, batch);
            self.doom(ToUpstream::failing_step(), expected, batch);
            return Ok(());
        }
        for meaning in &meanings {
            let is_fresh = batch.parsed.as_ref().is_some_and(|(parsed, _)| Arc::ptr_eq(parsed, meaning));
            if is_fresh || meaning.statement().is_none() {
                continue;
            }
            match self.judge.judge(meaning, &self.names).await {
                Ok(judged) => batch.bound = Some((Arc::clone(meaning), judged)),
                Err(refused) => {
                    let mut expected = Expected::new(Step::Bind, self.names.next_change());
                    self.refuse_meaning(meaning, refused, parameters.as_deref(), &mut expected, batch);
                    self.doom(ToUpstream::failing_step(), expected, batch);
                    return Ok(());
                }
            }
        }
        let portal = Portal { meanings, parameters, rows: Arc::default(), hold: false };
        let change = match self.names.add_portal(Key::new(bind.portal), portal) {
            Ok(change) => change,
            Err(TooMany) => {
                let mut expected = Expected::new(Step::Bind, self.names.next_change());
                expected.denied = Some(visible(&too_many_names()));
                self.doom(ToUpstream::failing_step(), expected, batch);
                return Ok(());
            }
        };
        self.free(frame, Some(Step::Bind), vec![change], batch)
    }

    pub(super) async fn plan_execute(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let execute = frontend::execute(frame.body())?;
        if self.doomed {
            return Ok(());
        }
        let portals: Vec<Portal> = self.names.portals(&Key::new(execute.portal)).cloned().collect();
        let mut expected = Expected::new(Step::Execute, self.names.next_change());
        let meanings: Vec<Arc<Meaning>> =
            portals.iter().flat_map(|portal| portal.meanings.iter().map(Arc::clone)).collect();
        let (Some(portal), Some(meaning)) = (portals.first(), meanings.first()) else {
            let denial = unknown_portal(execute.portal);
            let mut record = self.recorder.unread("", Protocol::Extended, self.judge.version());
            record.kind = Some("EXECUTE".to_owned());
            self.refuse_record(record, Refused { denial, footprint: Evidence::None }, &mut expected, batch);
            self.doom(ToUpstream::failing_step(), expected, batch);
            return Ok(());
        };
        if meanings.iter().all(|meaning| meaning.part == Part::Empty) {
            return self.execute_nothing(frame, expected, batch);
        }
        if let [_, .., newest] = meanings.as_slice() {
            let refused = Refused { denial: unsettled(execute.portal), footprint: Evidence::None };
            self.refuse_meaning(newest, refused, portal.parameters.as_deref(), &mut expected, batch);
            self.doom(ToUpstream::failing_step(), expected, batch);
            return Ok(());
        }
        let (judged, mut record) = match self.judge_execute(meaning, batch).await {
            Ok(allowed) => allowed,
            Err((meaning, refused)) => {
                self.refuse_meaning(&meaning, refused, portal.parameters.as_deref(), &mut expected, batch);
                self.doom(ToUpstream::failing_step(), expected, batch);
                return Ok(());
            }
        };
        record.parameters = portal.parameters.as_deref().cloned();
        let (changes, effect) = match self.effects(meaning) {
            Ok(effects) => effects,
            Err(denial) => {
                let refused = Refused { denial, footprint: Evidence::None };
                self.refuse_meaning(meaning, refused, portal.parameters.as_deref(), &mut expected, batch);
                self.doom(ToUpstream::failing_step(), expected, batch);
                return Ok(());
            }
        };
        self.look_ahead(&effect);
        let mut running = running(meaning, &judged, changes, effect);
        running.portal = Some(judged.rows.as_ref().map_or_else(|| Arc::clone(&portal.rows), Arc::clone));
        expected.statements.push_back(running);
        let first = batch.items.len();
        if let Some(parsed) = judged.parsed_at
            && let Some(item) = batch.items.get_mut(parsed)
        {
            *item = Item::Moved(first);
        }
        batch.items.push(Item::Admit(judged.permit, record));
        let message = Message::Sql {
            frame: SqlFrame::new(frame, 1),
            answer: None,
            items: first..first + 1,
            instead: ToUpstream::failing_step(),
        };
        batch.planned.push(Planned { message, expected: Some(expected) });
        Ok(())
    }

    /// An Execute of a portal without any statement: EmptyQueryResponse, and nothing to record.
    pub(super) fn execute_nothing(
        &mut self,
        frame: Frame,
        expected: Expected,
        batch: &mut Batch,
    ) -> Result<(), ProtocolError> {
        let end = batch.items.len();
        let message = Message::Sql {
            frame: SqlFrame::new(frame, 0),
            answer: None,
            items: end..end,
            instead: ToUpstream::failing_step(),
        };
        batch.planned.push(Planned { message, expected: Some(expected) });
        Ok(())
    }

    /// The verdict of an Execute: that of the Parse or Bind just in front of it where that was for the same statement, a new
    /// one elsewise.
    pub(super) async fn judge_execute(
        &mut self,
        meaning: &Arc<Meaning>,
        batch: &mut Batch,
    ) -> Result<(Judged, Box<Record>), (Arc<Meaning>, Refused)> {
        if !depends_on_names(meaning) {
            let parsed = batch.parsed.take_if(|(parsed, _)| Arc::ptr_eq(parsed, meaning));
            if let Some((_, at)) = parsed
                && let Some(item) = batch.items.get_mut(at)
                && let Item::Admit(permit, mut record) = std::mem::replace(item, Item::Moved(usize::MAX))
            {
                record.kind = meaning.statement().map(|statement| statement.kind.to_owned());
                for planned in &mut batch.planned {
                    // The Parse leaves no record of its own: its statement's does for both.
                    if let Message::Sql { items, .. } = &planned.message
                        && items.start == at
                        && items.end == at + 1
                        && let Some(expected) = &mut planned.expected
                    {
                        expected.statements.clear();
                    }
                }
                return Ok((Judged { permit, footprint: Evidence::None, rows: None, parsed_at: Some(at) }, record));
            }
            let bound = batch.bound.take_if(|(bound, _)| Arc::ptr_eq(bound, meaning));
            if let Some((_, judged)) = bound {
                let record = self.judge.record(&self.recorder, meaning, Protocol::Extended, &judged);
                return Ok((judged, record));
            }
        }
        match self.judge.judge(meaning, &self.names).await {
            Ok(judged) => {
                let record = self.judge.record(&self.recorder, meaning, Protocol::Extended, &judged);
                Ok((judged, record))
            }
            Err(refused) => Err((Arc::clone(meaning), refused)),
        }
    }
}
