//! The messages: composed once, with the number of each written into its places.
//!
//! ```text
//!   branch   z9hG4bK1a2b3c4d-00000007        text   roger: 1a2b3c4d-00000007 ...
//!   Call-ID  1a2b3c4d-00000007@host                        run      number
//! ```
//! The number begins at the seventeenth septet of the text, so that in the GSM 7 bit packing its
//! eight digits are seven whole octets (TS 23.038 section 6.1.2.1). A part of a concatenated text has seven
//! septets of header before it, and one character more before its greeting.

#![expect(clippy::disallowed_macros, reason = "what is composed once is cold code")]

use core::fmt;
use std::net::SocketAddr;

use memchr::memmem;

use crate::load::generator::plan::{Plan, Profile};
use crate::load::short::octets::{Kind, rp_data};
use crate::packet::Transport;

/// Digits of a run, and of a number.
pub(super) const DIGITS: usize = 8;

/// Octets of what names a message: both, and a hyphen between them.
pub const NAME_SIZE: usize = 2 * DIGITS + 1;

/// Begins every text.
pub(super) const GREETING: &str = "roger: ";

/// Octets of the shortest text, which has the greeting and the name of its message.
pub const TEXT_SIZE_MIN: usize = GREETING.len() + NAME_SIZE;

/// The same of a part.
pub const PART_SIZE_MIN: usize = LEAD.len() + TEXT_SIZE_MIN;

/// Septets of the longest text of one short message.
pub const SMS_SIZE_MAX: usize = 160;

/// Septets of the longest text of a part of a concatenated one, which its header leaves.
pub const PART_SIZE_MAX: usize = SMS_SIZE_MAX - PART_HEADER;

/// Septets that the header of a part takes, with its fill bits.
const PART_HEADER: usize = 7;

/// Where its reference and its number stand in the header of a part.
const PART_REFERENCE_AT: usize = 3;
const PART_NUMBER_AT: usize = 5;

/// Begins the text of a part.
const LEAD: &str = "*";

/// Octets of the longest text of a pager message in a datagram: RFC 3428 section 8 bounds the whole request
/// to 1300.
pub const PAGER_SIZE_MAX: usize = 800;

/// The same over a connection, where that section bounds nothing: it still fits into a slot.
pub const PAGER_STREAM_SIZE_MAX: usize = 8_000;

/// What the rest of a text says, as often as it takes.
const FILLER: &str = "The tide is in at a quarter past six, bring the boat round to the north side \
                      and do not forget the lamp. ";

/// Begins every branch (RFC 3261 section 8.1.1.7).
const COOKIE: &str = "z9hG4bK";

/// One run, in eight hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunId(pub u32);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl RunId {
    /// The number in the name of a message of this run, which is all of `name`.
    pub fn number_of(self, name: &[u8]) -> Option<u32> {
        let name: &[u8; NAME_SIZE] = name.try_into().ok()?;
        let (run, rest) = name.split_first_chunk::<DIGITS>()?;
        let (hyphen, number) = rest.split_first()?;
        let number = hex(number.first_chunk()?)?;
        (hex(run)? == self.0 && *hyphen == b'-').then_some(number)
    }
}

/// The eight lower-case digits of a number.
pub const fn digits_of(number: u32) -> [u8; DIGITS] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let octets = number.to_be_bytes();
    let mut digits = [0; DIGITS];
    let mut at = 0;
    while at < octets.len() {
        digits[2 * at] = HEX[(octets[at] >> 4) as usize];
        digits[2 * at + 1] = HEX[(octets[at] & 15) as usize];
        at += 1;
    }
    digits
}

/// The number of eight lower-case digits.
pub fn hex(digits: &[u8; DIGITS]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u32::from(value))
    })
}

/// Finds the name of a message in octets of which only the text is known.
#[derive(Debug)]
pub struct Search {
    run: RunId,
    finder: memmem::Finder<'static>,
    /// From the name to the end of the body, where nothing is added behind the text.
    from_end: usize,
}

