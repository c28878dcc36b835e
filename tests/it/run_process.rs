//! `roger` as an operator meets it: a process with arguments, streams, signals and exit codes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::status_socket::Directory;

/// Nothing on loopback takes that long; what does not come within it never comes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn roger(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roger"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROGER__") || name == "STATE_DIRECTORY" {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn output(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = roger(arguments).output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A running `roger run`, with a socket on either side of it.
struct Process {
    child: Child,
    error: BufReader<std::process::ChildStderr>,
    address: SocketAddr,
    sms: UdpSocket,
    im: UdpSocket,
    directory: Directory,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two ports in a row that nobody has, for datagrams and for connections.
pub(crate) fn two_ports() -> (u16, u16) {
    loop {
        let first = socket().local_addr().unwrap().port();
        let Some(second) = first.checked_add(1) else { continue };
        let is_free = |port: u16| {
            let datagrams = UdpSocket::bind(("127.0.0.1", port));
            datagrams.is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
        };
        if is_free(first) && is_free(second) {
            return (first, second);
        }
    }
}

pub(crate) fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(crate) fn config(directory: &Path, sms: SocketAddr, im: SocketAddr, timers: &str) -> String {
    format!(
        "[workers]\ncpus = \"any\"\npolling = \"wait\"\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\n\
         [[peer]]\nname = \"smsc\"\nside = \"sms\"\naddress = \"{sms}\"\n\
         [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\naddress = \"{im}\"\n\
         [route]\noutbound_proxies = \"im\"\n\
         [capacity]\nrate = 100\nopen = 64\nopen_large = 4\n\
         [status]\nsocket = \"{}\"\n\
         [timers]\n{timers}",
        directory.join("status.sock").display(),
    )
}

impl Process {
    fn start(name: &str, timers: &str, verdicts: &str) -> Self {
        let directory = Directory::new(name);
        let (sms, im) = (socket(), socket());
        let text =
            config(&directory.0, sms.local_addr().unwrap(), im.local_addr().unwrap(), timers);
        let file = directory.0.join("roger.toml");
        fs::write(&file, text).unwrap();
        let mut child = roger(&["run", "--config", file.to_str().unwrap(), "--verdicts", verdicts])
            .spawn()
            .unwrap();
        let error = BufReader::new(child.stderr.take().unwrap());
        let unknown = "127.0.0.1:1".parse().unwrap();
        let mut process = Self { child, error, address: unknown, sms, im, directory };
        process.line_with("a crash forgets");
        let status = process.status();
        process.address = status["sockets"][0].as_str().unwrap().parse().unwrap();
        process
    }

    /// The next line of standard error that contains `words`.
    fn line_with(&mut self, words: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.error.read_line(&mut line).unwrap() > 0, "it never said {words:?}");
            if line.contains(words) {
                return line;
            }
        }
    }

    fn status(&self) -> serde_json::Value {
        let path = self.directory.0.join("status.sock");
        let (code, text, error) = output(&["status", "--json", "--socket", path.to_str().unwrap()]);
        assert_eq!(code, 0, "{error}");
        serde_json::from_str(&text).unwrap()
    }

    fn signal(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Sends a MESSAGE; the IM side has it when this returns.
    fn message(&self, number: u32) -> (String, SocketAddr) {
        self.request("MESSAGE", number);
        loop {
            // Retransmissions of another one may come first.
            let (request, engine) = receive(&self.im);
            if request.contains(&format!("Call-ID: call-{number}\r\n")) {
                return (request, engine);
            }
        }
    }

    fn request(&self, method: &str, number: u32) {
        let text = format!(
            "{method} sip:bob@example.net SIP/2.0\r\n\
             Via: SIP/2.0/UDP {sms};branch=z9hG4bK{method}{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:smsc@example.net>;tag=1\r\nTo: <sip:bob@example.net>\r\n\
             Call-ID: call-{number}\r\nCSeq: 1 {method}\r\n\
             Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
            sms = self.sms.local_addr().unwrap(),
        );
        self.sms.send_to(text.as_bytes(), self.address).unwrap();
    }

    /// The status line of the next final response that the SMS side gets.
    fn answer(&self) -> String {
        loop {
            let (response, _) = receive(&self.sms);
            let line = response.lines().next().unwrap();
            if line != "SIP/2.0 100 Trying" {
                return line.to_owned();
            }
        }
    }

    /// Its exit code and what it wrote to standard output.
    fn end(mut self) -> (i32, String, String) {
        let code = self.child.wait().unwrap().code().unwrap();
        let (mut out, mut error) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.error.read_to_string(&mut error).unwrap();
        assert!(!self.directory.0.join("status.sock").exists(), "the socket is taken away");
        (code, out, error)
    }
}

fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut octets = [0; 9_000];
    let (len, from) = socket.recv_from(&mut octets).unwrap();
    (String::from_utf8(octets[..len].to_vec()).unwrap(), from)
}

/// The IM side's answer to `request`.
fn response(request: &str, status: &str) -> String {
    let copied = request.lines().take_while(|line| !line.is_empty()).filter(|line| {
        ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
    });
    let copied: String = copied.map(|line| format!("{line}\r\n")).collect();
    format!("SIP/2.0 {status}\r\n{copied}Content-Length: 0\r\n\r\n")
}

/// Long enough for what the test does meanwhile, on a machine that is busy with other things.
const QUICK: &str = "t1 = \"200ms\"\nsync_deadline = \"12s\"\n\
                     drain_announce = \"2s\"\ndrain_timeout = \"1min\"\n";

