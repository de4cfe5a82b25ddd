//! How statements end: by success, by error, by being skipped.

use bytes::BytesMut;

use super::owed::{CopyIn, Effect, Step};
use super::said::{finished, rows_of, status_byte};
use super::{Happened, Pass, Replies, Violation};
use crate::access::GrantId;
use crate::audit::EndedBy;
use crate::session::names::Names;
use crate::session::reason::ReasonChange;
use crate::session::records::Outcome;
use crate::wire::Header;
use crate::wire::backend::{ErrorFields, TransactionStatus};
use crate::wire::encode::{self, ClientVisible};

/// Which statements have outlived their grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overdue {
    None,
    /// One of the segment that runs: to be cancelled.
    Running,
    /// One that was sent behind that, and would run whenever its turn comes.
    Behind(GrantId),
}

impl Replies {
    /// Has the statements end whose grants are over. What is in the segment that runs fails as a whole with its
    /// statement; what was sent behind it cannot be taken back.
    pub fn end_where(&mut self, over: impl Fn(&GrantId) -> Option<(EndedBy, ClientVisible)>) -> Overdue {
        let (mut found, mut is_behind) = (None, false);
        for expected in &mut self.queue {
            for running in expected.statements.iter_mut().filter(|running| running.ending.is_none()) {
                let Some(grant) = &running.grant else { continue };
                let Some(ending) = over(grant) else { continue };
                if is_behind {
                    return Overdue::Behind(grant.clone());
                }
                running.ending = Some(Box::new(ending.clone()));
                found = found.or(Some(ending));
            }
            is_behind |= matches!(expected.step, Step::Query | Step::Sync);
        }
        let Some(ending) = found else { return Overdue::None };
        if let Some(current) = self.current() {
            current.ending.get_or_insert_with(|| Box::new(ending));
        }
        Overdue::Running
    }

    pub(super) fn complete(
        &mut self,
        tag: Option<String>,
        header: Header,
        names: &mut Names,
        happened: &mut Happened,
    ) -> Result<Pass, Violation> {
        self.drop_marks();
        let unexpected = Violation::Unexpected(header.tag);
        let Some(front) = self.queue.front_mut() else { return Err(unexpected) };
        let is_query = match front.step {
            Step::Query => true,
            Step::Execute => false,
            Step::Parse
            | Step::Bind
            | Step::Describe
            | Step::Probe
            | Step::Around
            | Step::Close
            | Step::Sync
            | Step::CopyEnd
            | Step::Own => {
                return Err(unexpected);
            }
        };
        // More results than statements were judged: two readers read the text in two ways.
        let Some(mut running) = front.statements.pop_front() else { return Err(unexpected) };
        if !is_query {
            self.queue.pop_front();
        }
        self.copy_in = CopyIn::No;
        if let Some(portal) = &running.portal {
            portal.add(running.rows, running.returned);
        }
        if tag.is_some() {
            running.changes.iter().for_each(|change| names.succeeded(change));
        }
        if let Some((ended_by, message)) = running.ending.take().map(|ending| *ending).filter(|_| running.cut) {
            let outcome = Outcome { sqlstate: Some(message.sqlstate.to_owned()), command_tag: tag, ended_by };
            happened.ended.push((running, outcome));
            return Ok(self.finished_too_early(message, happened));
        }
        if running.rows == 0 {
            running.rows = tag.as_deref().and_then(rows_of).unwrap_or(0);
        }
        self.took_effect(&running.effect, tag.as_deref(), happened);
        let own = running.tag.filter(|_| tag.is_some());
        let tag = own.map(str::to_owned).or(tag);
        happened.ended.push((running, Outcome { sqlstate: None, command_tag: tag, ended_by: EndedBy::Completed }));
        Ok(match own {
            Some(own) if !self.muted => Pass::Replace(encode::command_complete(own)),
            Some(_) | None => self.passed(),
        })
    }