impl Search {
    /// For the messages of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let needle = format!("{GREETING}{}-", plan.run);
        Self {
            run: plan.run,
            finder: memmem::Finder::new(needle.as_bytes()).into_owned(),
            from_end: plan.text_size - lead(plan).len() - GREETING.len(),
        }
    }

    /// The number of the message whose text stands in `body`.
    pub fn number_in(&self, body: &[u8]) -> Option<u32> {
        let usual = body.len().checked_sub(self.from_end);
        let name = usual.and_then(|at| body.get(at..at + NAME_SIZE));
        if let Some(number) = name.and_then(|name| self.run.number_of(name)) {
            return Some(number);
        }
        let at = self.finder.find(body)? + GREETING.len();
        self.run.number_of(body.get(at..at + NAME_SIZE)?)
    }
}

/// What leaves: a message with zeros where each one has its number.
#[derive(Debug)]
pub struct Template {
    octets: Box<[u8]>,
    /// Where its number stands in hexadecimal digits.
    numbers: Box<[usize]>,
    /// Where a digit of its number stands, the lowest first in each recipient.
    digits: Box<[Box<[usize]>]>,
    /// Where its number stands in septets.
    septets: Option<usize>,
    /// Where RP-MR stands.
    reference: Option<usize>,
    /// How many short messages make a text, and where the header of a part begins.
    parts: u32,
    part: Option<usize>,
}

impl Template {
    /// The messages of `plan`, sent from `sent_by`.
    pub fn new(plan: &Plan, sent_by: SocketAddr) -> Self {
        let text = text(plan);
        let (body, media_type) = match plan.profile {
            Profile::Pager => (text.clone().into_bytes(), "text/plain"),
            Profile::Sms => (rp_data(0, kind(plan), &text), "application/vnd.3gpp.sms"),
        };
        let head = head(plan, sent_by, media_type, body.len());
        let head_len = head.len();
        let mut octets = head.into_bytes();
        octets.extend(&body);
        let name = format!("{}-{}", plan.run, "0".repeat(DIGITS));
        let numbers =
            memmem::find_iter(&octets, name.as_bytes()).map(|at| at + DIGITS + 1).collect();
        let is_sms = plan.profile == Profile::Sms;
        let is_part = is_sms && plan.parts > 1;
        let header = if is_part { PART_HEADER } else { 0 };
        let septet = header + number_at(plan);
        let user_data = octets.len() - ((header + text.len()) * 7).div_ceil(8);
        Self {
            digits: digits(&octets[..head_len], &plan.recipient),
            numbers,
            septets: is_sms.then(|| user_data + septet * 7 / 8),
            reference: is_sms.then_some(head_len + 1),
            parts: u32::from(plan.parts).max(1),
            part: is_part.then_some(user_data),
            octets: octets.into(),
        }
        .with_zeros()
    }

    /// Writes message `number`; returns how many octets it has, which are as many for each.
    pub fn write(&self, number: u32, to: &mut [u8]) -> usize {
        let len = self.octets.len();
        let to = &mut to[..len];
        to.copy_from_slice(&self.octets);
        let name = digits_of(number);
        for &at in &self.numbers {
            to[at..at + DIGITS].copy_from_slice(&name);
        }
        for places in &self.digits {
            // All parts of a text are for one recipient.
            let mut rest = number / self.parts;
            for &at in places {
                to[at] = b'0' + (rest % 10).to_le_bytes()[0];
                rest /= 10;
            }
        }
        if let Some(at) = self.septets {
            to[at..at + 7].copy_from_slice(&packed(name));
        }
        if let Some(at) = self.reference {
            to[at] = reference(number);
        }
        if let Some(at) = self.part {
            to[at + PART_REFERENCE_AT] = reference(number / self.parts);
            to[at + PART_NUMBER_AT] = 1 + (number % self.parts).to_le_bytes()[0];
        }
        len
    }

