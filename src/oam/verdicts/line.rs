//! The line of one message: what it was, what was decided and from what, what was said about it.
//!
//! **A line is one line and pure ASCII, whatever a peer put into its identifiers.** Control
//! characters and everything beyond ASCII are escaped; octets that are not UTF-8 are read as
//! Latin-1, so that none is lost.
//!
//! Of a short message there is a line for each time that it was submitted. `im_call_id` is the same in
//! all of them, so that the packet that proved an `earlier` verdict can be found.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::delivery::{
    Account, Answer, Asked, Evidence, Final, Form, Identifier, MsrpRole, Report, Role, RpResult,
    Submission, Verdict,
};
use crate::oam::clock::TimeOfDay;
use crate::packet::SendError;

/// What the lines need to know beside the accounts.
#[derive(Clone, Debug)]
pub struct Context {
    /// The peers' names in the order of the configuration.
    pub peers: Box<[Box<str>]>,
    /// How moments become times of day.
    pub time: TimeOfDay,
}

/// One line. The fields stand in the order in which a reader asks for them.
#[derive(Serialize)]
struct Line<'a> {
    arrived: String,
    form: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rp_mr: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_be_duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<Parts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    octets: Option<u64>,
    verdict: char,
    evidence: Proof,
    report: Told,
    statuses: &'a [u16],
    verdict_ms: f64,
    report_ms: f64,
    transmissions: u8,
    sms_peer: &'a str,
    im_peer: &'a str,
    recipient: String,
    sms_call_id: String,
    im_call_id: String,
    /// Which identifiers were longer than what is kept of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cut: Vec<&'static str>,
}

/// The short messages that a message became, and how far they have come.
#[derive(Serialize)]
struct Parts {
    all: u8,
    taken: u8,
    received: u8,
}

/// What decided.
#[derive(Default, Serialize)]
struct Proof {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<char>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// It said when to try again: then its status is not for good.
    #[serde(skip_serializing_if = "is_false")]
    retry_after: bool,
    /// What it answered, if not the first and only request.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcs: Option<u8>,
}