    /// It was done before the cancel request came: rows are missing, so this must not look like success to the client,
    /// and must not be success in the transaction that it is part of.
    fn finished_too_early(&mut self, message: ClientVisible, happened: &mut Happened) -> Pass {
        if std::mem::replace(&mut self.muted, true) {
            return Pass::Drop;
        }
        if self.mid_segment {
            // The upstream would go on with what follows up to the Sync: it is made to fail here.
            happened.fail_step = true;
            return Pass::Replace(message.to_bytes());
        }
        // Everything up to ReadyForQuery is sent; what became of it shows there.
        self.told = Some(message);
        Pass::Drop
    }

    /// What is told at ReadyForQuery of a statement that had finished too early. `None`: first the transaction that is
    /// still open has to fail.
    pub(super) fn tell(&mut self, said: ClientVisible, happened: &mut Happened) -> Option<ClientVisible> {
        match self.status {
            TransactionStatus::InBlock if self.queue.is_empty() && !self.mid_segment => {
                happened.fail_block = Some(said);
                None
            }
            TransactionStatus::Idle if !self.errored => Some(finished(said)),
            TransactionStatus::Idle | TransactionStatus::InBlock | TransactionStatus::Failed => Some(said),
        }
    }

    fn took_effect(&mut self, effect: &Effect, tag: Option<&str>, happened: &mut Happened) {
        match effect {
            Effect::Reason(change) => self.reasons.succeeded(change, tag == Some("ROLLBACK")),
            Effect::Settings => {
                self.reasons.succeeded(&ReasonChange::Set(None), false);
                happened.settings_reset = true;
            }
            Effect::None | Effect::Catalogs | Effect::ApplicationName(_) => {}
        }
    }

    pub(super) fn empty_query(
        &mut self,
        header: Header,
        names: &mut Names,
        happened: &mut Happened,
    ) -> Result<(), Violation> {
        self.drop_marks();
        let Some(front) = self.queue.front() else { return Err(Violation::Unexpected(header.tag)) };
        // In a block that has failed nothing runs, and a portal is left there of a Bind that failed: one of no statement.
        let may_mean_nothing = front.statements.is_empty() || self.status == TransactionStatus::Failed;
        match front.step {
            Step::Query => Ok(()),
            Step::Execute if may_mean_nothing => {
                let Some(expected) = self.queue.pop_front() else { return Ok(()) };
                let is_empty = expected.statements.is_empty();
                let settle = if is_empty { Names::succeeded } else { Names::failed };
                expected.changes.iter().for_each(|change| settle(names, change));
                for running in expected.statements {
                    running.changes.iter().for_each(|change| names.failed(change));
                    let outcome = Outcome { sqlstate: None, command_tag: None, ended_by: EndedBy::Skipped };
                    happened.ended.push((running, outcome));
                }
                Ok(())
            }
            // A statement was judged where the upstream saw none: two readers read the text in two ways.
            Step::Execute => Err(Violation::Unexpected(header.tag)),
            Step::Parse
            | Step::Bind
            | Step::Describe
            | Step::Probe
            | Step::Around
            | Step::Close
            | Step::Sync
            | Step::CopyEnd
            | Step::Own => Err(Violation::Unexpected(header.tag)),
        }
    }

