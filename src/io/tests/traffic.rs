//! What comes through an SBC: many datagrams with the same addresses and ports.

use core::fmt::Write as _;

/// Numbers that only look like chance, so that a share is the same in every run.
struct Digits(u64);

impl Digits {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ number >> 31
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn token(&mut self, len: usize) -> String {
        const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        (0..len).map(|_| char::from(ALPHABET[usize::from(self.octet()) % ALPHABET.len()])).collect()
    }

    fn hex(&mut self) -> String {
        format!("{:016x}", self.next())
    }
}

struct Request<'a> {
    uri: &'a str,
    /// Header fields in front of the top Via.
    before: &'a str,
    sent_by: &'a str,
    branch: String,
    call_id: String,
    content_type: &'a str,
    body: &'a [u8],
}

const TEXT: Request<'_> = Request {
    uri: "sip:+491511234567@ims.mnc001.mcc262.3gppnetwork.org;user=phone",
    before: "",
    sent_by: "sbc01.fra.carrier.example.net:5060",
    branch: String::new(),
    call_id: String::new(),
    content_type: "text/plain;charset=UTF-8",
    body: b"All bodies are the same here.",
};

impl Request<'_> {
    fn write(&self) -> Vec<u8> {
        let Self { uri, before, sent_by, branch, call_id, content_type, body } = self;
        let mut octets = format!(
            "MESSAGE {uri} SIP/2.0\r\n\
             {before}Via: SIP/2.0/UDP {sent_by};branch=z9hG4bK{branch};rport\r\n\
             Max-Forwards: 69\r\n\
             From: <sip:+15551230001@sms.example>;tag=abc\r\n\
             To: <{uri}>\r\n\
             Call-ID: {call_id}\r\n\
             CSeq: 1 MESSAGE\r\n\
             Content-Type: {content_type}\r\n\
             Content-Length: {len}\r\n\r\n",
            len = body.len(),
        )
        .into_bytes();
        octets.extend_from_slice(body);
        octets
    }
}

/// A response to a request of ours, as it comes back when one port is used for everything.
fn response(digits: &mut Digits, number: usize, sent_by: &str) -> Vec<u8> {
    let status = ["200 OK", "200 OK", "202 Accepted", "486 Busy Here"][number % 4];
    // Node, worker, epoch, index, generation, attempt, loop hash, tag.
    let mut place = String::new();
    let (index, generation) = (number % 500, 1 + number / 500);
    write!(place, "0102{:08x}{index:08x}{generation:08x}00deadbeef{}", 7, digits.hex()).unwrap();
    format!(
        "SIP/2.0 {status}\r\n\
         Via: SIP/2.0/UDP {sent_by};branch=z9hG4bK{place};rport=5060;received=192.0.2.10\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKup\r\n\
         From: <sip:+15551230001@sms.example>;tag=abc\r\n\
         To: <sip:+491511234567@ims.example>;tag=x\r\n\
         Call-ID: the-same@sc.example\r\n\
         CSeq: 1 MESSAGE\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// RP-DATA with RP-MR and user data of its own.
fn short_message(digits: &mut Digits, number: usize) -> Vec<u8> {
    let [.., reference] = number.to_be_bytes();
    let mut body = vec![1, reference, 7, 0x91, 0x94, 0x71, 0x01, 0x00, 0x00, 0x00, 0, 44];
    body.extend((0..44).map(|_| digits.octet()));
    body
}

/// Writes the datagram with that number.
type Write = fn(&mut Digits, usize) -> Vec<u8>;

/// The kinds of traffic, each `count` datagrams that one SBC might send, one after the other.
pub(super) fn kinds(count: usize) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let mut digits = Digits(4);
    let all: [(_, Write); 10] = [
        ("many recipients behind an SBC", |digits, _| {
            let user = digits.next() % 10_000_000;
            let uri = format!("sip:+49151{user:07}@ims.mnc001.mcc262.3gppnetwork.org;user=phone");
            let (branch, call_id) = (digits.token(16), digits.token(24));
            Request { uri: &uri, branch, call_id, ..TEXT }.write()
        }),
        ("one recipient, one body", |digits, _| {
            let (branch, call_id) = (digits.token(10), digits.token(24));
            Request { branch, call_id, ..TEXT }.write()
        }),
        ("one recipient, branches that count", |_, number| {
            let branch = format!("-4711-{number}-0");
            let call_id = format!("{number}-4711@192.0.2.7");
            Request {
                uri: "sip:service@192.0.2.9",
                sent_by: "192.0.2.7:5061",
                branch,
                call_id,
                ..TEXT
            }
            .write()
        }),
        ("branches that count, behind long names", |_, number| {
            let sent_by = "load-generator-03.perf.region1.carrier.example.net:5061";
            Request { sent_by, branch: format!("-4711-{number}-0"), ..TEXT }.write()
        }),
        ("a Record-Route in front of Via, branches with many noughts", |digits, _| {
            let branch = format!("{:04x}.{:08x}{:024}.0", digits.next() % 65_536, 0xE3, 0);
            let before =
                "Record-Route: <sip:scscf01.ims.mnc001.mcc262.3gppnetwork.org:5060;lr>\r\n";
            Request { before, branch, ..TEXT }.write()
        }),
        ("a folded request", |digits, _| {
            let before = "Subject: folded\r\n \t \r\n  thrice\r\n";
            Request { before, branch: digits.token(12), ..TEXT }.write()
        }),
        ("short messages", |digits, number| {
            let body = short_message(digits, number);
            let content_type = "application/vnd.3gpp.sms";
            Request { branch: digits.token(10), content_type, body: &body, ..TEXT }.write()
        }),
        ("one branch, another end", |digits, number| {
            let body = short_message(digits, number);
            Request { content_type: "application/vnd.3gpp.sms", body: &body, ..TEXT }.write()
        }),
        ("responses", |digits, number| response(digits, number, "192.0.2.10:5060")),
        ("responses, IPv6 and a long name", |digits, number| {
            let sent_by = ["[2001:db8:0:1::10]:5060", "gw01.sms.carrier.example.net:5060"];
            response(digits, number, sent_by[number % 2])
        }),
    ];
    all.into_iter()
        .map(|(name, write)| (name, (0..count).map(|number| write(&mut digits, number)).collect()))
        .collect()
}

/// Compact requests and responses with little in them: they end within the window of the head.
pub(super) fn small(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let start = ["MESSAGE sip:a@b SIP/2.0", "SIP/2.0 200 OK"][number % 2];
            format!(
                "{start}\r\nv:SIP/2.0/UDP h;branch=z9hG4bK{number:04}\r\nf:a\r\nt:b\r\ni:c\r\n\
                 CSeq:1 MESSAGE\r\nl:0\r\n\r\n"
            )
            .into_bytes()
        })
        .collect()
}
