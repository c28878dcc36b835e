//! Messages made at random, compared with a second reader that knows no shortcuts, and mutations
//! of all vectors, held against the laws. Both are seeded: a failure names the seed to repeat.

use std::collections::BTreeMap;

use super::judgement::vectors;
use super::laws::{self, SOURCE};
use super::*;
use crate::wire::cursor::count_visits;

/// SplitMix64: small, good enough, and the same everywhere.
pub(in crate::wire) struct Chance(pub(in crate::wire) u64);

impl Chance {
    pub(in crate::wire) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(in crate::wire) fn octet(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub(in crate::wire) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(in crate::wire) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(super) fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// Writes messages in all the ways the grammar allows.
struct Author(Chance);

impl Author {
    fn lws(&mut self) -> &'static str {
        self.0.pick(&["", "", "", " ", "\t", " \t ", "\r\n ", " \r\n\t "])
    }

    /// White space that must be there.
    fn gap(&mut self) -> &'static str {
        self.0.pick(&[" ", " ", "  ", "\r\n ", "\t"])
    }

    fn cased(&mut self, name: &str) -> String {
        match self.0.below(4) {
            0 => name.to_ascii_lowercase(),
            1 => name.to_ascii_uppercase(),
            _ => name.to_owned(),
        }
    }

    fn field(&mut self, name: &str, compact: &str, value: &str) -> String {
        let name = if !compact.is_empty() && self.0.one_in(3) { compact } else { name };
        let name = self.cased(name);
        let before = self.0.pick(&["", "", "", " ", " \t"]);
        let after = self.0.pick(&[" ", " ", "", "  ", "\r\n "]);
        let behind = self.0.pick(&["", "", " ", "\t "]);
        format!("{name}{before}:{after}{value}{behind}\r\n")
    }

