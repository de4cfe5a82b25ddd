//! The only place where a message with SQL becomes one that may be written to an upstream: read, resolved, decided on,
//! recorded. What is denied is replaced by something that makes the upstream fail exactly there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::analysis::{Analysis, Meaning, Part};
use super::judge::{Evidence, Judge, Judged, Refused, depends_on_names, too_many_names, unknown_portal, unreadable};
use super::names::{Key, NameChange, Names, Portal, TooMany};
use super::pass::{SqlFrame, ToUpstream};
use super::records::{self, Item, Recorder};
use super::replies::{Effect, Expected, Running, Step};
use super::special;
use crate::audit::{Protocol, Receipt, Record};
use crate::policy::{Denial, Rule};
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::frontend::{self, Tag, Target};
use crate::wire::{Frame, ProtocolError};

/// Messages that are judged and recorded together.
pub const MAX_BATCH: usize = 256;

/// What one message comes to.
#[derive(Debug)]
#[must_use]
pub struct Outgoing {
    pub message: ToUpstream,
    pub expected: Option<Expected>,
}

/// One message on its way through the gate.
#[derive(Debug)]
struct Planned {
    message: Message,
    expected: Option<Expected>,
}

#[derive(Debug)]
enum Message {
    /// Carries no SQL, or stands in for what was denied.
    Free(ToUpstream),
    /// Passes with the receipts of these items; `instead` goes where there are none.
    Sql { frame: SqlFrame, answer: Option<ToUpstream>, items: std::ops::Range<usize>, instead: ToUpstream },
}

/// Judges the messages of one session.
#[derive(Debug)]
pub struct Gate {
    judge: Judge,
    pub names: Names,
    pub recorder: Recorder,
    /// After a denial in the extended protocol: the upstream will skip everything up to the Sync, so nothing is sent.
    doomed: bool,
}

/// Messages that are judged and recorded together.
#[derive(Debug, Default)]
struct Batch {
    items: Vec<Item>,
    planned: Vec<Planned>,
    /// The statement of the last Parse, and its item: its Execute needs no second verdict and no second record.
    parsed: Option<(Arc<Meaning>, usize)>,
    /// The statement of the last Bind, and the permit that it got.
    bound: Option<(Arc<Meaning>, Judged)>,
}

impl Gate {
    #[must_use]
    pub fn new(judge: Judge, recorder: Recorder) -> Self {
        Self { judge, names: Names::default(), recorder, doomed: false }
    }

    /// Judges and records messages, and answers what goes upstream in their place. Not cancel safe: a session whose
    /// batch is dropped must end.
    ///
    /// # Errors
    /// [`ProtocolError`] where a message is malformed: the session ends.
    pub async fn pass(&mut self, frames: Vec<Frame>) -> Result<Vec<Outgoing>, ProtocolError> {
        let mut batch = Batch::default();
        self.judge.begin_batch();
        for frame in frames {
            self.plan(frame, &mut batch).await?;
        }
        let Batch { mut items, planned, parsed: _, bound: _ } = batch;
        let moved: Vec<Option<usize>> =
            items.iter().map(|item| if let Item::Moved(to) = item { Some(*to) } else { None }).collect();
        items.shrink_to_fit();
        let mut receipts = if items.is_empty() { Vec::new() } else { self.recorder.settle(items).await };
        let mut outgoing = Vec::with_capacity(planned.len());
        for planned in planned {
            outgoing.push(finish(planned, &mut receipts, &moved));
        }
        Ok(outgoing)
    }

    /// The client sent a Sync: what follows is read again.
    fn sync(&mut self) {
        self.doomed = false;
        self.names.next_segment();
    }

    async fn plan(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let tag = Tag::read(frame.tag())?;
        match tag {
            Tag::Sync => {
                frontend::empty(frame.body())?;
                self.sync();
                self.free(frame, Some(Step::Sync), Vec::new(), batch)
            }
            Tag::Terminate => {
                frontend::empty(frame.body())?;
                self.free(frame, None, Vec::new(), batch)
            }
            Tag::Password => Err(ProtocolError::Tag(frame.tag())),
            Tag::Query => self.plan_query(frame, batch).await,
            Tag::Parse => self.plan_parse(frame, batch).await,
            Tag::Bind => self.plan_bind(frame, batch).await,
            Tag::Execute => self.plan_execute(frame, batch).await,
            Tag::FunctionCall => self.plan_function_call(&frame, batch),
            Tag::Describe => {
                frontend::named(frame.body())?;
                self.free(frame, Some(Step::Describe), Vec::new(), batch)
            }
            Tag::Close => self.plan_close(frame, batch),
            Tag::Flush => {
                frontend::empty(frame.body())?;
                self.free(frame, None, Vec::new(), batch)
            }
            Tag::CopyDone => {
                frontend::empty(frame.body())?;
                self.free(frame, Some(Step::CopyEnd), Vec::new(), batch)
            }
            Tag::CopyFail => {
                frontend::copy_fail(frame.body())?;
                self.free(frame, Some(Step::CopyEnd), Vec::new(), batch)
            }
            Tag::CopyData => self.free(frame, None, Vec::new(), batch),
        }
    }