#[test]
fn a_message_goes_through_and_a_signal_ends_it_in_good_order() {
    let mut process = Process::start("order", QUICK, "-");
    let (request, engine) = process.message(1);
    process.signal();
    process.line_with("OPTIONS is answered 503");
    assert_eq!(process.status()["serving"], "announcing");
    // While it is announced, messages are still taken.
    process.request("OPTIONS", 2);
    assert_eq!(process.answer(), "SIP/2.0 503 Service Unavailable");
    let (second, _) = process.message(3);
    process.line_with("new messages are refused");
    process.request("MESSAGE", 4);
    assert_eq!(process.answer(), "SIP/2.0 503 Service Unavailable");
    // What is open is waited for.
    process.im.send_to(response(&request, "200 OK").as_bytes(), engine).unwrap();
    assert_eq!(process.answer(), "SIP/2.0 200 OK");
    process.im.send_to(response(&second, "486 Busy Here").as_bytes(), engine).unwrap();
    assert_eq!(process.answer(), "SIP/2.0 486 Busy Here");
    let (code, lines, error) = process.end();
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("every message is final"), "{error}");
    let verdicts: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |index: usize, field: &str| verdicts[index][field].as_str().unwrap().to_owned();
    assert_eq!(verdicts.len(), 2, "{lines}");
    assert_eq!((told(0, "verdict"), told(0, "sms_call_id")), ("D".into(), "call-1".into()));
    assert_eq!((told(1, "verdict"), told(1, "im_call_id")), ("T".into(), "call-3".into()));
    assert_eq!((told(0, "sms_peer"), told(0, "im_peer")), ("smsc".into(), "im".into()));
}

#[test]
fn a_second_signal_ends_it_at_once_and_what_was_open_is_told() {
    let slow = "drain_announce = \"10min\"\ndrain_timeout = \"1h\"\n";
    let mut process = Process::start("twice", slow, "-");
    let (_, _) = process.message(1);
    process.signal();
    process.line_with("OPTIONS is answered 503");
    process.signal();
    let (code, lines, error) = process.end();
    assert_eq!(code, 75, "{error}");
    assert!(error.contains("told twice; 1 open messages"), "{error}");
    let verdict: serde_json::Value = serde_json::from_str(lines.trim_end()).unwrap();
    assert_eq!(verdict["verdict"], "U");
    assert_eq!(verdict["evidence"]["kind"], "shutdown");
    assert_eq!(verdict["report"]["outcome"], "silence");
}

#[test]
fn a_drain_does_not_last_for_ever() {
    let impatient = "t1 = \"1s\"\nt2 = \"4s\"\nsync_deadline = \"50s\"\n\
                     drain_announce = \"0s\"\ndrain_timeout = \"200ms\"\n";
    let directory = Directory::new("verdicts-file");
    let file = directory.0.join("verdicts.jsonl");
    let process = Process::start("impatient", impatient, file.to_str().unwrap());
    let (_, _) = process.message(1);
    process.signal();
    let (code, lines, error) = process.end();
    assert_eq!((code, lines.as_str()), (75, ""), "{error}");
    assert!(error.contains("drain_timeout is over"), "{error}");
    assert!(fs::read_to_string(file).unwrap().contains("\"verdict\":\"U\""));
}

#[test]
fn exit_codes_say_what_is_wrong() {
    let directory = Directory::new("codes");
    let (sms, im, other) = (socket(), socket(), socket());
    let right = config(&directory.0, sms.local_addr().unwrap(), im.local_addr().unwrap(), "");
    let file = |name: &str, text: &str| {
        let path = directory.0.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good.toml", &right);
    let wrong = file("wrong.toml", "node = 1\nnod = 2\n");
    let in_use = other.local_addr().unwrap().to_string();
    let taken = file("taken.toml", &right.replace("127.0.0.1:0", &in_use));
    let missing = directory.0.join("missing/x").to_str().unwrap().to_owned();
    for (code, arguments, words) in [
        (0, vec!["check", &good], "ok, 0 warnings"),
        (0, vec!["check", "--effective", "--config", &good], "single_port = true"),
        (0, vec!["--version"], env!("CARGO_PKG_VERSION")),
        (78, vec!["check", &wrong], "did you mean `node`?"),
        (78, vec!["check", &missing], "cannot read"),
        (78, vec!["run", "--config", &wrong], "nothing was started"),
        (69, vec!["run", "--config", &taken], "cannot listen on"),
        (73, vec!["run", "--config", &good, "--verdicts", &missing], "cannot write verdicts"),
        (
            73,
            vec!["run", "--config", &good, "--set", &format!("status.socket={missing}")],
            "[status] socket",
        ),
        (
            78,
            vec!["run", "--config", &good, "--set", &format!("state_directory={missing}")],
            "roger: there is no state directory",
        ),
        // Nobody may make a file there, whoever runs the test.
        (
            78,
            vec!["run", "--config", &good, "--set", "state_directory=/sys"],
            "roger: cannot write /sys/identity.lock",
        ),
        (69, vec!["status", "--config", &good], "nobody answers"),
        (78, vec!["status", "--config", &wrong], "names no [status] socket"),
        (2, vec!["run", "--no-such-flag"], "no-such-flag"),
        (2, vec!["check", "--set", "node"], "must look like"),
    ] {
        let (exit, out, error) = output(&arguments);
        assert_eq!(exit, code, "{arguments:?}\n{out}{error}");
        // A result is on standard output; of a failure, only what `check` found.
        let result = code == 0 || (arguments[0] == "check" && !out.is_empty());
        let stream = if result { &out } else { &error };
        assert!(stream.contains(words), "{arguments:?}\n{out}{error}");
        assert!(!stream.contains('\x1b'), "no colours where there is no terminal");
    }
}
