//! The only place where a message with SQL becomes one that may be written to an upstream: read, resolved, decided on,
//! recorded. What is denied is replaced by something that makes the upstream fail exactly there.

mod alone;
mod asks;
mod cursors;
mod execute;
mod refuse;
mod settle;
mod skipped;
mod unsettled;
mod uses;

use alone::{Alone, Spoken};
use asks::{Asked, Inquiry};
use uses::Due;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::analysis::{Analysis, Meaning, Part};
use super::asking::{self, Values};
use super::judge::{Evidence, Judge, Judged, MAX_DEPTH, Refused, unreadable};
use super::names::{Key, NameChange, Names};
use super::pass::{SqlFrame, ToUpstream};
use super::reason::{Reason, ReasonChange};
use super::records::{self, Item, Recorder, Settled};
use super::replies::{Effect, Expected, Running, Step};
use super::special;
use crate::access::Guards;
use crate::audit::{Protocol, Record};
use crate::policy::{Denial, Rule};
use crate::sql::tree::{Action, CopyDirection};
use crate::wire::frontend::{self, Tag, Target};
use crate::wire::{Frame, ProtocolError};

/// Judging that takes longer had to wait for somebody.
const AT_ONCE: Duration = Duration::from_millis(20);
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
    /// What it is about, until it is known whose record speaks for it.
    alone: Option<Alone>,
    /// The item that must be recorded, or the message does not go.
    item: Option<usize>,
}

impl Planned {
    fn new(message: Message, expected: Expected) -> Self {
        Self { message, expected: Some(expected), alone: None, item: None }
    }
}

/// What comes of messages that were judged together.
#[derive(Debug)]
#[must_use]
pub struct Passed {
    pub outgoing: Vec<Outgoing>,
    /// A message behind those is malformed: the session ends.
    pub error: Option<ProtocolError>,
    /// Not judged yet: those in front of them have to be answered first, or the catalogs to be asked.
    pub rest: Vec<Frame>,
}

#[derive(Debug)]
enum Message {
    /// Carries no SQL, or stands in for what was denied.
    Free(ToUpstream),
    /// Passes with the receipts of these items; `instead` goes where there are none.
    Sql { frame: SqlFrame, answer: Option<Box<ToUpstream>>, items: std::ops::Range<usize>, instead: Instead },
}

/// What is sent in place of a message that may not pass.
#[derive(Debug)]
enum Instead {
    Query,
    Parse(String),
    Step,
}

impl Instead {
    fn message(&self) -> ToUpstream {
        match self {
            Instead::Query => ToUpstream::failing_query(),
            Instead::Parse(name) => ToUpstream::failing_parse(name),
            Instead::Step => ToUpstream::failing_step(),
        }
    }
}

/// Judges the messages of one session.
#[derive(Debug)]
pub struct Gate {
    judge: Judge,
    pub names: Names,
    pub recorder: Recorder,
    /// The reason that the session has given, but for what the segment that is judged gives.
    given_reason: Reason,
    /// After a denial in the extended protocol: the upstream will skip everything up to the Sync, so nothing is sent.
    doomed: bool,
    /// Noted, and still to be recorded.
    unrecorded: VecDeque<Record>,
    inquiry: Inquiry,
    /// Why nothing of this principal is to run.
    held: Option<Arc<str>>,
}

/// Messages that are judged and recorded together.
#[derive(Debug)]
struct Batch {
    began: Instant,
    items: Vec<Item>,
    planned: Vec<Planned>,
    spoken: Spoken,
    /// The statement of the last Parse, and its item: its Execute needs no second verdict and no second record.
    parsed: Option<(Arc<Meaning>, usize)>,
    /// The statement of the last Bind, and the permit that it got.
    bound: Option<(Arc<Meaning>, Judged)>,
    /// The uses of grants that its items are to take.
    due: Vec<Due>,
}

impl Batch {
    fn of(frames: usize, began: Instant) -> Self {
        let (items, planned) = (Vec::with_capacity(frames), Vec::with_capacity(frames));
        Self { began, items, planned, spoken: Spoken::default(), parsed: None, bound: None, due: Vec::new() }
    }
}

