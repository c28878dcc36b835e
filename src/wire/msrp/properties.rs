//! Streams made at random, and mutations of them and of all vectors, held against the laws. All is
//! seeded: a failure names the seed to repeat.

use super::laws;
use super::reference::Part;
use super::tests::vectors;
use super::*;
use crate::wire::cursor::count_visits;
use crate::wire::sip::properties::Chance;

fn pick<'a>(chance: &mut Chance, choices: &[&'a str]) -> &'a str {
    choices[chance.below(choices.len())]
}

/// Writes streams in the ways the grammar allows, and knows what they hold.
struct Author {
    chance: Chance,
    stream: Vec<u8>,
    parts: Vec<Part>,
}

impl Author {
    fn new(seed: u64) -> Self {
        Self { chance: Chance(seed), stream: Vec::new(), parts: Vec::new() }
    }

    fn cased(&mut self, text: &str) -> String {
        match self.chance.below(4) {
            0 => text.to_ascii_lowercase(),
            1 => text.to_ascii_uppercase(),
            _ => text.to_owned(),
        }
    }

    fn ident(&mut self) -> String {
        let characters = b"abyzABYZ0189.-+%=";
        let len = if self.chance.one_in(3) { 4 + self.chance.below(29) } else { 8 };
        let mut ident: String =
            (0..len).map(|_| char::from(characters[self.chance.below(characters.len())])).collect();
        ident.replace_range(..1, pick(&mut self.chance, &["a", "Z", "0", "7"]));
        ident
    }

    fn path(&mut self) -> String {
        let count = if self.chance.one_in(4) { 1 + self.chance.below(16) } else { 1 };
        let uris: Vec<_> = (0..count)
            .map(|_| {
                let scheme = pick(&mut self.chance, &["msrp", "msrps", "MSRP"]);
                let place = pick(
                    &mut self.chance,
                    &["a.example:2855", "u@10.0.0.1:7", "[2001:db8::1]:65535", "b", "x%41;tcp"],
                );
                let session = pick(&mut self.chance, &["/s1", "/a=b/c+d~", "", "/9di4eae923wzd"]);
                let more = pick(&mut self.chance, &["", "", ";a", ";a=b;c=d"]);
                match place {
                    "x%41;tcp" => format!("{scheme}://{place}"),
                    _ => format!("{scheme}://{place}{session};tcp{more}"),
                }
            })
            .collect();
        uris.join(" ")
    }

    fn field(&mut self, name: &str, value: &str) -> String {
        let name = self.cased(name);
        let space = pick(&mut self.chance, &[" ", " ", " ", "", "  ", "\t"]);
        let behind = pick(&mut self.chance, &["", "", "", " ", "\t "]);
        format!("{name}:{space}{value}{behind}\r\n")
    }

    fn range(&mut self) -> String {
        let start = 1 + self.chance.below(5_000);
        let end = match self.chance.below(3) {
            0 => "*".to_owned(),
            1 => (start - 1).to_string(),
            _ => (start + self.chance.below(9_000)).to_string(),
        };
        let total =
            if self.chance.one_in(3) { "*".to_owned() } else { self.chance.next().to_string() };
        format!("{start}-{end}/{total}")
    }

    fn head(&mut self, id: &str, has_body: bool) -> String {
        let response = !has_body && self.chance.one_in(3);
        let start = if response {
            pick(&mut self.chance, &["200 OK", "200", "481 No session here", "999 "])
        } else {
            pick(&mut self.chance, &["SEND", "SEND", "REPORT", "AUTH", "NICKNAME"])
        };
        let (to, from) = (self.path(), self.path());
        let mut head = format!("MSRP {id} {start}\r\n");
        head += &self.field("To-Path", &to);
        head += &self.field("From-Path", &from);
        if !response && !self.chance.one_in(20) {
            let message_id = self.ident();
            head += &self.field("Message-ID", &message_id);
        }
        if !response && self.chance.one_in(2) {
            let range = self.range();
            head += &self.field("Byte-Range", &range);
        }
        for (name, values) in [
            ("Success-Report", &["yes", "no", "YES"][..]),
            ("Failure-Report", &["yes", "no", "partial", "yEs"]),
            ("Status", &["000 200 OK", "000 408", "123 999 \u{e9}"]),
            ("Expires", &["0", "3600", "99999999999"]),
            ("Use-Path", &["msrps://relay.example:2855/x;tcp"]),
            ("X-Other", &["", "a:b, c", "\u{20ac}"]),
            ("Content-ID", &["<a@b>"]),
        ] {
            if start == "REPORT" && name == "Status" || self.chance.one_in(4) {
                let value = pick(&mut self.chance, values).to_owned();
                head += &self.field(name, &value);
            }
        }
        if has_body {
            let value = pick(
                &mut self.chance,
                &["text/plain", "message/cpim", "text/plain;charset=UTF-8", "a/b ; c=\"d;e\""],
            );
            head += &self.field("Content-Type", value);
            head += "\r\n";
        }
        head
    }