    fn host(&mut self) -> &'static str {
        self.0.pick(&["a.example", "192.0.2.7", "[2001:db8::99]", "[::ffff:192.0.2.1]", "x-1_y"])
    }

    fn parameters(&mut self, pool: &mut Vec<String>) -> String {
        let mut text = String::new();
        while !pool.is_empty() {
            let parameter = pool.swap_remove(self.0.below(pool.len()));
            let equals = format!("{}={}", self.lws(), self.lws());
            let parameter = parameter.replacen('=', &equals, 1);
            text = format!("{text}{}{}{}{parameter}", self.lws(), ";", self.lws());
        }
        text
    }

    fn via(&mut self) -> String {
        let mut pool = Vec::new();
        for (odds, parameter) in [
            (8, "branch=z9hG4bK"),
            (4, "rport"),
            (2, "rport=17"),
            (2, "received=192.0.2.66"),
            (1, "received=[2001:db8::66]"),
            (1, "ttl=16"),
            (1, "maddr=224.0.1.75"),
            (2, "x=\"a,b;received=c\\\"d\""),
            (1, "oc"),
        ] {
            let name = parameter.split('=').next().unwrap();
            let there = pool.iter().any(|other: &String| other.split('=').next() == Some(name));
            if !there && self.0.below(10) < odds {
                let more = if name == "branch" { self.0.next().to_string() } else { String::new() };
                pool.push(format!("{parameter}{more}"));
            }
        }
        let protocol = match self.0.below(3) {
            0 => "SIP / 2.0 / UDP".replace(' ', self.lws()),
            1 => "SIP/2.0/TCP".to_owned(),
            _ => "SIP/2.0/UDP".to_owned(),
        };
        let colon = format!("{}:{}5070", self.lws(), self.lws());
        let port = if self.0.one_in(2) { colon } else { String::new() };
        format!("{protocol}{}{}{port}{}", self.gap(), self.host(), self.parameters(&mut pool))
    }

    fn address(&mut self, tag: &str) -> String {
        let uri = self.0.pick(&["sip:u@a.example", "sip:192.0.2.7:5080", "tel:+1555", "urn:x:y"]);
        let mut pool = Vec::new();
        if !tag.is_empty() {
            pool.push(format!("tag={tag}"));
        }
        if self.0.one_in(3) {
            pool.push("p=\"<;,tag=0\"".to_owned());
        }
        let parameters = self.parameters(&mut pool);
        let lws = self.lws();
        match self.0.below(4) {
            0 => format!("{uri}{parameters}"),
            1 => format!("Token two*{lws}<{uri};x=y?h=i>{parameters}"),
            2 => format!("\"A, \\\"B\\\" <x>; \\\\\"{lws}<{uri}>{parameters}"),
            _ => format!("<{uri}>{parameters}"),
        }
    }

    /// Values spread over header fields.
    fn spread(&mut self, name: &str, compact: &str, values: &[String]) -> Vec<String> {
        let mut fields: Vec<String> = Vec::new();
        let mut line = String::new();
        for value in values {
            if line.is_empty() {
                line = value.clone();
            } else if self.0.one_in(2) {
                line = format!("{line}{},{}{value}", self.lws(), self.lws());
            } else {
                fields.push(self.field(name, compact, &line));
                line = value.clone();
            }
        }
        if !line.is_empty() {
            fields.push(self.field(name, compact, &line));
        }
        fields
    }

    /// The header fields that requests and responses share, each list in its order.
    fn groups(&mut self, vias_min: usize, to_tag: &str) -> Vec<Vec<String>> {
        let vias: Vec<_> = (0..vias_min + self.0.below(4)).map(|_| self.via()).collect();
        let (from, to) = (self.address("f1"), self.address(to_tag));
        let cseq = format!("0042{}MESSAGE", self.gap());
        let mut groups = Vec::from([
            self.spread("Via", "v", &vias),
            Vec::from([self.field("From", "f", &from)]),
            Vec::from([self.field("To", "t", &to)]),
            Vec::from([self.field("Call-ID", "i", "a-84b4c76e66710@1.2.3.4")]),
            Vec::from([self.field("CSeq", "", &cseq)]),
        ]);
        for (name, compact, value) in [
            ("Subject", "s", ""),
            ("X-Odd", "", "no: colon, ;;,,; \"open <"),
            ("Contact", "m", "*"),
            ("User-Agent", "", "a\r\n folded (comment\r\n\t\u{e9})"),
            ("Timestamp", "", "54.21"),
            ("Content-Type", "c", "text/plain"),
            ("Record-Route", "", "<sip:192.0.2.1;lr>"),
        ] {
            if self.0.one_in(3) {
                let field = self.field(name, compact, value);
                groups.push(Vec::from([field]));
            }
        }
        groups
    }

    /// The lists woven into one another at random.
    fn weave(&mut self, mut groups: Vec<Vec<String>>) -> String {
        let mut text = String::new();
        while !groups.is_empty() {
            let index = self.0.below(groups.len());
            if groups[index].is_empty() {
                groups.swap_remove(index);
            } else {
                text.push_str(&groups[index].remove(0));
            }
        }
        text
    }

    /// The header section with its end, a body, and octets behind it.
    fn finish(&mut self, start_line: &str, mut groups: Vec<Vec<String>>) -> Vec<u8> {
        let body: Vec<u8> = (0..self.0.below(60)).map(|_| self.0.octet()).collect();
        let counted = !self.0.one_in(4);
        if counted {
            let field = self.field("Content-Length", "l", &format!("0{}", body.len()));
            groups.push(Vec::from([field]));
        }
        let mut octets = format!("{start_line}\r\n{}\r\n", self.weave(groups)).into_bytes();
        octets.extend_from_slice(&body);
        if counted && self.0.one_in(3) {
            octets.extend_from_slice(b"\r\n\r\nsurplus");
        }
        octets
    }

    fn asserted(&mut self) -> Vec<String> {
        (0..self.0.below(5))
            .map(|index| self.field("P-Asserted-Identity", "", &format!("<sip:{index}@b>")))
            .collect()
    }

    fn request(&mut self) -> Vec<u8> {
        let to_tag = self.0.pick(&["", "", "t1"]);
        let mut groups = self.groups(1, to_tag);
        if !self.0.one_in(4) {
            groups.push(Vec::from([self.field("Max-Forwards", "", "070")]));
        }
        let routes: Vec<_> = (0..self.0.below(4))
            .map(|index| format!("\"r, {index}\" <sip:r{index}.example;lr>;x=\"a,b\""))
            .collect();
        groups.push(self.spread("Route", "", &routes));
        groups.push(self.asserted());
        self.finish("MESSAGE sip:u%20v@b.example;x=y SIP/2.0", groups)
    }

    fn response(&mut self) -> Vec<u8> {
        let mut groups = self.groups(2, "t2");
        groups.push(self.asserted());
        let line = self.0.pick(&["SIP/2.0 200 OK", "SIP/2.0 404 Not \u{e9} Here", "SIP/2.0 100 "]);
        self.finish(line, groups)
    }
}

