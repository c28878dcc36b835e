//! Reading and building SIP: a MESSAGE of 600 octets and its 200, beside other readers; and the SMS
//! inside: an RP-DATA with its SMS-DELIVER and the text of it, and the RP-ACK to it. Of MSRP: the
//! head of a SEND, its response, and the search for the end of a body of 64 KiB, whatever it is of. Of
//! SDP: an offer for a large message, read, and answered.
//!
//! `cargo bench --bench wire` prints, for each subject, the median nanoseconds of interleaved runs,
//! their ratio to ours, allocations and a checksum; without `--bench` it does each thing a few
//! times, so that it cannot rot. `cargo bench --bench wire -- NAME COUNT` does one thing of ours
//! that often and nothing else: two such runs under an instruction counter give its instructions.
//!
//! The other readers are asked for what the engine needs: the topmost Via with its branch, From and
//! To with their tags, Call-ID, CSeq, Max-Forwards. Ours also checks what they do not.
#![expect(clippy::print_stdout, reason = "a bench reports on its standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

use bytes::Bytes;
use ezk_sip_types::header::typed::{CSeq, CallID, FromTo, MaxForwards, Via};
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::{Headers, Name};
use roger::session::negotiation::{self, Content, Ours, Protocols, Role};
use roger::store::{CountingAllocator, allocations_count, allocations_of_this_thread};
use roger::wire::msrp::{self, ByteRange, Event, FailureReport, Head, Path, Reader};
use roger::wire::rp;
use roger::wire::sdp::{self, Direction, Setup, build};
use roger::wire::sip::{
    self, Fields, Forward, Message, Reply, Request, Response, Source, Transport, forward_request,
    forward_response, respond, tag,
};
use roger::wire::tpdu::{self, Address, Answer, Tpdu, UserData};
use rsip::prelude::{HeadersExt as _, ToTypedHeader as _};

#[global_allocator]
static ALLOCATOR: CountingAllocator<std::alloc::System> = CountingAllocator(std::alloc::System);

/// What an SBC sends on behalf of an SMS centre.
const MESSAGE: &[u8] = b"MESSAGE sip:+4915112345678@im.example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK3f2a.7d1c9e5b4a6f8d01c.0;rport\r\n\
    Max-Forwards: 69\r\n\
    From: \"SMSC\" <sip:+4917000000000@sms.example.com>;tag=a7f3e4c1e9d2b\r\n\
    To: <sip:+4915112345678@im.example.com>\r\n\
    Call-ID: 7f3a4e1c-9d2b-4a6f-8d01-c5b4a6f8d01c@sms.example.com\r\n\
    CSeq: 1 MESSAGE\r\n\
    P-Asserted-Identity: <sip:+4917000000000@sms.example.com>\r\n\
    User-Agent: sbc/1.0\r\n\
    Content-Type: text/plain;charset=UTF-8\r\n\
    Content-Length: 121\r\n\r\n\
    Your parcel comes today between 10 and 12. Please have the code 4711 at hand. Many thanks and greetings, your parcel man.";

/// Its 200 as its receiver is told.
const OK: &[u8] = b"SIP/2.0 200 OK\r\n\
    Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK0001a2b3c4d5e6f7a8b9cadb;rport=5060\r\n\
    From: \"SMSC\" <sip:+4917000000000@sms.example.com>;tag=a7f3e4c1e9d2b\r\n\
    To: <sip:+4915112345678@im.example.com>;tag=5d1c9e\r\n\
    Call-ID: 7f3a4e1c-9d2b-4a6f-8d01-c5b4a6f8d01c@sms.example.com\r\n\
    CSeq: 1 MESSAGE\r\n\
    Content-Length: 0\r\n\r\n";

/// The same through a proxy: the Via of the SBC below ours.
const OK_RELAYED: &[u8] = b"SIP/2.0 200 OK\r\n\
    Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK0001a2b3c4d5e6f7a8b9cadb;rport=5060\r\n\
    Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK3f2a.7d1c9e5b4a6f8d01c.0;rport=5060;received=10.0.0.1\r\n\
    From: \"SMSC\" <sip:+4917000000000@sms.example.com>;tag=a7f3e4c1e9d2b\r\n\
    To: <sip:+4915112345678@im.example.com>;tag=5d1c9e\r\n\
    Call-ID: 7f3a4e1c-9d2b-4a6f-8d01-c5b4a6f8d01c@sms.example.com\r\n\
    CSeq: 1 MESSAGE\r\n\
    Content-Length: 0\r\n\r\n";

