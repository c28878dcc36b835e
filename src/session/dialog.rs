//! A dialog of an INVITE (RFC 3261 section 12): what both ends know of each other, and which request may
//! come next.
//!
//! ```text
//!              |101-199 with a To-tag      |2xx
//!              v                           |
//!          +-------+  2xx                  v
//!          | Early |----------------->+-----------+  BYE of either,
//!          +-------+                  | Confirmed |  481 or 408 to a request in it
//!              | 300-699, BYE of      +-----------+--------+
//!              | the caller                                v
//!              |                                       +-------+
//!              +-------------------------------------->| Ended |
//!                                                      +-------+
//! ```
//!
//! Each 2xx of a forked INVITE has a To-tag of its own and makes a dialog of its own (section 13.2.2.4):
//! [`Kept::is`] tells them apart. Of those that are not wanted nothing more is needed than an ACK and a
//! BYE, which are written from the dialog like any other request.
//!
//! What the dialog has to remember of messages lies in a buffer that its owner keeps ([`Kept`]); it names
//! no message once it is made.

mod kept;
#[cfg(test)]
mod tests;

pub use self::kept::{Full, Kept, Names};

use crate::wire::sip::Method;

/// Which end of the dialog we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// We have sent the INVITE.
    Caller,
    /// We have answered it.
    Callee,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// There was a provisional response.
    Early,
    /// There was a 2xx.
    Confirmed,
    /// It is over: a request in it is answered 481.
    Ended,
}

/// Why a request in the dialog is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The dialog is over: 481 (section 12.2.2).
    Ended,
    /// Its CSeq is not above that of the request before: 500 (section 12.2.2).
    OutOfOrder,
    /// An INVITE of theirs has no final response yet: 500 with a Retry-After between 0 and 10 s, chosen at
    /// random (section 14.2).
    Overlapping,
    /// An INVITE of ours has no final response yet: 491 (section 14.2).
    Crossing,
}

impl Refusal {
    /// The status that says so.
    pub const fn status(self) -> u16 {
        match self {
            Self::Ended => 481,
            Self::OutOfOrder | Self::Overlapping => 500,
            Self::Crossing => 491,
        }
    }
}

/// What a request in the dialog means for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// An INVITE: what its session description says counts once it is answered 2xx, and so does its
    /// Contact ([`Kept::set_target`]).
    Invite,
    /// An UPDATE (RFC 3311): the same.
    Update,
    /// The ACK of our 2xx to the INVITE with this CSeq.
    Ack,
    /// An ACK of something else: nobody answers it.
    StrayAck,
    /// BYE: the dialog is over, and it is answered 200. What of theirs has no final response is answered
    /// 487 (section 15.1.2).
    Bye {
        /// Whether an INVITE of theirs is to be answered 487.
        is_pending: bool,
    },
    /// One that does not change the dialog.
    Other,
}

/// A dialog. Plain data of a few octets; what it remembers of messages is in its [`Kept`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dialog {
    end: End,
    state: State,
    /// The CSeq of the last request of ours; `None` before the first.
    local: Option<u32>,
    /// The CSeq of the last request of theirs.
    remote: Option<u32>,
    /// The CSeq of the INVITE of theirs whose 2xx waits for its ACK.
    unacknowledged: Option<u32>,
    /// The CSeq of the INVITE of ours that has no final response.
    ours: Option<u32>,
    /// The CSeq of the INVITE of theirs that has no final response.
    theirs: Option<u32>,
}

impl Dialog {
    /// The dialog that a response to our INVITE makes (section 12.1.2): a 2xx, or a provisional one with a
    /// To-tag other than 100. `None` for any other status. `cseq` is the number of the INVITE, and of the
    /// ACK that a 2xx wants.
    pub const fn of_response(status: u16, cseq: u32) -> Option<Self> {
        let state = match status {
            101..=199 => State::Early,
            200..=299 => State::Confirmed,
            _ => return None,
        };
        Some(Self {
            end: End::Caller,
            state,
            local: Some(cseq),
            remote: None,
            unacknowledged: None,
            ours: if matches!(state, State::Early) { Some(cseq) } else { None },
            theirs: None,
        })
    }

    /// The dialog that our response to an INVITE makes (section 12.1.1), under the same condition.
    pub const fn of_request(status: u16, cseq: u32) -> Option<Self> {
        let state = match status {
            101..=199 => State::Early,
            200..=299 => State::Confirmed,
            _ => return None,
        };
        let is_early = matches!(state, State::Early);
        Some(Self {
            end: End::Callee,
            state,
            local: None,
            remote: Some(cseq),
            unacknowledged: if is_early { None } else { Some(cseq) },
            ours: None,
            theirs: if is_early { Some(cseq) } else { None },
        })
    }

    /// Which end of it we are.
    pub const fn end(&self) -> End {
        self.end
    }

    /// How far it has come.
    pub const fn state(&self) -> State {
        self.state
    }