/// What was said about it, and what became of that.
#[derive(Default, Serialize)]
struct Told {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rp: Option<&'static str>,
    /// What RP-ACK stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    means: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Appends the line of one account, with its line feed.
pub fn write_line(account: &Account, context: &Context, to: &mut Vec<u8>) {
    let peer = |index: u8| context.peers.get(usize::from(index)).map_or("", |name| name);
    let identifiers = [
        ("recipient", &account.recipient),
        ("sms_call_id", &account.sms_call_id),
        ("im_call_id", &account.im_call_id),
    ];
    let (form, rp_mr, attempt, may_be_duplicate) = match account.form {
        Form::CutThrough => ("sip", None, None, None),
        Form::Rp { reference, attempt, may_be_duplicate } => {
            ("rp", Some(reference), Some(attempt), Some(may_be_duplicate))
        }
        Form::Submitted { .. } => ("submitted", None, None, None),
        Form::Carried { .. } => ("msrp", None, None, None),
    };
    let parts = match account.form {
        Form::Submitted { parts, taken, received } => Some(Parts { all: parts, taken, received }),
        Form::CutThrough | Form::Rp { .. } | Form::Carried { .. } => None,
    };
    let (message_id, octets) = match account.form {
        Form::Carried { message_id, octets } => {
            (Some(String::from_utf8_lossy(message_id.octets()).into_owned()), Some(octets))
        }
        Form::CutThrough | Form::Rp { .. } | Form::Submitted { .. } => (None, None),
    };
    let line = Line {
        arrived: context.time.rfc3339(account.arrived),
        form,
        rp_mr,
        attempt,
        may_be_duplicate,
        parts,
        message_id,
        octets,
        verdict: account.verdict.letter(),
        evidence: proof(account.evidence),
        report: told(account.report, account.verdict),
        statuses: account.statuses.codes(),
        verdict_ms: ms(account.decided.since(account.arrived)),
        report_ms: ms(account.reported.since(account.arrived)),
        transmissions: account.transmissions,
        sms_peer: peer(account.sms_peer),
        im_peer: peer(account.im_peer),
        recipient: readable(&account.recipient),
        sms_call_id: readable(&account.sms_call_id),
        im_call_id: readable(&account.im_call_id),
        cut: identifiers.iter().filter(|(_, one)| one.is_cut()).map(|(name, _)| *name).collect(),
    };
    let mut serializer = serde_json::Serializer::with_formatter(&mut *to, Ascii);
    // Writing into memory, strings and numbers only: there is nothing that could fail.
    let _ = line.serialize(&mut serializer);
    to.push(b'\n');
}

/// Milliseconds with three decimals.
fn ms(ns: u64) -> f64 {
    let us = u32::try_from(ns / 1_000).unwrap_or(u32::MAX);
    f64::from(us) / 1_000.0
}

fn proof(evidence: Evidence) -> Proof {
    let of = |kind| Proof { kind, ..Proof::default() };
    match evidence {
        Evidence::Final(Final { status, role, retry_after, asked }) => Proof {
            status: Some(status),
            role: Some(role_name(role)),
            retry_after,
            asked: match asked {
                Asked::Once => None,
                Asked::Again => Some("again"),
                Asked::WithCredentials => Some("with_credentials"),
            },
            ..of("final")
        },
        Evidence::Earlier { verdict, status } => Proof {
            verdict: Some(verdict.letter()),
            status: (status > 0).then_some(status),
            ..of("earlier")
        },
        Evidence::Content { cause, fcs } => {
            Proof { cause: Some(cause), fcs: Some(fcs), ..of("content") }
        }
        Evidence::DeadlineUnsent => of("deadline_unsent"),
        Evidence::UriWait => of("uri_wait"),
        Evidence::Discarded => of("discarded"),
        Evidence::TimerF => of("timer_f"),
        Evidence::Deadline => of("deadline"),
        Evidence::NeverSent => of("never_sent"),
        Evidence::Unreachable => of("unreachable"),
        Evidence::Shutdown => of("shutdown"),
        Evidence::WorkerLost => of("worker_lost"),
        Evidence::Invite(response) => Proof { kind: "invite", ..proof(Evidence::Final(response)) },
        Evidence::MsrpResponse(status) => Proof { status: Some(status), ..of("msrp_response") },
        Evidence::MsrpReport(status) => Proof { status: Some(status), ..of("msrp_report") },
        Evidence::InviteTimeout => of("invite_timeout"),
        Evidence::InviteError => of("invite_error"),
        Evidence::AnswerUnusable => of("answer_unusable"),
        Evidence::Acknowledged => of("acknowledged"),
        Evidence::Reported => of("reported"),
        Evidence::MsrpTimeout => of("msrp_timeout"),
        Evidence::ReportMissing => of("report_missing"),
        Evidence::Unfinished => of("unfinished"),
        Evidence::Aborted => of("aborted"),
        Evidence::ByeBeforeEnd => of("bye_before_end"),
        Evidence::ByeAfterEnd => of("bye_after_end"),
        Evidence::NeverConnected => of("never_connected"),
        Evidence::ConnectionUnused => of("connection_unused"),
        Evidence::ConnectionLost => of("connection_lost"),
        Evidence::Submission(submission) => submitted(submission),
    }
}

/// What became of a message at its SC.
fn submitted(submission: Submission) -> Proof {
    let of = |kind| Proof { kind, ..Proof::default() };
    match submission {
        Submission::Taken => of("taken"),
        Submission::RpError { cause } => Proof { cause: Some(cause), ..of("rp_error") },
        Submission::RpSilence => of("rp_silence"),
        Submission::Received => of("received"),
        Submission::NotReceived { status } => {
            Proof { status: Some(status.into()), ..of("not_received") }
        }
        Submission::Unreported => of("unreported"),
        Submission::Unfit { status } => Proof { status: Some(status), ..of("unfit") },
    }
}

/// A role as the configuration names it.
pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Proxy => "proxy",
        Role::Endpoint => "endpoint",
        Role::ImServer => "im_server",
        Role::Gateway => "gateway",
    }
}

/// Who a peer of MSRP is, as the configuration says it.
pub(crate) const fn msrp_role_name(role: MsrpRole) -> &'static str {
    match role {
        MsrpRole::Endpoint => "endpoint",
        MsrpRole::Relay => "relay",
        MsrpRole::B2bua => "b2bua",
        MsrpRole::ImServer => "im_server",
    }
}

fn told(report: Report, verdict: Verdict) -> Told {
    let (answer, outcome, status, error) = match report {
        Report::Silence => (None, "silence", None, None),
        Report::Response(status) => (None, "sent", Some(status), None),
        Report::Refused(status, error) => (None, "refused", Some(status), Some(words(error))),
        Report::Msrp(status) => (None, "reported", Some(status), None),
        Report::Rp(answer, result) => match result {
            RpResult::Taken(status) => (Some(answer), "taken", Some(status), None),
            RpResult::Refused(status) => (Some(answer), "refused", Some(status), None),
            RpResult::Unconfirmed => (Some(answer), "unconfirmed", None, None),
            RpResult::Unsent(error) => (Some(answer), "unsent", None, Some(words(error))),
        },
    };
    let (rp, means, cause, fcs) = match answer {
        None => (None, None, None, None),
        Some(Answer::Ack) => (Some("ack"), Some(acknowledged(verdict)), None, None),
        Some(Answer::Error { cause, fcs }) => (Some("error"), None, Some(cause), Some(fcs)),
    };
    Told { outcome, rp, means, cause, fcs, status, error }
}

