//! Bugs in what becomes of short messages, planted at the boundary.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use roger::engine::{Credentials, Setup};
use roger::packet::Flow;

use crate::air::Packet;
use crate::boundary::{Boundary, Outgoing, invented, replaced, with_status};
use crate::bug::Bug;
use crate::text::{Key, Text};

/// What such a bug has to remember.
#[derive(Debug, Default)]
pub(crate) struct Mischief {
    /// Bodies of RP-DATA behind the reference, by the Call-ID of their MESSAGE.
    bodies: BTreeMap<Box<str>, Box<[u8]>>,
    /// Those that were acknowledged.
    acknowledged: BTreeSet<Box<[u8]>>,
    /// Who they were for first.
    recipients: BTreeMap<Box<[u8]>, (String, String)>,
    /// When each instant message left first.
    left: BTreeMap<Box<str>, u64>,
    /// The Call-ID that was answered last.
    last_reply: Option<String>,
    /// The identity that reported last.
    last_identity: Option<String>,
}

/// Bugs that are wrong settings.
pub(crate) fn misconfigure(setup: &mut Setup, bug: Bug) {
    let gateway = &mut setup.gateway;
    if bug == Bug::AbsorptionOff {
        gateway.dedup = false;
    } else if bug == Bug::PermanentForgotten {
        gateway.permanent_window_ms = 31_000;
    } else if bug == Bug::PendingOff {
        gateway.uri_pending_max = 1_000;
    } else if bug == Bug::WaitingUnbounded {
        gateway.uri_wait_ms = 60_000;
    } else if bug == Bug::DeadlineLate {
        let centres = setup.peers.iter_mut().filter(|peer| peer.name.starts_with("centre"));
        for peer in centres {
            peer.sync_deadline_ms += 10_000;
        }
    } else if bug == Bug::PasswordWrong {
        for peer in &mut setup.peers {
            if let Some(Credentials { password, .. }) = &mut peer.credentials {
                *password = "swordfish".into();
            }
        }
    }
}

impl Boundary {
    /// A request of ours is about to leave.
    pub(crate) fn on_gateway_out(
        &mut self,
        outgoing: &mut Outgoing,
        text: &Text<'_>,
        key: &Key,
        again: bool,
        now: u64,
    ) {
        if text.key_below().is_some() || !text.start.starts_with("MESSAGE ") {
            return;
        }
        match text.value("In-Reply-To") {
            Some(reply) => self.on_report_out(outgoing, text, reply, again),
            None => self.on_instant_out(outgoing, text, key, again, now),
        }
    }

    fn on_instant_out(
        &mut self,
        outgoing: &mut Outgoing,
        text: &Text<'_>,
        key: &Key,
        again: bool,
        now: u64,
    ) {
        if !again {
            self.mischief.left.insert(key.branch.clone(), now);
        }
        let retry = text.value("CSeq").is_some_and(|cseq| !cseq.starts_with("1 "));
        if self.bug == Some(Bug::RetryFreshCall)
            && retry
            && let Some(call_id) = text.value("Call-ID")
        {
            outgoing.octets = replaced(&outgoing.octets, call_id, &format!("b{call_id}"));
        }
        if again && self.strikes(Bug::CopyWhileOpen) {
            let octets = self.with_other_branch(&outgoing.octets);
            let last = self.servers.last().copied().unwrap_or_default();
            let flow = Flow { remote: last, ..outgoing.departure.flow };
            self.invented.push(invented(flow, octets));
        }
    }

