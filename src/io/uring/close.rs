//! How a ring ends: everything is cancelled, and memory goes when the kernel has let go of it.

use core::mem::ManuallyDrop;

use io_uring::{cqueue, opcode, types};

use super::Uring;
use crate::io::buffers::Group;
use crate::io::stream::own;
use crate::io::token::Token;

impl Uring {
    /// How many operations are in the kernel's hands.
    pub(super) fn outstanding(&self) -> usize {
        let receives = self.armed.iter().filter(|armed| **armed).count();
        let streams = self.lines.as_ref().map_or(0, |lines| lines.running);
        self.held.count() + receives + streams + usize::from(self.waker_armed)
    }

    /// Cancels everything and waits for the last completion; whether it came.
    pub(super) fn close(&mut self) -> bool {
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
            if !self.ring.submission().is_full() {
                self.push(&cancel.user_data(Token::Cancel.encode()));
            }
            self.enter_and_wait(Some(10_000_000));
            while let Some(completion) = self.ring.completion().next() {
                match Token::decode(completion.user_data()) {
                    Some(Token::Send(index)) => drop(self.held.take(index)),
                    Some(Token::Receive(socket)) if !cqueue::more(completion.flags()) => {
                        self.armed[usize::from(socket.0)] = false;
                    }
                    Some(Token::Wake) => self.waker_armed = false,
                    Some(
                        token @ (Token::Accept(_)
                        | Token::Connect(_)
                        | Token::Read(_)
                        | Token::Write(_)),
                    ) if !cqueue::more(completion.flags()) => {
                        if let (Token::Accept(_), 0..) = (token, completion.result()) {
                            drop(own(completion.result()));
                        }
                        if let Some(lines) = &mut self.lines {
                            lines.running -= 1;
                        }
                    }
                    Some(
                        Token::Receive(_)
                        | Token::Accept(_)
                        | Token::Connect(_)
                        | Token::Read(_)
                        | Token::Write(_)
                        | Token::Cancel,
                    )
                    | None => {}
                }
            }
            if self.outstanding() == 0 {
                return true;
            }
        }
        false
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        if !self.close() {
            // The memory is leaked: the kernel may still use it.
            if let Some(lines) = self.lines.take() {
                Box::leak(lines);
            }
            return;
        }
        let submitter = self.ring.submitter();
        let _ = submitter.unregister_buf_ring(Group::Datagrams.number());
        if let Some(mut lines) = self.lines.take() {
            let _ = submitter.unregister_buf_ring(Group::Reads.number());
            lines.drop_buffers();
        }
        // SAFETY: every operation has completed, so the kernel has let go of the buffers, and
        // nobody uses this field after `drop`.
        unsafe { ManuallyDrop::drop(&mut self.buffers) };
        // SAFETY: as above, for the word that the read of the waker fills.
        unsafe { ManuallyDrop::drop(&mut self.woken) };
    }
}