    /// Octets that look like ends and are none, among others.
    fn body(&mut self, id: &str) -> Vec<u8> {
        let pieces = [
            "\r\n",
            "\r",
            "\n",
            "-",
            "----",
            "-------",
            "--------",
            "\r\n-------",
            "\r\n--------",
            id,
            "$",
            "\r\n-------other123$\r\n",
            "text ",
            "\r\n-------$\r\n",
            "\0\u{ff}",
        ];
        let own: Vec<String> = vec![
            format!("\r\n-------{id}"),
            format!("\r\n-------{id}x\r\n"),
            format!("\r\n-------{id}$\r"),
            format!("\r\n-------{id}$\n"),
            format!("\r\n------{id}$\r\n"),
            format!("\r\n--------{id}$\r\n"),
            format!("-------{id}$\r\n").split_off(1),
            format!("\n-------{id}+\r\n"),
            format!("\r-------{id}#\r\n"),
            format!("\r\n-------{}$\r\n", &id[..id.len() - 1]),
        ];
        loop {
            let mut body = Vec::new();
            for _ in 0..self.chance.below(12) {
                if self.chance.one_in(3) {
                    body.extend_from_slice(own[self.chance.below(own.len())].as_bytes());
                } else {
                    body.extend_from_slice(pick(&mut self.chance, &pieces).as_bytes());
                }
            }
            // Pieces may make up an end together, also with the CRLF around the body.
            let around = [b"\r\n", body.as_slice(), b"\r\n"].concat();
            let ends = [Flag::Last, Flag::More, Flag::Aborted]
                .map(|flag| [b"\r\n-------", id.as_bytes(), &[flag.octet()], b"\r\n"].concat());
            if !ends.iter().any(|end| around.windows(end.len()).any(|octets| octets == end)) {
                return body;
            }
        }
    }

    fn chunk(&mut self) {
        let id = self.ident();
        let has_body = self.chance.one_in(2);
        let head = self.head(&id, has_body);
        self.stream.extend_from_slice(head.as_bytes());
        self.parts.push(Part::Head(head.into_bytes()));
        if has_body {
            let body = self.body(&id);
            self.stream.extend_from_slice(&body);
            if !body.is_empty() {
                self.parts.push(Part::Body(body));
            }
        }
        let flag = [Flag::Last, Flag::More, Flag::Aborted][self.chance.below(3)];
        let mut end = [0; END_LINE_SIZE_MAX];
        let len = end_line(id.as_bytes(), flag, has_body, &mut end).unwrap();
        self.stream.extend_from_slice(&end[..len]);
        self.parts.push(Part::End(flag));
    }
}

/// What the author wrote is what is read, and nothing in it is refused but unknown methods and what
/// he left out.
#[test]
fn streams_are_divided_as_they_were_made() {
    for seed in 0..400 {
        let mut author = Author::new(seed);
        for _ in 0..1 + author.chance.below(4) {
            author.chunk();
        }
        let whole = author.stream.len();
        assert_eq!(laws::seen(&author.stream, || whole), author.parts, "seed {seed}");
        laws::reads(&author.stream);
        for part in &author.parts {
            let Part::Head(octets) = part else { continue };
            match head(octets) {
                Ok(Head::Request(request)) => {
                    let lacks = request.fields.message_id.is_empty();
                    let unknown = request.method == Method::Other;
                    assert!(
                        request.fault.is_none() || lacks || unknown,
                        "seed {seed}: {request:?}"
                    );
                }
                Ok(Head::Response(_)) => {}
                Err(malformed) => panic!("seed {seed}: {malformed}"),
            }
        }
    }
}

#[test]
fn every_cut_of_a_stream_shows_the_same() {
    for seed in 0..60 {
        let mut author = Author::new(seed ^ 0xC0FFEE);
        author.chunk();
        author.chunk();
        laws::cuts(&author.stream);
    }
    for (_, octets) in vectors() {
        laws::cuts(&octets[..octets.len().min(2_000)]);
    }
}