    /// A request of theirs that was found to belong to it. Whoever finds that no dialog is meant answers
    /// 481 as well.
    ///
    /// # Errors
    ///
    /// What it is refused with; nothing has changed then (section 12.2.2).
    pub fn on_request(&mut self, method: Method, cseq: u32) -> Result<Request, Refusal> {
        if method == Method::Ack {
            // It has the number of its INVITE, and is never answered.
            if self.unacknowledged == Some(cseq) {
                self.unacknowledged = None;
                return Ok(Request::Ack);
            }
            return Ok(Request::StrayAck);
        }
        if self.state == State::Ended {
            return Err(Refusal::Ended);
        }
        // A lower one is out of order. An equal one, which is no repetition, would be a second request
        // with the place of another: numbers increase strictly (section 12.2.1.1).
        if self.remote.is_some_and(|last| cseq <= last) {
            return Err(Refusal::OutOfOrder);
        }
        let request = match method {
            Method::Invite if self.theirs.is_some() => return Err(Refusal::Overlapping),
            Method::Invite if self.ours.is_some() => return Err(Refusal::Crossing),
            Method::Invite => {
                self.theirs = Some(cseq);
                Request::Invite
            }
            Method::Update => Request::Update,
            Method::Bye => {
                let is_pending = self.theirs.is_some();
                self.over();
                Request::Bye { is_pending }
            }
            Method::Message
            | Method::Ack
            | Method::Cancel
            | Method::Options
            | Method::Register
            | Method::Subscribe
            | Method::Notify
            | Method::Refer
            | Method::Info
            | Method::Prack
            | Method::Publish
            | Method::Other => Request::Other,
        };
        self.remote = Some(cseq);
        Ok(request)
    }

    /// We answer their INVITE that is open with this final response.
    pub const fn answer_invite(&mut self, status: u16) {
        let Some(cseq) = self.theirs.take() else { return };
        match (self.state, status) {
            (State::Early, 200..=299) => {
                self.state = State::Confirmed;
                self.unacknowledged = Some(cseq);
            }
            (State::Confirmed, 200..=299) => self.unacknowledged = Some(cseq),
            // The INVITE that was to make it has failed (section 12.3).
            (State::Early, 300..) => self.over(),
            (State::Early | State::Confirmed, _) | (State::Ended, _) => {}
        }
    }

    /// No ACK has come within 64*T1: there will be none, and the session is to be ended (section 13.3.1.4).
    pub const fn give_up_ack(&mut self) {
        self.unacknowledged = None;
    }

    /// The CSeq of the next request of ours, but an ACK or a CANCEL; `None` when there is none: it is over,
    /// or an INVITE would overlap with another one of either (section 14.1). `first` is the number to begin
    /// with, below 2^31.
    pub fn next_request(&mut self, method: Method, first: u32) -> Option<u32> {
        let is_allowed = match method {
            Method::Invite => {
                self.state == State::Confirmed && self.ours.is_none() && self.theirs.is_none()
            }
            Method::Bye => self.may_send_bye(),
            // They have the number of their INVITE.
            Method::Ack | Method::Cancel => false,
            Method::Message
            | Method::Options
            | Method::Register
            | Method::Subscribe
            | Method::Notify
            | Method::Refer
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Publish
            | Method::Other => self.state != State::Ended,
        };
        if !is_allowed {
            return None;
        }
        let cseq = match self.local {
            Some(last) => last.checked_add(1).filter(|next| *next < 1 << 31)?,
            None => first,
        };
        self.local = Some(cseq);
        if method == Method::Invite {
            self.ours = Some(cseq);
        }
        if method == Method::Bye {
            // The session is over as soon as the BYE is passed on (section 15.1.1).
            self.over();
        }
        Some(cseq)
    }

    /// Whether BYE may be sent: the callee waits for the ACK, or for the end of that wait, and neither
    /// ends with it what is only early (section 15), but the caller may.
    pub const fn may_send_bye(&self) -> bool {
        match (self.state, self.end) {
            (State::Early, End::Caller) => true,
            (State::Early, End::Callee) | (State::Ended, _) => false,
            (State::Confirmed, _) => self.unacknowledged.is_none(),
        }
    }

    /// A response to the INVITE that made it, or to a later one. `Some` if it is to be acknowledged by us,
    /// under that CSeq: each 2xx, as often as it comes (section 13.2.2.4). Errors are acknowledged by the
    /// transaction.
    pub fn on_invite_response(&mut self, cseq: u32, status: u16) -> Option<u32> {
        if status < 200 {
            return None;
        }
        if self.ours == Some(cseq) {
            self.ours = None;
        }
        if status < 300 {
            if self.state == State::Early {
                self.state = State::Confirmed;
            }
            return Some(cseq);
        }
        if self.state == State::Early {
            // The INVITE that was to make it has failed (section 12.3).
            self.over();
        }
        self.on_final(status);
        None
    }

    /// A final response to a request of ours in it, or 408 in the place of one: 481 and 408 end it (section
    /// 12.2.1.2). Whether it is over.
    pub const fn on_final(&mut self, status: u16) -> bool {
        if matches!(status, 408 | 481) {
            self.over();
        }
        matches!(self.state, State::Ended)
    }

    /// It is over for another reason: it was early when the wait for 2xx was over (section 13.2.2.4).
    pub const fn terminate(&mut self) {
        self.over();
    }

    const fn over(&mut self) {
        self.state = State::Ended;
        self.ours = None;
        self.theirs = None;
        self.unacknowledged = None;
    }
}