impl Gate {
    #[must_use]
    pub fn new(judge: Judge, recorder: Recorder, names: Names) -> Self {
        Self {
            judge,
            names,
            recorder,
            given_reason: None,
            doomed: false,
            unrecorded: VecDeque::new(),
            inquiry: Inquiry::default(),
            held: None,
        }
    }

    /// Tells what the session has said and become, before messages are judged.
    pub fn brief(&mut self, reason: Reason, opened_read_only: bool, writable: bool) {
        self.judge.session.opened_read_only = opened_read_only;
        self.judge.session.writable = writable;
        self.given_reason.clone_from(&reason);
        self.set_reason(reason);
    }

    /// Tells why nothing is to run, where nothing is.
    pub fn hold(&mut self, why: Option<Arc<str>>) {
        self.held = why;
    }

    fn set_reason(&mut self, reason: Reason) {
        self.judge.session.has_reason = reason.is_some();
        self.recorder.reason = reason;
    }

    /// Within a segment a reason counts from where it is given: had that failed, nothing after it would run. Whether the
    /// segment itself succeeds is not known, so the next one does not count on it.
    fn look_ahead(&mut self, effect: &Effect, meaning: &Meaning, judged: &Judged) {
        if *effect != Effect::None {
            let evidence = self.judge.evidence(meaning, judged);
            self.judge.uncommitted.look_ahead(effect, evidence.footprint());
        }
        match effect {
            Effect::Reason(change) => match &**change {
                ReasonChange::Set(reason) | ReasonChange::SetLocal(reason) => self.set_reason(reason.clone()),
                ReasonChange::Rollback | ReasonChange::RollbackTo(_) => self.set_reason(self.given_reason.clone()),
                ReasonChange::Commit | ReasonChange::Savepoint(_) | ReasonChange::Release(_) => {}
            },
            Effect::Settings => self.set_reason(None),
            Effect::None | Effect::Catalogs | Effect::ApplicationName(_) => {}
        }
    }

    fn next_segment(&mut self) {
        self.names.next_segment();
        self.set_reason(self.given_reason.clone());
    }

    /// Judges and records messages, and answers what goes upstream in their place. Not cancel safe: a session whose
    /// batch is dropped must end.
    pub async fn pass(&mut self, frames: Vec<Frame>, now: Timestamp) -> Passed {
        let began = Instant::now();
        let mut batch = Batch::of(frames.len(), began);
        if self.judge.uncommitted.is_involved() {
            Box::pin(self.judge.look_beside()).await;
        }
        self.judge.begin_batch(now, began);
        self.recorder.begin_at(now);
        let (mut error, mut frames) = (None, frames.into_iter());
        let mut rest = Vec::new();
        while let Some(frame) = frames.next() {
            if self.judge.uncommitted.is_involved() && self.must_wait(&frame).await {
                rest.push(frame);
                rest.extend(frames);
                break;
            }
            let put_off = frame.clone();
            // What stands before a malformed message was asked all the same.
            if let Err(malformed) = self.plan(frame, &mut batch).await {
                error = Some(malformed);
                break;
            }
            self.forget_reply();
            if self.has_asked() {
                rest.push(put_off);
                rest.extend(frames);
                break;
            }
        }
        self.account(&mut batch);
        let mut over = HashMap::new();
        if let Some(why) = self.held.clone() {
            self.refuse_all(&mut batch, &settle::held(&why), &mut over);
        }
        let taken = match batch.due.is_empty() {
            true => Vec::new(),
            false => Box::pin(self.take_uses(&mut batch, &mut over)).await,
        };
        if began.elapsed() > AT_ONCE {
            self.refuse_what_is_over(&mut batch, &mut over);
        }
        let Batch { began: _, items, planned, spoken: _, parsed: _, bound: _, due: _ } = batch;
        let moved: Vec<Option<usize>> =
            items.iter().map(|item| if let Item::Moved(to) = item { Some(*to) } else { None }).collect();
        let mut settled = if items.is_empty() { Settled::default() } else { self.recorder.settle(items).await };
        let taken = uses::numbered(taken, &settled);
        self.record_noted().await;
        let sent = Instant::now();
        let mut outgoing = Vec::with_capacity(planned.len());
        for planned in planned {
            outgoing.push(settle::finish(planned, &mut settled, &moved, &over, (&self.judge.ledger, sent)));
        }
        self.end_withheld(&outgoing).await;
        if !taken.is_empty() {
            Box::pin(self.give_back(taken, &outgoing)).await;
        }
        Passed { outgoing, error, rest }
    }

