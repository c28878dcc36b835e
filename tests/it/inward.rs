//! Messages from IM users to the SMS side: a session that the engine answers, SMS-SUBMITs to an SC, and what of
//! it is told. Both other ends are written by hand.

use roger::delivery::{Evidence, Form, Report, Submission, Verdict};
use roger::engine::{Families, Large, Setup};
use roger::metrics::Counter;
use roger::packet::{ConnectionId, Flow, Rest, SocketId, StreamEvent, Used, Wish};

use crate::bench::{Bench, IM, Left, SBC, answer, endpoint, field, setup};
use roger::id::WorkerId;

pub(crate) const MSRP_SOCKET: SocketId = SocketId(1);
pub(crate) const PHONE: &str = "msrp://10.0.0.9:7777/ph0ne;tcp";
pub(crate) const CENTRE: &str = "+491710760000";

pub(crate) fn inward_setup(submissions_max: u32) -> Setup {
    let mut setup = setup();
    setup.large = Some(Large {
        sockets: Families { v4: Some(MSRP_SOCKET), v6: None },
        authority_v4: "10.0.0.5:2855".into(),
        submissions_max,
        ..Large::default()
    });
    setup.gateway.domain = "sms.example".into();
    setup.peers[0].submit = Some(CENTRE.into());
    setup
}

pub(crate) fn inward_bench() -> Bench {
    Bench::with(inward_setup(16))
}

pub(crate) fn offer(number: u32, types: &str) -> String {
    invite_to(number, "sip:+491711234567@sms.example;user=phone", types)
}

pub(crate) fn invite_to(number: u32, uri: &str, types: &str) -> String {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n\
         m=message 7777 TCP/MSRP *\r\na=path:{PHONE}\r\na=accept-types:{types}\r\n\
         a=setup:actpass\r\na=sendonly\r\n"
    );
    request(number, "INVITE", 1, uri, "", &sdp)
}

/// A request of the phone; `to_tag` puts it into a dialog.
pub(crate) fn request(
    number: u32,
    method: &str,
    cseq: u32,
    uri: &str,
    to_tag: &str,
    body: &str,
) -> String {
    let typed = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let len = body.len();
    format!(
        "{method} {uri} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKphone{number}{method}{cseq};rport\r\n\
         Max-Forwards: 20\r\n\
         From: <sip:alice@im.example>;tag=a{number}\r\n\
         To: <{uri}>{to_tag}\r\n\
         Call-ID: phone-{number}@im.example\r\n\
         CSeq: {cseq} {method}\r\n\
         Contact: <sip:alice@10.0.0.9:5070>\r\n\
         {typed}Content-Length: {len}\r\n\r\n{body}"
    )
}

/// A session that is open, seen from the phone.
pub(crate) struct Talk {
    pub(crate) number: u32,
    pub(crate) id: ConnectionId,
    pub(crate) path: String,
    pub(crate) to: String,
}

impl Talk {
    pub(crate) fn open(bench: &mut Bench, number: u32) -> Self {
        Self::open_as(bench, number, |text| text)
    }

    /// The same with what is made of the INVITE and the ACK.
    pub(crate) fn open_as(bench: &mut Bench, number: u32, made: impl Fn(String) -> String) -> Self {
        let left = bench.give(IM, &made(offer(number, "text/plain message/cpim")));
        assert_eq!(left.len(), 1, "{left:#?}");
        let success = &left[0];
        assert_eq!(success.status(), 200);
        let sdp = String::from_utf8(success.body().to_vec()).unwrap();
        let path = sdp.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
        let to = success.field("to").to_owned();
        let talk = Self { number, id: connection(u16::try_from(number).unwrap()), path, to };
        assert!(bench.give(IM, &made(talk.request("ACK", 1))).is_empty());
        let flow = Flow::to(endpoint("10.0.0.9:7777"), MSRP_SOCKET);
        let flow = Flow { connection: Some(talk.id), ..flow };
        let event = StreamEvent::Opened { flow, owner: None, certificate: None, at: bench.now };
        bench.engine.on_stream(event, &mut bench.out);
        talk
    }

