//! What crosses the boundary about dialogs of INVITE, and what must never cross it: no INVITE without its
//! ACK, no dialog without its end, no CANCEL too soon or too late, nothing of one call in another.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use roger::packet::{Departure, Endpoint, SendError};

use crate::agent::tag_of;
use crate::air::{Grade, Packet};
use crate::form::uri_in;
use crate::ledger::Verdict;
use crate::post::Post;
use crate::sdp::{Offer, place, session_id};
use crate::submission::{Proof, What, guess, sanitised, slack};
use crate::swarm::{MS, Swarm};
use crate::tcp::is_stream;
use crate::text::{Text, endpoint};
use crate::wire::{Talk, Wire};

/// A dialog that a 2xx has made.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) tag: String,
    pub(crate) at: u64,
    pub(crate) certain: bool,
    /// What its requests must name.
    target: String,
    route: Vec<String>,
    acks: u64,
    bye: Option<u64>,
    pub(crate) peer_bye: Option<u64>,
}

/// One INVITE transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) post: Post,
    branch: String,
    cseq: u32,
    acks: u64,
}

/// One INVITE and what follows from it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) call_id: String,
    pub(crate) uri: String,
    /// From without its tag.
    pub(crate) sender: String,
    pub(crate) date: String,
    pub(crate) begun: u64,
    pub(crate) transactions: Vec<Transaction>,
    /// The URI of its session.
    pub(crate) session: String,
    pub(crate) accepted: Vec<Accepted>,
    pub(crate) cancelled: Option<u64>,

    /// Something damaged came about it: nobody knows what it was taken for.
    pub(crate) is_tainted: bool,
    /// It is of an earlier life of the process, or of a worker that is lost.
    pub(crate) is_past: bool,
    seat: usize,
}

/// Everything about calls that was seen at the boundary.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) list: Vec<Call>,
    by_call_id: BTreeMap<String, usize>,
    by_branch: BTreeMap<Box<str>, (usize, usize)>,
    pub(crate) by_session: BTreeMap<String, usize>,
    ids: BTreeSet<String>,
    /// Proofs that may not have reached whom they concern.
    unsettled: Vec<(usize, usize, usize)>,
    pub(crate) wire: Wire,
}

impl Calls {
    /// A datagram is about to be given to the engine; whether it is about a call.
    pub(crate) fn on_arrival(&mut self, now: u64, packet: &Packet) -> bool {
        let sane = sanitised(&packet.octets);
        if let Some((status, branch)) = guess(&packet.octets)
            && let Some((call, transaction)) = self.by_branch.get(&branch).copied()
        {
            let cseq = Text::salvage(&sane).and_then(|text| text.value("CSeq"));
            if cseq.is_none_or(|cseq| cseq.ends_with(" INVITE")) {
                self.on_response(now, packet, (call, transaction), status, &sane);
            }
            return true;
        }
        let Some(text) = Text::salvage(&sane) else { return false };
        let call = text.value("Call-ID").and_then(|call_id| self.by_call_id.get(call_id));
        let Some(call) = call.map(|call| &mut self.list[*call]) else { return false };
        if packet.grade != Grade::Sound {
            call.is_tainted = true;
        } else if text.start.starts_with("BYE ")
            && let Some(tag) = tag_of(&text, "From")
        {
            for accepted in call.accepted.iter_mut().filter(|accepted| accepted.tag == tag) {
                accepted.peer_bye.get_or_insert(now);
            }
        }
        true
    }

