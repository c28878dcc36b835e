//! INVITE and what belongs to it: ACK, CANCEL, BYE (RFC 3261), and what comes in its dialog beside these.

use crate::limits::SLOT_SIZE;
use crate::load::generator::mix::Answer;
use crate::load::generator::reply::{self, Said};
use crate::load::generator::session::calls::{Due, Phase, Session};
use crate::load::generator::session::counts::count;
use crate::load::generator::session::{MSRP_SOCKET, Sessions, describe};
use crate::load::generator::window::{Owned, Window};
use crate::load::schedule::chance;
use crate::packet::{Arrival, Departure, Departures, Flow, Owner, Purse, Transport, Wish};
use crate::wire::sip::{self, Extra, Method, Reply, Request, Source};

/// Busy Here: all sessions are taken.
const BUSY: u16 = 486;

/// Not Acceptable Here: nothing in the offer can be used.
const NOT_ACCEPTABLE: u16 = 488;

/// The status line of whoever was cancelled.
const TERMINATED: &[u8] = b"SIP/2.0 487 Request Terminated";

/// The content type of a description.
const SDP: &[u8] = b"application/sdp";

/// Slots for evidence that stay free for what arrives while answers are repeated.
const SLOTS_KEPT: usize = crate::limits::BURST_SIZE;

/// What is written to, and what bounds that.
pub(super) type Out<'a> = (&'a mut Window, &'a mut Departures);

impl Sessions {
    /// Takes a request that brings no message: one that is about a session, or about none.
    pub(in crate::load::generator) fn on_request(
        &mut self,
        request: &Request<'_>,
        arrival: &Arrival<'_>,
        out: Out<'_>,
    ) {
        let in_dialog = !request.fields.to_tag.is_empty();
        match (request.method, request.fault) {
            (Method::Ack, None) => self.on_ack(request, arrival.at.0, out.1),
            (Method::Invite | Method::Cancel | Method::Bye | Method::Update, Some(fault)) => {
                self.counts.malformed += 1;
                respond(request, (fault.status, fault.reason), arrival, out);
            }
            (Method::Invite, None) if !in_dialog => self.on_invite(request, arrival, out),
            (Method::Cancel, None) => self.on_cancel(request, arrival, out),
            (Method::Bye, None) => self.on_bye(request, arrival, out),
            (Method::Invite | Method::Update, None) => self.on_change(request, arrival, out),
            _ => reply::answer_other(request, arrival, sip::ALLOW_SESSIONS, out),
        }
    }

    fn on_invite(&mut self, invite: &Request<'_>, arrival: &Arrival<'_>, (window, out): Out<'_>) {
        let mark = reply::mark_of(invite);
        if let Some(call) = self.calls.of_mark(mark).and_then(|index| self.calls.get(index)) {
            self.counts.invites_repeated += 1;
            let rings = self.terms.invite.answer(self.seed, mark) != Answer::Silence;
            if !call.response.is_empty() && (rings || call.phase != Phase::Open) {
                push(&call.response, call.flow, (window, out));
            }
            return;
        }
        self.counts.invites += 1;
        let now_ns = arrival.at.0;
        let is_full = self.calls.open() >= u64::from(self.terms.count);
        let flow = reply::flow_of(invite, arrival);
        let index = self.calls.insert(mark, now_ns, flow);
        let mut status = match self.terms.invite.answer(self.seed, mark) {
            Answer::Silence => {
                self.counts.invites_silent += 1;
                // What is said when it is cancelled.
                self.write(index, invite, arrival, (180, &[]));
                return self.calls.left_open(index, now_ns, self.timers);
            }
            Answer::Status(200..=299) if is_full => {
                self.counts.full += 1;
                BUSY
            }
            Answer::Status(status) => status,
        };
        let agreed = matches!(status, 200..=299).then(|| self.agree(index, invite, out));
        if agreed == Some(None) {
            self.counts.malformed += 1;
            status = NOT_ACCEPTABLE;
        }
        let answer = agreed.flatten().unwrap_or_default();
        self.write(index, invite, arrival, (status, &answer));
        count(&mut self.counts.invite_responses, status);
        if status == 180 {
            self.calls.left_open(index, now_ns, self.timers);
        } else {
            self.calls.answered(index, status < 300, now_ns, self.timers);
        }
        if let Some(call) = self.calls.get(index) {
            push(&call.response, call.flow, (window, out));
        }
    }

