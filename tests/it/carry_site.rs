//! Sessions that pass through `roger run`: a process with workers, real sockets, and both other ends written by
//! hand. What each end was told is held against what the other one has.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::bench::field;
use crate::msrps_site::drivers;
use crate::run_process::{output, roger};
use crate::status_socket::Directory;

/// Nothing on loopback takes that long.
const PATIENCE: Duration = Duration::from_secs(15);

struct Process {
    child: Child,
    directory: Directory,
    sip: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(name: &str, driver: &str, alice: SocketAddr, bob: SocketAddr, role: &str) -> Self {
        let directory = Directory::new(&format!("{name}-{driver}"));
        let path = |name: &str| directory.0.join(name).to_str().unwrap().to_owned();
        let text = format!(
            "[workers]\ncpus = \"any\"\ncount = 2\npolling = \"wait\"\ndriver = \"{driver}\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\ntransports = \"msrp\"\n\
             [[peer]]\nname = \"alice\"\nside = \"im\"\nrole = \"endpoint\"\nmsrp = \"endpoint\"\n\
             address = \"{alice}\"\n\
             [[peer]]\nname = \"bob\"\nside = \"im\"\nrole = \"endpoint\"\nmsrp = \"{role}\"\n\
             address = \"{bob}\"\n\
             [[peer]]\nname = \"smsc\"\nside = \"sms\"\naddress = \"127.0.0.1:9\"\n\
             [large]\nsessions = 32\nconnections = 16\ncarry = true\ncarry_messages = 8\n\
             report_wait = \"2s\"\n\
             [capacity]\nrate = 100\nopen = 64\nopen_large = 4\n\
             [status]\nsocket = \"{}\"\n\
             [timers]\nt1 = \"100ms\"\nsync_deadline = \"3s\"\ndrain_announce = \"0s\"\ndrain_timeout = \"30s\"\n",
            path("status.sock"),
        );
        fs::write(path("roger.toml"), text).unwrap();
        let arguments =
            ["run", "--config", &path("roger.toml"), "--verdicts", &path("verdicts.jsonl")];
        let mut child = roger(&arguments).spawn().unwrap();
        let mut error = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("a crash forgets") {
            line.clear();
            assert!(error.read_line(&mut line).unwrap() > 0, "it has not started");
        }
        // What it says from here on is of no interest, but must be read.
        std::thread::spawn(move || std::io::copy(&mut error, &mut std::io::sink()));
        let unknown = "127.0.0.1:1".parse().unwrap();
        let mut process = Self { child, directory, sip: unknown };
        process.sip = process.status()["sockets"][0].as_str().unwrap().parse().unwrap();
        process
    }

    fn status(&self) -> serde_json::Value {
        let path = self.directory.0.join("status.sock");
        let (code, text, error) = output(&["status", "--json", "--socket", path.to_str().unwrap()]);
        assert_eq!(code, 0, "{error}");
        serde_json::from_str(&text).unwrap()
    }

    /// Ends it in good order: its lines, by Message-ID.
    fn end(mut self) -> BTreeMap<String, serde_json::Value> {
        let pid = self.child.id().to_string();
        let kill = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        assert!(kill.unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "every message is final");
        let text = fs::read_to_string(self.directory.0.join("verdicts.jsonl")).unwrap();
        let mut lines = BTreeMap::new();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["form"], "msrp");
            let id = line["message_id"].as_str().unwrap().to_owned();
            assert!(lines.insert(id, line).is_none(), "one verdict for each: {text}");
        }
        lines
    }
}

/// What an end does with a message.
#[derive(Clone, Copy, Default)]
struct Manner {
    /// What its chunks are answered with.
    code: Option<u16>,
    /// No REPORT is sent.
    is_mute: bool,
}

/// One end of a session.
struct End {
    sip: UdpSocket,
    engine: SocketAddr,
    listener: TcpListener,
    stream: Option<TcpStream>,
    /// Octets that have come and are no frame yet, and those to be written.
    come: Vec<u8>,
    to_write: Vec<u8>,
    /// Our path and that of the other end, as we know it.
    ours: String,
    theirs: String,
    manner: Manner,
    /// Octets of each message, and how long it is if it is whole.
    messages: BTreeMap<String, (Vec<u8>, Option<usize>)>,
    /// The codes of responses by transaction, and of REPORTs by Message-ID.
    responses: BTreeMap<String, u16>,
    reports: BTreeMap<String, Vec<(String, u16)>>,
    /// A request or response in the dialog: what names it.
    dialog: String,
    is_caller: bool,
    has_bye: bool,
}