    fn on_response(
        &mut self,
        now: u64,
        packet: &Packet,
        (call, transaction): (usize, usize),
        status: u16,
        sane: &Rc<[u8]>,
    ) {
        if matches!(packet.grade, Grade::Void | Grade::Foreign) {
            return;
        }
        let certain = packet.grade == Grade::Sound;
        let record = &mut self.list[call];
        record.is_tainted |= !certain;
        let post = &mut record.transactions[transaction].post;
        self.unsettled.push((call, transaction, post.proofs.len()));
        post.proofs.push(Proof {
            at: now,
            what: What::Response(status),
            by: u64::MAX,
            certain,
            server: post.remote,
            octets: packet.octets.clone(),
        });
        let Some(text) = Text::read(sane).filter(|_| (200..300).contains(&status)) else { return };
        let tag = tag_of(&text, "To").unwrap_or("").to_owned();
        if record.accepted.iter().any(|accepted| accepted.tag == tag) {
            return;
        }
        let routes = text.lines().filter_map(|line| crate::text::value_of(line, "Record-Route"));
        record.accepted.push(Accepted {
            tag,
            at: now,
            certain,
            target: text.value("Contact").map_or("", uri_in).to_owned(),
            route: routes.map(str::to_owned).collect(),
            acks: 0,
            bye: None,
            peer_bye: None,
        });
    }

    /// An ICMP error is about to be given to the engine; whether it is about a call.
    pub(crate) fn on_unreachable(&mut self, now: u64, quoted: &[u8], grade: Grade) -> bool {
        let branch = crate::submission::quoted_branch(quoted);
        let found = branch.and_then(|branch| self.by_branch.get(&branch).copied());
        if let Some((call, transaction)) = found {
            let post = &mut self.list[call].transactions[transaction].post;
            self.unsettled.push((call, transaction, post.proofs.len()));
            post.proofs.push(Proof {
                at: now,
                what: What::Unreachable,
                by: u64::MAX,
                certain: grade == Grade::Sound,
                server: post.remote,
                octets: quoted.into(),
            });
            return true;
        }
        let text = Text::salvage(quoted);
        text.and_then(|text| text.value("Call-ID"))
            .is_some_and(|call_id| self.by_call_id.contains_key(call_id))
    }

    /// A datagram has left the engine. Nothing if it is not about a call; else the transaction of its
    /// INVITE, if it is that.
    pub(crate) fn on_departure(
        &mut self,
        now: u64,
        departure: &Departure,
        octets: &Rc<[u8]>,
        seat: usize,
        swarm: &Swarm,
    ) -> Verdict<Option<Option<(usize, usize)>>> {
        let Some(text) = Text::read(octets) else { return Ok(None) };
        let Some(call_id) = text.value("Call-ID") else { return Ok(None) };
        let known = self.by_call_id.get(call_id).copied();
        if text.status().is_some() {
            if text.value("CSeq").is_some_and(|cseq| cseq.ends_with(" ACK")) {
                return Err(format!("17: {call_id}: an ACK is answered"));
            }
            return Ok(known.map(|_| None));
        }
        let method = text.start.split(' ').next().unwrap_or("");
        let inside = known.ok_or_else(|| format!("{method} in no call: {}", text.head));
        match method {
            "INVITE" => {
                let ticket = self.on_invite(now, departure, octets, &text, seat, swarm)?;
                Ok(Some(Some(ticket)))
            }
            "CANCEL" => self.on_cancel(now, &text, inside?).map(|()| Some(None)),
            "ACK" => self.on_ack(now, departure, &text, inside?, swarm).map(|()| Some(None)),
            "BYE" => self.on_bye(now, departure, &text, inside?).map(|()| Some(None)),
            _ => Ok(None),
        }
    }