    /// A session as it is offered, and our description of it; none if it cannot be.
    fn agree(&mut self, index: u32, invite: &Request<'_>, out: &mut Departures) -> Option<Vec<u8>> {
        let fields = &invite.fields;
        let is_sdp = fields.content_type.of(invite.octets).to_ascii_lowercase().starts_with(SDP);
        let mark = self.calls.get(index)?.mark;
        let secret = self.calls.secret(mark);
        let share = chance(self.seed.rotate_left(2), usize::try_from(mark).unwrap_or(0)) % 100;
        let is_active = share < u64::from(self.terms.active_percent);
        let body = fields.body.of(invite.octets);
        let agreed = describe::answer(body, &self.terms, (index, secret), is_active)
            .filter(|_| is_sdp && fields.contact_count > 0)?;
        self.counts.sessions += 1;
        self.counts.sessions_at_once = self.counts.sessions_at_once.max(self.calls.open());
        if let Some(remote) = agreed.connects_to {
            self.counts.active += 1;
            let flow = Flow::to(remote, MSRP_SOCKET);
            out.wish(Wish::Connect { flow, owner: owner_of(index, mark) });
        }
        self.calls.get(index)?.session = Some(Session {
            secret,
            ours: agreed.ours,
            theirs: agreed.theirs,
            line: None,
            is_own_line: agreed.connects_to.is_some(),
            has_brought: false,
            messages: Vec::new(),
        });
        Some(agreed.answer)
    }

    /// Writes the response to the INVITE of a call.
    fn write(
        &mut self,
        index: u32,
        invite: &Request<'_>,
        arrival: &Arrival<'_>,
        (status, description): (u16, &[u8]),
    ) {
        let Some(call) = self.calls.get(index) else { return };
        let parts = [self.contact.as_bytes(), b";transport=tcp"];
        let over_tcp = call.flow.connection.is_some();
        let contact = if over_tcp { parts.concat() } else { parts[0].to_vec() };
        let contact = Extra::Contact { uri: &contact, parameters: b"" };
        let is_success = (200..300).contains(&status);
        let extra = [contact, Extra::Allow(sip::ALLOW_SESSIONS)];
        let reply = Reply {
            status,
            reason: sip::reason_phrase(status),
            to_tag: &sip::tag(call.mark),
            source: Source { ip: arrival.flow.remote.ip, port: arrival.flow.remote.port },
            record_route: is_success,
            extra: if is_success { &extra } else { &[] },
            content_type: if is_success { SDP } else { b"" },
            body: &[description],
        };
        call.response.resize(SLOT_SIZE, 0);
        let len = sip::respond(invite, &reply, &mut call.response).unwrap_or(0);
        call.response.truncate(len);
    }

    /// ACK of 2xx, or of an error: both have our tag.
    fn on_ack(&mut self, ack: &Request<'_>, now_ns: u64, out: &mut Departures) {
        let index = self.calls.of_tag(ack.fields.to_tag.of(ack.octets));
        let phase = index.and_then(|index| Some(self.calls.get(index)?.phase));
        match (index, phase) {
            (Some(index), Some(Phase::Answered { is_success: true })) => {
                self.calls.acknowledged(index);
            }
            (Some(index), Some(Phase::Answered { is_success: false })) => {
                self.end(index, now_ns, out);
            }
            (_, Some(Phase::Up | Phase::Over)) => {}
            _ => self.counts.strays += 1,
        }
    }

    /// Who has no final answer yet has one then (RFC 3261 section 9.2).
    fn on_cancel(&mut self, cancel: &Request<'_>, arrival: &Arrival<'_>, out: Out<'_>) {
        let index = self.calls.of_mark(reply::mark_of(cancel));
        let now_ns = arrival.at.0;
        let Some(call) = index.and_then(|index| self.calls.get(index)) else {
            self.counts.strays += 1;
            return respond(cancel, (481, "Transaction Does Not Exist"), arrival, out);
        };
        if call.phase == Phase::Open {
            let line = call.response.iter().position(|octet| *octet == b'\r');
            call.response.splice(..line.unwrap_or(0), TERMINATED.iter().copied());
            self.counts.cancelled += 1;
            count(&mut self.counts.invite_responses, 487);
            if let Some(index) = index {
                self.calls.answered(index, false, now_ns, self.timers);
                self.calls.hurry(index, now_ns);
            }
        }
        respond(cancel, (200, "OK"), arrival, out);
    }