/// An RP-DATA to a mobile station: an SMS-DELIVER with the first part of two, 153 letters of the
/// default alphabet with some that need an escape.
const RP_DATA: &[u8] = include_bytes!("../tests/vectors/rp/ok-data-long.dat");

/// The first chunk of a long message.
const SEND: &[u8] = b"MSRP d93kswow7f3a4e1c SEND\r\n\
    To-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\n\
    From-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r\n\
    Message-ID: 7f3a4e1c9d2b4a6f\r\n\
    Byte-Range: 1-*/65536\r\n\
    Success-Report: yes\r\n\
    Failure-Report: yes\r\n\
    Content-Type: message/cpim\r\n\r\n";

/// Octets of a body.
const BODY_SIZE: usize = 64 << 10;

/// What a client offers for a large message, behind an SBC.
const OFFER: &[u8] = b"v=0\r\n\
    o=- 3724394400 3724394405 IN IP4 198.51.100.1\r\n\
    s=-\r\n\
    c=IN IP4 198.51.100.1\r\n\
    t=0 0\r\n\
    m=message 7394 TCP/MSRP *\r\n\
    a=accept-types:message/cpim\r\n\
    a=accept-wrapped-types:text/plain message/imdn+xml\r\n\
    a=max-size:1048576\r\n\
    a=path:msrp://198.51.100.1:7394/1f3870be274f6c49b3e31a0c6728957f;tcp\r\n\
    a=setup:actpass\r\n\
    a=msrp-cema\r\n\
    a=sendonly\r\n";

const SOURCE: Source =
    Source { ip: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 0, 0, 1], port: 5060 };

/// Something that is done over and over; its result goes into the checksum.
struct Subject {
    name: &'static str,
    act: fn() -> u64,
    /// Other readers: the subject they are compared with.
    beside: Option<&'static str>,
}

const SUBJECTS: &[Subject] = &[
    Subject { name: "parse-message", act: ours_message, beside: None },
    Subject { name: "parse-200", act: || ours_200(OK), beside: None },
    Subject { name: "parse-200-relayed", act: || ours_200(OK_RELAYED), beside: None },
    Subject { name: "forward-request", act: ours_forward_request, beside: None },
    Subject { name: "forward-response", act: ours_forward_response, beside: None },
    Subject { name: "respond", act: ours_respond, beside: None },
    Subject { name: "rp-data-with-text", act: ours_rp_data, beside: None },
    Subject { name: "rp-ack", act: ours_rp_ack, beside: None },
    Subject { name: "msrp-head", act: msrp_head, beside: None },
    Subject { name: "msrp-send", act: msrp_send, beside: None },
    Subject { name: "msrp-respond", act: msrp_respond, beside: None },
    Subject { name: "msrp-random-64k", act: || msrp_body(&RANDOM), beside: None },
    Subject { name: "msrp-text-64k", act: || msrp_body(&TEXT), beside: None },
    Subject { name: "msrp-hyphens-64k", act: || msrp_body(&HYPHENS), beside: None },
    Subject { name: "msrp-near-64k", act: || msrp_body(&NEAR), beside: None },
    Subject { name: "msrp-occurs-64k", act: msrp_occurs, beside: None },
    Subject { name: "sdp-offer", act: sdp_offer, beside: None },
    Subject { name: "sdp-answer", act: sdp_answer, beside: None },
    Subject { name: "rsip-message", act: || rsip(MESSAGE), beside: Some("parse-message") },
    Subject { name: "rsip-200", act: || rsip(OK), beside: Some("parse-200") },
    Subject { name: "sip-core-message", act: || sip_core(MESSAGE), beside: Some("parse-message") },
    Subject { name: "sip-core-200", act: || sip_core(OK), beside: Some("parse-200") },
    Subject { name: "ezk-message", act: || ezk(MESSAGE), beside: Some("parse-message") },
    Subject { name: "ezk-200", act: || ezk(OK), beside: Some("parse-200") },
];

fn request() -> Request<'static> {
    match sip::parse(black_box(MESSAGE)) {
        Ok(Message::Request(request)) if request.fault.is_none() => Some(request),
        Ok(_) | Err(_) => None,
    }
    .unwrap()
}

fn response() -> Response<'static> {
    match sip::parse(black_box(OK_RELAYED)) {
        Ok(Message::Response(response)) => Some(response),
        Ok(_) | Err(_) => None,
    }
    .unwrap()
}

/// What the engine looks at.
fn sum(fields: &Fields) -> u64 {
    u64::from(fields.via.branch.at)
        ^ u64::from(fields.from_tag.at) << 8
        ^ u64::from(fields.to_tag.end()) << 16
        ^ u64::from(fields.call_id.at) << 24
        ^ u64::from(fields.cseq) << 32
        ^ u64::from(fields.body.at) << 40
        ^ u64::from(fields.via_count) << 56
}

