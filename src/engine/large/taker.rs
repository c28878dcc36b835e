//! Who takes an INVITE outside of any dialog: asked once for its home, and once when it is there.

use crate::engine::Engine;
use crate::wire::sip::Request;

/// Who takes an INVITE outside of any dialog, and its CANCEL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::engine) enum Taker {
    /// It is for somebody of the SMS side, and answered by us.
    Inward,
    /// It passes to somebody of the IM side.
    Carry,
    /// Nobody is called here.
    Nobody,
}

impl Engine {
    /// Who takes an INVITE from a peer, or its CANCEL. Whoever can be reached by an SMS is: numbers of ours
    /// lead to no IM server. All else passes, where sessions do and its peer has some.
    pub(in crate::engine) fn taker(&self, request: &Request<'_>, peer: u8) -> Taker {
        if self.is_inward(request, peer) {
            Taker::Inward
        } else if self.carries() && self.peers.get(peer).msrp.is_some() {
            Taker::Carry
        } else {
            Taker::Nobody
        }
    }
}
