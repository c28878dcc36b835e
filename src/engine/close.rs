//! The end of a message: its verdict counted, its transaction answerable, its account told.

use crate::delivery::{Account, Evidence, Form, Identifier, Report, Verdict};
use crate::engine::Engine;
use crate::engine::instant::CALL_ID_SIZE_MAX;
use crate::engine::record::Record;
use crate::id::Handle;
use crate::limits::TOMBSTONE_MS;
use crate::metrics::Counter;
use crate::store::Fingerprint;
use crate::time::Instant;
use crate::transaction::finished::Entry;
use crate::transaction::non_invite_server;

impl Engine {
    /// Counts a verdict, which is reached once per message.
    pub(super) fn decide(&mut self, handle: Handle<Record>, verdict: Verdict, at: Instant) {
        // Who was lost in the middle of a turn and goes on says nothing of it: it was told as unknown.
        if !self.neighbours.is_lost(self.setup.worker) {
            self.count(match verdict {
                Verdict::Delivered => Counter::VerdictDelivered,
                Verdict::Permanent => Counter::VerdictPermanent,
                Verdict::Temporary => Counter::VerdictTemporary,
                Verdict::Unknown => Counter::VerdictUnknown,
                Verdict::Accepted => Counter::VerdictAccepted,
            });
        }
        if let Some(record) = self.records.get_mut(handle) {
            record.decided = at;
        }
        self.remains.decide(handle.index);
    }

    /// Keeps a final response answerable for timer J.
    pub(super) fn finish(
        &mut self,
        fingerprint: Fingerprint,
        status: u16,
        kept: Option<u16>,
        at: Instant,
    ) {
        self.leave(fingerprint, Entry::Final { status, detail: 0, kept }, at);
    }

    /// Settles that nothing is said: retransmissions are absorbed for timer J.
    pub(super) fn keep_silent(&mut self, handle: Handle<Record>, at: Instant) {
        let Some(record) = self.records.get_mut(handle) else { return };
        record.server.on(non_invite_server::Event::Silence);
        let fingerprint = record.fingerprint;
        self.leave(fingerprint, Entry::Silent, at);
        self.count(Counter::ReportsSilent);
    }

    /// Frees the record. Its account tells what was decided and from what.
    pub(super) fn close(&mut self, handle: Handle<Record>, at: Instant) {
        let account = self.account(handle, at);
        let Some(record) = self.records.remove(handle) else { return };
        if let Some(account) = account {
            if !self.accounts.push(&account) {
                self.count(Counter::AccountsLost);
            }
            self.remains.wait(self.accounts.len);
        }
        self.remains.close(handle.index);
        self.wheel.stop(handle.index);
        if let Some(large) = record.large {
            self.requests_large.give(large);
        }
        if record.is_short {
            let report = self.shorts[handle.index as usize].report.authorization;
            for buffer in [record.im.authorization, report].into_iter().flatten() {
                self.authorizations.give(buffer);
            }
        } else if let Some((verdict, evidence)) = record.message.decided()
            && verdict != Verdict::Delivered
        {
            let end = at.plus_ms(TOMBSTONE_MS);
            let said = (verdict as u64) << 16 | u64::from(status_of(evidence));
            // A lost tombstone makes a late response look repeated in the counters, no more.
            let _ = self.tombstones.put(self.grave(handle), said, at, end);
        }
        self.tally.counters.set(Counter::MessagesOpen, u64::from(self.records.len()));
    }

    /// How a client transaction that is over ended, if it was not delivered.
    pub(super) fn tombstone(&self, handle: Handle<Record>, now: Instant) -> Option<(Verdict, u16)> {
        let said = self.tombstones.get(self.grave(handle), now)?;
        let verdict = Verdict::ALL.into_iter().find(|verdict| *verdict as u64 == said >> 16 & 7)?;
        Some((verdict, u16::try_from(said & 0xFFFF).unwrap_or(0)))
    }

    fn leave(&mut self, fingerprint: Fingerprint, entry: Entry, at: Instant) {
        let end = at.plus_ms(self.setup.timers.transaction_ms());
        if self.put_transaction(fingerprint, entry, at, end).is_err() {
            // Its place was there since it was accepted, unless the clock has leapt over its end.
            self.count(Counter::DroppedNoMemory);
        }
    }

    pub(super) fn grave(&self, handle: Handle<Record>) -> Fingerprint {
        let place = u64::from(handle.index) << 32 | u64::from(handle.generation);
        self.setup.key.of_words(&[GRAVE, place])
    }

    fn account(&self, handle: Handle<Record>, at: Instant) -> Option<Account> {
        if !self.setup.accounts {
            return None;
        }
        let record = self.records.get(handle)?;
        let (verdict, evidence) = record.message.decided()?;
        let octets = self.stored_octets(handle, record);
        let sms_call_id = Identifier::new(record.call_id.of(octets));
        let short = record.is_short.then(|| &self.shorts[handle.index as usize]);
        let (form, im_call_id, told) = match short {
            // A proxy passes the Call-ID on, so both sides have the same.
            None => (Form::CutThrough, sms_call_id, at),
            Some(short) => {
                let attempt = if record.im.attempt > 0 || record.im.transmissions > 0 {
                    u8::try_from(record.im.cseq).unwrap_or(u8::MAX)
                } else {
                    0
                };
                let form = Form::Rp {
                    reference: short.reference,
                    attempt,
                    may_be_duplicate: short.may_be_there && attempt > 0,
                };
                let mut text = [0; CALL_ID_SIZE_MAX];
                // The one of the INVITE, where it was sent in a session.
                let ours = match short.call {
                    Some(call) => self.call_id_of_call(call, &mut text),
                    None => self.call_id(short.key, short.salt, &mut text),
                };
                let ours = ours.unwrap_or_default();
                // What a response proved before was proved under the same Call-ID.
                let was_asked = attempt > 0
                    || short.call.is_some()
                    || matches!(evidence, Evidence::Earlier { status: 1.., .. });
                (form, Identifier::new(if was_asked { ours } else { &[] }), short.told)
            }
        };
        Some(Account {
            form,
            arrived: record.arrived,
            decided: record.decided,
            reported: match record.report {
                // With the verdict it was settled that nothing is said.
                Report::Silence => record.decided,
                Report::Response(_) | Report::Refused(..) | Report::Msrp(_) => at,
                Report::Rp(..) => told,
            },
            sms_call_id,
            im_call_id,
            recipient: Identifier::new(record.uri.of(octets)),
            sms_peer: record.sms_peer,
            im_peer: record.im.peer,
            transmissions: record.im.transmissions,
            statuses: record.statuses,
            evidence,
            verdict,
            report: record.report,
        })
    }
}

/// The status that decided, 0 if none did.
pub(super) const fn status_of(evidence: Evidence) -> u16 {
    evidence.status()
}

/// Sets the fingerprint of a tombstone apart from every other use of the same key.
const GRAVE: u64 = 0x6A7E_5700 << 32;