fn ours_message() -> u64 {
    match black_box(sip::parse(black_box(MESSAGE))) {
        Ok(Message::Request(Request { ref fields, fault: None, .. })) => sum(fields),
        Ok(_) | Err(_) => 0,
    }
}

fn ours_200(octets: &'static [u8]) -> u64 {
    match black_box(sip::parse(black_box(octets))) {
        Ok(Message::Response(Response { ref fields, .. })) => sum(fields),
        Ok(_) | Err(_) => 0,
    }
}

thread_local! {
    static REQUEST: Request<'static> = request();
    static RESPONSE: Response<'static> = response();
}

fn ours_forward_request() -> u64 {
    let mut slot = [0; 1_024];
    let forward = Forward {
        transport: Transport::Udp,
        sent_by: b"10.0.0.5:5060",
        branch: b"z9hG4bK0001a2b3c4d5e6f7a8b9cadb",
        source: SOURCE,
        max_forwards: 68,
        pop_route: false,
        strip_asserted: false,
    };
    let len = REQUEST.with(|request| forward_request(black_box(request), &forward, &mut slot));
    black_box(&slot);
    len.unwrap() as u64
}

fn ours_forward_response() -> u64 {
    let mut slot = [0; 1_024];
    let len = RESPONSE
        .with(|response| forward_response(black_box(response), None, false, false, &mut slot));
    black_box(&slot);
    len.unwrap() as u64
}

fn ours_respond() -> u64 {
    let mut slot = [0; 1_024];
    let to_tag = &tag(7);
    let reply = Reply { status: 200, reason: "OK", to_tag, source: SOURCE, ..Reply::default() };
    let len = REQUEST.with(|request| respond(black_box(request), &reply, &mut slot));
    black_box(&slot);
    len.unwrap() as u64
}

/// RP-DATA decoded with its text: what a gateway needs of it.
fn ours_rp_data() -> u64 {
    let Ok(rp::Message::Data(data)) = rp::parse(black_box(RP_DATA)) else { return 0 };
    let Ok(Tpdu::Deliver(deliver)) = tpdu::parse(data.tpdu, data.direction, Answer::Ack) else {
        return 0;
    };
    let mut text = [0; UserData::TEXT_SIZE_MAX];
    let mut originator = [0; Address::TEXT_SIZE_MAX];
    let text_len = deliver.user_data.text(&mut text).unwrap();
    let originator_len = deliver.originator.write(&mut originator).unwrap();
    let part = deliver.user_data.concatenation().unwrap();
    black_box((&text, &originator));
    u64::from(data.reference)
        ^ (text_len as u64) << 8
        ^ (originator_len as u64) << 24
        ^ u64::from(part.reference) << 40
}

/// An offer read, with its one stream.
fn sdp_offer() -> u64 {
    let session = sdp::parse(black_box(OFFER)).unwrap();
    let media = session.media().next().unwrap();
    black_box(&media);
    session.origin.version ^ u64::from(media.path.at) << 8 ^ media.max_size.unwrap() << 32
}

/// The same with the decision on it, and the answer written.
fn sdp_answer() -> u64 {
    let session = sdp::parse(black_box(OFFER)).unwrap();
    let ours = Ours {
        path: b"msrp://192.0.2.1:2855/0cc175b9c0f1b6a831c399e269772661;tcp",
        contents: &[Content { container: b"message/cpim", media_type: b"text/plain" }],
        listens: true,
        cema: true,
        sends: true,
        receives: true,
    };
    let protocols = Protocols { tcp: true, tls: false };
    let agreed =
        negotiation::answer(&session, None, black_box(&ours), protocols, Role::Passive).unwrap();
    let stream = build::Stream {
        tls: agreed.tls,
        port: 2855,
        path: ours.path,
        accept_types: b"message/cpim",
        accept_wrapped_types: b"text/plain",
        max_size: Some(100_000),
        setup: agreed.role.setup(),
        cema: agreed.cema,
        fingerprint: None,
        direction: agreed.direction(),
        more: b"",
    };
    let maker = build::Maker { session_id: 1, version: 1, host: b"192.0.2.1" };
    let mut slot = [0; 1_024];
    let taken = Some((agreed.index, &stream));
    let len = build::answer(&session, &maker, taken, &mut slot).unwrap();
    black_box(&slot);
    assert!(
        (agreed.role, stream.setup, stream.direction)
            == (Role::Passive, Setup::Passive, Direction::RecvOnly)
    );
    len as u64 ^ u64::from(agreed.path.at) << 16
}