/// What an RP-ACK stands for. The SMS side reads delivery into each of them; whoever reads the line
/// must see which ones prove it (hazard H3).
const fn acknowledged(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered => "delivered",
        Verdict::Accepted => "transfer accepted",
        Verdict::Permanent | Verdict::Temporary | Verdict::Unknown => "not delivered",
    }
}

fn words(error: SendError) -> String {
    match error {
        SendError::TooLong => "too long for the path".to_owned(),
        SendError::NoRoute => "no route".to_owned(),
        SendError::Forbidden => "forbidden by a local rule".to_owned(),
        SendError::NoConnection => "no connection".to_owned(),
        SendError::NotWritten => "the connection ended before it was written".to_owned(),
        SendError::Other(errno) => io::Error::from_raw_os_error(errno).to_string(),
    }
}

/// An identifier as text: UTF-8 where it is UTF-8, else every octet as the Latin-1 character that
/// it is.
fn readable(identifier: &Identifier) -> String {
    let octets = identifier.octets();
    match core::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        // The cut went through a character.
        Err(error) if identifier.is_cut() && error.error_len().is_none() => {
            String::from_utf8_lossy(octets.get(..error.valid_up_to()).unwrap_or(octets)).into()
        }
        Err(_) => octets.iter().map(|&octet| char::from(octet)).collect(),
    }
}