    fn free(
        &mut self,
        frame: Frame,
        step: Option<Step>,
        changes: Vec<NameChange>,
        batch: &mut Batch,
    ) -> Result<(), ProtocolError> {
        if self.doomed && step != Some(Step::Sync) && frame.tag() != b'X' {
            return Ok(());
        }
        let tag = frame.tag();
        let message = ToUpstream::without_sql(frame).ok_or(ProtocolError::Tag(tag))?;
        let expected = step.map(|step| Expected::new(step, self.names.next_change()).with_changes(changes));
        batch.planned.push(Planned { message: Message::Free(message), expected });
        Ok(())
    }

    async fn plan_query(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let text = frontend::query(frame.body())?;
        if self.doomed {
            return Ok(());
        }
        let analysis = self.judge.analyse(text, None).await;
        self.names.next_segment();
        let mut expected = Expected::new(Step::Query, self.names.next_change());
        let mut items = Vec::new();
        let verdict = self.judge_query(&analysis, &mut expected, &mut items).await;
        self.names.next_segment();
        if let Err((part, refused)) = verdict {
            // What the statements in front of the denied one would have named is withdrawn with the error.
            for running in expected.statements.drain(..) {
                expected.changes.extend(running.changes);
            }
            self.refuse(&analysis, part, refused, Protocol::Simple, &mut expected, batch);
            batch
                .planned
                .push(Planned { message: Message::Free(ToUpstream::failing_query()), expected: Some(expected) });
            return Ok(());
        }
        let first = batch.items.len();
        batch.items.extend(items);
        let answer = special::answer(&analysis, || self.judge.session_facts(&self.recorder));
        let message = Message::Sql {
            frame: SqlFrame::new(frame, analysis.statements().len()),
            answer: answer.map(|answer| ToUpstream::answer_query(&answer)),
            items: first..batch.items.len(),
            instead: ToUpstream::failing_query(),
        };
        batch.planned.push(Planned { message, expected: Some(expected) });
        Ok(())
    }

    /// Judges every statement of a Query before any of it is let through, each with the names that those before it give.
    async fn judge_query(
        &mut self,
        analysis: &Arc<Analysis>,
        expected: &mut Expected,
        items: &mut Vec<Item>,
    ) -> Result<(), (Option<Part>, Refused)> {
        readable(analysis)?;
        for index in 0..analysis.statements().len() {
            let meaning = Meaning { analysis: Arc::clone(analysis), part: Part::Whole(index) };
            let failed = |refused| (Some(meaning.part), refused);
            let judged = self.judge.judge(&meaning, &self.names).await.map_err(failed)?;
            let record = self.judge.record(&self.recorder, &meaning, Protocol::Simple, &judged);
            let (changes, effect) =
                self.effects(&meaning).map_err(|denial| failed(Refused { denial, footprint: Evidence::None }))?;
            expected.statements.push_back(running(&meaning, &judged, changes, effect));
            items.push(Item::Admit(judged.permit, record));
        }
        Ok(())
    }

    /// Judges every statement of a Parse.
    async fn judge_parse(&mut self, analysis: &Arc<Analysis>) -> Result<Vec<Judged>, (Option<Part>, Refused)> {
        readable(analysis)?;
        let mut judged = Vec::new();
        for index in 0..analysis.statements().len() {
            let meaning = Meaning { analysis: Arc::clone(analysis), part: Part::Whole(index) };
            let verdict = self.judge.judge(&meaning, &self.names).await;
            judged.push(verdict.map_err(|refused| (Some(meaning.part), refused))?);
        }
        Ok(judged)
    }