    fn on_invite(
        &mut self,
        now: u64,
        departure: &Departure,
        octets: &Rc<[u8]>,
        text: &Text<'_>,
        seat: usize,
        swarm: &Swarm,
    ) -> Verdict<(usize, usize)> {
        let Some(key) = text.key() else { return Err("an INVITE without Via".to_owned()) };
        let branch: Box<str> = key.branch.to_ascii_lowercase().into();
        let remote = departure.flow.remote;
        if let Some((call, transaction)) = self.by_branch.get(&branch).copied() {
            let record = &mut self.list[call];
            if record.is_past {
                return Err(format!("{branch}: an INVITE of an earlier life"));
            }
            let post = &mut record.transactions[transaction].post;
            repeated(post, now, remote, octets, swarm).map_err(|why| format!("{branch}: {why}"))?;
            return Ok((call, transaction));
        }
        let call_id = text.value("Call-ID").unwrap_or("").to_owned();
        let cseq = cseq_of(text, "INVITE").ok_or_else(|| format!("{call_id}: its CSeq"))?;
        let call = match self.by_call_id.get(&call_id).copied() {
            Some(call) => call,
            None => self.begin(now, call_id, text, seat, swarm)?,
        };
        let record = &self.list[call];
        if let Some(last) = record.transactions.last() {
            follows(last, cseq, text).map_err(|why| format!("{}: {why}", record.call_id))?;
        } else if cseq != 1 {
            return Err(format!("{}: begins with CSeq {cseq}", record.call_id));
        }
        let transaction = record.transactions.len();
        self.by_branch.insert(branch.clone(), (call, transaction));
        let post = Post {
            remote,
            octets: octets.clone(),
            sent: [now].into(),
            is_stream: is_stream(departure.flow.socket),
            refused: None,
            proofs: Vec::new(),
        };
        let (branch, acks) = (branch.into(), 0);
        self.list[call].transactions.push(Transaction { post, branch, cseq, acks });
        Ok((call, transaction))
    }

    /// The first INVITE of a call: what it offers.
    fn begin(
        &mut self,
        now: u64,
        call_id: String,
        text: &Text<'_>,
        seat: usize,
        swarm: &Swarm,
    ) -> Verdict<usize> {
        let field = |name: &str| {
            text.value(name).ok_or_else(|| format!("{call_id}: an INVITE without {name}"))
        };
        let Some(offer) = Offer::read(text.body) else {
            return Err(format!("{call_id}: an offer that nobody can read"));
        };
        for (name, had, due) in
            [("setup", &offer.setup, "actpass"), ("direction", &offer.direction, "sendonly")]
        {
            if had != due {
                return Err(format!("{call_id}: {name} {had:?} is offered"));
            }
        }
        if offer.accept_types.is_empty() || tag_of(text, "From").is_none() {
            return Err(format!("{call_id}: no accept-types, or no tag"));
        }
        let [session] = &offer.path[..] else {
            return Err(format!("{call_id}: a path of {:?}", offer.path));
        };
        let listeners = swarm.places.sockets.iter().take(2);
        let mut ours = listeners.map(|listener| crate::tcp::msrp_at(seat, *listener));
        if !place(session).is_some_and(|at| ours.any(|own| own == at)) {
            return Err(format!("{call_id}: {session} does not lead to worker {seat}"));
        }
        let id = session_id(session).unwrap_or("").to_owned();
        if id.len() < 20 || !self.ids.insert(id) {
            return Err(format!("{call_id}: {session} can be guessed, or was there before"));
        }
        field("Contact")?;
        field("Max-Forwards")?;
        let call = Call {
            uri: text.start.split(' ').nth(1).unwrap_or("").to_owned(),
            sender: field("From")?.split(";tag=").next().unwrap_or("").to_owned(),
            date: text.value("Date").unwrap_or("").to_owned(),
            begun: now,
            transactions: Vec::new(),
            session: session.clone(),
            accepted: Vec::new(),
            cancelled: None,

            is_tainted: false,
            is_past: false,
            seat,
            call_id: call_id.clone(),
        };
        self.by_session.insert(session.clone(), self.list.len());
        self.by_call_id.insert(call_id, self.list.len());
        self.list.push(call);
        Ok(self.list.len() - 1)
    }

    fn on_cancel(&mut self, now: u64, text: &Text<'_>, call: usize) -> Verdict<()> {
        let branch = text.key().map(|key| key.branch.to_ascii_lowercase());
        let record = &mut self.list[call];
        let call_id = &record.call_id;
        let last = record.transactions.last();
        let Some(last) = last.filter(|last| Some(&last.branch) == branch.as_ref()) else {
            return Err(format!("{call_id}: CANCEL of nothing that is open"));
        };
        let first = record.cancelled.is_none();
        if last.cseq != cseq_of(text, "CANCEL").unwrap_or(0) {
            return Err(format!("{call_id}: the CSeq of CANCEL"));
        }
        let came = |status: u16| {
            let mut proofs = last.post.proofs.iter();
            proofs.any(|proof| matches!(proof.what, What::Response(had) if had / 100 == status))
        };
        if !came(1) {
            return Err(format!("{call_id}: CANCEL before a provisional response (9.1)"));
        }
        if first && last.post.proofs.iter().any(|p| p.certain && p.by < now && p.ends()) {
            return Err(format!("{call_id}: CANCEL after the final response"));
        }
        record.cancelled.get_or_insert(now);
        Ok(())
    }