    /// Judging may have had to wait, for catalogs, an opinion, a role or the store, and a grant may have ended meanwhile: what it
    /// allowed does not go. Answers the places of what is refused so.
    fn refuse_what_is_over(&mut self, batch: &mut Batch, over: &mut HashMap<usize, Denial>) {
        for index in 0..batch.items.len() {
            let Some(Item::Admit(permit, _)) = batch.items.get(index) else { continue };
            if !self.judge.is_live(permit.grant()) {
                let denial = settle::grant_over();
                self.refuse_item(batch, index, &denial);
                over.insert(index, denial);
            }
        }
    }

    /// Nothing of this batch goes, whatever allowed it.
    fn refuse_all(&self, batch: &mut Batch, denial: &Denial, over: &mut HashMap<usize, Denial>) {
        batch.due.clear();
        for index in 0..batch.items.len() {
            if matches!(batch.items.get(index), Some(Item::Admit(..))) {
                self.refuse_item(batch, index, denial);
                over.insert(index, denial.clone());
            }
        }
    }

    /// Has an item that was to be admitted be recorded as refused.
    fn refuse_item(&self, batch: &mut Batch, index: usize, denial: &Denial) {
        let Some(item) = batch.items.get_mut(index) else { return };
        let Item::Admit(permit, draft) = item else { return };
        let mut record = self.recorder.spelled(draft);
        record.data_region = permit.data_region().cloned();
        records::deny(&mut record, denial, None);
        self.judge.count_denial(denial.rule);
        *item = Item::Refuse(record);
    }

    /// The client sent a Sync: what follows is read again.
    fn sync(&mut self) {
        self.doomed = false;
        self.next_segment();
    }

    async fn plan(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let tag = Tag::read(frame.tag())?;
        let copy = frame.clone();
        let ends_segment = tag == Tag::Sync || (tag == Tag::Query && !self.doomed);
        let planned = self.plan_one(tag, frame, batch).await;
        match ends_segment {
            true => self.judge.uncommitted.end_segment(),
            false if self.has_asked() => {}
            false => self.judge.uncommitted.begin(),
        }
        if let Err(error) = &planned {
            self.malformed(&copy, error);
        }
        planned
    }

    async fn plan_one(&mut self, tag: Tag, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        if self.doomed
            && let Some(record) = self.skipped_record(tag, &frame)
        {
            batch.items.push(Item::Refuse(record));
        }
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
                let alone = self.alone("DESCRIBE", &frontend::named(frame.body())?);
                let described = Self::described(&alone);
                self.probe_cursors(&alone, batch);
                self.free(frame, Some(Step::Describe), Vec::new(), batch)?;
                if let Some(planned) = batch.planned.last_mut().filter(|_| !self.doomed) {
                    planned.alone = Some(alone);
                    planned.expected.iter_mut().for_each(|expected| expected.describes.clone_from(&described));
                }
                Ok(())
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
        batch.planned.push(Planned { message: Message::Free(message), expected, alone: None, item: None });
        Ok(())
    }