    pub(crate) fn request(&self, method: &str, cseq: u32) -> String {
        let tag = self.to.split(";tag=").nth(1).unwrap();
        let uri = "sip:+491711234567@sms.example;user=phone";
        request(self.number, method, cseq, uri, &format!(";tag={tag}"), "")
    }

    /// Octets of the phone; what leaves for the SC because of them.
    pub(crate) fn says(&self, bench: &mut Bench, text: &str) -> Vec<Left> {
        let mut used = Used { octets: text.len(), rest: Rest::WithMore };
        let event = StreamEvent::Arrived {
            id: self.id,
            octets: text.as_bytes(),
            used: &mut used,
            at: bench.now,
        };
        bench.engine.on_stream(event, &mut bench.out);
        bench.leave()
    }

    pub(crate) fn send(
        &self,
        id: &str,
        fields: &str,
        range: &str,
        body: &str,
        flag: char,
    ) -> String {
        format!(
            "MSRP {id} SEND\r\nTo-Path: {}\r\nFrom-Path: {PHONE}\r\nMessage-ID: m3ssage\r\n\
             Byte-Range: {range}\r\n{fields}\r\n\r\n{body}\r\n-------{id}{flag}\r\n",
            self.path
        )
    }

    /// A message in one SEND.
    pub(crate) fn whole(&self, bench: &mut Bench, fields: &str, body: &str) -> Vec<Left> {
        let len = body.len();
        let fields = format!("{fields}Content-Type: text/plain");
        self.says(bench, &self.send("s3nd", &fields, &format!("1-{len}/{len}"), body, '$'))
    }

    /// What the engine writes, if it has wished to.
    pub(crate) fn heard(&self, bench: &mut Bench) -> String {
        let wishes: Vec<Wish> = core::iter::from_fn(|| bench.out.pop_wish()).collect();
        if !wishes.contains(&Wish::Write(self.id)) {
            return String::new();
        }
        let mut all = Vec::new();
        loop {
            let (mut room, mut filled) = ([0; 8_192], 0);
            let (id, at) = (self.id, bench.now);
            let event = StreamEvent::Room { id, room: &mut room, filled: &mut filled, at };
            bench.engine.on_stream(event, &mut bench.out);
            if filled == 0 {
                break;
            }
            all.extend(&room[..filled]);
        }
        let event = StreamEvent::Written { id: self.id, octets: all.len() as u64, at: bench.now };
        bench.engine.on_stream(event, &mut bench.out);
        String::from_utf8(all).unwrap()
    }
}

pub(crate) fn connection(index: u16) -> ConnectionId {
    ConnectionId { generation: 1.try_into().unwrap(), index, worker: WorkerId(0) }
}

pub(crate) fn later(bench: &mut Bench, ms: u32) -> Vec<Left> {
    bench.wait_ms(ms).into_iter().map(|(_, left)| left).collect()
}

/// The only MESSAGE, which goes to the SC: answered 202.
pub(crate) fn submitted(bench: &mut Bench, left: &[Left]) -> Left {
    let found: Vec<&Left> = left.iter().filter(|left| left.is_request()).collect();
    assert_eq!(found.len(), 1, "{left:#?}");
    let part = found[0].clone();
    assert_eq!(part.to.to_string(), SBC);
    assert!(bench.give(SBC, &answer(&part.text, "202 Accepted")).is_empty());
    part
}