/// A header field as the naive reader sees it.
#[derive(Clone, Debug, PartialEq)]
struct Naive {
    /// As it is written, CRLF included.
    line: Vec<u8>,
    name: String,
    /// Unfolded.
    value: String,
}

/// Splits lines, unfolds, splits at colons; nothing is clever.
fn naive(octets: &[u8]) -> (String, Vec<Naive>, Vec<u8>) {
    let split = octets.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let latin = |octets: &[u8]| octets.iter().map(|octet| char::from(*octet)).collect::<String>();
    let mut lines: Vec<String> = Vec::new();
    for line in latin(&octets[..split]).split("\r\n") {
        if line.starts_with([' ', '\t']) {
            let last = lines.last_mut().unwrap();
            last.push_str("\r\n");
            last.push_str(line);
        } else {
            lines.push(line.to_owned());
        }
    }
    let start_line = lines.remove(0);
    let compact = BTreeMap::from([
        ("v", "via"),
        ("f", "from"),
        ("t", "to"),
        ("i", "call-id"),
        ("l", "content-length"),
        ("c", "content-type"),
        ("m", "contact"),
    ]);
    let fields: Vec<_> = lines
        .iter()
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            let name = name.trim().to_ascii_lowercase();
            let name =
                compact.get(name.as_str()).map_or_else(|| name.clone(), |&name| name.to_owned());
            let value = value.replace("\r\n", "").trim().to_owned();
            let line = line.chars().map(|letter| letter as u8).chain(*b"\r\n").collect();
            Naive { line, name, value }
        })
        .collect();
    let mut body = octets[split + 4..].to_vec();
    if let Some(field) = fields.iter().find(|field| field.name == "content-length") {
        body.truncate(field.value.parse().unwrap());
    }
    (start_line, fields, body)
}

/// Splits at a separator that is neither quoted nor in brackets.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut quoted, mut escaped, mut bracket) =
        (Vec::from([String::new()]), false, false, false);
    for letter in text.chars() {
        if letter == separator && !quoted && !bracket {
            parts.push(String::new());
            continue;
        }
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracket = true,
            '>' if !quoted => bracket = false,
            _ => {}
        }
        parts.last_mut().unwrap().push(letter);
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// All values of a name in order.
fn naive_values(fields: &[Naive], name: &str) -> Vec<String> {
    let fields = fields.iter().filter(|field| field.name == name);
    fields.flat_map(|field| split(&field.value, ',')).collect()
}

