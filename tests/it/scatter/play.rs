//! Messages that are played to a running service over loopback, and what became of each of them.
//!
//! What a message meets is a function of its number alone, so that two plays can be compared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use roger::delivery::Account;
use roger::metrics::{Counter, Total};
use roger::oam::Service;

use crate::bench::{answer, field, message};
use crate::short::Short;

/// Sockets of the SMS side, so that the kernel's own hash has something to choose by.
const SENDERS: usize = 8;

/// Messages that are on their way at the same time.
const WINDOW: usize = 48;

/// So often in a row nothing may happen for [`PAUSE`].
const PATIENCE: u32 = 6_000;
const PAUSE: Duration = Duration::from_millis(10);

/// What a short message that was delivered is numbered when it is submitted once more.
const AGAIN: u32 = 5_000;

/// The last datagram that a listener gets.
const END: &[u8] = b"END";

/// What became of one message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Fate {
    /// The final responses that the SMS side got, each once.
    statuses: BTreeSet<u16>,
    /// The RP messages that it got, of each report transaction.
    reports: Vec<Vec<u8>>,
    /// Requests that reached the IM side, retransmissions apart.
    pub(crate) requests: usize,
    /// What its accounts say: form, verdict, evidence, statuses and report.
    pub(crate) accounts: Vec<String>,
}

/// The fates of all messages by their Call-ID, and what was counted meanwhile.
pub(crate) struct Played {
    pub(crate) fates: BTreeMap<String, Fate>,
    pub(crate) total: Total,
    /// Forged responses that were sent.
    pub(crate) forged: u64,
}

impl Played {
    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.total.read(counter)
    }
}

/// What a message meets.
struct Script {
    is_short: bool,
    /// The IM side's answer; none is silence.
    answer: Option<&'static str>,
    /// Copies of the request before and after the answer.
    before: u32,
    after: u32,
    /// Whether the answer comes twice at once.
    twice: bool,
    /// Forged answers come before it: with a wrong branch, with the right one from elsewhere.
    forged: [bool; 2],
    /// Whether the short message is submitted once more when its report is there.
    again: bool,
}

impl Script {
    /// Whether only a timer ends it: nothing proves anything, or there may be more proof.
    fn is_slow(&self) -> bool {
        self.answer.is_none_or(|answer| self.is_short && answer.starts_with("202"))
    }
}

const ANSWERS: [Option<&str>; 11] = [
    Some("200 OK"),
    Some("486 Busy Here"),
    Some("202 Accepted"),
    Some("200 Fine"),
    Some("503 Service Unavailable"),
    Some("404 Not Found"),
    None,
    Some("480 Nobody Is Here"),
    Some("603 Decline"),
    Some("500 Server Internal Error"),
    Some("200 OK"),
];

fn script(number: u32) -> Script {
    if number >= AGAIN {
        let quiet = script(number - AGAIN);
        return Script { before: 0, after: 1, forged: [false; 2], again: false, ..quiet };
    }
    let answer = ANSWERS[number as usize % ANSWERS.len()];
    let is_short = number % 4 == 3;
    Script {
        is_short,
        answer,
        before: number % 3,
        after: number / 2 % 3,
        twice: number.is_multiple_of(2),
        forged: [number.is_multiple_of(5), number.is_multiple_of(7)],
        again: is_short && answer.is_some_and(|answer| answer.starts_with("200")),
    }
}

fn call_id(number: u32) -> String {
    let kind = if script(number).is_short { "rp" } else { "call" };
    format!("{kind}-{number}@sbc.example")
}

fn request(number: u32) -> Vec<u8> {
    if !script(number).is_short {
        return message(number).into_bytes();
    }
    let first = number % AGAIN;
    let recipient = format!("sip:+1555000{first:04}@im.example;user=phone");
    Short { recipient, ..Short::new(number, &format!("text {first}")) }.request()
}

/// The number in a Call-ID.
fn number_of(call_id: &str) -> u32 {
    let digits = call_id.split(['-', '@']).nth(1).unwrap();
    digits.parse().unwrap()
}

/// A datagram that somebody got.
struct Heard {
    /// Which sender got it; none is the IM side.
    sender: Option<usize>,
    octets: Vec<u8>,
    from: SocketAddr,
}

/// Reads a socket until it gets [`END`].
fn listen(socket: &UdpSocket, sender: Option<usize>, tell: Sender<Heard>) -> JoinHandle<()> {
    let socket = socket.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut octets = [0; 9_000];
        loop {
            let (len, from) = socket.recv_from(&mut octets).unwrap();
            if &octets[..len] == END {
                return;
            }
            // Who plays no longer does not want to know.
            let _ = tell.send(Heard { sender, octets: octets[..len].to_vec(), from });
        }
    })
}