/// A MESSAGE of the SC to the phone's identity.
pub(crate) fn of_sc(number: u32, in_reply_to: &str, body: &[u8]) -> Vec<u8> {
    let mut octets = format!(
        "MESSAGE sip:alice@im.example SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKsc{number};rport\r\n\
         Max-Forwards: 20\r\n\
         From: <sip:sc@sbc.example>;tag=s{number}\r\n\
         To: <sip:alice@im.example>\r\n\
         Call-ID: sc-{number}@sbc.example\r\n\
         CSeq: 1 MESSAGE\r\n\
         {in_reply_to}\
         Content-Type: application/vnd.3gpp.sms\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    octets.extend(body);
    octets
}

pub(crate) fn replies(part: &Left) -> String {
    format!("In-Reply-To: {}\r\n", part.field("call-id"))
}

/// RP-MR of a part.
pub(crate) fn mr(part: &Left) -> u8 {
    part.body()[1]
}

/// The SC takes a part; what leaves beside the 200 to it.
pub(crate) fn acked(bench: &mut Bench, number: u32, part: &Left) -> Vec<Left> {
    answered(bench, number, &replies(part), &[3, mr(part)])
}

pub(crate) fn answered(bench: &mut Bench, number: u32, in_reply_to: &str, rp: &[u8]) -> Vec<Left> {
    let mut left = bench.give_octets(SBC, &of_sc(number, in_reply_to, rp), false);
    assert_eq!(left.remove(0).status(), 200);
    left.extend(later(bench, 4));
    left
}

/// SMS-STATUS-REPORT about a TP-MR to +491711234567; what leaves beside its 200 and RP-ACK.
pub(crate) fn reported(bench: &mut Bench, number: u32, reference: u8, status: u8) -> Vec<Left> {
    let rp = rp_report(reference, status);
    let mut left = bench.give_octets(SBC, &of_sc(number, "", &rp), false);
    assert_eq!(left.remove(0).status(), 200);
    let ack = left.remove(0);
    assert_eq!(ack.body(), [0x02, 0x77, 0x41, 0x02, 0, 0], "RP-ACK: {}", ack.text);
    bench.give(SBC, &answer(&ack.text, "200 OK"));
    left.extend(later(bench, 4));
    left
}

/// SMS-STATUS-REPORT about a TP-MR to +491711234567, in RP-DATA.
pub(crate) fn rp_report(reference: u8, status: u8) -> Vec<u8> {
    let mut tpdu = vec![0x06, reference, 12, 0x91, 0x94, 0x71, 0x11, 0x32, 0x54, 0x76];
    tpdu.extend([0x52, 0x11, 0x22, 0x11, 0x82, 0x00, 0x23]);
    tpdu.extend([0x52, 0x11, 0x22, 0x11, 0x82, 0x00, 0x23]);
    tpdu.push(status);
    let mut rp = vec![0x01, 0x77, 7, 0x91, 0x94, 0x71, 0x01, 0x67, 0x00, 0x00, 0x00];
    rp.push(u8::try_from(tpdu.len()).unwrap());
    rp.extend(tpdu);
    rp
}

pub(crate) const BOTH: &str = "Success-Report: yes\r\nFailure-Report: yes\r\n";

#[test]
fn a_message_of_one_part_is_delivered_when_its_status_report_says_so() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hellohello");
    assert!(talk.heard(&mut bench).starts_with("MSRP s3nd 200"), "at once");
    let part = submitted(&mut bench, &left);
    assert!(part.text.starts_with("MESSAGE tel:+491710760000 SIP/2.0\r\n"), "{}", part.text);
    assert_eq!(part.field("from").split(';').next(), Some("<sip:alice@im.example>"));
    assert_eq!(part.field("p-asserted-identity"), "<sip:alice@im.example>");
    assert_eq!(part.field("content-type"), "application/vnd.3gpp.sms");
    let reference = mr(&part);
    let mut rp = vec![0, reference, 0, 7, 0x91, 0x94, 0x71, 0x01, 0x67, 0, 0];
    let tpdu = [
        &[0x21, reference, 12, 0x91, 0x94, 0x71, 0x11, 0x32, 0x54, 0x76, 0, 0, 10][..],
        b"\xe8\x32\x9b\xfd\x46\x97\xd9\xec\x37",
    ]
    .concat();
    rp.push(u8::try_from(tpdu.len()).unwrap());
    rp.extend(tpdu);
    assert_eq!(part.body(), rp);
    assert!(acked(&mut bench, 1, &part).is_empty());
    assert_eq!(talk.heard(&mut bench), "", "that the SC has it is no success");
    assert!(bench.engine.pop_account().is_none());
    assert!(reported(&mut bench, 2, reference, 0).is_empty());
    let report = talk.heard(&mut bench);
    assert!(report.contains(" REPORT\r\n"), "{report}");
    assert!(report.contains("Message-ID: m3ssage\r\n"), "{report}");
    assert!(report.contains("Byte-Range: 1-10/10\r\n"), "{report}");
    assert!(report.contains("Status: 000 200"), "{report}");
    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Delivered);
    assert_eq!(account.evidence, Evidence::Submission(Submission::Received));
    assert_eq!(account.form, Form::Submitted { parts: 1, taken: 1, received: 1 });
    assert_eq!(account.report, Report::Msrp(200));
    assert_eq!(account.sms_call_id.octets(), part.field("call-id").as_bytes());
    assert_eq!(account.im_call_id.octets(), b"phone-1@im.example");
    // The status report comes again.
    assert!(reported(&mut bench, 3, reference, 0).is_empty());
    assert_eq!(bench.count(Counter::StatusReportsStray), 1);
    assert_eq!(talk.heard(&mut bench), "");
    let bye = bench.give(IM, &talk.request("BYE", 2));
    assert_eq!(bye[0].status(), 200);
    later(&mut bench, 33_000);
    assert_eq!((bench.engine.open(), bench.engine.calls()), (0, 0), "nothing is left");
}