/// RP-ACK written with its SMS-DELIVER-REPORT.
fn ours_rp_ack() -> u64 {
    let mut report = [0; 4];
    let mut slot = [0; 16];
    let len = tpdu::deliver_report(None, &mut report).unwrap();
    let direction = black_box(rp::Direction::MsToNetwork);
    let len = rp::ack(direction, black_box(0x2A), &report[..len], &mut slot).unwrap();
    black_box(&slot);
    len as u64 ^ u64::from(slot[1]) << 8
}

/// The head of a SEND divided from the stream and read.
fn msrp_head() -> u64 {
    let mut reader = Reader::new();
    let Event::Head { len } = reader.read(black_box(SEND)) else { return 0 };
    let Ok(Head::Request(request)) = msrp::head(&SEND[..len]) else { return 0 };
    let fields = &request.fields;
    let start = fields.byte_range.map_or(0, |range| range.start);
    black_box(&request);
    start ^ u64::from(fields.message_id.at) << 8 ^ u64::from(fields.content_type.at) << 24
}

/// The same head written.
fn msrp_send() -> u64 {
    let mut slot = [0; 512];
    let (to_path, from_path) = PATHS.with(|paths| *paths);
    let send = msrp::Send {
        transaction_id: b"d93kswow7f3a4e1c",
        to_path,
        from_path,
        message_id: b"7f3a4e1c9d2b4a6f",
        byte_range: Some(ByteRange { start: black_box(1), end: None, total: Some(65_536) }),
        success_report: true,
        failure_report: FailureReport::Yes,
        others: &[],
        content_type: Some(b"message/cpim"),
    };
    let len = send.write(&mut slot).unwrap();
    assert_eq!(&slot[..len], SEND);
    len as u64
}

/// Its response.
fn msrp_respond() -> u64 {
    let mut slot = [0; 512];
    let reply = PATHS.with(|(to_path, from_path)| msrp::Reply {
        transaction_id: b"d93kswow7f3a4e1c",
        to_path: *from_path,
        from_path: *to_path,
        code: black_box(200),
        comment: "OK",
    });
    let len = reply.write(&mut slot).unwrap();
    black_box(&slot);
    len as u64
}

thread_local! {
    static PATHS: (Path<'static>, Path<'static>) = (
        Path::parse(b"msrp://bob.example.com:8888/9di4eae923wzd;tcp").unwrap(),
        Path::parse(b"msrp://alicepc.example.com:7777/iau39soe2843z;tcp").unwrap(),
    );
}

/// Octets of SplitMix64.
static RANDOM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mix = |index: u64| {
        let mixed = (index ^ (index >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB).to_le_bytes()[7]
    };
    chunk(&(1..=BODY_SIZE as u64).map(mix).collect::<Vec<u8>>())
});

/// Lines of text.
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    chunk(
        &b"Your parcel comes today between 10 and 12. Please have the code at hand.\r\n"
            .repeat(900),
    )
});

static HYPHENS: LazyLock<Vec<u8>> = LazyLock::new(|| chunk(&[b'-'; BODY_SIZE]));

/// Nothing but what differs from the end-line in its last character.
static NEAR: LazyLock<Vec<u8>> =
    LazyLock::new(|| chunk(&b"\r\n-------d93kswow7f3a4e1c!".repeat(BODY_SIZE / 26)));

/// A chunk with that body.
fn chunk(body: &[u8]) -> Vec<u8> {
    [SEND, &body[..body.len().min(BODY_SIZE)], b"\r\n-------d93kswow7f3a4e1c$\r\n"].concat()
}

/// A chunk that has arrived as a whole: its body found, to the end-line.
fn msrp_body(chunk: &[u8]) -> u64 {
    let mut reader = Reader::new();
    let mut rest = black_box(chunk);
    let mut sum: u64 = 0;
    loop {
        let (Event::Head { len } | Event::Body { len } | Event::End { len, .. }) =
            reader.read(rest)
        else {
            return sum;
        };
        sum = sum << 16 ^ len as u64;
        rest = &rest[len..];
    }
}

/// What a sender asks of a body that it has.
fn msrp_occurs() -> u64 {
    u64::from(msrp::end_line_occurs(b"9d2b4a6f", black_box(&RANDOM)))
}

fn rsip(octets: &[u8]) -> u64 {
    let message = rsip::SipMessage::try_from(black_box(octets)).unwrap();
    let via = message.via_header().unwrap().typed().unwrap();
    let from = message.from_header().unwrap().typed().unwrap();
    let to = message.to_header().unwrap().typed().unwrap();
    let cseq = message.cseq_header().unwrap().typed().unwrap();
    let hops = message.max_forwards_header().is_ok();
    let len = message.call_id_header().unwrap().to_string().len()
        + via.branch().unwrap().to_string().len()
        + from.tag().unwrap().to_string().len()
        + to.tag().map_or(0, |tag| tag.to_string().len());
    len as u64 + u64::from(cseq.seq) + u64::from(hops)
}