/// A Via value without white space between its parts, and its parameters apart.
fn naive_via(value: &str) -> (String, Vec<(String, String)>) {
    let mut parts = split(value, ';').into_iter();
    let head: String = parts.next().unwrap().split_whitespace().collect();
    let parameters = parts
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((&parameter, ""));
            (name.trim().to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    (head, parameters)
}

/// What the topmost Via must become: `rport` in its place, `received` in its place or at the end.
fn naive_amended(value: &str) -> (String, Vec<(String, String)>) {
    let (head, mut parameters) = naive_via(value);
    let rport = parameters.iter().any(|(name, _)| name == "rport");
    let mut received = false;
    for (name, value) in &mut parameters {
        if name == "rport" {
            *value = "40001".to_owned();
        } else if name == "received" {
            received = true;
            *value = "2001:db8::99".to_owned();
        }
    }
    if !received && (rport || !head.contains("[2001:db8::99]")) {
        parameters.push(("received".to_owned(), "2001:db8::99".to_owned()));
    }
    (head, parameters)
}

const CASES: u64 = 1_500;

#[test]
fn what_is_read_is_what_a_naive_reader_reads() {
    for seed in 0..CASES {
        let mut author = Author(Chance(seed));
        let octets = author.request();
        let shown = String::from_utf8_lossy(&octets);
        let Ok(Message::Request(request)) = parse(&octets) else { panic!("{seed}\n{shown}") };
        let (_, fields, body) = naive(&octets);
        let read = &request.fields;
        assert_eq!(request.fault, None, "{seed}\n{shown}");
        assert_eq!(read.body.of(request.octets), body, "{seed}\n{shown}");
        assert_eq!(usize::from(read.header_count), fields.len(), "{seed}");
        let vias = naive_values(&fields, "via");
        assert_eq!(usize::from(read.via_count), vias.len(), "{seed}\n{shown}");
        for (via, naive) in request.vias().zip(&vias) {
            let (head, parameters) = naive_via(naive);
            let sent_by: String =
                latin(via.sent_by.of(request.octets)).split_whitespace().collect();
            assert!(head.ends_with(&sent_by), "{seed}: {head} {sent_by}");
            let branch = parameters.iter().find(|(name, _)| name == "branch");
            let branch = branch.map_or("", |(_, value)| value);
            assert_eq!(latin(via.branch.of(request.octets)), branch, "{seed}\n{shown}");
            assert_eq!(via.rport, parameters.iter().any(|(name, _)| name == "rport"), "{seed}");
        }
        let routes = naive_values(&fields, "route");
        assert_eq!(usize::from(read.route_count), routes.len(), "{seed}\n{shown}");
        for (route, naive) in request.routes().zip(&routes) {
            assert!(naive.contains(&latin(route.host.of(request.octets))), "{seed}");
        }
        let tag = split(&naive_values(&fields, "to")[0], ';')
            .iter()
            .find_map(|parameter| parameter.strip_prefix("tag"))
            .map_or(String::new(), |value| value.replace(['=', ' ', '\t'], ""));
        assert_eq!(latin(read.to_tag.of(request.octets)), tag, "{seed}\n{shown}");
        assert_eq!((read.cseq, read.max_forwards.unwrap_or(70)), (42, 70));
        assert_eq!(read.content_type.is_empty(), naive_values(&fields, "content-type").is_empty());
        laws::reads(&octets);
        laws::frames(&octets);
        laws::builds(&octets);
    }
}

fn latin(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

#[test]
fn forwarding_changes_nothing_else() {
    for seed in 0..CASES {
        let mut author = Author(Chance(seed));
        let octets = author.request();
        let Ok(Message::Request(request)) = parse(&octets) else { panic!("{seed}") };
        let forward = Forward {
            transport: Transport::Udp,
            sent_by: b"ours.example:5060",
            branch: b"z9hG4bKours",
            source: SOURCE,
            max_forwards: 69,
            pop_route: author.0.one_in(2),
            strip_asserted: author.0.one_in(2),
        };
        let mut slot = [0; 9_472];
        let len = forward_request(&request, &forward, &mut slot).unwrap();
        let sent = &slot[..len];
        let shown = format!("{seed}\n{}\n{}", latin(&octets), latin(sent));
        let (start_line, mut expected, body) = naive(&octets);
        let (sent_line, fields, sent_body) = naive(sent);
        assert_eq!((start_line, body), (sent_line, sent_body), "{shown}");

        let vias = naive_values(&expected, "via");
        let sent_vias = naive_values(&fields, "via");
        assert_eq!(sent_vias[0], "SIP/2.0/UDP ours.example:5060;branch=z9hG4bKours;rport");
        assert_eq!(naive_via(&sent_vias[1]), naive_amended(&vias[0]), "{shown}");
        assert_eq!(sent_vias[2..], vias[1..], "{shown}");

        let routes = naive_values(&expected, "route");
        let popped = usize::from(forward.pop_route && !routes.is_empty());
        assert_eq!(naive_values(&fields, "route"), routes[popped..], "{shown}");
        assert_eq!(naive_values(&fields, "max-forwards"), ["69"], "{shown}");
        let asserted = naive_values(&fields, "p-asserted-identity");
        assert!(!forward.strip_asserted || asserted.is_empty(), "{shown}");

        // Every other header field is there, octet for octet and in its order.
        let changed = ["via", "route", "max-forwards"];
        let kept = |field: &Naive| !changed.contains(&field.name.as_str());
        expected.retain(|field| {
            kept(field) && !(forward.strip_asserted && field.name == "p-asserted-identity")
        });
        let sent: Vec<_> = fields.iter().filter(|field| kept(field)).cloned().collect();
        assert_eq!(sent, expected, "{shown}");
    }
}

#[test]
fn passing_back_removes_one_via_value_and_nothing_else() {
    for seed in 0..CASES {
        let mut author = Author(Chance(seed));
        let octets = author.response();
        let strip_asserted = author.0.one_in(2);
        let Ok(Message::Response(response)) = parse(&octets) else {
            panic!("{seed}\n{:?}\n{}", parse(&octets), latin(&octets))
        };
        let mut slot = [0; 9_000];
        let len = forward_response(&response, None, strip_asserted, false, &mut slot).unwrap();
        let sent = &slot[..len];
        let shown = format!("{seed}\n{}\n{}", latin(&octets), latin(sent));
        let (start_line, expected, body) = naive(&octets);
        let (sent_line, fields, sent_body) = naive(sent);
        assert_eq!((start_line, body), (sent_line, sent_body), "{shown}");
        let vias = naive_values(&expected, "via");
        assert_eq!(naive_values(&fields, "via"), vias[1..], "{shown}");
        // All header fields but the first Via are there, octet for octet and in their order.
        let first = expected.iter().position(|field| field.name == "via").unwrap();
        let alone = split(&expected[first].value, ',').len() == 1;
        let mut rest = expected;
        let mut sent = fields;
        rest.remove(first);
        if !alone {
            let first = sent.iter().position(|field| field.name == "via").unwrap();
            sent.remove(first);
        }
        rest.retain(|field| !strip_asserted || field.name != "p-asserted-identity");
        assert_eq!(sent, rest, "{shown}");
        laws::reads(&octets);
        laws::frames(&octets);
        laws::builds(&octets);
    }
}

#[test]
fn answers_carry_what_the_request_carried() {
    for seed in 0..CASES {
        let octets = Author(Chance(seed)).request();
        let Ok(Message::Request(request)) = parse(&octets) else { panic!("{seed}") };
        let reply = Reply {
            status: 202,
            reason: "Accepted",
            to_tag: &tag(5),
            source: SOURCE,
            extra: &[Extra::Capabilities { allow: ALLOW_PAGER, supported: b"" }],
            ..Reply::default()
        };
        let mut slot = [0; 9_000];
        let len = respond(&request, &reply, &mut slot).unwrap();
        let shown = format!("{seed}\n{}\n{}", latin(&octets), latin(&slot[..len]));
        let (_, asked, _) = naive(&octets);
        let (start_line, fields, body) = naive(&slot[..len]);
        assert_eq!((start_line.as_str(), body.len()), ("SIP/2.0 202 Accepted", 0));
        let (asked_vias, vias) = (naive_values(&asked, "via"), naive_values(&fields, "via"));
        assert_eq!(naive_via(&vias[0]), naive_amended(&asked_vias[0]), "{shown}");
        assert_eq!(vias[1..], asked_vias[1..], "{shown}");
        for name in ["from", "call-id", "cseq"] {
            assert_eq!(naive_values(&fields, name), naive_values(&asked, name), "{shown}");
        }
        let to = &naive_values(&fields, "to")[0];
        let rest = to.strip_prefix(naive_values(&asked, "to")[0].as_str()).unwrap();
        let tagged = !request.fields.to_tag.is_empty();
        assert_eq!(rest, if tagged { "" } else { ";tag=0000000000000005" }, "{shown}");
        let again = respond(&request, &reply, &mut [0; 9_000]);
        assert_eq!(again, Some(len));
    }
}

/// What means something somewhere.
const TOKENS: &[&str] = &[
    "\r\n",
    "\r",
    "\n",
    "\0",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "\"",
    "\\",
    "<",
    ">",
    "@",
    "=",
    "%",
    "[",
    "]",
    "\r\n ",
    "\r\n\r\n",
    "v:",
    "Via: ",
    "SIP/2.0/UDP ",
    ";branch=z9hG4bK",
    ";rport",
    ";received=",
    ";tag=",
    "Route: <sip:a;lr>\r\n",
    "P-Asserted-Identity: <sip:a@b>\r\n",
    "Max-Forwards: 0\r\n",
    "Content-Length: 5\r\n",
    "l:0\r\n",
    "SIP/2.0 200 OK\r\n",
    "CSeq: 1 ",
    "[::1]",
    "65536",
    "4294967296",
    "\u{e9}",
    "?",
    "sips:",
    "<sip:",
    "\"\\",
    "v: SIP/2.0/UDP a\r\n",
    "Record-Route: <sip:a;lr>\r\n",
    "Contact: <sip:a@b>\r\n",
    "x: 90\r\n",
    "Session-Expires: 1800;refresher=uas\r\n",
    ";refresher=",
    "Min-SE: 90\r\n",
    "Require: timer\r\n",
    "k: timer,100rel\r\n",
];

/// A change that a line, a peer or an enemy might make.
pub(in crate::wire) fn mutate(chance: &mut Chance, octets: &mut Vec<u8>) {
    let at = chance.below(octets.len() + 1);
    let len = chance.below(24).min(octets.len() - at);
    match chance.below(8) {
        0 if at < octets.len() => octets[at] ^= 1 << chance.below(8),
        1 if at < octets.len() => octets[at] = chance.octet(),
        2 => drop(octets.drain(at..at + len)),
        3 => {
            let copied = octets[at..at + len].to_vec();
            let to = chance.below(octets.len() + 1);
            octets.splice(to..to, copied);
        }
        4 => octets.truncate(at.max(1)),
        5 => {
            // A whole line somewhere else, or once more.
            let from =
                octets[..at].iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
            let end = octets[from..].iter().position(|&octet| octet == b'\n');
            let line = octets[from..end.map_or(octets.len(), |end| from + end + 1)].to_vec();
            let to = chance.below(octets.len() + 1);
            let to = octets[..to].iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
            octets.splice(to..to, line);
        }
        _ => {
            let token = chance.pick(TOKENS);
            octets.splice(at..at, token.bytes());
        }
    }
}

/// The most work per octet, and beside it, in visits of a cursor.
const VISITS_PER_OCTET: u64 = 8;

fn assert_linear(octets: &[u8], shown: &str) {
    let visits = count_visits(|| _ = parse(octets));
    let bound = VISITS_PER_OCTET * (octets.len() as u64 + 8);
    assert!(visits <= bound, "{visits} visits for {} octets: {shown}", octets.len());
}

#[test]
fn mutated_vectors_break_nothing() {
    let vectors = vectors();
    for seed in 0..100_000 {
        let mut chance = Chance(seed);
        let (name, octets) = &vectors[chance.below(vectors.len())];
        let mut octets = octets.clone();
        for _ in 0..=chance.below(4) {
            mutate(&mut chance, &mut octets);
        }
        let held = std::panic::catch_unwind(|| {
            assert_linear(&octets, name);
            laws::reads(&octets);
            laws::builds(&octets);
        });
        assert!(held.is_ok(), "seed {seed}, {name}:\n{}", octets.escape_ascii());
    }
}

#[test]
fn every_truncation_of_every_vector_is_read() {
    for (name, octets) in vectors() {
        // The long ones are cut where anything can change.
        for len in 0..octets.len().min(1_500) {
            assert_linear(&octets[..len], &name);
            laws::reads(&octets[..len]);
        }
    }
}

/// Ten times the octets are at most twelve times the work, whatever is repeated.
#[test]
fn bombs_are_linear() {
    const HEAD: &str = "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n";
    let bombs: &[(&str, &str, &str)] = &[
        ("", "X: y\r\n", "\r\n"),
        ("", "X\r\n", "\r\n"),
        ("", ":\r\n", "\r\n"),
        ("", "v: SIP/2.0/UDP a\r\n", "\r\n"),
        ("", "Route: <sip:a;lr>\r\n", "\r\n"),
        ("", "P-Asserted-Identity: <sip:a@b>\r\n", "\r\n"),
        ("", "To: <sip:a@b>\r\n", "\r\n"),
        ("Via: SIP/2.0/UDP a", ",SIP/2.0/UDP a", "\r\n\r\n"),
        ("Via: SIP/2.0/UDP a", ";x", "\r\n\r\n"),
        ("Via: SIP/2.0/UDP a", ";branch=1", "\r\n\r\n"),
        ("Via: SIP/2.0/UDP a", " ;\t x \t=\t y", "\r\n\r\n"),
        ("Via: SIP", " ", "/2.0/UDP a\r\n\r\n"),
        ("Via: SIP/2.0/UDP [", ":", "]\r\n\r\n"),
        ("Via: SIP/2.0/UDP [::1]", ",SIP/2.0/UDP [", "\r\n\r\n"),
        ("Via: SIP/2.0/UDP a;x=\"", "\\\"", "\"\r\n\r\n"),
        ("Route: <sip:a>", ",<sip:a>", "\r\n\r\n"),
        ("Route: <sip:a", ";x=y", ">\r\n\r\n"),
        ("Route: <sip:a", "@", ">\r\n\r\n"),
        ("Route: <sip:a", "%41", "@b>\r\n\r\n"),
        ("Route: ", "a ", "<sip:a>\r\n\r\n"),
        ("Route: \"", "\\a", "\" <sip:a>\r\n\r\n"),
        ("Route: ", "\"", "<sip:a>\r\n\r\n"),
        ("Route: ", "<", "\r\n\r\n"),
        ("X: ", "(", "\r\n\r\n"),
        ("X: ", "\"", "\r\n\r\n"),
        ("X:", "\r\n ", "\r\n\r\n"),
        ("X:", "\r\n \r\n\t", "\r\n\r\n"),
        ("X: a", "\r\n ", "\r\n\r\n"),
        ("Via:", "\r\n ", "SIP/2.0/UDP a\r\n\r\n"),
        ("X: ", "\0", "\r\n\r\n"),
        ("X: ", "\\\0", "\r\n\r\n"),
        ("X", " ", ": y\r\n\r\n"),
        ("X", "x", ": y\r\n\r\n"),
        ("Privacy: ", "id;", "\r\n\r\n"),
        ("Max-Forwards: ", "0", "\r\n\r\n"),
        ("Content-Length: ", "0", "\r\n\r\n"),
        ("X:", "\r\n ", ""),
        ("X: ", "y", ""),
        ("\r\n", "\r\n", ""),
        ("\r\n", "X: y\r\n", ""),
    ];
    for (before, repeated, behind) in bombs {
        let bomb = |len: usize| {
            let repeated = repeated.repeat(len / repeated.len());
            format!("{HEAD}{before}{repeated}{behind}").into_bytes()
        };
        let (small, large) = (bomb(6_000), bomb(60_000));
        let visits = |octets: &[u8]| count_visits(|| _ = parse(octets));
        let (few, many) = (visits(&small), visits(&large));
        assert!(many <= 12 * few, "{before:?} {repeated:?} {behind:?}: {few} {many}");
        assert_linear(&large, repeated);
        laws::reads(&small);
        laws::builds(&small);
    }
    let leading = |len: usize| ["\r\n".repeat(len).as_str(), HEAD, "\r\n"].concat().into_bytes();
    assert!(parse(&leading(20_000)).is_ok());
    assert_linear(&leading(20_000), "leading CRLF");
}
