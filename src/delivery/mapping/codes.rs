//! The names of the codes in the table.

/// Who sends an RP-Cause (TS 24.011 section 8.2.5.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// In answer to what a mobile station sends.
    NetworkToMs,
    /// In answer to what a mobile station is sent.
    MsToNetwork,
    /// Both.
    Both,
}

const RP_CAUSES: &[(u8, &str)] = &[
    (1, "unassigned (unallocated) number"),
    (8, "operator determined barring"),
    (10, "call barred"),
    (21, "short message transfer rejected"),
    (22, "memory capacity exceeded"),
    (27, "destination out of order"),
    (28, "unidentified subscriber"),
    (29, "facility rejected"),
    (30, "unknown subscriber"),
    (38, "network out of order"),
    (41, "temporary failure"),
    (42, "congestion"),
    (47, "resources unavailable, unspecified"),
    (50, "requested facility not subscribed"),
    (69, "requested facility not implemented"),
    (81, "invalid short message transfer reference value"),
    (95, "semantically incorrect message"),
    (96, "invalid mandatory information"),
    (97, "message type non-existent or not implemented"),
    (98, "message not compatible with short message protocol state"),
    (99, "information element non-existent or not implemented"),
    (111, "protocol error, unspecified"),
    (127, "interworking, unspecified"),
];

/// The name of an RP-Cause; `None` for a reserved value.
pub fn rp_cause_name(cause: u8) -> Option<&'static str> {
    named(RP_CAUSES, cause)
}

/// In which direction an RP-Cause is legal.
pub const fn rp_cause_way(cause: u8) -> Way {
    match cause {
        22 => Way::MsToNetwork,
        81 | 95..=99 | 111 => Way::Both,
        _ => Way::NetworkToMs,
    }
}

const FCS: &[(u8, &str)] = &[
    (0x80, "telematic interworking not supported"),
    (0x81, "short message type 0 not supported"),
    (0x82, "cannot replace short message"),
    (0x8F, "unspecified TP-PID error"),
    (0x90, "data coding scheme (alphabet) not supported"),
    (0x91, "message class not supported"),
    (0x9F, "unspecified TP-DCS error"),
    (0xA0, "command cannot be actioned"),
    (0xA1, "command unsupported"),
    (0xAF, "unspecified TP-Command error"),
    (0xB0, "TPDU not supported"),
    (0xC0, "SC busy"),
    (0xC1, "no SC subscription"),
    (0xC2, "SC system failure"),
    (0xC3, "invalid SME address"),
    (0xC4, "destination SME barred"),
    (0xC5, "SM rejected, duplicate SM"),
    (0xC6, "TP-VPF not supported"),
    (0xC7, "TP-VP not supported"),
    (0xD0, "(U)SIM SMS storage full"),
    (0xD1, "no SMS storage capability in (U)SIM"),
    (0xD2, "error in MS"),
    (0xD3, "memory capacity exceeded"),
    (0xD4, "(U)SIM application toolkit busy"),
    (0xD5, "(U)SIM data download error"),
    (0xFF, "unspecified error cause"),
];

/// The name of a TP-FCS (TS 23.040 section 9.2.3.22); `None` for a reserved value.
pub fn fcs_name(fcs: u8) -> Option<&'static str> {
    match fcs {
        0xE0..=0xFE => Some("value specific to an application"),
        _ => named(FCS, fcs),
    }
}

const TP_STATUSES: &[(u8, &str)] = &[
    (0x00, "received by the SME"),
    (0x01, "forwarded to the SME, delivery cannot be confirmed"),
    (0x02, "replaced by the SC"),
    (0x20, "congestion"),
    (0x21, "SME busy"),
    (0x22, "no response from SME"),
    (0x23, "service rejected"),
    (0x24, "quality of service not available"),
    (0x25, "error in SME"),
    (0x40, "remote procedure error"),
    (0x41, "incompatible destination"),
    (0x42, "connection rejected by SME"),
    (0x43, "not obtainable"),
    (0x44, "quality of service not available"),
    (0x45, "no interworking available"),
    (0x46, "SM validity period expired"),
    (0x47, "SM deleted by originating SME"),
    (0x48, "SM deleted by SC administration"),
    (0x49, "SM does not exist"),
    (0x60, "congestion"),
    (0x61, "SME busy"),
    (0x62, "no response from SME"),
    (0x63, "service rejected"),
    (0x64, "quality of service not available"),
    (0x65, "error in SME"),
];

/// The class of a TP-Status (TS 23.040 section 9.2.3.15) and its name, `None` for a reserved value.
pub fn tp_status_name(status: u8) -> (&'static str, Option<&'static str>) {
    let class = match status {
        0x00..=0x1F => "completed",
        0x20..=0x3F => "temporary error, the SC still tries",
        0x40..=0x5F => "permanent error, the SC does not try any more",
        0x60..=0x7F => "temporary error, the SC does not try any more",
        0x80..=0xFF => "reserved",
    };
    let name = match status & 0x9F {
        0x10..=0x1F => Some("value specific to the SC"),
        _ => named(TP_STATUSES, status),
    };
    (class, name)
}

const PHRASES: &[(u16, &str)] = &[
    (200, "OK"),
    (202, "Accepted"),
    (204, "No Notification"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Moved Temporarily"),
    (305, "Use Proxy"),
    (380, "Alternative Service"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (410, "Gone"),
    (412, "Conditional Request Failed"),
    (413, "Request Entity Too Large"),
    (414, "Request-URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Unsupported URI Scheme"),
    (417, "Unknown Resource-Priority"),
    (420, "Bad Extension"),
    (421, "Extension Required"),
    (422, "Session Interval Too Small"),
    (423, "Interval Too Brief"),
    (424, "Bad Location Information"),
    (425, "Bad Alert Message"),
    (428, "Use Identity Header"),
    (429, "Provide Referrer Identity"),
    (430, "Flow Failed"),
    (433, "Anonymity Disallowed"),
    (436, "Bad Identity Info"),
    (437, "Unsupported Credential"),
    (438, "Invalid Identity Header"),
    (439, "First Hop Lacks Outbound Support"),
    (440, "Max-Breadth Exceeded"),
    (469, "Bad Info Package"),
    (470, "Consent Needed"),
    (480, "Temporarily Unavailable"),
    (481, "Call/Transaction Does Not Exist"),
    (482, "Loop Detected"),
    (483, "Too Many Hops"),
    (484, "Address Incomplete"),
    (485, "Ambiguous"),
    (486, "Busy Here"),
    (487, "Request Terminated"),
    (488, "Not Acceptable Here"),
    (489, "Bad Event"),
    (491, "Request Pending"),
    (493, "Undecipherable"),
    (494, "Security Agreement Required"),
    (500, "Server Internal Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Server Time-out"),
    (505, "Version Not Supported"),
    (513, "Message Too Large"),
    (555, "Push Notification Service Not Supported"),
    (580, "Precondition Failure"),
    (600, "Busy Everywhere"),
    (603, "Decline"),
    (604, "Does Not Exist Anywhere"),
    (606, "Not Acceptable"),
    (607, "Unwanted"),
    (608, "Rejected"),
];

/// The reason phrase that the registry of SIP response codes gives a final status; `None` for one
/// that it does not know.
pub fn phrase(status: u16) -> Option<&'static str> {
    named(PHRASES, status)
}

fn named<K: Copy + PartialEq>(names: &'static [(K, &'static str)], key: K) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == key).map(|(_, name)| *name)
}