    /// Octets of each message.
    pub fn size(&self) -> usize {
        self.octets.len()
    }

    fn with_zeros(mut self) -> Self {
        for places in &self.digits {
            places.iter().for_each(|&at| self.octets[at] = b'0');
        }
        self
    }
}

/// RP-MR of message `number`.
pub const fn reference(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

/// Eight septets in seven octets, the least significant bit first.
fn packed(septets: [u8; DIGITS]) -> [u8; 7] {
    let all = septets.iter().rev().fold(0_u64, |all, septet| all << 7 | u64::from(septet & 0x7F));
    let [octets @ .., _] = all.to_le_bytes();
    octets
}

/// The form of each message.
const fn kind(plan: &Plan) -> Kind {
    match plan.parts {
        0 | 1 => Kind::Gsm7,
        count => Kind::Part { reference: 0, number: 1, count },
    }
}

/// What stands before the greeting.
const fn lead(plan: &Plan) -> &'static str {
    if plan.parts > 1 { LEAD } else { "" }
}

/// Where the digits of its number begin in a text.
pub(super) const fn number_at(plan: &Plan) -> usize {
    lead(plan).len() + GREETING.len() + DIGITS + 1
}

/// The text of each message, with zeros for its number.
pub(super) fn text(plan: &Plan) -> String {
    let mut text = format!("{}{GREETING}{}-{} ", lead(plan), plan.run, "0".repeat(DIGITS));
    while text.len() < plan.text_size {
        text.push_str(FILLER);
    }
    text.truncate(plan.text_size);
    text
}

/// The positions of each `#` of the pattern, wherever it stands in `head`.
fn digits(head: &[u8], pattern: &str) -> Box<[Box<[usize]>]> {
    let places = |at: usize| -> Box<[usize]> {
        let hashes = pattern.bytes().enumerate().filter(|(_, octet)| *octet == b'#');
        let mut places: Box<[usize]> = hashes.map(|(offset, _)| at + offset).collect();
        places.reverse();
        places
    };
    if !pattern.contains('#') {
        return Box::default();
    }
    memmem::find_iter(head, pattern.as_bytes()).map(places).collect()
}

/// The header section (RFC 3261 section 8.1.1, RFC 3428 section 4; TS 24.341 section 5.3.3.4.2 for
/// short messages).
fn head(plan: &Plan, sent_by: SocketAddr, media_type: &str, len: usize) -> String {
    let Plan { run, recipient, domain, .. } = plan;
    let uri = format!("sip:{recipient}@{domain}");
    let transport = match plan.transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    };
    let zeros = "0".repeat(DIGITS);
    let own = format!("sip:load@{sent_by}");
    let identities = match plan.profile {
        Profile::Pager => String::new(),
        Profile::Sms => format!(
            "P-Asserted-Identity: <{own}>\r\n\
             P-Called-Party-ID: <{uri}>\r\n\
             Accept-Contact: *;+g.3gpp.smsip;require;explicit\r\n\
             Request-Disposition: no-fork\r\n"
        ),
    };
    format!(
        "MESSAGE {uri} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {sent_by};branch={COOKIE}{run}-{zeros};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <{own}>;tag={run}-{zeros}\r\n\
         To: <{uri}>\r\n\
         Call-ID: {run}-{zeros}@{host}\r\n\
         CSeq: 1 MESSAGE\r\n\
         {identities}\
         Content-Type: {media_type}\r\n\
         Content-Length: {len}\r\n\r\n",
        host = sent_by.ip(),
    )
}

/// What our own Via begins with, up to the number, behind the CRLF of the status line.
pub fn own_via(plan: &Plan, sent_by: SocketAddr) -> Box<[u8]> {
    let transport = match plan.transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    };
    let via = format!("Via: SIP/2.0/{transport} {sent_by};branch={COOKIE}{}-", plan.run);
    via.into_bytes().into()
}

