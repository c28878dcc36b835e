//! How both ends answer what comes to them.

use crate::load::generator::window::{Owned, Window};
use crate::packet::{Arrival, Departure, Departures, Endpoint, Flow, Purse, Transport};
use crate::store::HashKey;
use crate::wire::sip::{self, Extra, Method, Reply, Request, Source};

/// Tells transactions apart; nobody gains from two that look alike.
pub(super) const KEY: HashKey = HashKey([0x726f_6765_7220_6c6f, 0x6164]);

/// A fingerprint of the transaction that `request` belongs to (RFC 3261 section 17.2.3).
pub(super) fn mark_of(request: &Request<'_>) -> u64 {
    let via = &request.fields.via;
    let mut hasher = KEY.hasher();
    hasher.octets(via.branch.of(request.octets));
    hasher.octets(via.sent_by.of(request.octets));
    let [mark, _] = hasher.finish().0;
    mark
}

/// Half of a fingerprint: enough among the transactions of one message.
pub(super) const fn short(mark: u64) -> u32 {
    let [a, b, c, d, ..] = mark.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// What a request is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) status: u16,
    pub(super) reason: &'a str,
    pub(super) extra: Extra<'a>,
}

/// Answers `request`. The caller has seen that there is a slot for evidence.
pub(super) fn answer(
    request: &Request<'_>,
    said: Said<'_>,
    arrival: &Arrival<'_>,
    (window, out): (&mut Window, &mut Departures),
) {
    let flow = flow_of(request, arrival);
    let transport = if flow.connection.is_some() { Transport::Tcp } else { Transport::Udp };
    // A response without a body is hardly longer than its request.
    let owner = window.give(Owned::Answer, transport, request.octets.len());
    let source = Source { ip: arrival.flow.remote.ip, port: arrival.flow.remote.port };
    let Said { status, reason, extra } = said;
    let (to_tag, extra) = (&sip::tag(mark_of(request)), &[extra]);
    let reply = Reply { status, reason, to_tag, source, extra, ..Reply::default() };
    out.push(Purse::Evidence, Departure { flow, owner, ..Departure::default() }, |slot| {
        // A slot has room for more than the longest request and what a response adds to it.
        sip::respond(request, &reply, slot).unwrap_or(0)
    });
}

/// Where a response goes (RFC 3261 section 18.2.2, RFC 3581 section 4): on a connection, back on it,
/// and if that is gone to the port of `sent-by`.
pub(super) fn flow_of(request: &Request<'_>, arrival: &Arrival<'_>) -> Flow {
    let via = &request.fields.via;
    let Endpoint { ip, port } = arrival.flow.remote;
    let port = match arrival.flow.connection {
        Some(_) => via.port.unwrap_or(5060),
        None => via.reply_port(port),
    };
    Flow { remote: Endpoint { ip, port }, ..arrival.flow }
}

/// Answers a request that is not the kind one waits for: probes get their 200, methods that are not among
/// these are not allowed, ACK is never answered.
pub(super) fn answer_other(
    request: &Request<'_>,
    arrival: &Arrival<'_>,
    allow: &[u8],
    out: (&mut Window, &mut Departures),
) {
    if request.method == Method::Ack {
        return;
    }
    let (status, reason, extra) = if request.method == Method::Options {
        (200, "OK", Extra::Capabilities { allow, supported: b"" })
    } else {
        (405, "Method Not Allowed", Extra::Allow(allow))
    };
    let said = Said { status, reason, extra };
    answer(request, said, arrival, out);
}