#[test]
fn three_parts_go_one_by_one_and_only_all_of_them_are_a_success() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let mut left = talk.whole(&mut bench, BOTH, &"a".repeat(400));
    let mut references = Vec::new();
    for number in 1..=3_u8 {
        let part = submitted(&mut bench, &left);
        let body = part.body();
        let header = body.windows(6).find(|it| it.starts_with(&[5, 0, 3])).unwrap();
        assert_eq!(header[4..], [3, number]);
        references.push(mr(&part));
        assert!(later(&mut bench, 1_000).is_empty(), "the next one waits");
        left = acked(&mut bench, number.into(), &part);
        // It comes once more.
        let again = acked(&mut bench, 10 + u32::from(number), &part);
        assert!(again.is_empty(), "{again:#?}");
    }
    assert_eq!(bench.count(Counter::SubmissionStray), 3);
    assert!(references.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
    talk.heard(&mut bench);
    for (number, reference) in (20..).zip(&references[..2]) {
        reported(&mut bench, number, *reference, 0);
        reported(&mut bench, number + 10, *reference, 0);
        assert_eq!(talk.heard(&mut bench), "");
    }
    reported(&mut bench, 40, references[2], 0x20);
    assert_eq!(talk.heard(&mut bench), "", "the SC still tries");
    reported(&mut bench, 41, references[2], 0);
    assert!(talk.heard(&mut bench).contains("Status: 000 200"));
    assert_eq!(bench.account().form, Form::Submitted { parts: 3, taken: 3, received: 3 });
}

#[test]
fn ucs_2_and_chunks_in_any_order() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let fields = "Content-Type: text/plain;charset=UTF-8";
    assert!(talk.says(&mut bench, &talk.send("s3c0", fields, "5-8/8", "ий", '$')).is_empty());
    assert!(talk.heard(&mut bench).contains("MSRP s3c0 200"));
    let left = talk.says(&mut bench, &talk.send("f1rst", fields, "1-4/8", "ма", '+'));
    let part = submitted(&mut bench, &left);
    assert!(part.body().ends_with(&[8, 8, 4, 0x3C, 4, 0x30, 4, 0x38, 4, 0x39]));
    assert_eq!(part.body()[12] & 0x20, 0, "no status report is asked for");
    acked(&mut bench, 1, &part);
    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Accepted);
    assert_eq!(account.evidence, Evidence::Submission(Submission::Taken));
    assert_eq!(account.report, Report::Silence);
}

