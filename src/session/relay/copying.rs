//! COPY from the client: its data goes on in pieces, and nothing else goes between the pieces of one message.

use super::Relay;
use crate::session::gate::Outgoing;
use crate::session::pass::ToUpstream;
use crate::session::peer::ToClient;
use crate::session::replies::{CopyIn, Expected, Step};
use crate::wire::encode::ClientVisible;
use crate::wire::frontend::{self, Tag};
use crate::wire::{Frame, ProtocolError, frame};

/// The longest CopyData that PostgreSQL takes: a longer one is none, and would leave the upstream waiting for its rest.
const MOST_COPY_DATA: usize = 0x3fff_fffe;

/// What pgward itself has to say to the upstream.
#[derive(Debug, Default)]
pub struct Owed {
    pub(super) sync: bool,
    pub(super) copy_fail: bool,
    /// What the client still sends up to its Sync is to be skipped.
    pub(super) fail_step: bool,
    /// The transaction is to fail, with this as the error.
    pub(super) fail_block: Option<ClientVisible>,
}

impl<C: ToClient> Relay<C> {
    /// Sends what is owed to the upstream, where a message may stand.
    pub(super) fn pay(&mut self) {
        if self.copy_left > 0 {
            return;
        }
        let Owed { sync, copy_fail, fail_step, fail_block } = std::mem::take(&mut self.owed);
        if copy_fail && matches!(self.replies.copy_in(), CopyIn::Open { .. }) {
            self.send(Outgoing { message: ToUpstream::copy_fail(), expected: None });
        }
        if sync {
            self.replies.synced();
            let change = self.gate.names.next_change();
            self.send(Outgoing { message: ToUpstream::sync(), expected: Some(Expected::new(Step::Sync, change)) });
        }
        if fail_step {
            self.fail_step();
        }
        if let Some(said) = fail_block {
            self.fail_block(said);
        }
    }

    /// A message while the upstream waits for COPY data.
    pub(super) fn in_copy(&mut self, tag: Tag, frame: Frame) -> Result<(), ProtocolError> {
        match tag {
            Tag::Sync => {
                frontend::empty(frame.body())?;
                self.replies.hold_sync();
                return Ok(());
            }
            Tag::Flush => return frontend::empty(frame.body()),
            Tag::CopyDone => frontend::empty(frame.body())?,
            Tag::CopyFail => frontend::copy_fail(frame.body())?,
            Tag::Terminate => {
                frontend::empty(frame.body())?;
                self.leaving = true;
            }
            Tag::Bind
            | Tag::Close
            | Tag::CopyData
            | Tag::Describe
            | Tag::Execute
            | Tag::FunctionCall
            | Tag::Parse
            | Tag::Password
            | Tag::Query => return Err(ProtocolError::Invalid("message during COPY")),
        }
        let tag = frame.tag();
        let message = ToUpstream::without_sql(frame).ok_or(ProtocolError::Tag(tag))?;
        self.replies.copy_ended();
        self.send(Outgoing { message, expected: None });
        Ok(())
    }

    /// Passes what there is of a CopyData on, without waiting for the rest. Where nothing takes it, it is dropped.
    pub(super) fn pass_copy_data(&mut self) -> Result<(), ProtocolError> {
        if self.copy_left == 0 {
            let Some(header) = frame::header(&self.client.input)? else { return Ok(()) };
            if header.body > MOST_COPY_DATA {
                return Err(ProtocolError::Length);
            }
            self.copy_left = header.total();
            self.copy_passes = !self.replies.is_idle() && !self.replies.is_skipping() && !self.gate.is_doomed();
        }
        let length = self.copy_left.min(self.client.input.len());
        let piece = self.client.input.split_to(length).freeze();
        self.copy_left -= length;
        if self.copy_passes {
            self.replies.count_copy_in(length);
            self.send(Outgoing { message: ToUpstream::copy_data(piece), expected: None });
        }
        Ok(())
    }
}