/// What a peer, or a path, may do to octets.
fn mutate(octets: &mut Vec<u8>, chance: &mut Chance) {
    let words: [&[u8]; 18] = [
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"-",
        b"-------",
        b"$\r\n",
        b":",
        b" ",
        b"*",
        b"/",
        b"To-Path: msrp://a:1/b;tcp\r\n",
        b"Content-Type: a/b\r\n",
        b"\0",
        b"\t",
        b"MSRP ",
        b"Status: 000 200\r\n",
        b"\xE2\x82\xAC",
    ];
    for _ in 0..=chance.below(3) {
        let at = chance.below(octets.len() + 1);
        let end = (at + chance.below(9)).min(octets.len());
        match chance.below(5) {
            0 => {
                octets.drain(at..end);
            }
            1 => {
                let word = words[chance.below(words.len())];
                octets.splice(at..at, word.iter().copied());
            }
            2 => {
                let copied = octets[at..end].to_vec();
                let to = chance.below(octets.len() + 1);
                octets.splice(to..to, copied);
            }
            3 if at < octets.len() => octets[at] = chance.octet(),
            _ => octets.truncate(at.max(octets.len() / 2)),
        }
    }
}

#[test]
fn whatever_comes_the_laws_hold() {
    let mut sources: Vec<Vec<u8>> = vectors().into_iter().map(|(_, octets)| octets).collect();
    for seed in 0..60 {
        let mut author = Author::new(seed ^ 0xBEEF);
        author.chunk();
        sources.push(author.stream);
    }
    for (index, source) in sources.iter().enumerate() {
        for seed in 0..25 {
            let mut chance = Chance(seed ^ (index as u64) << 32);
            let mut octets = source[..source.len().min(4_000)].to_vec();
            mutate(&mut octets, &mut chance);
            let told = format!("source {index}, seed {seed}");
            let result = std::panic::catch_unwind(|| laws::reads(&octets));
            assert!(result.is_ok(), "{told}: {}", octets.escape_ascii());
        }
    }
}

fn work_of(stream: &[u8], step: usize) -> u64 {
    count_visits(|| {
        laws::seen(stream, || step);
    })
}

/// Ten times the octets are at most twelve times the work, whatever they are and however they come.
#[test]
fn work_is_linear() {
    let start =
        "MSRP a786hjs2 SEND\r\nTo-Path: msrp://a:1/b;tcp\r\nFrom-Path: msrp://c:1/d;tcp\r\n";
    let body = format!("{start}Message-ID: 12345\r\nContent-Type: a/b\r\n\r\n");
    for piece in [
        "-",
        "----x",
        "\r",
        "\n",
        "\r\n",
        "\r\n-------",
        "\r\n-------a786hjs2",
        "\r\n-------a786hjs2$x",
        "\r\n-------a786hjs2$\r",
        "x-------a786hjs2$\r\n",
        "some text\r\n",
        "\0",
    ] {
        for step in [1, 7, 4_096, usize::MAX] {
            let stream = |count: usize| body.clone() + &piece.repeat(count * 400 / piece.len());
            let less = work_of(stream(10).as_bytes(), step);
            let more = work_of(stream(100).as_bytes(), step);
            assert!(more <= less * 12, "{piece:?} in steps of {step}: {less} {more}");
            // And it is not much at all: a few visits for each octet, be it asked for alone.
            assert!(more <= 8 * 40_000 + 2_000, "{piece:?} in steps of {step}: {more}");
        }
    }
}

/// A head is no dearer than its octets, be it all lines, all colons or all URIs.
#[test]
fn work_on_heads_is_linear() {
    let start = "MSRP a786hjs2 SEND\r\nTo-Path: msrp://a:1/b;tcp\r\nFrom-Path: msrp://c:1/d;tcp";
    for piece in
        ["\r\na:", "\r\nTo-Path: msrp://a:1/b;tcp", " msrp://a:1/b;tcp", "\t", ":", ";a=b", "%41"]
    {
        for step in [1, 4_096] {
            let stream = |size: usize| {
                start.to_owned() + &piece.repeat(size / piece.len()) + "\r\n-------a786hjs2$\r\n"
            };
            let (less, more) = (stream(700), stream(7_000));
            let (few, many) = (work_of(less.as_bytes(), step), work_of(more.as_bytes(), step));
            assert!(many <= few * 12, "{piece:?} in steps of {step}: {few} {many}");
            let of = |stream: &str| {
                let len = stream.len() - "-------a786hjs2$\r\n".len();
                count_visits(|| {
                    let _ = head(&stream.as_bytes()[..len]);
                })
            };
            assert!(of(&more) <= of(&less) * 12, "{piece:?}: {} {}", of(&less), of(&more));
        }
    }
    // What never ends is given up.
    let endless = start.to_owned() + &"x".repeat(1 << 20);
    assert!(work_of(endless.as_bytes(), 1 << 16) < 40_000);
}