#[test]
fn an_rp_error_of_the_second_part_fails_the_message() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, &"a".repeat(400));
    let first = submitted(&mut bench, &left);
    let left = acked(&mut bench, 1, &first);
    let second = submitted(&mut bench, &left);
    talk.heard(&mut bench);
    let left = answered(&mut bench, 2, &replies(&second), &[5, mr(&second), 1, 30]);
    assert!(left.is_empty(), "the third part is not sent");
    assert!(talk.heard(&mut bench).contains("Status: 000 403"));
    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Permanent);
    assert_eq!(account.evidence, Evidence::Submission(Submission::RpError { cause: 30 }));
    // What comes late of the first part changes nothing.
    reported(&mut bench, 3, mr(&first), 0);
    assert_eq!(talk.heard(&mut bench), "");
}

#[test]
fn failure_report_no_and_partial_hear_what_they_asked_for() {
    for (asked, response, report) in [("no", false, false), ("partial", false, true)] {
        let mut bench = inward_bench();
        let talk = Talk::open(&mut bench, 1);
        let fields = format!("Failure-Report: {asked}\r\n");
        let left = talk.whole(&mut bench, &fields, "hello");
        assert_eq!(talk.heard(&mut bench).contains(" 200"), response, "{asked}");
        let part = submitted(&mut bench, &left);
        answered(&mut bench, 1, &replies(&part), &[5, mr(&part), 1, 42]);
        assert_eq!(talk.heard(&mut bench).contains("000 408"), report, "{asked}");
        assert_eq!(bench.account().verdict, Verdict::Temporary);
    }
}

#[test]
fn a_status_report_of_failure_is_told_and_silence_never_is_success() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    acked(&mut bench, 1, &part);
    talk.heard(&mut bench);
    reported(&mut bench, 2, mr(&part), 0x45);
    assert!(talk.heard(&mut bench).contains("Status: 000 415"));
    assert_eq!(bench.account().verdict, Verdict::Permanent);
    // TR1M: nobody knows.
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    submitted(&mut bench, &left);
    talk.heard(&mut bench);
    assert!(later(&mut bench, 39_000).is_empty());
    assert_eq!(talk.heard(&mut bench), "");
    later(&mut bench, 1_100);
    assert!(talk.heard(&mut bench).contains("Status: 000 408"));
    assert_eq!(bench.account().verdict, Verdict::Unknown);
}

#[test]
fn a_dead_session_gets_no_report_and_its_message_a_verdict() {
    for by_bye in [true, false] {
        let mut bench = inward_bench();
        let talk = Talk::open(&mut bench, 1);
        let left = talk.whole(&mut bench, BOTH, "hello");
        let part = submitted(&mut bench, &left);
        acked(&mut bench, 1, &part);
        talk.heard(&mut bench);
        if by_bye {
            assert_eq!(bench.give(IM, &talk.request("BYE", 2))[0].status(), 200);
        } else {
            let event = StreamEvent::Lost { id: talk.id, doubtful: 0, at: bench.now };
            bench.engine.on_stream(event, &mut bench.out);
            let left = later(&mut bench, 10);
            assert!(left[0].text.starts_with("BYE "), "{left:#?}");
            bench.give(IM, &answer(&left[0].text, "200 OK").replace(";tag=uas", ""));
        }
        reported(&mut bench, 2, mr(&part), 0);
        assert_eq!(talk.heard(&mut bench), "");
        let account = bench.account();
        assert_eq!((account.verdict, account.report), (Verdict::Delivered, Report::Silence));
        assert_eq!(bench.count(Counter::MsrpReportsOut), 0);
    }
}