    fn on_ack(
        &mut self,
        now: u64,
        departure: &Departure,
        text: &Text<'_>,
        call: usize,
        swarm: &Swarm,
    ) -> Verdict<()> {
        let record = &mut self.list[call];
        let call_id = record.call_id.clone();
        let branch = text.key().map(|key| key.branch.to_ascii_lowercase()).unwrap_or_default();
        let cseq = cseq_of(text, "ACK").unwrap_or(0);
        let of_invite =
            record.transactions.iter_mut().find(|transaction| transaction.branch == branch);
        if let Some(transaction) = of_invite {
            let mut proofs = transaction.post.proofs.iter();
            let refused =
                proofs.any(|proof| matches!(proof.what, What::Response(300..)) && proof.at <= now);
            let at_home = departure.flow.remote == transaction.post.remote;
            if !refused || transaction.cseq != cseq || !at_home {
                return Err(format!("{call_id}: an ACK to no error"));
            }
            transaction.acks += 1;
            return Ok(());
        }
        let tag = tag_of(text, "To").unwrap_or("");
        let cseqs: Vec<u32> = record.transactions.iter().map(|it| it.cseq).collect();
        let is_tainted = record.is_tainted;
        let Some(accepted) = record.accepted.iter_mut().find(|accepted| accepted.tag == tag) else {
            return if is_tainted { Ok(()) } else { Err(format!("{call_id}: an ACK to nobody")) };
        };
        accepted.acks += 1;
        if !cseqs.contains(&cseq) {
            return Err(format!("{call_id}: an ACK with CSeq {cseq}"));
        }
        if is_tainted {
            return Ok(());
        }
        leads(text, accepted, departure.flow.remote, swarm)
            .map_err(|why| format!("{call_id}: {why}"))
    }

    fn on_bye(
        &mut self,
        now: u64,
        departure: &Departure,
        text: &Text<'_>,
        call: usize,
    ) -> Verdict<()> {
        let record = &mut self.list[call];
        let (call_id, is_tainted) = (&record.call_id, record.is_tainted);
        let tag = tag_of(text, "To").unwrap_or("");
        let Some(accepted) = record.accepted.iter_mut().find(|accepted| accepted.tag == tag) else {
            return if is_tainted { Ok(()) } else { Err(format!("{call_id}: BYE to nobody")) };
        };
        if accepted.acks == 0 && !is_tainted {
            return Err(format!("{call_id}: BYE before ACK"));
        }
        let _ = departure;
        accepted.bye.get_or_insert(now);
        Ok(())
    }

    /// The kernel told how the first transmission of an INVITE went.
    pub(crate) fn on_sent(&mut self, (call, transaction): (usize, usize), error: SendError) {
        self.list[call].transactions[transaction].post.refused = Some(error);
    }

    /// Everything that came has reached whom it concerns.
    pub(crate) fn on_settled(&mut self, now: u64) {
        for (call, transaction, proof) in self.unsettled.drain(..) {
            self.list[call].transactions[transaction].post.proofs[proof].by = now;
        }
    }

    pub(crate) fn on_proofs_dropped(&mut self) {
        for (call, ..) in self.unsettled.drain(..) {
            self.list[call].is_tainted = true;
        }
    }

    /// The process has ended, or one worker is lost.
    pub(crate) fn on_death(&mut self, seat: Option<usize>, now: u64) {
        for call in &mut self.list {
            call.is_past |= seat.is_none_or(|seat| seat == call.seat);
        }
        if seat.is_none() {
            self.unsettled.clear();
            self.wire.on_death(now);
        }
    }