    async fn plan_query(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let text = frontend::query(frame.body())?;
        if self.doomed {
            return Ok(());
        }
        let analysis = self.judge.analyse(text, None).await;
        // Names stay in their segment: had a message in front of it failed without a Sync in between, the Query would be skipped.
        self.set_reason(self.given_reason.clone());
        let mut expected = Expected::new(Step::Query, self.names.next_change());
        let mut items = Vec::new();
        let mut verdict = self.judge_query(&analysis, &mut expected, &mut items, batch.began).await;
        let mut answered = None;
        if verdict.is_ok() {
            match self.ask_desk(&analysis, Values::None) {
                Ok(Asked::No | Asked::Prepared(_)) => {}
                Ok(Asked::Waits) => return Ok(()),
                Ok(Asked::Answered(answer)) => answered = Some(answer),
                Err(refused) => verdict = Err(refused),
            }
        }
        self.next_segment();
        if let Err(refused) = verdict {
            let Some((part, refused)) = self.hold_or_refuse(&analysis, refused) else { return Ok(()) };
            self.refuse_query(&analysis, part, refused, (expected, items), batch);
            return Ok(());
        }
        if analysis.statements().is_empty() {
            self.plan_empty(frame, &analysis, Protocol::Simple, expected, batch);
            return Ok(());
        }
        let first = batch.items.len();
        batch.items.extend(items);
        for (index, statement) in analysis.statements().iter().enumerate() {
            batch.uses(first + index, Some(&statement.action), None);
        }
        let answer = answered.or_else(|| special::answer(&analysis, || self.judge.session_facts(&self.recorder)));
        let message = Message::Sql {
            frame: SqlFrame::new(frame, analysis.statements().len()),
            answer: answer.map(|answer| Box::new(ToUpstream::answer_query(&answer))),
            items: first..batch.items.len(),
            instead: Instead::Query,
        };
        batch.planned.push(Planned::new(message, expected));
        Ok(())
    }