    fn on_bye(&mut self, bye: &Request<'_>, arrival: &Arrival<'_>, out: Out<'_>) {
        let Some(index) = self.calls.of_tag(bye.fields.to_tag.of(bye.octets)) else {
            self.counts.strays += 1;
            return respond(bye, (481, "Dialog Does Not Exist"), arrival, out);
        };
        if self.end(index, arrival.at.0, out.1) {
            self.counts.byes += 1;
        }
        respond(bye, (200, "OK"), arrival, out);
    }

    /// A session stays as it was agreed upon (RFC 3261 section 14.2); an UPDATE without an offer refreshes it
    /// (RFC 4028).
    fn on_change(&mut self, request: &Request<'_>, arrival: &Arrival<'_>, out: Out<'_>) {
        let is_known = self.calls.of_tag(request.fields.to_tag.of(request.octets)).is_some();
        let has_offer = request.method == Method::Invite || !request.fields.body.is_empty();
        let said = match (is_known, has_offer) {
            (true, false) => (200, "OK"),
            (true, true) => (NOT_ACCEPTABLE, "Not Acceptable Here"),
            (false, _) => (481, "Dialog Does Not Exist"),
        };
        self.counts.strays += u64::from(said.0 != 200);
        respond(request, said, arrival, out);
    }

    /// Ends a call; a connection that is of its session alone ends with it. `false` if it was over.
    fn end(&mut self, index: u32, now_ns: u64, out: &mut Departures) -> bool {
        let session = self.calls.end(index, now_ns, self.timers);
        let line = session.as_ref().filter(|it| it.is_own_line).and_then(|it| it.line);
        if let Some(line) = line.and_then(|id| self.lines.get(id)) {
            line.close(out);
        }
        session.is_some()
    }

    /// Repeats answers that are due, and gives up those that nobody acknowledges.
    pub(in crate::load::generator) fn expire(&mut self, now_ns: u64, (window, out): Out<'_>) {
        while out.free(Purse::Evidence) > SLOTS_KEPT
            && let Some(due) = self.calls.expire(now_ns, self.timers)
        {
            match due {
                Due::Repeat(index) => {
                    if let Some(call) = self.calls.get(index) {
                        push(&call.response, call.flow, (&mut *window, &mut *out));
                    }
                }
                Due::GivenUp(index) => {
                    let phase = self.calls.get(index).map(|call| call.phase);
                    let is_answered = matches!(phase, Some(Phase::Answered { .. }));
                    self.counts.unacknowledged += u64::from(is_answered);
                    self.end(index, now_ns, out);
                }
            }
        }
    }
}

/// Whom a connection is told to: the place of its call, and half of what names that.
pub(super) fn owner_of(index: u32, mark: u64) -> Owner {
    Owner(u64::from(index) << 32 | u64::from(reply::short(mark)))
}

/// The same, read.
pub(super) const fn call_of(owner: Owner) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = owner.0.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

fn respond(
    request: &Request<'_>,
    (status, reason): (u16, &str),
    arrival: &Arrival<'_>,
    out: Out<'_>,
) {
    let said = Said { status, reason, extra: Extra::None };
    reply::answer(request, said, arrival, out);
}

/// Sends a response that is kept. The caller has seen that there is a slot for evidence.
fn push(octets: &[u8], flow: Flow, (window, out): Out<'_>) {
    let transport = if flow.connection.is_some() { Transport::Tcp } else { Transport::Udp };
    let owner = window.give(Owned::Answer, transport, octets.len());
    out.push(Purse::Evidence, Departure { flow, owner, ..Departure::default() }, |slot| {
        slot[..octets.len()].copy_from_slice(octets);
        octets.len()
    });
}