/// What is known of a message while it is played.
#[derive(Default)]
struct Course {
    fate: Fate,
    /// Copies of its request that were sent so far, and of these before its first final response.
    sent: u32,
    early: u32,
    /// Final responses that came.
    answered: u32,
    /// Branches of what the IM side and the SMS side were asked.
    branches: BTreeSet<String>,
    reported: BTreeSet<String>,
    /// The IM side's answer, to be repeated.
    answer: Vec<u8>,
}

/// Both sides of a service.
pub(crate) struct Players {
    senders: Vec<UdpSocket>,
    im: UdpSocket,
    /// Neither of them.
    stranger: UdpSocket,
}

impl Players {
    pub(crate) fn new(ip: &str) -> Self {
        let socket = || UdpSocket::bind((ip, 0)).unwrap();
        let senders = (0..SENDERS).map(|_| socket()).collect();
        Self { senders, im: socket(), stranger: socket() }
    }

    /// The addresses of the SMS side.
    pub(crate) fn sms(&self) -> Vec<SocketAddr> {
        self.senders.iter().map(|socket| socket.local_addr().unwrap()).collect()
    }

    /// The address of the IM side.
    pub(crate) fn im(&self) -> SocketAddr {
        self.im.local_addr().unwrap()
    }

    /// Plays so many messages to `service`, which ends with it.
    pub(crate) fn play(self, service: Service, messages: u32) -> Played {
        let (tell, heard) = channel();
        let mut listeners = Vec::from([listen(&self.im, None, tell.clone())]);
        for (index, socket) in self.senders.iter().enumerate() {
            listeners.push(listen(socket, Some(index), tell.clone()));
        }
        drop(tell);
        let engine = service.addresses()[0];
        let mut play = Play {
            players: &self,
            engine,
            courses: BTreeMap::new(),
            waiting: (0..messages).collect(),
            under_way: 0,
            forged: 0,
        };
        play.run(&service, &heard);
        let total = service.total();
        assert_eq!(service.stop().abandoned, 0);
        // All that it has sent is in the sockets, and this comes after it.
        for to in self.sms().into_iter().chain([self.im()]) {
            self.stranger.send_to(END, to).unwrap();
        }
        listeners.into_iter().for_each(|listener| listener.join().unwrap());
        while let Ok(heard) = heard.try_recv() {
            play.on_heard(&heard);
        }
        play.played(total)
    }
}

/// Everything that was counted.
fn counted(total: &Total) -> Vec<(&'static str, u64)> {
    let all = Counter::ALL.map(|counter| (counter.name(), total.read(counter)));
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

struct Play<'a> {
    players: &'a Players,
    engine: SocketAddr,
    courses: BTreeMap<String, Course>,
    waiting: VecDeque<u32>,
    under_way: usize,
    forged: u64,
}

