//! What can be wrong with a request that can still be answered, and what is then answered.

use super::Fault;
use crate::wire::Malformed;

/// One thing that can be wrong, in the words of an answer and in those of a dropped response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Wrong {
    code: u16,
    comment: &'static str,
    expected: &'static str,
}

impl Wrong {
    /// RFC 4975 section 10.2: "a request was unintelligible".
    const fn bad(comment: &'static str, expected: &'static str) -> Self {
        Self { code: 400, comment, expected }
    }

    /// As it is answered.
    pub(super) fn fault(self, at: usize) -> Fault {
        let at = u16::try_from(at).unwrap_or(u16::MAX);
        Fault { code: self.code, comment: self.comment, at }
    }

    /// As it is refused where there is no answer.
    pub(super) const fn malformed(self, at: usize) -> Malformed {
        Malformed { expected: self.expected, at }
    }
}

pub(super) const METHOD: Wrong = Wrong::bad("Malformed Method", "a method in capital letters");
pub(super) const METHOD_UNKNOWN: Wrong =
    Wrong { code: 501, comment: "Unknown Method", expected: "a known method" };
pub(super) const HEADER_FIELD: Wrong =
    Wrong::bad("Malformed Header Field", "a header field name and a colon");
pub(super) const TO_PATH: Wrong = Wrong::bad("Malformed To-Path", "MSRP URIs in To-Path");
pub(super) const TO_PATH_TWICE: Wrong = Wrong::bad("Repeated To-Path", "one To-Path");
pub(super) const TO_PATH_PLACE: Wrong =
    Wrong::bad("To-Path Not First", "To-Path as the first header field");
pub(super) const FROM_PATH: Wrong = Wrong::bad("Malformed From-Path", "MSRP URIs in From-Path");
pub(super) const FROM_PATH_TWICE: Wrong = Wrong::bad("Repeated From-Path", "one From-Path");
pub(super) const FROM_PATH_PLACE: Wrong =
    Wrong::bad("From-Path Not Second", "From-Path as the second header field");
pub(super) const MESSAGE_ID: Wrong =
    Wrong::bad("Malformed Message-ID", "a Message-ID of 4 to 32 characters");
pub(super) const MESSAGE_ID_TWICE: Wrong = Wrong::bad("Repeated Message-ID", "one Message-ID");
pub(super) const MESSAGE_ID_MISSING: Wrong =
    Wrong::bad("Missing Message-ID", "a Message-ID header field");
pub(super) const BYTE_RANGE: Wrong =
    Wrong::bad("Malformed Byte-Range", "first-last/total in Byte-Range");
pub(super) const BYTE_RANGE_TWICE: Wrong = Wrong::bad("Repeated Byte-Range", "one Byte-Range");
pub(super) const SUCCESS_REPORT: Wrong =
    Wrong::bad("Malformed Success-Report", "yes or no in Success-Report");
pub(super) const SUCCESS_REPORT_TWICE: Wrong =
    Wrong::bad("Repeated Success-Report", "one Success-Report");
pub(super) const FAILURE_REPORT: Wrong =
    Wrong::bad("Malformed Failure-Report", "yes, no or partial in Failure-Report");
pub(super) const FAILURE_REPORT_TWICE: Wrong =
    Wrong::bad("Repeated Failure-Report", "one Failure-Report");
pub(super) const STATUS: Wrong = Wrong::bad("Malformed Status", "a namespace and a code in Status");
pub(super) const STATUS_TWICE: Wrong = Wrong::bad("Repeated Status", "one Status");
pub(super) const STATUS_MISSING: Wrong = Wrong::bad("Missing Status", "a Status header field");
pub(super) const CONTENT_TYPE: Wrong =
    Wrong::bad("Malformed Content-Type", "a type and a subtype in Content-Type");
pub(super) const CONTENT_TYPE_PLACE: Wrong =
    Wrong::bad("Content-Type Not Last", "Content-Type as the last header field");
pub(super) const CONTENT_TYPE_MISSING: Wrong =
    Wrong::bad("Missing Content-Type", "a Content-Type in front of a body");
pub(super) const USE_PATH: Wrong = Wrong::bad("Malformed Use-Path", "MSRP URIs in Use-Path");
pub(super) const USE_PATH_TWICE: Wrong = Wrong::bad("Repeated Use-Path", "one Use-Path");
pub(super) const EXPIRES: Wrong = Wrong::bad("Malformed Expires", "seconds in Expires");
pub(super) const EXPIRES_TWICE: Wrong = Wrong::bad("Repeated Expires", "one Expires");