    pub(super) fn error(&mut self, fields: &ErrorFields, names: &mut Names, happened: &mut Happened) -> Pass {
        self.drop_marks();
        let copy_in = std::mem::replace(&mut self.copy_in, CopyIn::No);
        if fields.is_fatal() {
            happened.fatal = true;
            // What ran is what it ended; the rest ends with the session.
            if let Some(running) = self.queue.front_mut().and_then(|front| front.statements.pop_front()) {
                let sqlstate = Some(fields.sqlstate.clone());
                let ended_by = EndedBy::UpstreamDisconnect;
                happened.ended.push((running, Outcome { sqlstate, command_tag: None, ended_by }));
            }
            return Pass::Forward;
        }
        self.reasons.failed();
        self.errored = true;
        let Some(front) = self.queue.front_mut() else { return Pass::Forward };
        let is_query = front.step == Step::Query;
        if front.step == Step::Sync || (is_query && front.failed) {
            return self.passed();
        }
        front.failed = true;
        let mut said = front.denied.take().map(|said| *said);
        let mut first = true;
        front.changes.iter().for_each(|change| names.failed(change));
        for mut running in front.statements.drain(..) {
            running.changes.iter().for_each(|change| names.failed(change));
            let ending = running.ending.take().map(|ending| *ending);
            let ended_by = match &ending {
                _ if !first => EndedBy::Skipped,
                Some((ended_by, _)) => *ended_by,
                None => EndedBy::Error,
            };
            let state = ending.as_ref().map_or(fields.sqlstate.as_str(), |(_, message)| message.sqlstate).to_owned();
            said = said.or(ending.map(|(_, message)| message));
            let sqlstate = first.then_some(state);
            happened.ended.push((running, Outcome { sqlstate, command_tag: None, ended_by }));
            first = false;
        }
        if !is_query {
            self.queue.pop_front();
            self.skip_to_sync(fields, first, names, happened);
            happened.send_sync = copy_in == CopyIn::Open { held_sync: true };
        }
        match said {
            _ if self.muted => Pass::Drop,
            Some(message) => Pass::Replace(message.to_bytes()),
            None => Pass::Forward,
        }
    }

    /// The upstream reads on to the next Sync without doing anything.
    fn skip_to_sync(&mut self, fields: &ErrorFields, mut blames: bool, names: &mut Names, happened: &mut Happened) {
        while let Some(expected) = self.pop_if(|step| step != Step::Sync) {
            expected.changes.iter().for_each(|change| names.failed(change));
            for running in expected.statements {
                running.changes.iter().for_each(|change| names.failed(change));
                // The error of a Parse or Bind is that of the statement that it was for.
                let blamed = blames && expected.step == Step::Execute;
                blames = blames && !blamed;
                let ended_by = if blamed { EndedBy::Error } else { EndedBy::Skipped };
                let sqlstate = blamed.then(|| fields.sqlstate.clone());
                happened.ended.push((running, Outcome { sqlstate, command_tag: None, ended_by }));
            }
        }
        self.skipping = self.queue.is_empty();
    }

    pub(super) fn ready(
        &mut self,
        status: TransactionStatus,
        header: Header,
        names: &mut Names,
        happened: &mut Happened,
    ) -> Result<Pass, Violation> {
        self.drop_marks();
        let Some(expected) = self.pop_if(|step| matches!(step, Step::Query | Step::Sync)) else {
            return Err(Violation::Unexpected(header.tag));
        };
        // A stand-in that gave no error is one that was run.
        if expected.denied.is_some() {
            return Err(Violation::Unexpected(header.tag));
        }
        for running in expected.statements {
            happened.ended.push((running, Outcome { sqlstate: None, command_tag: None, ended_by: EndedBy::Skipped }));
        }
        if status == TransactionStatus::Idle {
            names.transaction_over(expected.change);
        }
        self.status = status;
        self.muted = false;
        self.copy_in = CopyIn::No;
        self.reasons.ready(status == TransactionStatus::Idle);
        self.drop_marks();
        let said = match self.told.take() {
            None => None,
            Some(said) => match self.tell(said, happened) {
                Some(said) => Some(said),
                None => return Ok(Pass::Drop),
            },
        };
        self.errored = false;
        if self.notices.is_empty() && said.is_none() {
            return Ok(Pass::Forward);
        }
        let mut bytes = BytesMut::new();
        if let Some(said) = said {
            bytes.extend_from_slice(&said.to_bytes());
        }
        for notice in self.notices.drain(..) {
            bytes.extend_from_slice(&notice);
        }
        bytes.extend_from_slice(&[header.tag, 0, 0, 0, 5, status_byte(status)]);
        Ok(Pass::Replace(bytes.freeze()))
    }
}