impl Play<'_> {
    fn run(&mut self, service: &Service, heard: &Receiver<Heard>) {
        let accounts = service.accounts().unwrap();
        let mut quiet = 0;
        while !self.is_over() {
            while self.under_way < WINDOW
                && let Some(number) = self.waiting.pop_front()
            {
                self.under_way += 1;
                self.submit(number);
            }
            match heard.recv_timeout(PAUSE) {
                Ok(heard) => {
                    quiet = 0;
                    self.on_heard(&heard);
                }
                Err(RecvTimeoutError::Timeout) => quiet += 1,
                Err(RecvTimeoutError::Disconnected) => panic!("a listener ended"),
            }
            while let Some(account) = accounts.pop() {
                quiet = 0;
                self.on_account(&account);
            }
            assert!(
                quiet < PATIENCE,
                "nothing happens any more: {:?} {:?}",
                self.unfinished(),
                counted(&service.total())
            );
        }
    }

    fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.courses.iter().all(|(id, course)| course.is_over(id))
    }

    fn unfinished(&self) -> Vec<(&String, &Fate)> {
        let open = self.courses.iter().filter(|(id, course)| !course.is_over(id));
        open.map(|(id, course)| (id, &course.fate)).take(10).collect()
    }

    fn course(&mut self, call_id: &str) -> &mut Course {
        self.courses.entry(call_id.to_owned()).or_default()
    }

    /// Sends the request of a message, for the first time or again.
    fn submit(&mut self, number: u32) {
        let sender = &self.players.senders[number as usize % SENDERS];
        sender.send_to(&request(number), self.engine).unwrap();
        let course = self.course(&call_id(number));
        course.sent += 1;
        course.early += u32::from(course.answered == 0);
    }

    fn on_heard(&mut self, heard: &Heard) {
        let text = String::from_utf8_lossy(&heard.octets).into_owned();
        let branch = field(&text, "via").split("branch=").nth(1).unwrap();
        let branch = branch.split(';').next().unwrap().to_owned();
        match heard.sender {
            None => self.on_onward(&text, branch, heard.from),
            Some(sender) if text.starts_with("MESSAGE ") => {
                self.on_report(sender, heard, &text, branch);
            }
            Some(_) => self.on_answer(&text),
        }
    }

    /// The IM side gets a request.
    fn on_onward(&mut self, text: &str, branch: String, from: SocketAddr) {
        let number = text.split("+1555000").nth(1).unwrap()[..4].parse().unwrap();
        let course = self.course(&call_id(number));
        if !course.branches.insert(branch) {
            return;
        }
        course.fate.requests += 1;
        let script = script(number);
        (0..script.before).for_each(|_| self.submit(number));
        self.forge(&script, text, from);
        self.under_way -= usize::from(script.is_slow());
        let Some(status) = script.answer else { return };
        let octets = answer(text, status).into_bytes();
        self.players.im.send_to(&octets, from).unwrap();
        if script.twice {
            // Where requests have ports of their own, this is another one.
            self.players.im.send_to(&octets, self.engine).unwrap();
        }
        self.course(&call_id(number)).answer = octets;
    }

    fn forge(&mut self, script: &Script, text: &str, from: SocketAddr) {
        let [wrong, elsewhere] = script.forged;
        let forged =
            answer(text, if script.answer == Some("200 OK") { "404 No" } else { "200 OK" });
        if wrong {
            let at = forged.find("z9hG4bK").unwrap() + 20;
            let mut octets = forged.clone().into_bytes();
            octets[at] = if octets[at] == b'0' { b'1' } else { b'0' };
            self.players.im.send_to(&octets, self.engine).unwrap();
            self.forged += 1;
        }
        if elsewhere {
            for socket in [&self.players.stranger, &self.players.senders[0]] {
                socket.send_to(forged.as_bytes(), from).unwrap();
                socket.send_to(forged.as_bytes(), self.engine).unwrap();
            }
            self.forged += 4;
        }
    }

    /// The SMS side gets a response.
    fn on_answer(&mut self, text: &str) {
        let status: u16 = text.split(' ').nth(1).unwrap().parse().unwrap();
        if status < 200 {
            return;
        }
        let id = field(text, "call-id");
        let course = self.course(id);
        course.answered += 1;
        course.fate.statuses.insert(status);
        if course.answered > 1 {
            return;
        }
        let answer = course.answer.clone();
        let number = number_of(id);
        let script = script(number);
        (0..script.after).for_each(|_| self.submit(number));
        if !script.is_short {
            self.under_way -= 1;
            self.players.im.send_to(&answer, self.engine).unwrap();
        }
    }

    /// The SMS side gets a report, and takes it.
    fn on_report(&mut self, sender: usize, heard: &Heard, text: &str, branch: String) {
        let taken = answer(text, "200 OK");
        self.players.senders[sender].send_to(taken.as_bytes(), heard.from).unwrap();
        let id = field(text, "in-reply-to");
        let head = heard.octets.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let course = self.course(id);
        if !course.reported.insert(branch) {
            return;
        }
        course.fate.reports.push(heard.octets[head + 4..].to_vec());
        let number = number_of(id);
        let script = script(number);
        self.under_way -= usize::from(number < AGAIN && !script.is_slow());
        if script.again {
            self.submit(number + AGAIN);
        }
    }

    fn on_account(&mut self, account: &Account) {
        let Account { form, verdict, evidence, report, statuses, .. } = account;
        let id = String::from_utf8(account.sms_call_id.octets().to_vec()).unwrap();
        // A response that is repeated before the account is closed stands there twice.
        let mut statuses = statuses.codes().to_vec();
        statuses.dedup();
        let told = format!("{verdict:?}: {form:?} {evidence:?} {statuses:?} {report:?}");
        self.course(&id).fate.accounts.push(told);
    }

    /// Every copy after the answer was answered, and none twice.
    fn played(self, total: Total) -> Played {
        for (id, course) in &self.courses {
            let late = course.sent - course.early;
            let least = if course.answered == 0 { 0 } else { 1 + late };
            assert!((least..=course.sent).contains(&course.answered), "{id}: {:?}", course.fate);
        }
        let fates = self.courses.into_iter().map(|(id, course)| (id, course.fate)).collect();
        Played { fates, total, forged: self.forged }
    }
}

impl Course {
    /// Whether nothing more is waited for.
    fn is_over(&self, id: &str) -> bool {
        let script = script(number_of(id));
        let is_silent = script.answer.is_none() && !script.is_short;
        let is_answered = is_silent || self.answered > self.sent - self.early;
        let is_told = !self.fate.accounts.is_empty();
        is_answered && is_told && (!script.is_short || !self.fate.reports.is_empty())
    }
}
