//! The catalogs as the session's own transaction sees them: asked for over its own connection, between two of its messages.

use bytes::BytesMut;

use super::{Outgoing, Relay};
use crate::catalog::Within;
use crate::session::pass::ToUpstream;
use crate::session::peer::ToClient;
use crate::session::replies::{Expected, Step, Unanswered};
use crate::wire::{Frame, sqlstate};

impl<C: ToClient> Relay<C> {
    /// Whether messages stay where they are until the upstream has answered.
    pub(super) fn waits_for_catalogs(&self) -> bool {
        self.replies.is_asking() || (self.gate.awaits_answers() && !self.replies.is_settled())
    }

    /// Messages that are judged later, in front of those that are not read yet.
    pub(super) fn put_back(&mut self, frames: Vec<Frame>) {
        let length = frames.iter().map(|frame| frame.body().len() + 5).sum::<usize>() + self.client.input.len();
        let mut input = BytesMut::with_capacity(length);
        for frame in frames {
            input.extend_from_slice(&frame.into_bytes());
        }
        input.extend_from_slice(&self.client.input);
        self.client.input = input;
        // It was among them, if it was there.
        self.leaving = false;
    }

    /// Asks, where nothing is under way and somebody waits for it. Answers whether it is known at once that nobody can be asked.
    pub(super) async fn ask_catalogs(&mut self) -> bool {
        if !self.gate.asks() || !self.replies.is_settled() || self.copy_left > 0 {
            return false;
        }
        // What came with the server, and what others commit meanwhile, is known by these.
        let Ok(committed) = self.database.catalogs.current().await else {
            self.gate.catalogs_unreadable();
            return true;
        };
        self.beside = committed.version;
        self.replies.ask(Within::new(&committed));
        let expected = Some(Expected::new(Step::Own, self.gate.names.next_change()));
        self.send(Outgoing { message: ToUpstream::catalog_questions(), expected });
        false
    }

    /// Takes note of what the upstream has said, as far as it changes what is judged next.
    pub(super) fn settle_catalogs(&mut self) {
        if let Some(asked) = self.replies.take_asked() {
            if let Err(Unanswered::Failed(fields)) = &asked
                && fields.sqlstate == sqlstate::QUERY_CANCELED
            {
                // The client's cancel request has hit this in place of the statement that waits for it.
                self.entry.take_cancel();
            }
            self.gate.asked(asked, self.beside);
        }
        if self.replies.is_settled() && self.gate.settled(self.replies.status()) {
            self.database.catalogs.forget_check();
        }
    }
}
