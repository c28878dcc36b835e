//! A relay (RFC 4976 section 6): it answers each chunk itself, cuts it as it likes, and sends on what it
//! has in any order.

use super::*;
use crate::wire::msrp::{
    ByteRange, Event, Head, Method, Reply, Report, Request, Response, Send, end_line, head,
};

/// A chunk, whole.
#[derive(Debug, Default)]
struct Unit {
    head: Vec<u8>,
    body: Vec<u8>,
}

/// A chunk that was sent on.
#[derive(Debug)]
struct Sent {
    transaction_id: String,
    is_answered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Relay {
    readers: [Reader; 2],
    have: [Vec<u8>; 2],
    units: [Unit; 2],
    /// What waits to go to each side.
    out: [Vec<Vec<u8>>; 2],
    sent: Vec<Sent>,
}

fn text(octets: &[u8]) -> &str {
    core::str::from_utf8(octets).unwrap()
}

fn written(size: Option<usize>, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut octets = vec![0; size.unwrap()];
    assert_eq!(write(&mut octets), size);
    octets
}

/// The paths of a request behind the relay.
fn moved(to: &str, from: &str) -> (String, String) {
    let (hop, rest) = to.split_once(' ').unwrap();
    assert_eq!(hop, RELAY);
    (rest.to_owned(), format!("{hop} {from}"))
}

impl Relay {
    /// Octets come from a side.
    pub(super) fn take(&mut self, from: usize, octets: &[u8], chance: &mut Chance) {
        self.have[from].extend(octets);
        loop {
            let event = self.readers[from].read(&self.have[from]);
            let len = match event {
                Event::Head { len } => {
                    self.units[from].head = self.have[from][..len].to_vec();
                    len
                }
                Event::Body { len } => {
                    let (unit, have) = (&mut self.units[from], &self.have[from]);
                    unit.body.extend(&have[..len]);
                    len
                }
                Event::End { flag, len } => {
                    let unit = core::mem::take(&mut self.units[from]);
                    match head(&unit.head).unwrap() {
                        Head::Request(request) => {
                            self.request(from, &request, &unit.body, flag, chance)
                        }
                        Head::Response(response) => self.response(&response),
                    }
                    len
                }
                Event::Partial { .. } => return,
                Event::Malformed(wrong) => panic!("{wrong}"),
            };
            self.have[from].drain(..len);
        }
    }

    fn request(
        &mut self,
        from: usize,
        request: &Request<'_>,
        body: &[u8],
        flag: Flag,
        chance: &mut Chance,
    ) {
        assert_eq!(request.fault, None);
        let to_from = moved(text(request.to_path().octets()), text(request.from_path().octets()));
        if request.method == Method::Send {
            if request.is_answered(200) {
                let reply = Reply::to(request, 200, "OK");
                self.out[from].push(written(reply.size(), |to| reply.write(to)));
            }
            self.send_on(1 - from, request, to_from, body, flag, chance);
            return;
        }
        let status = request.fields.status.unwrap();
        let report = Report {
            transaction_id: request.transaction_id.of(request.octets),
            to_path: path(&to_from.0),
            from_path: path(&to_from.1),
            message_id: request.fields.message_id.of(request.octets),
            byte_range: request.fields.byte_range,
            code: status.code,
            comment: "",
        };
        let octets = written(report.size(), |to| report.write(to));
        self.out[1 - from].push(octets);
    }

    fn send_on(
        &mut self,
        to: usize,
        request: &Request<'_>,
        (to_path, from_path): (String, String),
        body: &[u8],
        flag: Flag,
        chance: &mut Chance,
    ) {
        let fields = &request.fields;
        let range = fields.byte_range.unwrap();
        let mut cuts = vec![chance.below(body.len() + 1), chance.below(body.len() + 1), body.len()];
        cuts.truncate(1 + chance.below(3));
        cuts.push(body.len());
        cuts.sort_unstable();
        cuts.dedup();
        // A piece of nothing that comes behind the whole is a duplicate.
        cuts.retain(|cut| *cut > 0 || body.is_empty());
        let mut at = 0;
        for cut in &cuts {
            let transaction_id = format!("rr{}xx", self.sent.len());
            let start = range.start + at as u64;
            let send = Send {
                transaction_id: transaction_id.as_bytes(),
                to_path: path(&to_path),
                from_path: path(&from_path),
                message_id: fields.message_id.of(request.octets),
                byte_range: Some(ByteRange { start, end: None, total: range.total }),
                success_report: fields.success_report,
                failure_report: fields.failure_report,
                others: &[],
                content_type: Some(fields.content_type.of(request.octets)),
            };
            let mut octets = written(send.size(), |to| send.write(to));
            octets.extend(&body[at..*cut]);
            at = *cut;
            let flag = if at == body.len() { flag } else { Flag::More };
            let mut end = [0; 64];
            let len = end_line(transaction_id.as_bytes(), flag, true, &mut end).unwrap();
            octets.extend(&end[..len]);
            self.out[to].push(octets);
            let is_answered = fields.failure_report != FailureReport::Yes;
            self.sent.push(Sent { transaction_id, is_answered });
        }
    }

    fn response(&mut self, response: &Response<'_>) {
        let id = text(response.transaction_id.of(response.octets));
        let sent = self.sent.iter_mut().find(|sent| sent.transaction_id == id).unwrap();
        assert!(!sent.is_answered, "answered twice, or without need");
        assert_eq!(response.code, 200);
        assert_eq!(text(response.to_path().octets()), RELAY);
        sent.is_answered = true;
    }

    /// What goes to a side now: some of it, in any order.
    pub(super) fn give(&mut self, to: usize, chance: &mut Chance) -> Vec<u8> {
        let mut octets = Vec::new();
        let out = &mut self.out[to];
        while !out.is_empty() && !chance.one_in(4) {
            octets.extend(out.swap_remove(chance.below(out.len())));
        }
        octets
    }
}
