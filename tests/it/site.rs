//! A place where `roger run` lives with two workers, and lives again: its files, its port, both sides.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStderr};

use roger::engine::home_of;
use roger::store::HashKey;

use crate::bench::field;
use crate::run_process::{output, roger, socket};
use crate::short::Short;
use crate::status_socket::Directory;

/// How many workers live there.
pub(crate) const WORKERS: usize = 2;

/// Where processes live one after the other.
pub(crate) struct Site {
    directory: Directory,
    engine: SocketAddr,
    pub(crate) sms: UdpSocket,
    pub(crate) im: UdpSocket,
}

impl Site {
    /// With these lines in `[workers]` and in `[timers]`, and a state directory if wanted.
    pub(crate) fn new(name: &str, workers: &str, timers: &str, has_state: bool) -> Self {
        let directory = Directory::new(name);
        // A port that nobody has: who asks for one to share may get one that others share.
        let engine = socket().local_addr().unwrap();
        let (sms, im) = (socket(), socket());
        fs::create_dir(directory.0.join("state")).unwrap();
        let path = |name: &str| directory.0.join(name).display().to_string();
        let state = match has_state {
            true => format!("state_directory = \"{}\"\n", path("state")),
            false => String::new(),
        };
        let text = format!(
            "{state}[workers]\ncpus = \"any\"\ncount = {WORKERS}\npolling = \"wait\"\n{workers}\
             [[listen]]\naddress = \"{engine}\"\n\
             [[peer]]\nname = \"sbc\"\nside = \"sms\"\ntrusted = true\naddress = \"{}\"\n\
             [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\naddress = \"{}\"\n\
             [route]\noutbound_proxies = \"im\"\n[capacity]\nrate = 100\nopen = 1024\n\
             [status]\nsocket = \"{}\"\n[timers]\n{timers}",
            sms.local_addr().unwrap(),
            im.local_addr().unwrap(),
            path("status.sock"),
        );
        fs::write(directory.0.join("roger.toml"), text).unwrap();
        Self { directory, engine, sms, im }
    }

    /// Where it listens.
    pub(crate) const fn engine(&self) -> SocketAddr {
        self.engine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.0.join(name)
    }

    /// Begins a life, whose verdict lines go to a file of its own.
    pub(crate) fn start(&self, verdicts: &str) -> Life {
        let (config, verdicts) = (self.path("roger.toml"), self.path(verdicts));
        let [config, verdicts] = [&config, &verdicts].map(|path| path.to_str().unwrap());
        let mut child =
            roger(&["run", "--config", config, "--verdicts", verdicts]).spawn().unwrap();
        let error = BufReader::new(child.stderr.take().unwrap());
        let mut life = Life { child, error };
        life.line_with("a crash forgets");
        life
    }

    /// The verdict lines of a life.
    pub(crate) fn verdicts(&self, file: &str) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.path(file)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the process says about itself.
    pub(crate) fn status(&self) -> serde_json::Value {
        let path = self.path("status.sock");
        let (code, text, error) = output(&["status", "--json", "--socket", path.to_str().unwrap()]);
        assert_eq!(code, 0, "{error}");
        serde_json::from_str(&text).unwrap()
    }

    /// What it has counted.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let status = self.status();
        let groups = status["counters"].as_array().unwrap().iter();
        let mut counters = groups.flat_map(|group| group["counters"].as_array().unwrap());
        counters.find(|counter| counter["name"] == name).unwrap()["value"].as_u64().unwrap()
    }

    /// Waits until it has counted so many.
    pub(crate) fn wait_for(&self, name: &str, value: u64) {
        let mut counted = std::iter::repeat_with(|| self.count(name)).take(2_000);
        assert!(counted.any(|count| count == value), "{name}: {}", self.count(name));
    }

    /// Waits until a worker that was given up has found that its word was taken. It holds its sockets:
    /// to close one would change the places of the others.
    pub(crate) fn wait_until_silenced(&self, worker: usize) {
        let mut states = std::iter::repeat_with(|| self.status()).take(2_000);
        let is_silenced =
            |status: serde_json::Value| status["workers"][worker]["state"] == "silenced";
        assert!(states.any(is_silenced), "a worker that was given up goes on");
    }

    /// The secret under its ids.
    fn key(&self) -> HashKey {
        let text = fs::read_to_string(self.path("state/identity")).unwrap();
        let hex = text.lines().find_map(|line| line.strip_prefix("secret ")).unwrap();
        HashKey([0, 16].map(|at| u64::from_str_radix(&hex[at..at + 16], 16).unwrap()))
    }

    /// Numbers of messages whose home is this worker.
    pub(crate) fn numbers_of(&self, worker: usize) -> impl Iterator<Item = u32> + use<> {
        let key = self.key();
        (0..1_000).filter(move |number| {
            let uri = format!("sip:+1555000{number:04}@im.example");
            usize::from(home_of(key, uri.as_bytes(), WORKERS).0) == worker
        })
    }

    /// The SMS side sends it something.
    pub(crate) fn sms_sends(&self, octets: &[u8]) {
        self.sms.send_to(octets, self.engine).unwrap();
    }

    /// The IM side sends it something.
    pub(crate) fn im_sends(&self, text: &str) {
        self.im.send_to(text.as_bytes(), self.engine).unwrap();
    }

    /// The next request that the IM side gets for this message.
    pub(crate) fn onward(&self, number: u32) -> String {
        loop {
            let text = receive(&self.im);
            if text.contains(&format!("sip:+1555000{number:04}@im.example")) {
                return text;
            }
        }
    }
}

/// One process.
pub(crate) struct Life {
    pub(crate) child: Child,
    error: BufReader<ChildStderr>,
}

impl Drop for Life {
    /// SIGKILL: nothing can be tidied up.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Life {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// The next line of standard error that contains `words`.
    pub(crate) fn line_with(&mut self, words: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.error.read_line(&mut line).unwrap() > 0, "it never said {words:?}");
            if line.contains(words) {
                return line;
            }
        }
    }
}

/// A short message to the recipient of this number.
pub(crate) fn short(number: u32) -> Vec<u8> {
    let recipient = format!("sip:+1555000{number:04}@im.example;user=phone");
    Short { recipient, ..Short::new(number, "Hello") }.request()
}

/// The next datagram as text.
pub(crate) fn receive(socket: &UdpSocket) -> String {
    let mut octets = [0; 9_000];
    loop {
        match socket.recv_from(&mut octets) {
            Ok((len, _)) => return String::from_utf8_lossy(&octets[..len]).into_owned(),
            // A child that is stopped or goes on interrupts whoever waits.
            Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
        }
    }
}

/// Everything that is in the socket now.
pub(crate) fn emptied(socket: &UdpSocket) -> Vec<String> {
    let mut octets = [0; 9_000];
    let mut found = Vec::new();
    socket.set_nonblocking(true).unwrap();
    loop {
        match socket.recv_from(&mut octets) {
            Ok((len, _)) => found.push(String::from_utf8_lossy(&octets[..len]).into_owned()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                socket.set_nonblocking(false).unwrap();
                return found;
            }
        }
    }
}

/// Takes datagrams until there is one of this Call-ID, which is the last; the Call-IDs of the others.
pub(crate) fn before(socket: &UdpSocket, call_id: &str) -> Vec<String> {
    let mut others = Vec::new();
    loop {
        let text = receive(socket);
        let found = field(&text, "call-id");
        if found == call_id {
            return others;
        }
        others.push(found.to_owned());
    }
}
