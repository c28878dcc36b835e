//! Challenges of servers, answered where credentials are configured (RFC 3261 section 22).

use crate::delivery::{ATTEMPTS_MAX, Asked};
use crate::engine::Engine;
use crate::engine::record::{Record, Towards};
use crate::engine::response::Last;
use crate::id::Handle;
use crate::metrics::Counter;
use crate::store::Buffer;
use crate::wire::Span;
use crate::wire::sip::digest::{self, Credentials};

impl Engine {
    /// Prepares the request once more with credentials: same Call-ID, next CSeq, a new branch (section
    /// 22.2). `false` where there are none, the challenge cannot be met, or they were refused.
    pub(super) fn authorize(
        &mut self,
        handle: Handle<Record>,
        towards: Towards,
        last: Last<'_>,
    ) -> bool {
        let Some(leg) = self.leg_mut(handle, towards) else { return false };
        if leg.asked == Asked::WithCredentials || leg.cseq >= u32::from(ATTEMPTS_MAX) {
            return false;
        }
        let (peer, cseq, held) = (leg.peer, leg.cseq, leg.authorization);
        let Some(buffer) = held.or_else(|| self.authorizations.take()) else { return false };
        let Some(record) = self.records.get(handle) else { return false };
        let uri = match towards {
            Towards::Im | Towards::Call | Towards::Submission => record.uri,
            Towards::Sms => self.shorts[handle.index as usize].sender,
        };
        let len = self.write_authorization(handle, (b"MESSAGE", uri, peer), last, buffer);
        let Some(leg) = self.leg_mut(handle, towards) else { return false };
        if len.is_none() || !leg.begin_again(None, Asked::WithCredentials) {
            if held.is_none() {
                self.authorizations.give(buffer);
            }
            return false;
        }
        leg.cseq = cseq + 1;
        leg.authorization = Some(buffer);
        self.count(Counter::Authorized);
        true
    }

    /// The header field that answers a challenge, with its CRLF; nothing where there is none.
    pub(super) fn authorization(&self, buffer: Option<Buffer>) -> &[u8] {
        let Some(buffer) = buffer else { return &[] };
        let octets = self.authorizations.octets(buffer);
        let end = octets.iter().position(|octet| *octet == b'\n').map_or(0, |at| at + 1);
        &octets[..end]
    }

    pub(super) fn write_authorization(
        &mut self,
        handle: Handle<Record>,
        (method, uri, peer): (&[u8], Span, u8),
        last: Last<'_>,
        buffer: Buffer,
    ) -> Option<usize> {
        let record = self.records.get(handle)?;
        let credentials = self.peers.get(peer).credentials.as_ref()?;
        let challenge = digest::challenge(last.response)?;
        let stored: &[u8] = match record.large {
            Some(large) => self.requests_large.octets(large),
            None => &self.requests[handle.index as usize],
        };
        let credentials = Credentials {
            username: credentials.username.as_bytes(),
            password: credentials.password.as_bytes(),
        };
        let place = u64::from(handle.index) << 32 | u64::from(handle.generation);
        let cnonce = self.setup.key.of_words(&[CNONCE, place, last.at.0]).0[0];
        let to = self.authorizations.octets_mut(buffer);
        digest::authorization(&challenge, credentials, method, uri.of(stored), cnonce, to)
    }
}

/// Sets a client nonce apart from every other use of the same key.
const CNONCE: u64 = 0xC404_0000 << 32;