    async fn plan_parse(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let parse = frontend::parse(frame.body())?;
        if self.doomed {
            return Ok(());
        }
        let (name, key) = (parse.name.to_owned(), Key::new(parse.name));
        let analysis = self.judge.analyse(parse.text, Some(&parse.types)).await;
        let mut expected = Expected::new(Step::Parse, self.names.next_change());
        let judged = match self.judge_parse(&analysis).await {
            Ok(judged) => judged,
            Err((part, refused)) => {
                self.refuse(&analysis, part, refused, Protocol::Extended, &mut expected, batch);
                self.doom(ToUpstream::failing_parse(&name), expected, batch);
                return Ok(());
            }
        };
        // PostgreSQL refuses a Parse of several statements; such a name has no meaning.
        let part = match analysis.statements() {
            [] => Part::Empty,
            [_] => Part::Whole(0),
            [_, _, ..] => Part::Whole(usize::MAX),
        };
        let meaning = Arc::new(Meaning { analysis: Arc::clone(&analysis), part });
        match self.names.add_statement(key, Arc::clone(&meaning)) {
            Ok(change) => expected.changes.push(change),
            Err(TooMany) => {
                let refused = Refused { denial: too_many_names(), footprint: Evidence::None };
                self.refuse(&analysis, Some(part), refused, Protocol::Extended, &mut expected, batch);
                self.doom(ToUpstream::failing_parse(&name), expected, batch);
                return Ok(());
            }
        }
        let first = batch.items.len();
        for (index, judged) in judged.into_iter().enumerate() {
            let statement = Meaning { analysis: Arc::clone(&analysis), part: Part::Whole(index) };
            let mut record = self.judge.record(&self.recorder, &statement, Protocol::Extended, &judged);
            record.kind = Some("PARSE".to_owned());
            expected.statements.push_back(running(&statement, &judged, Vec::new(), Effect::None));
            batch.items.push(Item::Admit(judged.permit, record));
        }
        if part == Part::Whole(0) {
            batch.parsed = Some((meaning, first));
        }
        let answer = special::answer(&analysis, || self.judge.session_facts(&self.recorder));
        let message = Message::Sql {
            frame: SqlFrame::new(frame, analysis.statements().len()),
            answer: answer.map(|answer| ToUpstream::answer_parse(&name, &answer)),
            items: first..batch.items.len(),
            instead: ToUpstream::failing_parse(&name),
        };
        batch.planned.push(Planned { message, expected: Some(expected) });
        Ok(())
    }

