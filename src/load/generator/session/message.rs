//! Messages as they come in chunks, and what is said to one that is whole.

use crate::load::generator::mix::Answer;
use crate::load::generator::plan;
use crate::wire::msrp::{FailureReport, Request};

/// Octets of the longest message that is taken, which is told in SDP: a mebibyte of content, and what CPIM puts
/// around it.
pub(super) const MESSAGE_SIZE_MAX: usize = (1 << 20) + (8 << 10);

/// Messages of one session of which something has come, at once.
pub(super) const MESSAGES_MAX: usize = 8;

/// What has come of one message.
#[derive(Debug)]
pub(super) struct Assembly {
    /// The fingerprint of its Message-ID.
    pub(super) mark: u64,
    /// Its octets from the first one on.
    pub(super) octets: Vec<u8>,
}

impl Assembly {
    /// Takes in octets at `at`. `false` if they are too many.
    pub(super) fn put(&mut self, at: usize, octets: &[u8]) -> bool {
        let end = at + octets.len();
        if end > MESSAGE_SIZE_MAX {
            return false;
        }
        if self.octets.len() < end {
            self.octets.resize(end, 0);
        }
        self.octets[at..end].copy_from_slice(octets);
        true
    }
}

/// Success, of the statuses of MSRP the only one (RFC 4975 section 10).
pub(super) const OK: u16 = 200;

/// What is said to a message that is whole, as far as it is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Said {
    /// In the response to its last chunk; none for silence.
    pub(super) response: Option<u16>,
    /// In a REPORT; none for none.
    pub(super) report: Option<u16>,
    /// Whether a relay gives the response, so that it does not speak for the recipient.
    pub(super) is_relayed: bool,
}

impl Said {
    /// What the plan says to the message that `draw` names.
    pub(super) fn to(terms: &plan::Sessions, seed: u64, draw: u64) -> Self {
        let said = |answer| match answer {
            Answer::Status(status) => Some(status),
            Answer::Silence => None,
        };
        let response = said(terms.send.answer(seed, draw));
        let report = match &terms.report {
            _ if response != Some(OK) => None,
            None => response,
            Some(reports) => said(reports.answer(seed.rotate_left(1), draw)),
        };
        Self { response, report, is_relayed: terms.report.is_some() }
    }

    /// What whoever sent `request` can know of it: the status; 0 for nothing.
    pub(super) fn status(self, request: &Request<'_>) -> u16 {
        let response = self.response.filter(|code| request.is_answered(*code));
        let report = self.report.filter(|code| is_reported(request, *code));
        let word = match response {
            // The relay has taken it, which proves nothing.
            Some(OK) if self.is_relayed => report,
            _ => response.or(report),
        };
        word.filter(|code| !(OK + 1..300).contains(code)).unwrap_or(0)
    }

    /// Nobody has asked for it.
    pub(super) const UNWANTED: Self = Self { response: Some(413), report: None, is_relayed: false };
}

/// Whether whoever sent `request` wants to have a REPORT of this status (RFC 4975 section 7.1.2).
pub(super) fn is_reported(request: &Request<'_>, code: u16) -> bool {
    match code {
        OK => request.fields.success_report,
        _ => request.fields.failure_report != FailureReport::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::generator::mix::Mix;
    use crate::wire::msrp::{self, Head};

    fn terms(send: &str, report: Option<&str>) -> plan::Sessions {
        plan::Sessions {
            address: "127.0.0.1:1".parse().unwrap(),
            invite: Mix::read("200").unwrap(),
            send: Mix::read(send).unwrap(),
            report: report.map(|report| Mix::read(report).unwrap()),
            active_percent: 0,
            count: 1,
        }
    }

    /// What is said, and the status that whoever asks in this way can know.
    fn said(send: &str, report: Option<&str>, asks: &str) -> (Option<u16>, Option<u16>, u16) {
        let said = Said::to(&terms(send, report), 1, 1);
        let head = [
            "MSRP a1b2c3 SEND\r\nTo-Path: msrp://a.b:1/c;tcp\r\nFrom-Path: msrp://d.e:2/f;tcp\r\n\
             Message-ID: 12345678\r\n",
            asks,
            "Content-Type: text/plain\r\n\r\n",
        ]
        .concat();
        let Ok(Head::Request(request)) = msrp::head(head.as_bytes()) else { panic!("{head}") };
        (said.response, said.report, said.status(&request))
    }

    #[test]
    fn what_counts_is_who_says_it() {
        for (send, report, expected) in [
            ("200", None, (Some(200), Some(200), 200)),
            ("413", None, (Some(413), None, 413)),
            ("silent", None, (None, None, 0)),
            // Nothing but 200 is success.
            ("202", None, (Some(202), None, 0)),
            ("200", Some("200"), (Some(200), Some(200), 200)),
            ("200", Some("413"), (Some(200), Some(413), 413)),
            ("200", Some("silent"), (Some(200), None, 0)),
            ("415", Some("200"), (Some(415), None, 415)),
            ("silent", Some("200"), (None, None, 0)),
        ] {
            let asks = "Success-Report: yes\r\n";
            assert_eq!(said(send, report, asks), expected, "{send} {report:?}");
        }
    }

    #[test]
    fn what_nobody_asks_for_counts_for_nothing() {
        let known = |send, report, asks| said(send, report, asks).2;
        let (no, partial) = ("Failure-Report: no\r\n", "Failure-Report: partial\r\n");
        assert_eq!(known("200", Some("200"), ""), 0, "no REPORT of success");
        assert_eq!(known("200", Some("413"), no), 0, "nor of failure");
        assert_eq!(known("200", None, partial), 0, "no response of success");
        assert_eq!(known("413", None, partial), 413);
        let both = [no, "Success-Report: yes\r\n"].concat();
        assert_eq!(known("200", None, &both), 200, "but a REPORT");
    }

    #[test]
    fn octets_go_where_they_belong() {
        let mut message = Assembly { mark: 1, octets: Vec::new() };
        assert!(message.put(0, b"abcd") && message.put(2, b"xyz"));
        assert_eq!(message.octets, b"abxyz");
        assert!(!message.put(MESSAGE_SIZE_MAX, b"x"));
    }
}
