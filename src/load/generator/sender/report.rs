//! Requests that come to the sending end: reports, and the probes of whoever is tested.

use super::{State, message};
use crate::load::generator::message::reference;
use crate::load::generator::record::{Flags, Report};
use crate::load::generator::reply::{self, Said};
use crate::packet::{Arrival, Departures};
use crate::wire::rp;
use crate::wire::sip::{ALLOW_PAGER, Extra, Method, Request};

impl State {
    pub(super) fn on_request(
        &mut self,
        request: &Request<'_>,
        arrival: &Arrival<'_>,
        out: &mut Departures,
    ) {
        if request.method != Method::Message {
            reply::answer_other(request, arrival, ALLOW_PAGER, (&mut self.window, out));
            return;
        }
        let said = match request.fault {
            Some(fault) => {
                self.counts.malformed += 1;
                (fault.status, fault.reason)
            }
            None => self.on_report(request, arrival.at.0),
        };
        let said = Said { status: said.0, reason: said.1, extra: Extra::None };
        reply::answer(request, said, arrival, (&mut self.window, out));
    }

    /// RP-ACK or RP-ERROR about a message of ours, which In-Reply-To names (TS 24.341 section
    /// 5.3.3.4.3). Returns what it is answered.
    fn on_report(&mut self, request: &Request<'_>, at_ns: u64) -> (u16, &'static str) {
        let number = in_reply_to(request.octets).and_then(|name| self.plan.run.number_of(name));
        let sent = number.and_then(|number| Some((number, message(&mut self.sent, number)?)));
        let Some((number, sent)) = sent.filter(|(_, sent)| sent.at_ns > 0) else {
            self.counts.stray_requests += 1;
            return (404, "Not a Report About a Message of This Run");
        };
        let report = match rp::parse(request.fields.body.of(request.octets)) {
            Ok(rp::Message::Ack(ack)) if ack.reference == reference(number) => Report::Ack,
            Ok(rp::Message::Error(error)) if error.reference == reference(number) => {
                Report::Error(error.cause)
            }
            Ok(_) | Err(_) => {
                self.counts.malformed += 1;
                return (400, "Neither RP-ACK nor RP-ERROR With the RP-MR of That Message");
            }
        };
        let mark = reply::short(reply::mark_of(request));
        if sent.report == Report::None {
            (sent.report, sent.report_mark, sent.reports) = (report, mark, 1);
            if !sent.flags.has(Flags::RESOLVED) {
                self.resolve(number, report == Report::Ack, at_ns);
            }
        } else if sent.report_mark == mark {
            self.counts.reports_repeated += 1;
        } else {
            sent.reports = sent.reports.saturating_add(1);
            if sent.report != report {
                sent.flags.set(Flags::DIFFERING);
            }
        }
        (200, "OK")
    }
}

/// The name of a message in In-Reply-To: what stands before the `@` of the Call-ID there.
fn in_reply_to(octets: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"In-Reply-To";
    let mut lines = octets.split(|octet| *octet == b'\n').take_while(|line| line.len() > 1);
    lines.find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        let value = value.trim_ascii_start().strip_prefix(b":")?.trim_ascii();
        let is_it = name.eq_ignore_ascii_case(NAME);
        is_it.then(|| value.split(|octet| *octet == b'@').next().unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_named_by_what_stands_before_the_host() {
        let name: &[u8] = b"1a2b3c4d-00000007";
        for line in [
            "In-Reply-To: 1a2b3c4d-00000007@10.0.0.1",
            "in-reply-to : 1a2b3c4d-00000007@10.0.0.1 ",
            "IN-REPLY-TO:1a2b3c4d-00000007",
        ] {
            let text = ["MESSAGE sip:a@b SIP/2.0\r\nTo: <sip:a@b>\r\n", line, "\r\n\r\n"].concat();
            assert_eq!(in_reply_to(text.as_bytes()), Some(name), "{line}");
        }
        let body = "MESSAGE sip:a@b SIP/2.0\r\n\r\nIn-Reply-To: 1a2b3c4d-00000007@10.0.0.1\r\n";
        assert_eq!(in_reply_to(body.as_bytes()), None);
        assert_eq!(in_reply_to(b""), None);
    }
}