#[test]
fn answers_that_are_not_to_this_part_are_not_believed() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, &"a".repeat(400));
    let part = submitted(&mut bench, &left);
    let digit = |digit: &str| if digit == "0" { "1" } else { "0" };
    let call_id = part.field("call-id");
    let guessed = format!("In-Reply-To: {}{}\r\n", digit(&call_id[..1]), &call_id[1..]);
    let other_key = {
        let call_id = part.field("call-id");
        let (id, host) = call_id.split_once('@').unwrap();
        let last = if id[..32].ends_with('0') { '1' } else { '0' };
        format!("In-Reply-To: {}{last}{}@{host}\r\n", &id[..31], &id[32..])
    };
    for (number, (in_reply_to, rp)) in (1..).zip([
        ("In-Reply-To: foreign@example\r\n".to_owned(), [3, mr(&part)]),
        (String::new(), [3, mr(&part)]),
        (guessed, [3, mr(&part)]),
        (other_key, [3, mr(&part)]),
        (replies(&part), [3, mr(&part).wrapping_add(1)]),
    ]) {
        assert!(answered(&mut bench, number, &in_reply_to, &rp).is_empty(), "{in_reply_to}");
        assert_eq!(bench.count(Counter::SubmissionStray), u64::from(number), "{in_reply_to}");
    }
    let left = acked(&mut bench, 9, &part);
    assert_eq!(submitted(&mut bench, &left).body()[0], 0, "the next part");
}

#[test]
fn what_cannot_be_a_short_message_is_refused() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let image = talk.send("im4ge", "Content-Type: image/png", "1-3/3", "abc", '$');
    assert!(talk.says(&mut bench, &image).is_empty());
    assert!(talk.heard(&mut bench).starts_with("MSRP im4ge 415"));
    let large = talk.send("l4rge", "Content-Type: text/plain", "1-3/34171", "abc", '+');
    assert!(talk.says(&mut bench, &large.replace("m3ssage", "m3ssag3")).is_empty());
    assert!(talk.heard(&mut bench).starts_with("MSRP l4rge 413"));
    // As many octets as may be, and more than 255 parts.
    let long = "[".repeat(34_170);
    let fields = "Content-Type: text/plain";
    let long = talk.send("l0ng", fields, "1-34170/34170", &long, '$').replace("m3ssage", "long");
    assert!(talk.says(&mut bench, &long).is_empty());
    let heard = talk.heard(&mut bench);
    assert!(heard.contains("MSRP l0ng 200") && heard.contains("000 413"), "{heard}");
    let account = bench.account();
    assert_eq!(account.evidence, Evidence::Submission(Submission::Unfit { status: 413 }));
    assert_eq!(account.verdict, Verdict::Permanent);
    let stranger = talk
        .send("gu3ss", fields, "1-1/1", "a", '$')
        .replace(&talk.path, "msrp://10.0.0.5:2855/guessed;tcp");
    assert!(talk.says(&mut bench, &stranger).is_empty());
    assert!(talk.heard(&mut bench).starts_with("MSRP gu3ss 481"));
}

#[test]
fn cpim_is_opened_and_may_ask_what_becomes_of_it() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let cpim = "From: <sip:alice@im.example>\r\nTo: <tel:+491711234567>\r\n\
                NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: abcd\r\n\
                imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n\r\n\
                Content-Type: text/plain\r\n\r\nhellohello";
    let len = cpim.len();
    let text =
        talk.send("cp1m", "Content-Type: message/cpim", &format!("1-{len}/{len}"), cpim, '$');
    let left = talk.says(&mut bench, &text);
    let part = submitted(&mut bench, &left);
    assert!(part.body().ends_with(b"\xe8\x32\x9b\xfd\x46\x97\xd9\xec\x37"));
    assert_eq!(part.body()[12] & 0x20, 0x20, "TP-SRR");
    acked(&mut bench, 1, &part);
    talk.heard(&mut bench);
    reported(&mut bench, 2, mr(&part), 0);
    assert_eq!(talk.heard(&mut bench), "", "MSRP was not asked for a report of success");
    assert_eq!(bench.account().verdict, Verdict::Delivered);
    assert_eq!(bench.count(Counter::SubmissionsImdn), 1);
    // That somebody may want to know when it is read is nothing that an SC could say (TS 23.204 section 6.10).
    let cpim = cpim.replace("positive-delivery, negative-delivery", "display");
    let len = cpim.len();
    let fields = "Content-Type: message/cpim";
    let text = talk.send("r3ad", fields, &format!("1-{len}/{len}"), &cpim, '$');
    let left = talk.says(&mut bench, &text.replace("m3ssage", "m3ssag3"));
    let part = submitted(&mut bench, &left);
    assert_eq!(part.body()[12] & 0x20, 0, "no TP-SRR");
    let left = acked(&mut bench, 3, &part);
    assert!(left.is_empty(), "no IMDN: {left:#?}");
    assert_eq!(bench.account().verdict, Verdict::Accepted);
    assert_eq!(bench.count(Counter::SubmissionsImdn), 2);
}