    async fn plan_bind(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let bind = frontend::bind(frame.body())?;
        if self.doomed {
            return Ok(());
        }
        let meanings: Vec<Arc<Meaning>> = self.names.statements(&Key::new(bind.statement)).map(Arc::clone).collect();
        let parameters = self.recorder.parameters(&bind.values);
        batch.bound = None;
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
        if meanings.len() != 1 {
            batch.bound = None;
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

    async fn plan_execute(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
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
        let (judged, mut record) = match self.judge_execute(meaning, &meanings, batch).await {
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
    fn execute_nothing(&mut self, frame: Frame, expected: Expected, batch: &mut Batch) -> Result<(), ProtocolError> {
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

    /// The verdict of an Execute: that of the Parse or Bind just in front of it where it can only be for the same
    /// statement, a new one for everything that the portal may mean elsewise.
    async fn judge_execute(
        &mut self,
        meaning: &Arc<Meaning>,
        meanings: &[Arc<Meaning>],
        batch: &mut Batch,
    ) -> Result<(Judged, Box<Record>), (Arc<Meaning>, Refused)> {
        if meanings.len() == 1 && !depends_on_names(meaning) {
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
        let mut first = None;
        for meaning in meanings {
            match self.judge.judge(meaning, &self.names).await {
                Ok(judged) if first.is_none() => {
                    let record = self.judge.record(&self.recorder, meaning, Protocol::Extended, &judged);
                    first = Some((judged, record));
                }
                Ok(_) => {}
                Err(refused) => return Err((Arc::clone(meaning), refused)),
            }
        }
        let nothing = || (Arc::clone(meaning), Refused { denial: unknown_portal(""), footprint: Evidence::None });
        first.ok_or_else(nothing)
    }

    fn plan_close(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let close = frontend::named(frame.body())?;
        let (target, key) = (close.target, Key::new(close.name));
        let change = self.names.next_change();
        let change = match target {
            Target::Statement => NameChange::CloseStatement(key, change),
            Target::Portal => NameChange::ClosePortal(key, change),
        };
        self.free(frame, Some(Step::Close), vec![change], batch)
    }

    fn plan_function_call(&mut self, frame: &Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        if self.doomed {
            return Ok(());
        }
        let oid = frame.body().first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let mut record = self.recorder.unread("", Protocol::Function, self.judge.version());
        record.statement = Some(format!("function call by number {oid}"));
        let denial = Denial {
            rule: Rule::Protocol,
            message: "function calls by the fast path are not permitted".to_owned(),
            detail: format!("The message FunctionCall names function {oid} outside of any statement."),
            hint: Some("Call the function in a SELECT.".to_owned()),
        };
        let mut expected = Expected::new(Step::Query, self.names.next_change());
        self.refuse_record(record, Refused { denial, footprint: Evidence::None }, &mut expected, batch);
        batch.planned.push(Planned { message: Message::Free(ToUpstream::failing_query()), expected: Some(expected) });
        Ok(())
    }

    /// What a statement does to names and to the session, once it has succeeded.
    fn effects(&mut self, meaning: &Meaning) -> Result<(Vec<NameChange>, Effect), Denial> {
        let Some(statement) = meaning.statement() else { return Ok((Vec::new(), Effect::None)) };
        let changes = special::name_changes(meaning, statement, &mut self.names).map_err(|TooMany| too_many_names())?;
        Ok((changes, special::effect(statement)))
    }

    fn refuse(
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

    fn refuse_meaning(
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

    fn refuse_record(&mut self, mut record: Box<Record>, refused: Refused, expected: &mut Expected, batch: &mut Batch) {
        records::deny(&mut record, &refused.denial, refused.footprint.footprint());
        self.judge.count_denial(refused.denial.rule);
        expected.denied = Some(visible(&refused.denial));
        batch.items.push(Item::Refuse(record));
    }

    fn doom(&mut self, message: ToUpstream, expected: Expected, batch: &mut Batch) {
        self.doomed = true;
        batch.planned.push(Planned { message: Message::Free(message), expected: Some(expected) });
    }

    /// Whether everything up to the next Sync is dropped.
    #[must_use]
    pub fn is_doomed(&self) -> bool {
        self.doomed
    }
}

/// Whether a text was read, and may be sent in the way it was.
fn readable(analysis: &Analysis) -> Result<(), (Option<Part>, Refused)> {
    let refused = |denial| Refused { denial, footprint: Evidence::None };
    if let Err(error) = &analysis.parsed {
        return Err((None, refused(unreadable(error))));
    }
    special::misplaced(analysis).map_or(Ok(()), |denial| Err((Some(Part::Whole(0)), refused(denial))))
}

fn running(meaning: &Meaning, judged: &Judged, changes: Vec<NameChange>, effect: Effect) -> Running {
    Running {
        seq: 0,
        grant: None,
        row_limit: None,
        rows: 0,
        bytes: 0,
        portal: judged.rows.as_ref().map(Arc::clone),
        text: Arc::clone(&meaning.analysis.text),
        started: Instant::now(),
        changes,
        effect,
        ending: None,
        cut: false,
    }
}

/// Gives a message its receipts; where it has none, the upstream is made to fail in its place.
fn finish(planned: Planned, receipts: &mut [Option<Receipt>], moved: &[Option<usize>]) -> Outgoing {
    let Planned { message, mut expected } = planned;
    let (frame, answer, items, instead) = match message {
        Message::Free(message) => return Outgoing { message, expected },
        Message::Sql { frame, answer, items, instead } => (frame, answer, items, instead),
    };
    // A Parse whose Execute came with it goes by the Execute's receipt, which stays for that.
    if let Some(Some(to)) = moved.get(items.start).filter(|_| items.len() == 1) {
        let receipt = receipts.get(*to).and_then(Option::as_ref);
        let admitted = receipt.map(std::slice::from_ref).and_then(|receipt| frame.admit(receipt).ok());
        return match admitted {
            Some(message) => Outgoing { message: answer.unwrap_or(message), expected },
            None => Outgoing { message: instead, expected: unrecorded(expected) },
        };
    }
    let taken: Option<Vec<Receipt>> = items.map(|index| receipts.get_mut(index).and_then(Option::take)).collect();
    let Some(taken) = taken else { return Outgoing { message: instead, expected: unrecorded(expected) } };
    match frame.admit(&taken) {
        Ok(message) => {
            if let Some(expected) = &mut expected {
                hand_over(&mut expected.statements, taken);
            }
            Outgoing { message: answer.unwrap_or(message), expected }
        }
        Err(_) => Outgoing { message: instead, expected: unrecorded(expected) },
    }
}

fn hand_over(statements: &mut VecDeque<Running>, receipts: Vec<Receipt>) {
    for (running, receipt) in statements.iter_mut().zip(receipts) {
        running.seq = receipt.seq();
        running.row_limit = receipt.row_limit();
        running.grant = Some(receipt.grant().clone());
        running.started = Instant::now();
    }
}

/// The journal did not take the statement.
fn unrecorded(expected: Option<Expected>) -> Option<Expected> {
    expected.map(|mut expected| {
        expected.denied = Some(visible(&Denial {
            rule: Rule::Journal,
            message: "the statement cannot be recorded, so it may not run".to_owned(),
            detail: "The audit journal cannot be written now.".to_owned(),
            hint: None,
        }));
        for running in expected.statements.drain(..) {
            expected.changes.extend(running.changes);
        }
        expected
    })
}

fn visible(denial: &Denial) -> ClientVisible {
    ClientVisible {
        severity: Severity::Error,
        sqlstate: denial.rule.sqlstate(),
        message: denial.message.clone(),
        detail: Some(denial.detail.clone()).filter(|detail| !detail.is_empty()),
        hint: denial.hint.clone(),
    }
}