    /// Judges every statement of a Query before any of it is let through, each with the names that those before it give.
    async fn judge_query(
        &mut self,
        analysis: &Arc<Analysis>,
        expected: &mut Expected,
        items: &mut Vec<Item>,
        began: Instant,
    ) -> Result<(), (Option<Part>, Refused)> {
        readable(analysis)?;
        for index in 0..analysis.statements().len() {
            let meaning = Meaning { analysis: Arc::clone(analysis), part: Part::Whole(index) };
            let failed = |refused| (Some(meaning.part), refused);
            let judged = self.judge_settled(&meaning).await.map_err(failed)?;
            let mut draft = self.judge.draft(&mut self.recorder, &meaning, Protocol::Simple, &judged);
            let hidden = self.hidden_arguments(&meaning).map(|clean| draft.hide(clean)).is_some();
            let (changes, effect) =
                self.effects(&meaning).map_err(|denial| failed(Refused { denial, footprint: Evidence::None }))?;
            self.look_ahead(&effect, &meaning, &judged);
            let copy = copied(&meaning, &self.names, 0);
            let mut running = running(&meaning, &judged, copy, (changes, effect), began);
            if hidden {
                running.text = draft.text().into();
            }
            expected.statements.push_back(running);
            items.push(Item::Admit(judged.permit, draft));
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
        let (name, key, types) = (parse.name.to_owned(), Key::new(parse.name), parse.types.clone());
        let analysis = self.judge.analyse(parse.text, Some(&parse.types)).await;
        let mut expected = Expected::new(Step::Parse, self.names.next_change());
        let (mut answered, mut values) = (None, 0);
        let asked = match self.judge_parse(&analysis).await {
            Ok(judged) => self.ask_prepared(&analysis).map(|asked| (judged, asked)),
            Err(refused) => Err(refused),
        };
        let judged = match asked {
            Ok((judged, Asked::No)) => judged,
            Ok((_, Asked::Waits)) => return Ok(()),
            Ok((judged, Asked::Answered(answer))) => {
                answered = Some(answer);
                judged
            }
            Ok((judged, Asked::Prepared(count))) => {
                (answered, values) = (Some(asking::unfiled()), count);
                judged
            }
            Err(refused) => {
                let Some((part, refused)) = self.hold_or_refuse(&analysis, refused) else { return Ok(()) };
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
            Err(too_many) => {
                let refused = Refused { denial: self.judge.too_many(too_many), footprint: Evidence::None };
                self.refuse(&analysis, Some(part), refused, Protocol::Extended, &mut expected, batch);
                self.doom(ToUpstream::failing_parse(&name), expected, batch);
                return Ok(());
            }
        }
        if part == Part::Empty {
            self.plan_empty(frame, &analysis, Protocol::Extended, expected, batch);
            batch.spoken.of_statement(&meaning, batch.items.len() - 1);
            return Ok(());
        }
        let first = batch.items.len();
        batch.spoken.of_statement(&meaning, first);
        for (index, judged) in judged.into_iter().enumerate() {
            let statement = Meaning { analysis: Arc::clone(&analysis), part: Part::Whole(index) };
            let mut draft = self.judge.draft(&mut self.recorder, &statement, Protocol::Extended, &judged);
            if let Some(clean) = self.hidden_arguments(&statement) {
                draft.hide(clean);
            }
            draft.kind = Some("PARSE");
            let nothing = (Vec::new(), Effect::None);
            expected.statements.push_back(running(&statement, &judged, None, nothing, batch.began));
            batch.items.push(Item::Admit(judged.permit, draft));
        }
        if part == Part::Whole(0) {
            batch.parsed = Some((meaning, first));
        }
        let answer = answered.or_else(|| special::answer(&analysis, || self.judge.session_facts(&self.recorder)));
        let message = Message::Sql {
            frame: SqlFrame::new(frame, analysis.statements().len()),
            answer: answer.map(|answer| Box::new(ToUpstream::answer_parse(&name, &answer, (values, &types)))),
            items: first..batch.items.len(),
            instead: Instead::Parse(name),
        };
        batch.planned.push(Planned::new(message, expected));
        Ok(())
    }

    fn plan_close(&mut self, frame: Frame, batch: &mut Batch) -> Result<(), ProtocolError> {
        let close = frontend::named(frame.body())?;
        let alone = self.alone("CLOSE", &close);
        let (target, key) = (close.target, Key::new(close.name));
        let change = self.names.next_change();
        let change = match target {
            Target::Statement => NameChange::CloseStatement(key, change),
            Target::Portal => NameChange::ClosePortal(key, change),
        };
        self.free(frame, Some(Step::Close), vec![change], batch)?;
        if let Some(planned) = batch.planned.last_mut().filter(|_| !self.doomed) {
            planned.alone = Some(alone);
        }
        Ok(())
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
        batch.planned.push(Planned::new(Message::Free(ToUpstream::failing_call()), expected));
        Ok(())
    }

    /// What a statement does to names and to the session, once it has succeeded.
    fn effects(&mut self, meaning: &Meaning) -> Result<(Vec<NameChange>, Effect), Denial> {
        let Some(statement) = meaning.statement() else { return Ok((Vec::new(), Effect::None)) };
        let changes = special::name_changes(meaning, statement, &mut self.names);
        let changes = changes.map_err(|too_many| self.judge.too_many(too_many))?;
        Ok((changes, special::effect(statement)))
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
    if let Some(error) = analysis.unreadable() {
        return Err((None, refused(unreadable(error))));
    }
    special::misplaced(analysis).map_or(Ok(()), |denial| Err((Some(Part::Whole(0)), refused(denial))))
}

/// Which way a statement copies, itself or by the name that it executes: it was judged, so that names one thing.
fn copied(meaning: &Meaning, names: &Names, depth: usize) -> Option<CopyDirection> {
    match &meaning.statement()?.action {
        Action::Copy(copy) => Some(copy.direction),
        Action::Execute { name, arguments: _ } if depth < MAX_DEPTH => {
            copied(names.statements(name.as_str()).last()?, names, depth + 1)
        }
        _ => None,
    }
}

fn running(
    meaning: &Meaning,
    judged: &Judged,
    copy: Option<CopyDirection>,
    (changes, effect): (Vec<NameChange>, Effect),
    started: Instant,
) -> Running {
    Running {
        seq: 0,
        data_region: None,
        grant: None,
        guards: Guards::default(),
        meter: None,
        rows: 0,
        bytes: 0,
        returned: 0,
        portal: judged.rows.as_ref().map(Arc::clone),
        copy,
        binary_copy: false,
        text: Arc::clone(&meaning.analysis.recorded(meaning.part).text),
        tag: meaning.statement().and_then(asking::command_tag),
        started,
        began: None,
        changes,
        effect,
        ending: None,
        cut: false,
    }
}
