//! Requests that are too long for a datagram (RFC 3261 section 18.1.1).
//!
//! What is longer than 1300 octets as it would leave may be broken into fragments, which are lost
//! together. So it goes over a connection, and says so in its Via; and back in a datagram to the same
//! server where it is certain that nothing of it has left, for there may be nobody who listens. Either
//! is an attempt of its own with a branch of its own.

use crate::engine::Engine;
use crate::engine::record::{Record, Size, Towards};
use crate::engine::route::{Hop, Way};
use crate::id::Handle;
use crate::limits::{AUTHORIZATION_SIZE_MAX, REQUEST_DATAGRAM_SIZE_MAX, SLOT_SIZE, TCP_REFUSED_MS};
use crate::metrics::Counter;
use crate::packet::{SendError, Transport};
use crate::time::Instant;
use crate::wire::sip::build;

impl Engine {
    /// Whether an instant message may be too long for a datagram: one without credentials is no
    /// longer than a pager message, which was measured when it was accepted.
    pub(super) fn may_be_large(&self, handle: Handle<Record>) -> bool {
        self.records.get(handle).is_some_and(|record| {
            record.im.transmissions == 0
                && (record.im.authorization.is_some()
                    || usize::from(self.setup.gateway.pager_max) > REQUEST_DATAGRAM_SIZE_MAX)
        })
    }

    /// The same of a report, by what it holds at most.
    pub(super) fn report_may_be_large(&self, handle: Handle<Record>) -> bool {
        let Some(record) = self.records.get(handle) else { return false };
        let short = &self.shorts[handle.index as usize];
        let uris = usize::from(short.sender.len) + usize::from(record.uri.len);
        let names =
            usize::from(record.call_id.len) + self.peers.get(record.sms_peer).report_route.len();
        let credentials =
            if short.report.authorization.is_some() { AUTHORIZATION_SIZE_MAX } else { 0 };
        // It has fewer words of its own than an instant message, and our names less often.
        short.report.transmissions == 0
            && self.pager_overhead + 2 * uris + names + credentials > REQUEST_DATAGRAM_SIZE_MAX
    }

    /// Gives a request that is about to leave in a datagram the way over a connection, if it is too
    /// long and there is one.
    pub(super) fn judge_size(&mut self, handle: Handle<Record>, towards: Towards, now: Instant) {
        let Some(leg) = self.leg(handle, towards) else { return };
        let (peer, remote) = (usize::from(leg.peer), leg.way.remote);
        let is_datagram = self.setup.transport_of(leg.way.socket) == Transport::Udp;
        if !is_datagram || leg.size != Size::AsItIs || self.tcp_refused[peer] > now {
            return;
        }
        let Some(socket) = self.setup.request_sockets.to(remote, Transport::Tcp) else { return };
        if self.length(handle, towards).is_none_or(|len| len <= REQUEST_DATAGRAM_SIZE_MAX) {
            return;
        }
        let Some(leg) = self.leg_mut(handle, towards) else { return };
        leg.way = Way { remote, socket };
        leg.size = Size::Large;
        self.count(Counter::SizeToTcp);
    }

    /// Octets of a request as it would leave.
    fn length(&self, handle: Handle<Record>, towards: Towards) -> Option<usize> {
        let record = self.records.get(handle)?;
        match (towards, record.is_short) {
            (Towards::Sms, _) => self.with_report(handle, record, |report| report.size()),
            (Towards::Im, true) => self.with_instant(handle, record, |instant| instant.size()),
            (Towards::Call | Towards::Submission, _) => None,
            (Towards::Im, false) => {
                let request = self.stored(handle, record)?;
                let branch = self.branch(handle, record.im.attempt, record.loop_hash);
                let forward = self.forward(record, &request, &branch);
                build::forward_request(&request, &forward, &mut [0; SLOT_SIZE])
            }
        }
    }

    /// Begins again in a datagram to the same server, where a request took a connection because of
    /// its size and there was none. `false` if that is not why nothing has left.
    pub(super) fn back_to_udp(
        &mut self,
        handle: Handle<Record>,
        towards: Towards,
        error: SendError,
        now: Instant,
    ) -> bool {
        let Some(leg) = self.leg(handle, towards) else { return false };
        let no_connection = matches!(error, SendError::NoConnection | SendError::NotWritten);
        if leg.size != Size::Large || !no_connection {
            return false;
        }
        let (remote, peer, in_list, asked) = (leg.way.remote, leg.peer, leg.server, leg.asked);
        let Some(socket) = self.setup.request_sockets.to(remote, Transport::Udp) else {
            return false;
        };
        let hop = Hop { way: Way { remote, socket }, peer, pop_route: false, in_list };
        let Some(leg) = self.leg_mut(handle, towards) else { return false };
        if !leg.begin_again(Some(&hop), asked) {
            return false;
        }
        leg.size = Size::LargeAllTheSame;
        // One that was open and has ended says nothing about the next one.
        if error == SendError::NoConnection {
            self.tcp_refused[usize::from(peer)] = now.plus_ms(TCP_REFUSED_MS);
        }
        self.count(Counter::TcpToUdp);
        true
    }
}