    /// At the end: each final response has its ACK, each dialog its end.
    pub(crate) fn at_end(&self, swarm: &Swarm) -> Verdict<()> {
        for call in self.list.iter().filter(|call| !call.is_past && !call.is_tainted) {
            call.at_end(swarm).map_err(|why| format!("{}: {why}", call.call_id))?;
        }
        Ok(())
    }

    /// What was sent of a short message, and in which calls of this life of the process.
    pub(crate) fn talks_of(&self, short: usize) -> impl Iterator<Item = (&Call, &Talk)> {
        let its = self.wire.talks.iter().filter(move |(_, talk)| talk.short == Some(short));
        let calls = its.filter_map(|((session, _), talk)| {
            let call = self.by_session.get(session)?;
            Some((&self.list[*call], talk))
        });
        calls.filter(|(call, _)| !call.is_past)
    }

    /// Whether these octets answer a request in a call about which something damaged came.
    pub(crate) fn may_answer_damage(&self, octets: &[u8]) -> bool {
        let text = Text::read(octets).filter(|text| text.status().is_some());
        let call = text.and_then(|text| self.by_call_id.get(text.value("Call-ID")?));
        call.is_some_and(|call| self.list[*call].is_tainted)
    }

    /// The call of an account.
    pub(crate) fn named(&self, call_id: &[u8]) -> Option<usize> {
        let call_id = core::str::from_utf8(call_id).ok().filter(|call_id| !call_id.is_empty())?;
        let mut from = self.by_call_id.range(call_id.to_owned()..);
        from.next().filter(|(had, _)| had.starts_with(call_id)).map(|(_, call)| *call)
    }
}

impl Call {
    /// When its session was ended by BYE, ours or theirs.
    pub(crate) fn ended_at(&self) -> Option<u64> {
        let first = self.accepted.first()?;
        first.bye.into_iter().chain(first.peer_bye).min()
    }

    /// Until when a final response must be taken: as long as the transaction lasts (timers B, D and M). An
    /// error of the network ends it.
    fn ends(&self, transaction: &Transaction, swarm: &Swarm) -> u64 {
        let post = &transaction.post;
        let rung = |proof: &&Proof| matches!(proof.what, What::Response(100..=199));
        // What came to somebody who stood still was heard of when he went on.
        let rings = post.proofs.iter().filter(rung).map(|proof| proof.by).min();
        let timer_b = post.sent[0] + swarm.transaction();
        let broken = post.proofs.iter().find(|proof| proof.what == What::Unreachable);
        let broken = broken.map_or(u64::MAX, |proof| proof.at);
        let refused = if post.refused.is_some() { 0 } else { u64::MAX };
        // Whoever is heard of is waited for, and then for what follows from CANCEL.
        let end = match (rings.filter(|at| *at < timer_b), self.cancelled) {
            (None, _) => timer_b,
            (Some(_), Some(cancelled)) => cancelled + swarm.transaction(),
            (Some(_), None) => u64::MAX,
        };
        end.min(broken).min(refused).saturating_sub(slack(swarm))
    }

    /// When a 2xx has reached whom it concerns.
    fn heard_at(&self, accepted: &Accepted) -> u64 {
        let mut proofs = self.transactions.iter().flat_map(|it| &it.post.proofs);
        let first = proofs.find(|proof| {
            proof.at == accepted.at && matches!(proof.what, What::Response(200..=299))
        });
        first.map_or(accepted.at, |proof| proof.by)
    }

