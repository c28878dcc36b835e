//! What can be wrong with a request that can still be answered, and what is then answered.

use super::Fault;
use crate::wire::Malformed;

/// One thing that can be wrong, in the words of an answer and in those of a dropped response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Wrong {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    pub(super) expected: &'static str,
}

impl Wrong {
    const fn bad(reason: &'static str, expected: &'static str) -> Self {
        Self { status: 400, reason, expected }
    }

    /// As it is answered.
    pub(super) fn fault(self, at: usize) -> Fault {
        let at = u16::try_from(at).unwrap_or(u16::MAX);
        Fault { status: self.status, reason: self.reason, at }
    }

    /// As it is refused where there is no answer.
    pub(super) const fn malformed(self, at: usize) -> Malformed {
        Malformed { expected: self.expected, at }
    }
}

pub(super) const REQUEST_LINE: Wrong = Wrong::bad("Malformed Request-Line", "a request line");
pub(super) const REQUEST_URI: Wrong = Wrong::bad("Malformed Request-URI", "a Request-URI");
pub(super) const URI_TOO_LONG: Wrong =
    Wrong { status: 414, reason: "Request-URI Too Long", expected: "a shorter Request-URI" };
pub(super) const SCHEME: Wrong =
    Wrong { status: 416, reason: "Unsupported URI Scheme", expected: "a sip or tel URI" };
pub(super) const VERSION: Wrong =
    Wrong { status: 505, reason: "Version Not Supported", expected: "SIP/2.0" };
pub(super) const METHOD: Wrong =
    Wrong { status: 501, reason: "Not Implemented", expected: "a known method" };

pub(super) const HEADER_FIELD: Wrong =
    Wrong::bad("Malformed Header Field", "a header field name and a colon");
pub(super) const HEADER_END: Wrong =
    Wrong::bad("Incomplete Header Section", "an empty line behind the header fields");
pub(super) const HEADER_SIZE: Wrong =
    Wrong { status: 513, reason: "Header Section Too Large", expected: "a smaller header section" };
pub(super) const HEADER_COUNT: Wrong = Wrong::bad("Too Many Header Fields", "fewer header fields");
pub(super) const VIA_COUNT: Wrong = Wrong::bad("Too Many Via Values", "fewer Via values");

pub(super) const VIA: Wrong = Wrong::bad("Malformed Via", "a Via value");
pub(super) const VIA_PROTOCOL: Wrong = Wrong::bad("Unknown Via Protocol", "SIP/2.0 in Via");
pub(super) const BRANCH: Wrong = Wrong::bad("Incomplete Via Branch", "more than the magic cookie");
pub(super) const FROM: Wrong = Wrong::bad("Malformed From", "a From value");
pub(super) const FROM_TWICE: Wrong = Wrong::bad("Repeated From", "one From");
pub(super) const FROM_MISSING: Wrong = Wrong::bad("Missing From", "a From header field");
pub(super) const TO: Wrong = Wrong::bad("Malformed To", "a To value");
pub(super) const TO_TWICE: Wrong = Wrong::bad("Repeated To", "one To");
pub(super) const TO_MISSING: Wrong = Wrong::bad("Missing To", "a To header field");
pub(super) const CALL_ID: Wrong = Wrong::bad("Malformed Call-ID", "a Call-ID");
pub(super) const CALL_ID_TWICE: Wrong = Wrong::bad("Repeated Call-ID", "one Call-ID");
pub(super) const CALL_ID_MISSING: Wrong = Wrong::bad("Missing Call-ID", "a Call-ID header field");
pub(super) const CSEQ: Wrong =
    Wrong::bad("Malformed CSeq", "a number below 2^31 and a method in CSeq");
pub(super) const CSEQ_TWICE: Wrong = Wrong::bad("Repeated CSeq", "one CSeq");
pub(super) const CSEQ_METHOD: Wrong = Wrong::bad("CSeq Method Mismatch", "one method");
pub(super) const MAX_FORWARDS: Wrong =
    Wrong::bad("Malformed Max-Forwards", "Max-Forwards from 0 to 255");
pub(super) const MAX_FORWARDS_TWICE: Wrong =
    Wrong::bad("Repeated Max-Forwards", "one Max-Forwards");
pub(super) const CONTENT_LENGTH: Wrong =
    Wrong::bad("Malformed Content-Length", "a number in Content-Length");
pub(super) const CONTENT_LENGTH_TWICE: Wrong =
    Wrong::bad("Repeated Content-Length", "one Content-Length");
pub(super) const CONTENT_LENGTH_LARGER: Wrong =
    Wrong::bad("Content-Length Larger Than Message", "as many octets as Content-Length says");
pub(super) const CONTENT_TYPE_TWICE: Wrong =
    Wrong::bad("Repeated Content-Type", "one Content-Type");
pub(super) const ROUTE: Wrong = Wrong::bad("Malformed Route", "a Route value");