/// The part of a branch behind its cookie.
pub fn of_branch(branch: &[u8]) -> Option<&[u8]> {
    branch.strip_prefix(COOKIE.as_bytes())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::io::{Choice, Polling};
    use crate::load::generator::mix::Mix;
    use crate::load::generator::plan::{Pace, Timers};
    use crate::wire::rp::{self, Direction};
    use crate::wire::sip::{self, Method};
    use crate::wire::tpdu::{self, Tpdu, UserData};

    const RUN: RunId = RunId(0xbeef_0001);

    pub(in crate::load::generator) fn plan(profile: Profile) -> Plan {
        Plan {
            run: RUN,
            seed: 1,
            profile,
            target: "10.0.0.1:5060".parse().unwrap(),
            transport: Transport::Udp,
            sender: None,
            answerer: None,
            pace: Pace::new(1_000),
            messages: 1_000,
            warmup: 0,
            mix: Mix::read("200").unwrap(),
            timers: Timers::RFC_3261,
            recipient: String::from("+1555#######"),
            domain: String::from("im.example:5070"),
            text_size: 140,
            parts: 1,
            sessions: None,
            driver: Choice::Auto,
            polling: Polling::Adaptive,
        }
    }

    fn own() -> SocketAddr {
        "10.0.0.9:5080".parse().unwrap()
    }

    fn written(plan: &Plan, number: u32) -> Vec<u8> {
        let mut octets = [0xFF; 2_000];
        let len = Template::new(plan, own()).write(number, &mut octets);
        octets[..len].to_vec()
    }

    fn request(octets: &[u8]) -> sip::Request<'_> {
        let Ok(sip::Message::Request(request)) = sip::parse(octets) else { panic!() };
        assert_eq!((request.fault, request.method), (None, Method::Message));
        request
    }

    #[test]
    fn a_message_has_its_number_wherever_it_is_looked_for() {
        for profile in [Profile::Pager, Profile::Sms] {
            let plan = plan(profile);
            for number in [0, 7, 0x89ab_cdef] {
                let octets = written(&plan, number);
                let request = request(&octets);
                let fields = request.fields;
                let name = of_branch(fields.via.branch.of(&octets)).unwrap();
                assert_eq!(RUN.number_of(name), Some(number));
                let call_id = fields.call_id.of(&octets).strip_suffix(b"@10.0.0.9").unwrap();
                assert_eq!(RUN.number_of(call_id), Some(number));
                assert_eq!(RUN.number_of(fields.from_tag.of(&octets)), Some(number));
                let user = format!("sip:+1555{:07}@im.example:5070", number % 10_000_000);
                assert_eq!(request.uri.of(&octets), user.as_bytes());
                assert_eq!(fields.to_uri.of(&octets), user.as_bytes());
                assert!(octets.len() <= 1_300);
            }
        }
    }

    #[test]
    fn a_text_names_its_message() {
        let plan = plan(Profile::Pager);
        let search = Search::new(&plan);
        for number in [0, 7, u32::MAX] {
            let octets = written(&plan, number);
            let body = request(&octets).fields.body.of(&octets);
            assert_eq!(body.len(), 140);
            assert_eq!(search.number_in(body), Some(number));
            // What a gateway puts around it, and what it cuts off, does not matter.
            let wrapped = [b"From: <x>\r\n\r\n".as_slice(), body, b"\r\n"].concat();
            assert_eq!(search.number_in(&wrapped), Some(number));
            assert_eq!(search.number_in(&body[..TEXT_SIZE_MIN]), Some(number));
            assert_eq!(search.number_in(&body[..TEXT_SIZE_MIN - 1]), None);
        }
        let other = Search::new(&Plan { run: RunId(1), ..plan.clone() });
        assert_eq!(other.number_in(&written(&plan, 7)), None);
        assert_eq!(search.number_in(b""), None);
    }

    #[test]
    fn a_short_message_says_the_same_in_septets() {
        for text_size in [TEXT_SIZE_MIN, 140, SMS_SIZE_MAX] {
            let plan = Plan { text_size, ..plan(Profile::Sms) };
            let octets = written(&plan, 0x1234_abcd);
            let body = request(&octets).fields.body.of(&octets);
            let Ok(rp::Message::Data(data)) = rp::parse(body) else { panic!() };
            assert_eq!((data.reference, data.direction), (0xcd, Direction::NetworkToMs));
            let read = tpdu::parse(data.tpdu, Direction::NetworkToMs, tpdu::Answer::Ack);
            let Ok(Tpdu::Deliver(deliver)) = read else { panic!() };
            let mut text = [0; UserData::TEXT_SIZE_MAX];
            let len = deliver.user_data.text(&mut text).unwrap();
            assert!(text.starts_with(b"roger: beef0001-1234abcd"));
            assert_eq!(
                (len, Search::new(&plan).number_in(&text[..len])),
                (text_size, Some(0x1234_abcd))
            );
        }
    }

    #[test]
    fn parts_of_a_text_have_one_recipient_and_numbers_of_their_own() {
        for text_size in [PART_SIZE_MIN, 140, PART_SIZE_MAX] {
            let plan = Plan { text_size, parts: 3, ..plan(Profile::Sms) };
            let octets = written(&plan, 0x1234_0007);
            let text_number = 0x1234_0007 / 3;
            let read = request(&octets);
            let user = format!("sip:+1555{:07}@im.example:5070", text_number % 10_000_000);
            assert_eq!(read.uri.of(&octets), user.as_bytes());
            let Ok(rp::Message::Data(data)) = rp::parse(read.fields.body.of(&octets)) else {
                panic!()
            };
            let answer = tpdu::Answer::Ack;
            let Ok(Tpdu::Deliver(deliver)) = tpdu::parse(data.tpdu, Direction::NetworkToMs, answer)
            else {
                panic!()
            };
            let part = deliver.user_data.elements().next().unwrap();
            let [reference, ..] = u32::to_le_bytes(text_number);
            let number = 1 + u8::try_from(0x1234_0007 % 3).unwrap();
            assert_eq!((part.iei, part.data), (0, &[reference, 3, number][..]));
            let mut text = [0; UserData::TEXT_SIZE_MAX];
            let len = deliver.user_data.text(&mut text).unwrap();
            assert!(text.starts_with(b"*roger: beef0001-12340007"));
            let number = Search::new(&plan).number_in(&text[..len]);
            assert_eq!((len, number), (text_size, Some(0x1234_0007)));
        }
    }

    #[test]
    fn recipients_may_be_few_or_one() {
        let one = Plan { recipient: String::from("alice"), ..plan(Profile::Pager) };
        assert_eq!(
            request(&written(&one, 77)).uri.of(&written(&one, 77)),
            b"sip:alice@im.example:5070"
        );
        let ten = Plan { recipient: String::from("u#"), ..plan(Profile::Pager) };
        assert_eq!(
            request(&written(&ten, 78)).uri.of(&written(&ten, 78)),
            b"sip:u8@im.example:5070"
        );
    }

    #[test]
    fn names_of_other_runs_and_broken_ones_are_none() {
        assert_eq!(RUN.number_of(b"beef0001-0000000a"), Some(10));
        let others: [&[u8]; 6] = [
            b"beef0002-0000000a",
            b"beef0001-0000000A",
            b"beef0001+0000000a",
            b"beef0001-0000000",
            b"beef0001-0000000aa",
            b"",
        ];
        for other in others {
            assert_eq!(RUN.number_of(other), None);
        }
        for number in [0, 1, 0xffff_fffe, 0x0123_4567] {
            assert_eq!(hex(&digits_of(number)), Some(number));
        }
    }
}