/// JSON in ASCII: line separators beyond LF and the control characters of terminals have no way
/// through.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let plain = |c: char| c.is_ascii() && !c.is_ascii_control();
        for part in fragment.split_inclusive(|c| !plain(c)) {
            let text = part.trim_end_matches(|c| !plain(c));
            writer.write_all(text.as_bytes())?;
            for c in part.chars().skip(text.chars().count()) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(in crate::oam) mod tests {
    use super::*;
    use crate::delivery::Statuses;
    use crate::time::Instant;

    pub(in crate::oam::verdicts) fn context() -> Context {
        let peers = ["sbc", "im \"x\""].map(Box::from);
        let time = TimeOfDay { unix_ns: 1_767_225_600_000_000_000, at: Instant(0) };
        Context { peers: Box::new(peers), time }
    }

    pub(in crate::oam) fn account(call_id: &[u8], recipient: &[u8]) -> Account {
        let mut statuses = Statuses::default();
        statuses.push(100);
        statuses.push(200);
        Account {
            form: Form::CutThrough,
            arrived: Instant(5_000),
            decided: Instant(41_305_999),
            reported: Instant(41_400_000),
            sms_call_id: Identifier::new(call_id),
            im_call_id: Identifier::new(call_id),
            recipient: Identifier::new(recipient),
            sms_peer: 0,
            im_peer: 1,
            transmissions: 2,
            statuses,
            evidence: Evidence::Final(Final {
                status: 200,
                role: Role::Proxy,
                retry_after: false,
                asked: Asked::Once,
            }),
            verdict: Verdict::Delivered,
            report: Report::Response(200),
        }
    }

    fn line(account: &Account) -> String {
        let mut text = Vec::new();
        write_line(account, &context(), &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_answers_what_happened() {
        let expected = concat!(
            r#"{"arrived":"2026-01-01T00:00:00.000005Z","form":"sip","verdict":"D","#,
            r#""evidence":{"kind":"final","status":200,"role":"proxy"},"#,
            r#""report":{"outcome":"sent","status":200},"statuses":[100,200],"#,
            r#""verdict_ms":41.3,"report_ms":41.395,"transmissions":2,"#,
            r#""sms_peer":"sbc","im_peer":"im \"x\"","recipient":"sip:bob@example.net","#,
            r#""sms_call_id":"a@b","im_call_id":"a@b"}"#,
            "\n"
        );
        assert_eq!(line(&account(b"a@b", b"sip:bob@example.net")), expected);
    }

    #[test]
    fn every_evidence_and_report_has_words() {
        let of = |evidence, report| {
            let text = line(&Account { evidence, report, ..account(b"a", b"b") });
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            (json["evidence"].to_string(), json["report"].to_string())
        };
        let silence = Report::Silence;
        for (evidence, kind) in [
            (Evidence::TimerF, "timer_f"),
            (Evidence::Deadline, "deadline"),
            (Evidence::NeverSent, "never_sent"),
            (Evidence::Unreachable, "unreachable"),
            (Evidence::Shutdown, "shutdown"),
            (Evidence::WorkerLost, "worker_lost"),
            (Evidence::InviteTimeout, "invite_timeout"),
            (Evidence::InviteError, "invite_error"),
            (Evidence::AnswerUnusable, "answer_unusable"),
            (Evidence::Acknowledged, "acknowledged"),
            (Evidence::Reported, "reported"),
            (Evidence::MsrpTimeout, "msrp_timeout"),
            (Evidence::ReportMissing, "report_missing"),
            (Evidence::Unfinished, "unfinished"),
            (Evidence::Aborted, "aborted"),
            (Evidence::ByeBeforeEnd, "bye_before_end"),
            (Evidence::ByeAfterEnd, "bye_after_end"),
            (Evidence::NeverConnected, "never_connected"),
            (Evidence::ConnectionUnused, "connection_unused"),
            (Evidence::ConnectionLost, "connection_lost"),
        ] {
            assert_eq!(of(evidence, silence).0, format!("{{\"kind\":\"{kind}\"}}"));
        }
        for (evidence, kind) in [
            (Evidence::MsrpResponse(403), "msrp_response"),
            (Evidence::MsrpReport(403), "msrp_report"),
        ] {
            let expected = format!("{{\"kind\":\"{kind}\",\"status\":403}}");
            assert_eq!(of(evidence, silence).0, expected);
        }
        let (role, asked) = (Role::Proxy, Asked::Once);
        let invite = Evidence::Invite(Final { status: 486, role, retry_after: false, asked });
        let expected = r#"{"kind":"invite","role":"proxy","status":486}"#;
        assert_eq!(of(invite, silence).0, expected);
        assert_eq!(of(Evidence::TimerF, silence).1, r#"{"outcome":"silence"}"#);
        let refused = of(Evidence::NeverSent, Report::Refused(500, SendError::NoRoute)).1;
        assert_eq!(refused, r#"{"error":"no route","outcome":"refused","status":500}"#);
        let errno = of(Evidence::NeverSent, Report::Refused(500, SendError::Other(1))).1;
        assert!(errno.contains("not permitted"), "{errno}");
    }

    fn short(evidence: Evidence, verdict: Verdict, report: Report) -> serde_json::Value {
        let form = Form::Rp { reference: 42, attempt: 2, may_be_duplicate: true };
        let text = line(&Account { form, evidence, verdict, report, ..account(b"a", b"b") });
        serde_json::from_str(&text).unwrap()
    }

    const ERROR: Answer = Answer::Error { cause: 111, fcs: 0x90 };

    #[test]
    fn a_line_of_a_short_message_says_which_submission_it_was() {
        let form = Form::Rp { reference: 42, attempt: 1, may_be_duplicate: false };
        let report = Report::Rp(Answer::Ack, RpResult::Taken(200));
        let expected = concat!(
            r#"{"arrived":"2026-01-01T00:00:00.000005Z","form":"rp","rp_mr":42,"attempt":1,"#,
            r#""may_be_duplicate":false,"verdict":"D","#,
            r#""evidence":{"kind":"final","status":200,"role":"proxy"},"#,
            r#""report":{"outcome":"taken","rp":"ack","means":"delivered","status":200},"#,
            r#""statuses":[100,200],"verdict_ms":41.3,"report_ms":41.395,"transmissions":2,"#,
            r#""sms_peer":"sbc","im_peer":"im \"x\"","recipient":"sip:bob@example.net","#,
            r#""sms_call_id":"a@b","im_call_id":"c@d"}"#,
            "\n"
        );
        let im_call_id = Identifier::new(b"c@d");
        let account = account(b"a@b", b"sip:bob@example.net");
        assert_eq!(line(&Account { form, report, im_call_id, ..account }), expected);
    }

    #[test]
    fn what_was_proved_before_and_what_was_no_text_is_said() {
        let earlier = Evidence::Earlier { verdict: Verdict::Delivered, status: 200 };
        let ack = Report::Rp(Answer::Ack, RpResult::Unconfirmed);
        let json = short(earlier, Verdict::Delivered, ack);
        let expected = serde_json::json!({"kind": "earlier", "verdict": "D", "status": 200});
        assert_eq!(json["evidence"], expected);
        assert_eq!([&json["rp_mr"], &json["attempt"]], [42, 2]);
        assert_eq!(json["may_be_duplicate"], true);
        let unknown = Evidence::Earlier { verdict: Verdict::Unknown, status: 0 };
        let json = short(unknown, Verdict::Unknown, ack);
        assert_eq!(json["evidence"], serde_json::json!({"kind": "earlier", "verdict": "U"}));
        let content = Evidence::Content { cause: 111, fcs: 0x90 };
        let json = short(content, Verdict::Permanent, ack);
        let expected = serde_json::json!({"kind": "content", "cause": 111, "fcs": 144});
        assert_eq!(json["evidence"], expected);
        for (evidence, kind) in [
            (Evidence::DeadlineUnsent, "deadline_unsent"),
            (Evidence::UriWait, "uri_wait"),
            (Evidence::Discarded, "discarded"),
        ] {
            let json = short(evidence, Verdict::Temporary, ack);
            assert_eq!(json["evidence"], serde_json::json!({ "kind": kind }));
        }
    }

    #[test]
    fn each_fate_of_an_rp_report_has_its_words() {
        let of = |answer, result| {
            let json = short(Evidence::TimerF, Verdict::Unknown, Report::Rp(answer, result));
            json["report"].to_string()
        };
        let error = r#""cause":111,"fcs":144,"outcome":"#;
        let expected = format!(r#"{{{error}"taken","rp":"error","status":202}}"#);
        assert_eq!(of(ERROR, RpResult::Taken(202)), expected);
        let expected = format!(r#"{{{error}"refused","rp":"error","status":488}}"#);
        assert_eq!(of(ERROR, RpResult::Refused(488)), expected);
        let expected = format!(r#"{{{error}"unconfirmed","rp":"error"}}"#);
        assert_eq!(of(ERROR, RpResult::Unconfirmed), expected);
        let unsent = of(ERROR, RpResult::Unsent(SendError::NoRoute));
        assert!(unsent.contains(r#""error":"no route""#), "{unsent}");
        assert!(unsent.contains(r#""outcome":"unsent""#), "{unsent}");
    }

    /// H3: an acknowledgement without proof of delivery does not look like one.
    #[test]
    fn h3_rp_ack_for_what_was_only_accepted_says_transfer_accepted() {
        let ack = Report::Rp(Answer::Ack, RpResult::Taken(200));
        for (verdict, means) in
            [(Verdict::Delivered, "delivered"), (Verdict::Accepted, "transfer accepted")]
        {
            assert_eq!(short(Evidence::Discarded, verdict, ack)["report"]["means"], means);
        }
    }

    #[test]
    fn a_final_response_says_what_changed_its_meaning() {
        let of = |retry_after, asked| {
            let response = Final { status: 404, role: Role::Proxy, retry_after, asked };
            let evidence = Evidence::Final(response);
            let text = line(&Account { evidence, ..account(b"a", b"b") });
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            json["evidence"].to_string()
        };
        let plain = r#"{"kind":"final","role":"proxy","status":404}"#;
        assert_eq!(of(false, Asked::Once), plain);
        let wished = r#"{"kind":"final","retry_after":true,"role":"proxy","status":404}"#;
        assert_eq!(of(true, Asked::Once), wished);
        assert!(of(false, Asked::Again).contains(r#""asked":"again""#));
        assert!(of(false, Asked::WithCredentials).contains(r#""asked":"with_credentials""#));
    }

    #[test]
    fn nothing_in_an_identifier_can_end_the_line_or_the_string() {
        let wicked = "a\r\nb\"}\\\u{85}\u{2028}\u{9b}31m\u{1b}[2J\u{7f}\t\0ü😀".as_bytes();
        let text = line(&account(wicked, b"sip:x"));
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.trim_end().bytes().all(|octet| (0x20..0x7F).contains(&octet)), "{text:?}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["sms_call_id"].as_str().unwrap().as_bytes(), wicked);
        assert_eq!(json["verdict"], "D");
    }

    #[test]
    fn octets_that_are_no_utf8_are_latin_1() {
        let text = line(&account(b"\xFF\xE9", b"sip:x"));
        assert!(text.contains(r#""sms_call_id":"\u00ff\u00e9""#), "{text}");
    }

    #[test]
    fn what_was_cut_is_said() {
        // 119 octets and a character of two: the cut goes through it.
        let long = format!("{}ü and more", "x".repeat(119));
        let text = line(&account(b"short", long.as_bytes()));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["recipient"], "x".repeat(119));
        assert_eq!(json["cut"], serde_json::json!(["recipient"]));
        assert!(!line(&account(b"short", b"short")).contains("cut"));
    }
}