    fn at_end(&self, swarm: &Swarm) -> Verdict<()> {
        for transaction in &self.transactions {
            let end = self.ends(transaction, swarm);
            let refused = transaction.post.proofs.iter().any(|proof| {
                proof.certain && proof.by < end && matches!(proof.what, What::Response(300..))
            });
            if refused && transaction.acks == 0 {
                return Err("an error without ACK (17.1.1.3)".to_owned());
            }
        }
        let Some(last) = self.transactions.last() else { return Ok(()) };
        let mut end = self.ends(last, swarm);
        let tight = swarm.large.as_ref().is_some_and(|large| large.is_tight);
        for (number, accepted) in self.accepted.iter().enumerate() {
            if !accepted.certain || self.heard_at(accepted) >= end {
                continue;
            }
            // From the first on, others are taken for as long again.
            end = self.accepted[0].at + swarm.transaction() - slack(swarm).min(swarm.transaction());
            let is_forgiven = number > 0 && tight || number > 4;
            // Who has no room for another fork lets its own end say BYE (RFC 3261 section 13.3.1.4).
            let is_left = number > 0 && accepted.peer_bye.is_some() || is_forgiven;
            if accepted.acks == 0 && !is_left {
                return Err(format!("a 2xx without ACK: {}", accepted.tag));
            }
            if accepted.bye.is_none() && accepted.peer_bye.is_none() && !is_forgiven {
                return Err(format!("a dialog without its end: {}", accepted.tag));
            }
        }
        Ok(())
    }
}

/// An INVITE once more: the same, to the same, not before timer A, and not after an answer.
fn repeated(
    post: &mut Post,
    now: u64,
    remote: Endpoint,
    octets: &Rc<[u8]>,
    swarm: &Swarm,
) -> Verdict<()> {
    if post.octets != *octets || post.remote != remote || post.is_stream {
        return Err("another INVITE with this branch, or one on a connection".to_owned());
    }
    if post.proofs.iter().any(|proof| proof.by < now && proof.certain) {
        return Err("repeated after it was answered".to_owned());
    }
    let doubled = (u64::from(swarm.t1_ms) * MS) << (post.sent.len() - 1).min(16);
    if post.sent.last().is_some_and(|last| now < last + doubled) {
        return Err("timer A came early".to_owned());
    }
    if now > post.sent[0] + swarm.transaction() + slack(swarm) {
        return Err("repeated after timer B".to_owned());
    }
    post.sent.push(now);
    Ok(())
}

/// Whether another transaction may follow in the same call: the next server, or credentials.
fn follows(last: &Transaction, cseq: u32, text: &Text<'_>) -> Verdict<()> {
    let unsent = last.post.refused.is_some_and(SendError::nothing_left);
    let ends = || last.post.proofs.iter().rev().filter(|proof| proof.ends());
    // Whoever answers has it, whatever the kernel has said of one copy.
    let answer = ends().find(|proof| matches!(proof.what, What::Response(_)));
    let end = answer.or_else(|| ends().next());
    let status = end.map(|proof| (proof.what, proof.certain));
    let authorized =
        ["Authorization", "Proxy-Authorization"].iter().any(|name| text.value(name).is_some());
    let right = match status {
        Some((What::Response(503), _)) => cseq == last.cseq,
        Some((What::Response(401 | 407), _)) => cseq == last.cseq + 1 && authorized,
        _ if unsent => cseq == last.cseq,
        Some((_, certain)) => !certain,
        None => false,
    };
    if right { Ok(()) } else { Err(format!("another INVITE with CSeq {cseq} behind {status:?}")) }
}

/// Whether a request in a dialog names whom it must, by the way that was recorded (RFC 3261 section
/// 12.2.1.1).
fn leads(text: &Text<'_>, accepted: &Accepted, to: Endpoint, swarm: &Swarm) -> Verdict<()> {
    let uri = text.start.split(' ').nth(1).unwrap_or("");
    let routes: Vec<&str> =
        text.lines().filter_map(|line| crate::text::value_of(line, "Route")).collect();
    if uri != accepted.target || routes != accepted.route {
        return Err(format!("{uri} by {routes:?}, not {accepted:?}"));
    }
    let next = accepted.route.first().map_or(uri, |route| uri_in(route));
    let host = next.rsplit('@').next().unwrap_or("").trim_start_matches("sip:");
    let place = endpoint(host.split(';').next().unwrap_or(""));
    let is_server = |at: &Endpoint| crate::judge::server_of(*at, swarm).is_some();
    if place.filter(is_server).is_some_and(|place| place != to) {
        return Err(format!("to {to:?}, not {place:?}"));
    }
    Ok(())
}

fn cseq_of(text: &Text<'_>, method: &str) -> Option<u32> {
    text.value("CSeq")?.strip_suffix(method)?.trim_end().parse().ok()
}