#[test]
fn what_an_invitation_expires_by_is_no_validity_period_of_the_message() {
    let mut bench = inward_bench();
    let made = |text: String| text.replace("Max-Forwards", "Expires: 60\r\nMax-Forwards");
    let talk = Talk::open_as(&mut bench, 1, made);
    let left = talk.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    assert_eq!(part.body()[12], 0x21, "SMS-SUBMIT with TP-SRR, and no TP-VP");
}

#[test]
fn invites_are_answered_once_and_refused_where_nothing_matches() {
    let mut bench = inward_bench();
    let status = |bench: &mut Bench, text: &str| {
        let left = bench.give(IM, text);
        assert_eq!(left.len(), 1, "{left:#?}");
        left[0].status()
    };
    assert_eq!(status(&mut bench, &offer(1, "image/png")), 488);
    assert_eq!(status(&mut bench, &invite_to(2, "sip:bob@sms.example", "text/plain")), 404);
    assert_eq!(status(&mut bench, &invite_to(3, "sip:+4917@im.example:5070", "text/plain")), 405);
    let plain = offer(4, "text/plain");
    let first = bench.give(IM, &plain);
    let again = bench.give(IM, &plain);
    assert_eq!(first[0].text, again[0].text);
    assert_eq!(field(&first[0].text, "contact"), "<sip:10.0.0.5:5060>");
    let sdp = String::from_utf8(first[0].body().to_vec()).unwrap();
    for line in [
        "m=message 2855 TCP/MSRP *",
        "a=setup:passive",
        "a=recvonly",
        "a=max-size:34170",
        "a=accept-types:message/cpim text/plain",
        "a=accept-wrapped-types:text/plain",
    ] {
        assert!(sdp.contains(line), "{line} in {sdp}");
    }
    assert_eq!(bench.engine.calls(), 1);
    let cancel = request(4, "INVITE", 1, "sip:+491711234567@sms.example;user=phone", "", "")
        .replace("INVITE sip", "CANCEL sip")
        .replace("1 INVITE", "1 CANCEL");
    assert_eq!(status(&mut bench, &cancel), 200);
    // No ACK: it is sent again, and ended with BYE.
    let left = later(&mut bench, 33_000);
    assert!(left.iter().filter(|left| left.text.starts_with("SIP/2.0 200")).count() >= 9);
    assert!(left.iter().any(|left| left.text.starts_with("BYE ")));
    later(&mut bench, 40_000);
    assert_eq!(bench.engine.calls(), 0);
    // Without an SC nobody takes it.
    let mut bench = Bench::with(inward_setup(0));
    assert_eq!(status(&mut bench, &offer(5, "text/plain")), 405);
}

#[test]
fn full_tables_and_a_drain_refuse_and_what_is_open_goes_on() {
    let mut bench = Bench::with(inward_setup(1));
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    talk.heard(&mut bench);
    let second = talk.send("s3c0nd", "Content-Type: text/plain", "1-1/1", "a", '$');
    assert!(talk.says(&mut bench, &second.replace("m3ssage", "other")).is_empty());
    assert!(talk.heard(&mut bench).starts_with("MSRP s3c0nd 413"));
    later(&mut bench, 2);
    assert_eq!(bench.count(Counter::MsrpNoRoom), 1);
    bench.engine.serve(roger::engine::Serving::Refusing);
    let left = bench.give(IM, &offer(2, "text/plain"));
    assert_eq!(left[0].status(), 503);
    assert!(!left[0].field("retry-after").is_empty());
    acked(&mut bench, 1, &part);
    reported(&mut bench, 2, mr(&part), 0);
    assert!(talk.heard(&mut bench).contains("Status: 000 200"));
}
