//! Bind and Execute: a portal is judged by what it means, at each Execute anew. While it may mean several things, it is not used.

use std::sync::Arc;

use super::asks::Asked;
use super::{Alone, Batch, Gate, Instead, Message, Planned, copied, running};
use crate::audit::{Event, Protocol};
use crate::session::analysis::{Meaning, Part};
use crate::session::binds::{Bound, Parameters};
use crate::session::judge::{Evidence, Judged, Refused, depends_on_names, unknown_portal, unsettled};
use crate::session::names::{Key, Portal};
use crate::session::pass::{SqlFrame, ToUpstream};
use crate::session::records::{Draft, Item};
use crate::session::replies::{Expected, Step};
use crate::wire::frontend;
use crate::wire::{Frame, ProtocolError};

impl Gate {
    pub(super) async fn plan_bind(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let bind = frontend::bind(frame.body())?;
        if self.doomed {
            return Ok(());
        }
        let meanings: Vec<Arc<Meaning>> = self.names.statements(bind.statement).map(Arc::clone).collect();
        let parameters = self.parameters(&bind, meanings.last());
        batch.bound = None;
        if let [_, .., newest] = meanings.as_slice() {
            let mut expected = Expected::new(Step::Bind, self.names.next_change());
            let refused = Refused { denial: unsettled(bind.statement), footprint: Evidence::None };
            self.refuse_meaning(newest, refused, Some(&*parameters), &mut expected, batch);
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
                    let held = self.hold_or_refuse(&meaning.analysis, (Some(meaning.part), refused));
                    let Some((_, refused)) = held else { return Ok(()) };
                    let mut expected = Expected::new(Step::Bind, self.names.next_change());
                    self.refuse_meaning(meaning, refused, Some(&*parameters), &mut expected, batch);
                    self.doom(ToUpstream::failing_step(), expected, batch);
                    return Ok(());
                }
            }
        }
        let called = match self.ask_bound(&bind, meanings.last()) {
            Ok(Asked::Waits) => return Ok(()),
            Ok(Asked::Answered(answer)) => Some(answer),
            Ok(Asked::No | Asked::Prepared(_)) => None,
            Err((_, refused)) => {
                let mut expected = Expected::new(Step::Bind, self.names.next_change());
                if let Some(meaning) = meanings.last() {
                    self.refuse_meaning(meaning, refused, Some(&*parameters), &mut expected, batch);
                }
                self.doom(ToUpstream::failing_step(), expected, batch);
                return Ok(());
            }
        };
        let portal = Portal { meanings, parameters: Some(Arc::clone(&parameters)), rows: Arc::default(), hold: false };
        let alone = Alone::bind(&portal, bind.portal, parameters);
        let change = match self.names.add_portal(Key::new(bind.portal), portal.clone()) {
            Ok(change) => change,
            Err(too_many) => {
                let mut expected = Expected::new(Step::Bind, self.names.next_change());
                let mut record = self.recorder.unread("", Protocol::Extended, self.judge.version());
                record.kind = Some("BIND".to_owned());
                let refused = Refused { denial: self.judge.too_many(too_many), footprint: Evidence::None };
                self.refuse_record(record, refused, &mut expected, batch);
                self.doom(ToUpstream::failing_step(), expected, batch);
                return Ok(());
            }
        };
        match called {
            Some(answer) => self.bind_answer(&bind, &answer, change, alone, batch),
            None => {
                self.free(frame, Some(Step::Bind), vec![change], batch)?;
                if let Some(planned) = batch.planned.last_mut() {
                    planned.alone = Some(alone);
                }
            }
        }
        Ok(())
    }

    /// The values of a Bind, read by the types that the client declared or the upstream told.
    fn parameters(&self, bind: &frontend::Bind<'_>, meaning: Option<&Arc<Meaning>>) -> Arc<Parameters> {
        let types = meaning.map(|meaning| meaning.analysis.parameter_types()).unwrap_or_default();
        let recorded = meaning.map(|meaning| meaning.analysis.recorded(meaning.part));
        let secrets = recorded.as_ref().map(|recorded| recorded.redacted.parameters.as_slice()).unwrap_or_default();
        let catalogs = self.judge.newest_catalogs();
        self.recorder.parameters(Bound { values: &bind.values, types: &types, secrets, catalogs: catalogs.as_deref() })
    }

    pub(super) async fn plan_execute(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let execute = frontend::execute(frame.body())?;
        if self.doomed {
            return Ok(());
        }
        let portals: Vec<Portal> = self.names.portals(execute.portal).cloned().collect();
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
            self.execute_nothing(frame, portal, expected, batch);
            return Ok(());
        }
        // A simple Query that failed in a block leaves an unnamed portal behind, and PostgreSQL 15 crashes where that is executed:
        // a Bind in front has to have taken its place for certain.
        let may_be_left = execute.portal.is_empty() && self.names.awaits_portal(execute.portal);
        if let (true, [newest]) | (_, [_, .., newest]) = (may_be_left, meanings.as_slice()) {
            let refused = Refused { denial: unsettled(execute.portal), footprint: Evidence::None };
            self.refuse_meaning(newest, refused, portal.parameters.as_deref(), &mut expected, batch);
            self.doom(ToUpstream::failing_step(), expected, batch);
            return Ok(());
        }
        self.judge.goes_on(portal.rows.begun().cloned());
        let executed = self.judge_execute(meaning, batch).await;
        self.judge.goes_on(None);
        let (judged, mut draft) = match executed {
            Ok(allowed) => allowed,
            Err((meaning, refused)) => {
                self.refuse_meaning(&meaning, refused, portal.parameters.as_deref(), &mut expected, batch);
                self.doom(ToUpstream::failing_step(), expected, batch);
                return Ok(());
            }
        };
        if let Some(clean) = self.hidden_arguments(meaning) {
            draft.hide(clean);
        }
        draft.parameters.clone_from(&portal.parameters);
        let (changes, effect) = match self.effects(meaning) {
            Ok(effects) => effects,
            Err(denial) => {
                let refused = Refused { denial, footprint: Evidence::None };
                self.refuse_meaning(meaning, refused, portal.parameters.as_deref(), &mut expected, batch);
                self.doom(ToUpstream::failing_step(), expected, batch);
                return Ok(());
            }
        };
        self.look_ahead(&effect, meaning, &judged);
        let copy = copied(meaning, &self.names, 0);
        let mut running = running(meaning, &judged, copy, (changes, effect), batch.began);
        running.portal = Some(judged.rows.as_ref().map_or_else(|| Arc::clone(&portal.rows), Arc::clone));
        expected.statements.push_back(running);
        let first = batch.items.len();
        if let Some(parsed) = judged.parsed_at
            && let Some(item) = batch.items.get_mut(parsed)
        {
            *item = Item::Moved(first);
        }
        batch.spoken.of_portal(portal, first);
        batch.items.push(Item::Admit(judged.permit, draft));
        batch.uses(first, meaning.statement().map(|statement| &statement.action), Some(&portal.rows));
        let message = Message::Sql {
            frame: SqlFrame::new(frame, 1),
            answer: None,
            items: first..first + 1,
            instead: Instead::Step,
        };
        batch.planned.push(Planned::new(message, expected));
        Ok(())
    }

    /// An Execute of a portal without any statement: EmptyQueryResponse.
    fn execute_nothing(&mut self, frame: Frame, portal: &Portal, expected: Expected, batch: &mut Batch) {
        let mut record = Box::new(self.recorder.entry(Event::Message));
        record.protocol = Some(Protocol::Extended);
        record.kind = Some("EXECUTE".to_owned());
        record.statement = Some(String::new());
        let item = batch.items.len();
        batch.items.push(Item::Message(record));
        batch.spoken.of_portal(portal, item);
        self.send_empty(frame, expected, item, batch);
    }

    /// The verdict of an Execute: that of the Parse or Bind just in front of it where that was for the same statement, a new
    /// one elsewise.
    pub(super) async fn judge_execute(
        &mut self,
        meaning: &Arc<Meaning>,
        batch: &mut Batch,
    ) -> Result<(Judged, Draft), (Arc<Meaning>, Refused)> {
        if !depends_on_names(meaning) && !self.judge.uncommitted.is_changing() {
            let parsed = batch.parsed.take_if(|(parsed, _)| Arc::ptr_eq(parsed, meaning));
            if let Some((_, at)) = parsed
                && let Some(item) = batch.items.get_mut(at)
                && let Item::Admit(permit, mut draft) = std::mem::replace(item, Item::Moved(usize::MAX))
            {
                draft.kind = meaning.statement().map(|statement| statement.kind);
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
                return Ok((Judged { permit, footprint: Evidence::None, rows: None, parsed_at: Some(at) }, draft));
            }
            let bound = batch.bound.take_if(|(bound, _)| Arc::ptr_eq(bound, meaning));
            if let Some((_, judged)) = bound {
                let draft = self.judge.draft(&mut self.recorder, meaning, Protocol::Extended, &judged);
                return Ok((judged, draft));
            }
        }
        match self.judge_settled(meaning).await {
            Ok(judged) => {
                let draft = self.judge.draft(&mut self.recorder, meaning, Protocol::Extended, &judged);
                Ok((judged, draft))
            }
            Err(refused) => Err((Arc::clone(meaning), refused)),
        }
    }
}