fn sip_core(octets: &[u8]) -> u64 {
    let text = std::str::from_utf8(black_box(octets)).unwrap();
    let message = sip_core::SipMessage::parse(text).unwrap();
    let (cseq, _) = message.cseq().unwrap();
    message.call_id().unwrap().len() as u64 + u64::from(cseq)
}

fn ezk(octets: &'static [u8]) -> u64 {
    let octets = Bytes::from_static(black_box(octets));
    let mut lines = PullParser::new(&octets, 0);
    let text = |line| std::str::from_utf8(line).unwrap();
    let first = text(lines.next().unwrap().unwrap());
    let (_, first) = <MessageLine as ezk_sip_types::parse::Parse>::parse(&octets)(first).unwrap();
    let mut headers = Headers::new();
    for line in &mut lines {
        let (_, line) = Line::parse(&octets, text(line.unwrap())).unwrap();
        headers.insert(line.name, line.value);
    }
    let vias: Vec<Via> = headers.get_named().unwrap();
    let from: FromTo = headers.get(Name::FROM).unwrap();
    let to: FromTo = headers.get(Name::TO).unwrap();
    let call_id: CallID = headers.get_named().unwrap();
    let cseq: CSeq = headers.get_named().unwrap();
    let hops = headers.get_named::<MaxForwards>().is_ok();
    black_box((&vias, &from, &to));
    call_id.0.len() as u64 + u64::from(cseq.cseq) + u64::from(hops) + u64::from(first.is_request())
}

struct Run {
    ns: f64,
    allocations: u64,
    checksum: u64,
}

fn run(act: fn() -> u64, count: u32) -> Run {
    let mut checksum = 0_u64;
    allocations_count();
    let start = Instant::now();
    for _ in 0..count {
        checksum = checksum.wrapping_mul(31).wrapping_add(black_box(act()));
    }
    let ns = start.elapsed().as_nanos() as f64 / f64::from(count);
    let allocations = allocations_of_this_thread().unwrap() / u64::from(count);
    Run { ns, allocations, checksum }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [name, count] = arguments.as_slice()
        && let Some(subject) = SUBJECTS.iter().find(|subject| subject.name == *name)
    {
        let run = run(subject.act, count.parse().unwrap());
        println!("{name}: {count} times, checksum {:016x}", run.checksum);
        return;
    }
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    // Short runs and many, so that most of them are not interrupted on a machine with other work.
    let (rounds, count) = if is_bench { (201, 500_u32) } else { (1, 20) };
    let mut runs: Vec<Vec<Run>> = SUBJECTS.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (subject, runs) in SUBJECTS.iter().zip(&mut runs) {
            // What takes longer is done less often, so that it is interrupted no more than ours.
            let count = if subject.beside.is_none() { count } else { count.div_ceil(10) };
            run(subject.act, count.div_ceil(5));
            runs.push(run(subject.act, count));
        }
    }
    // What is made on first use is made now.
    let made = [&RANDOM, &TEXT, &HYPHENS, &NEAR].map(|chunk| chunk.len());
    println!("MSRP chunks of {made:?} octets, SEND {} octets", SEND.len());
    println!("MESSAGE {} octets, 200 {} octets, {rounds} runs each", MESSAGE.len(), OK.len());
    let median_of = |name: &str| {
        let at = SUBJECTS.iter().position(|subject| subject.name == name).unwrap();
        let mut ns: Vec<f64> = runs[at].iter().map(|run| run.ns).collect();
        ns.sort_by(f64::total_cmp);
        (ns[ns.len() / 2], ns[0], ns[ns.len() - 1])
    };
    for (subject, runs) in SUBJECTS.iter().zip(&runs) {
        let (median, least, most) = median_of(subject.name);
        let last = runs.last().unwrap();
        let (ours, ..) = median_of(subject.beside.unwrap_or(subject.name));
        println!(
            "{:18} {median:8.1} ns [{least:.1}-{most:.1}], {:4.1}x ours, {:2} allocations, \
             checksum {:016x}",
            subject.name,
            median / ours,
            last.allocations,
            last.checksum
        );
        assert!(subject.beside.is_some() || runs.iter().all(|run| run.allocations == 0));
        assert!(runs.iter().all(|run| run.checksum == last.checksum));
    }
}