    fn on_report_out(
        &mut self,
        outgoing: &mut Outgoing,
        text: &Text<'_>,
        reply: &str,
        again: bool,
    ) {
        let octets = outgoing.octets.clone();
        if again {
            outgoing.swallowed |= self.bug == Some(Bug::ReportNotRepeated);
            return;
        }
        let is_ack = text.body.first() == Some(&2);
        if is_ack && let Some(body) = self.mischief.bodies.get(reply) {
            self.mischief.acknowledged.insert(body.clone());
        }
        let [mti, reference, ..] = text.body else { return };
        let mut body = text.body.to_vec();
        if self.strikes(Bug::ReportReference) {
            body[1] = reference.wrapping_add(1);
        }
        if !is_ack && body.len() > 3 && self.strikes(Bug::CauseOfNetwork) {
            body[3] = 41;
        }
        if is_ack && self.strikes(Bug::ErrorForDelivered) {
            body = [4, *reference, 1, 111, 0x41, 3, 0, 0xFF, 0].into();
        }
        if *mti == 4 && self.strikes(Bug::AckForFailure) {
            body = [2, *reference, 0x41, 2, 0, 0].into();
        }
        if body != text.body {
            outgoing.octets = with_body(&octets, &body);
        }
        let last = self.mischief.last_reply.replace(reply.to_owned());
        if let Some(last) = last.filter(|last| last != reply)
            && self.strikes(Bug::ReportReply)
        {
            outgoing.octets = replaced(&octets, &format!(": {reply}"), &format!(": {last}"));
        }
        let own = text.value("From").map(|from| crate::form::uri_in(from).to_owned());
        let Some(own) = own else { return };
        let last = self.mischief.last_identity.replace(own.clone());
        if let Some(last) = last.filter(|last| *last != own)
            && self.strikes(Bug::ReportIdentity)
        {
            outgoing.octets = replaced(&octets, &format!("<{own}>"), &format!("<{last}>"));
        }
        if self.strikes(Bug::ReportAgain) {
            let octets = self.with_other_branch(&octets);
            self.invented.push(invented(outgoing.departure.flow, octets));
        }
    }

    /// A datagram is about to be given to the engine.
    pub(crate) fn on_gateway_in(
        &mut self,
        packet: &mut Packet,
        text: &Text<'_>,
        key: &Key,
        now: u64,
    ) {
        let Some(status) = text.status() else { return self.on_submission_in(packet, text) };
        let Some(left) = self.mischief.left.get(&key.branch).copied() else { return };
        if status == 202 && self.strikes(Bug::AcceptanceAcked) {
            packet.octets = with_status(&packet.octets, "200 OK");
        }
        let late = now >= left + self.deadline.min(self.transaction);
        if self.bug == Some(Bug::LateDeliveryIgnored) && late && status == 200 {
            packet.octets = b"\r\n\r\n".as_slice().into();
        }
    }

    /// A MESSAGE with RP-DATA.
    fn on_submission_in(&mut self, packet: &mut Packet, text: &Text<'_>) {
        let (Some(call_id), [1, _, body @ ..]) = (text.value("Call-ID"), text.body) else { return };
        let body: Box<[u8]> = body.into();
        if self.bug == Some(Bug::DeliveredSentAgain) && self.mischief.acknowledged.contains(&body) {
            packet.octets = with_reply_path(text, &packet.octets);
        }
        self.mischief.bodies.insert(call_id.into(), body.clone());
        let (Some(to), uri) = (text.value("To"), text.start) else { return };
        let called = text.value("P-Called-Party-ID").unwrap_or(to).to_owned();
        let first = self
            .mischief
            .recipients
            .entry(body)
            .or_insert_with(|| (called.clone(), uri.to_owned()));
        if self.bug == Some(Bug::RecipientsCollide) && first.0 != called {
            packet.octets = replaced(&packet.octets, &called, &first.0);
            packet.octets = replaced(&packet.octets, uri, &first.1);
        }
    }
}

/// TP-RP is turned (TS 23.040 section 9.2.3.17): nobody sees it, and it makes another short message
/// for who compares octets.
fn with_reply_path(text: &Text<'_>, octets: &[u8]) -> Rc<[u8]> {
    let mut changed = octets.to_vec();
    // Behind type, reference, RP-OA, an empty RP-DA and the length of the TPDU.
    let tpdu = text.body.get(2).map_or(0, |len| usize::from(*len) + 5);
    if let Some(first) = changed.get_mut(octets.len() - text.body.len() + tpdu) {
        *first ^= 0x80;
    }
    changed.into()
}

/// The same head, as far as it can be, with another body.
fn with_body(octets: &[u8], body: &[u8]) -> Rc<[u8]> {
    let Some(text) = Text::read(octets) else { return octets.into() };
    let head = &octets[..octets.len() - text.body.len()];
    let (old, new) = (text.body.len(), body.len());
    let head = replaced(head, &format!("Content-Length: {old}"), &format!("Content-Length: {new}"));
    [&head, body].concat().into()
}
