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

const REGISTERED: &[(u16, (&str, &str))] = &[
    (200, ("OK", "RFC 3261 section 21.2.1")),
    (202, ("Accepted", "RFC 6665")),
    (204, ("No Notification", "RFC 5839")),
    (300, ("Multiple Choices", "RFC 3261 section 21.3.1")),
    (301, ("Moved Permanently", "RFC 3261 section 21.3.2")),
    (302, ("Moved Temporarily", "RFC 3261 section 21.3.3")),
    (305, ("Use Proxy", "RFC 3261 section 21.3.4")),
    (380, ("Alternative Service", "RFC 3261 section 21.3.5")),
    (400, ("Bad Request", "RFC 3261 section 21.4.1")),
    (401, ("Unauthorized", "RFC 3261 section 21.4.2")),
    (402, ("Payment Required", "RFC 3261 section 21.4.3")),
    (403, ("Forbidden", "RFC 3261 section 21.4.4")),
    (404, ("Not Found", "RFC 3261 section 21.4.5")),
    (405, ("Method Not Allowed", "RFC 3261 section 21.4.6")),
    (406, ("Not Acceptable", "RFC 3261 section 21.4.7")),
    (407, ("Proxy Authentication Required", "RFC 3261 section 21.4.8")),
    (408, ("Request Timeout", "RFC 3261 section 21.4.9")),
    (410, ("Gone", "RFC 3261 section 21.4.10")),
    (412, ("Conditional Request Failed", "RFC 3903")),
    (413, ("Request Entity Too Large", "RFC 3261 section 21.4.11")),
    (414, ("Request-URI Too Long", "RFC 3261 section 21.4.12")),
    (415, ("Unsupported Media Type", "RFC 3261 section 21.4.13")),
    (416, ("Unsupported URI Scheme", "RFC 3261 section 21.4.14")),
    (417, ("Unknown Resource-Priority", "RFC 4412")),
    (420, ("Bad Extension", "RFC 3261 section 21.4.15")),
    (421, ("Extension Required", "RFC 3261 section 21.4.16")),
    (422, ("Session Interval Too Small", "RFC 4028")),
    (423, ("Interval Too Brief", "RFC 3261 section 21.4.17")),
    (424, ("Bad Location Information", "RFC 6442")),
    (425, ("Bad Alert Message", "RFC 8876")),
    (428, ("Use Identity Header", "RFC 8224")),
    (429, ("Provide Referrer Identity", "RFC 3892")),
    (430, ("Flow Failed", "RFC 5626")),
    (433, ("Anonymity Disallowed", "RFC 5079")),
    (436, ("Bad Identity Info", "RFC 8224")),
    (437, ("Unsupported Credential", "RFC 8224")),
    (438, ("Invalid Identity Header", "RFC 8224")),
    (439, ("First Hop Lacks Outbound Support", "RFC 5626")),
    (440, ("Max-Breadth Exceeded", "RFC 5393")),
    (469, ("Bad Info Package", "RFC 6086")),
    (470, ("Consent Needed", "RFC 5360")),
    (480, ("Temporarily Unavailable", "RFC 3261 section 21.4.18")),
    (481, ("Call/Transaction Does Not Exist", "RFC 3261 section 21.4.19")),
    (482, ("Loop Detected", "RFC 3261 section 21.4.20")),
    (483, ("Too Many Hops", "RFC 3261 section 21.4.21")),
    (484, ("Address Incomplete", "RFC 3261 section 21.4.22")),
    (485, ("Ambiguous", "RFC 3261 section 21.4.23")),
    (486, ("Busy Here", "RFC 3261 section 21.4.24")),
    (487, ("Request Terminated", "RFC 3261 section 21.4.25")),
    (488, ("Not Acceptable Here", "RFC 3261 section 21.4.26")),
    (489, ("Bad Event", "RFC 6665")),
    (491, ("Request Pending", "RFC 3261 section 21.4.27")),
    (493, ("Undecipherable", "RFC 3261 section 21.4.28")),
    (494, ("Security Agreement Required", "RFC 3329")),
    (500, ("Server Internal Error", "RFC 3261 section 21.5.1")),
    (501, ("Not Implemented", "RFC 3261 section 21.5.2")),
    (502, ("Bad Gateway", "RFC 3261 section 21.5.3")),
    (503, ("Service Unavailable", "RFC 3261 section 21.5.4")),
    (504, ("Server Time-out", "RFC 3261 section 21.5.5")),
    (505, ("Version Not Supported", "RFC 3261 section 21.5.6")),
    (513, ("Message Too Large", "RFC 3261 section 21.5.7")),
    (555, ("Push Notification Service Not Supported", "RFC 8599")),
    (580, ("Precondition Failure", "RFC 3312")),
    (600, ("Busy Everywhere", "RFC 3261 section 21.6.1")),
    (603, ("Decline", "RFC 3261 section 21.6.2")),
    (604, ("Does Not Exist Anywhere", "RFC 3261 section 21.6.3")),
    (606, ("Not Acceptable", "RFC 3261 section 21.6.4")),
    (607, ("Unwanted", "RFC 8197")),
    (608, ("Rejected", "RFC 8688")),
];

/// The reason phrase of a final status and the document that defines it, as the registry of SIP
/// response codes has them; `None` for a status that it does not know.
pub fn registered(status: u16) -> Option<(&'static str, &'static str)> {
    named(REGISTERED, status)
}

const MSRP: &[(u16, (&str, &str))] = &[
    (200, ("the next hop has the chunk", "RFC 4975 section 10.1")),
    (400, ("the request was not understood", "RFC 4975 section 10.2")),
    (401, ("credentials for a relay are missing", "RFC 4976 section 9.1")),
    (403, ("the action is not allowed", "RFC 4975 section 10.3")),
    (408, ("a transaction further on was not completed in time", "RFC 4975 section 10.4")),
    (413, ("this message is to be sent no further", "RFC 4975 section 10.5")),
    (415, ("the media type is not understood", "RFC 4975 section 10.6")),
    (423, ("a parameter is out of bounds", "RFC 4975 section 10.7")),
    (481, ("there is no such session", "RFC 4975 section 10.8")),
    (501, ("the method is not understood", "RFC 4975 section 10.9")),
    (506, ("the session is bound to another connection", "RFC 4975 section 10.10")),
];

/// What a status of MSRP says and the document that defines it; `None` for one that neither RFC 4975
/// nor RFC 4976 knows. They define no reason phrases.
pub fn msrp_meaning(status: u16) -> Option<(&'static str, &'static str)> {
    named(MSRP, status)
}

fn named<K: Copy + PartialEq, V: Copy>(names: &'static [(K, V)], key: K) -> Option<V> {
    names.iter().find(|(known, _)| *known == key).map(|(_, name)| *name)
}