fn line_of<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("{name} in {text}")).trim()
}

impl End {
    fn new() -> Self {
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        sip.set_nonblocking(true).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = format!("msrp://{}/s3ssion;tcp", listener.local_addr().unwrap());
        Self {
            engine: sip.local_addr().unwrap(),
            sip,
            listener,
            stream: None,
            come: Vec::new(),
            to_write: Vec::new(),
            ours,
            theirs: String::new(),
            manner: Manner::default(),
            messages: BTreeMap::new(),
            responses: BTreeMap::new(),
            reports: BTreeMap::new(),
            dialog: String::new(),
            is_caller: false,
            has_bye: false,
        }
    }

    fn at(&self) -> SocketAddr {
        self.sip.local_addr().unwrap()
    }

    fn sdp(&self, setup: &str) -> String {
        let port = self.listener.local_addr().unwrap().port();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=message {port} TCP/MSRP *\r\na=accept-types:text/plain\r\na=path:{}\r\n\
             a=setup:{setup}\r\n",
            self.ours
        )
    }

    fn say(&self, text: &str) {
        self.sip.send_to(text.as_bytes(), self.engine).unwrap();
    }

    /// The next message over SIP, if one has come. A BYE is answered and noted.
    fn heard(&mut self) -> Option<String> {
        let mut octets = [0; 9_000];
        let (len, from) = self.sip.recv_from(&mut octets).ok()?;
        let text = String::from_utf8(octets[..len].to_vec()).unwrap();
        if text.starts_with("BYE ") {
            self.has_bye = true;
            self.sip.send_to(response(&text, "200 OK", "", "").as_bytes(), from).unwrap();
            return None;
        }
        Some(text)
    }

    fn wait(&mut self, begin: &str) -> String {
        let started = Instant::now();
        loop {
            let found = self.heard().filter(|text| text.starts_with(begin));
            if let Some(text) = found {
                return text;
            }
            assert!(started.elapsed() < PATIENCE, "{begin} never came");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// A request in the dialog, which its first message of ours or theirs names.
    fn request(&self, method: &str, cseq: u32) -> String {
        let (from, to) = match self.is_caller {
            true => (field(&self.dialog, "from"), field(&self.dialog, "to")),
            false => (field(&self.dialog, "to"), field(&self.dialog, "from")),
        };
        format!(
            "{method} sip:{} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{method}{cseq};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Content-Length: 0\r\n\r\n",
            self.engine,
            self.at(),
            field(&self.dialog, "call-id"),
        )
    }

    fn bye(&self) {
        self.say(&self.request("BYE", 50));
    }

    /// Puts a message into the stream, in chunks of so many octets.
    fn send(&mut self, id: &str, body: &[u8], chunk: usize) {
        let total = body.len();
        let mut start = 0;
        for (number, piece) in body.chunks(chunk).enumerate() {
            let end = start + piece.len();
            let flag = if end == total { '$' } else { '+' };
            let tid = format!("{id}x{number}");
            let head = format!(
                "MSRP {tid} SEND\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: {id}\r\n\
                 Byte-Range: {}-{end}/{total}\r\nSuccess-Report: yes\r\nFailure-Report: yes\r\n\
                 Content-Type: text/plain\r\n\r\n",
                self.theirs,
                self.ours,
                start + 1,
            );
            self.to_write.extend(head.as_bytes());
            self.to_write.extend(piece);
            self.to_write.extend(format!("\r\n-------{tid}{flag}\r\n").as_bytes());
            start = end;
        }
    }

    /// Moves octets, at most so many of ours; answers what has come.
    fn turn(&mut self, most: usize) {
        self.heard();
        let Some(stream) = &mut self.stream else { return };
        let len = most.min(self.to_write.len());
        match stream.write(&self.to_write[..len]) {
            Ok(len) => drop(self.to_write.drain(..len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.to_write.clear(),
        }
        let mut octets = [0; 16_384];
        if let Ok(len) = stream.read(&mut octets) {
            self.come.extend(&octets[..len]);
        }
        while self.take_frame() {}
    }

    /// Takes the first whole frame of what has come.
    fn take_frame(&mut self) -> bool {
        let find = |from: usize, what: &[u8]| {
            let found = self.come[from..].windows(what.len()).position(|it| it == what);
            found.map(|at| from + at)
        };
        let Some(first_end) = find(0, b"\r\n") else { return false };
        let first = String::from_utf8(self.come[..first_end].to_vec()).unwrap();
        let mut words = first.split(' ');
        assert_eq!(words.next(), Some("MSRP"), "{first}");
        let (tid, method) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let end_line = format!("-------{tid}");
        let Some(end) = find(first_end, end_line.as_bytes()) else { return false };
        if self.come.len() < end + end_line.len() + 3 {
            return false;
        }
        let flag = self.come[end + end_line.len()];
        let frame: Vec<u8> = self.come.drain(..end + end_line.len() + 3).collect();
        let frame = &frame[..end];
        let head_end = frame.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(end);
        let head = String::from_utf8(frame[..head_end].to_vec()).unwrap();
        match method.as_str() {
            "SEND" => {
                let body = frame.get(head_end + 4..end.saturating_sub(2)).map(<[u8]>::to_vec);
                self.take_chunk(&tid, &head, body, flag);
            }
            "REPORT" => {
                let id = line_of(&head, "Message-ID:").to_owned();
                let status = line_of(&head, "Status:").split(' ').nth(1).unwrap().parse().unwrap();
                let range = line_of(&head, "Byte-Range:").to_owned();
                self.reports.entry(id).or_default().push((range, status));
            }
            code => {
                assert_eq!(line_of(&head, "To-Path:"), self.ours);
                assert!(self.responses.insert(tid, code.parse().unwrap()).is_none(), "{head}");
            }
        }
        true
    }

    fn take_chunk(&mut self, tid: &str, head: &str, body: Option<Vec<u8>>, flag: u8) {
        assert_eq!(line_of(head, "To-Path:"), self.ours);
        assert_eq!(line_of(head, "From-Path:"), self.theirs, "nothing of the other side is shown");
        let code = self.manner.code.unwrap_or(200);
        let (ours, theirs) = (self.ours.clone(), self.theirs.clone());
        self.to_write.extend(
            format!(
                "MSRP {tid} {code} x\r\nTo-Path: {theirs}\r\nFrom-Path: {ours}\r\n-------{tid}$\r\n"
            )
            .as_bytes(),
        );
        let Some(body) = body.filter(|_| code == 200) else { return };
        let id = line_of(head, "Message-ID:").to_owned();
        let start: usize = line_of(head, "Byte-Range:").split('-').next().unwrap().parse().unwrap();
        let (octets, whole) = self.messages.entry(id.clone()).or_default();
        assert_eq!(octets.len() + 1, start, "in order, once: {head}");
        octets.extend(body);
        let len = octets.len();
        if flag == b'$' {
            *whole = Some(len);
            if !self.manner.is_mute && head.contains("Success-Report: yes") {
                self.to_write.extend(
                    format!(
                        "MSRP r{id} REPORT\r\nTo-Path: {theirs}\r\nFrom-Path: {ours}\r\n\
                         Message-ID: {id}\r\nByte-Range: 1-{len}/{len}\r\nStatus: 000 200 OK\r\n\
                         -------r{id}$\r\n"
                    )
                    .as_bytes(),
                );
            }
        }
    }

    /// Whether every chunk of a message of ours was answered with this.
    fn was_answered(&self, id: &str, code: u16) -> bool {
        let begin = format!("{id}x");
        let mut codes = self.responses.iter().filter(|(tid, _)| tid.starts_with(&begin)).peekable();
        codes.peek().is_some() && codes.all(|(_, it)| *it == code)
    }

    /// Whether it was told that a message of ours was received.
    fn was_reported(&self, id: &str) -> bool {
        self.reports.get(id).is_some_and(|all| all.iter().any(|(_, status)| *status == 200))
    }
}

fn response(request: &str, status: &str, tag: &str, rest: &str) -> String {
    let copied = request.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.split(':').next()?;
        match name {
            "Via" | "From" | "Call-ID" | "CSeq" => Some(format!("{line}\r\n")),
            "To" => Some(format!("{line}{tag}\r\n")),
            _ => None,
        }
    });
    let copied: String = copied.collect();
    let rest = if rest.is_empty() { "Content-Length: 0\r\n\r\n" } else { rest };
    format!("SIP/2.0 {status}\r\n{copied}{rest}")
}

fn with_body(at: SocketAddr, body: &str) -> String {
    format!(
        "Contact: <sip:user@{at}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A session between both.
struct Session {
    alice: End,
    bob: End,
}

impl Session {
    /// Alice connects to us, and we to Bob.
    fn open(process: &Process, mut alice: End, mut bob: End, number: u32) -> Self {
        for end in [&mut alice, &mut bob] {
            end.engine = process.sip;
        }
        alice.is_caller = true;
        let invite = format!(
            "INVITE sip:bob{number}@{bob} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {at};branch=z9hG4bKi{number};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@example.net>;tag=a{number}\r\nTo: <sip:bob{number}@example.net>\r\n\
             Call-ID: call-{number}\r\nCSeq: 1 INVITE\r\n{}",
            with_body(alice.at(), &alice.sdp("active")),
            bob = bob.at(),
            at = alice.at(),
        );
        alice.say(&invite);
        bob.dialog = bob.wait("INVITE ");
        bob.theirs = line_of(&bob.dialog, "a=path:").to_owned();
        assert!(!bob.dialog.contains(&alice.ours), "{}", bob.dialog);
        let tag = format!(";tag=b{number}");
        let answer = with_body(bob.at(), &bob.sdp("passive"));
        bob.say(&response(&bob.dialog, "200 OK", &tag, &answer));
        bob.dialog = response(&bob.dialog, "200 OK", &tag, "");
        bob.wait("ACK ");
        alice.dialog = alice.wait("SIP/2.0 200 ");
        alice.theirs = line_of(&alice.dialog, "a=path:").to_owned();
        assert!(!alice.dialog.contains(&bob.ours), "{}", alice.dialog);
        alice.say(&alice.request("ACK", 1));
        let (to_bob, _) = bob.listener.accept().unwrap();
        let at = alice.theirs.strip_prefix("msrp://").unwrap().split('/').next().unwrap();
        let from_alice = TcpStream::connect(at).unwrap();
        for (end, stream) in [(&mut alice, from_alice), (&mut bob, to_bob)] {
            stream.set_nonblocking(true).unwrap();
            end.stream = Some(stream);
        }
        Self { alice, bob }
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !is_so(self) {
            assert!(started.elapsed() < PATIENCE, "{what} never came");
            self.alice.turn(usize::MAX);
            self.bob.turn(usize::MAX);
        }
    }

    fn over(self) -> (End, End) {
        (self.alice, self.bob)
    }
}

/// Octets that end lines would not be found in, another for each place.
fn text(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + u8::try_from((at * 7 + at / 251 + salt) % 26).unwrap()).collect()
}

fn counter(status: &serde_json::Value, name: &str) -> u64 {
    let groups = status["counters"].as_array().unwrap().iter();
    let mut all = groups.flat_map(|group| group["counters"].as_array().unwrap());
    all.find(|one| one["name"] == name).unwrap()["value"].as_u64().unwrap()
}

#[test]
fn what_both_ends_send_passes_whole_and_each_is_told_what_the_other_has_said() {
    for driver in drivers() {
        let (alice, bob) = (End::new(), End::new());
        let process = Process::start("carry", driver, alice.at(), bob.at(), "relay");
        let mut session = Session::open(&process, alice, bob, 1);
        // 64 KiB each way at once: one in one chunk that is cut on its way, one in 33.
        let (there, back) = (text(65_536, 1), text(65_536, 2));
        session.alice.send("alice0001", &there, 65_536);
        session.bob.send("bob000001", &back, 2_000);
        session.until("both REPORTs", |it| {
            it.alice.was_reported("alice0001") && it.bob.was_reported("bob000001")
        });
        assert!(session.bob.messages["alice0001"].0 == there, "octet for octet");
        assert!(session.alice.messages["bob000001"].0 == back);
        assert!(session.alice.was_answered("alice0001", 200));
        assert!(session.bob.was_answered("bob000001", 200));
        assert_eq!(session.bob.responses.len(), 33, "each chunk has its own answer");
        assert_eq!(session.alice.reports["alice0001"], [("1-65536/65536".to_owned(), 200)]);

        // An error of the recipient is his sender's, and so is that nobody reports.
        session.bob.manner.code = Some(413);
        session.alice.send("alice0002", &text(9_000, 3), 4_500);
        session.until("the error", |it| it.alice.was_answered("alice0002", 413));
        session.bob.manner = Manner { code: None, is_mute: true };
        session.alice.send("alice0003", &text(10, 4), 10);
        session.until("the answer", |it| it.alice.was_answered("alice0003", 200));
        session.alice.bye();
        session.until("BYE", |it| it.bob.has_bye);
        let status = process.status();
        assert_eq!(counter(&status, "carried_messages"), 4);
        assert_eq!(counter(&status, "allocations"), 0, "{driver}: on the workers");
        let lines = process.end();
        let told = |id: &str| {
            let line = &lines[id];
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            (text(&line["verdict"]), text(&line["evidence"]["kind"]), line["octets"].as_u64())
        };
        assert_eq!(told("alice0001").0, "D", "{lines:#?}");
        assert_eq!(told("alice0001").2, Some(65_536));
        assert_eq!((told("bob000001").0, told("bob000001").2), ("D".to_owned(), Some(65_536)));
        assert_eq!(told("alice0002").0, "P");
        // Bob is behind a relay, so that a 200 proves that somebody has it, and not who.
        assert_eq!(
            (told("alice0003").0, told("alice0003").1),
            ("U".into(), "report_missing".into())
        );
        assert_eq!(lines["alice0001"]["im_peer"], "bob");
        assert_eq!(lines["bob000001"]["im_peer"], "alice");
        assert_eq!(lines.len(), 4);
    }
}

/// Whoever ends a session whenever: no sender has been told that what is not there was received, and nothing is
/// said to be delivered that is not.
#[test]
fn whoever_hangs_up_whenever_nobody_is_told_what_is_not_so() {
    // Each of them waits a second for what was said before: so one driver is enough.
    for driver in &drivers()[..1] {
        let (mut alice, mut bob) = (End::new(), End::new());
        let process = Process::start("carry-bye", driver, alice.at(), bob.at(), "endpoint");
        let mut sent = BTreeMap::new();
        let (mut whole, mut partial) = (0, 0);
        for (number, octets) in (1..).zip([0, 1_000, 30_000, 80_000, 400_000]) {
            for is_caller in [true, false] {
                let number = number * 2 + u32::from(is_caller);
                let mut session = Session::open(&process, alice, bob, number);
                let ids = [format!("alice{number:04}"), format!("bobby{number:04}")];
                let bodies = [text(65_536, 5), text(65_536, 6)];
                session.alice.send(&ids[0], &bodies[0], 65_536);
                session.bob.send(&ids[1], &bodies[1], 3_000);
                let mut moved = 0;
                while moved < octets {
                    session.alice.turn(1_000);
                    session.bob.turn(1_000);
                    moved += 2_000;
                }
                let (one, other) = match is_caller {
                    true => (&mut session.alice, &mut session.bob),
                    false => (&mut session.bob, &mut session.alice),
                };
                one.bye();
                let started = Instant::now();
                while !other.has_bye {
                    assert!(started.elapsed() < PATIENCE, "{number}: the other one is never told");
                    other.turn(usize::MAX);
                    one.turn(usize::MAX);
                }
                // What was on its way is there now.
                for _ in 0..20 {
                    one.turn(0);
                    other.turn(0);
                }
                let (alice_end, bob_end) = session.over();
                for (id, body, sender, recipient) in [
                    (&ids[0], &bodies[0], &alice_end, &bob_end),
                    (&ids[1], &bodies[1], &bob_end, &alice_end),
                ] {
                    let has = recipient.messages.get(id);
                    let is_whole =
                        has.is_some_and(|(octets, whole)| whole.is_some() && octets == body);
                    if let Some((octets, _)) = has {
                        assert!(body.starts_with(octets), "nothing but what was sent");
                    }
                    assert!(!sender.was_reported(id) || is_whole, "{id} was reported");
                    *(if is_whole { &mut whole } else { &mut partial }) += 1;
                    sent.insert(id.clone(), is_whole);
                }
                (alice, bob) = (renewed(alice_end), renewed(bob_end));
            }
        }
        assert!(whole > 1 && partial > 1, "both were seen: {whole} {partial}");
        let status = process.status();
        assert_eq!(counter(&status, "allocations"), 0, "{driver}: on the workers");
        let lines = process.end();
        for (id, line) in &lines {
            let verdict = line["verdict"].as_str().unwrap();
            assert!(verdict != "D" || sent[id], "{id}: {line}");
            assert!(verdict != "P" && verdict != "T" || !sent[id], "{id}: {line}");
        }
    }
}

/// The same user, who has ended his session.
fn renewed(end: End) -> End {
    let fresh = End::new();
    End { sip: end.sip, ..fresh }
}
