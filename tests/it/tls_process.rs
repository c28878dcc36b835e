//! `roger run` with certificates: SIGHUP, and somebody else's TLS.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::pki::Authority;
use crate::run_process::{output, roger};
use crate::status_socket::Directory;
use crate::tls_site::{Channel, IM, SMS, config, ip, message, peer, tcp};

struct Process {
    child: Child,
    error: BufReader<ChildStderr>,
    address: SocketAddr,
    directory: Directory,
    authority: Authority,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(name: &str) -> Self {
        let directory = Directory::new(name);
        let authority = Authority::new("test");
        authority.certify(&["roger.example"]).write(&directory.0, "roger");
        authority.write(&directory.0.join("ca.pem"));
        let peers = [
            peer("sms", "sms", &format!("{SMS}:5061"), ""),
            peer("im", "im", &format!("{IM}:5061"), ""),
        ];
        let path = |name: &str| directory.0.join(name).display().to_string();
        let client_ca = format!("client_ca = \"{}\"\n", path("ca.pem"));
        let more = format!("[status]\nsocket = \"{}\"\n", path("status.sock"));
        let file = path("roger.toml");
        fs::write(&file, config(&directory, &peers.concat(), &client_ca, &more)).unwrap();
        let mut child = roger(&["run", "--config", &file]).spawn().unwrap();
        let error = BufReader::new(child.stderr.take().unwrap());
        let address = "0.0.0.0:0".parse().unwrap();
        let mut process = Self { child, error, address, directory, authority };
        let line = process.line_with("  socket ");
        process.address = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        process.line_with("a crash forgets");
        process
    }

    fn line_with(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.error.read_line(&mut line).unwrap() > 0, "it ended before `{text}`");
            if line.contains(text) {
                return line;
            }
        }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    fn connect(&self) -> Channel {
        let own = self.authority.certify(&["sms.example"]);
        Channel::client(tcp((ip(SMS), 0).into(), self.address), self.authority.client(Some(&own)))
    }
}

#[test]
fn sighup_renews_certificates_and_nothing_else() {
    let mut process = Process::start("tls-sighup");
    let mut before = process.connect();
    let renewed = process.authority.certify(&["roger.example"]);
    fs::write(process.directory.0.join("roger.key"), &renewed.key).unwrap();
    process.signal("-HUP");
    let line = process.line_with("stay as they were");
    assert!(line.contains("roger.key: this is the key of another certificate"), "{line}");
    assert_eq!(process.connect().shown, before.shown);
    renewed.write(&process.directory.0, "roger");
    process.signal("-HUP");
    let line = process.line_with("hold for new connections");
    assert!(line.contains("nothing else of a configuration takes effect"), "{line}");
    let after = process.connect();
    assert_eq!(after.shown.as_deref(), Some(renewed.chain()[0].as_ref()));
    assert_ne!(after.shown, before.shown);
    before.send(&message(1).replace("MESSAGE", "OPTIONS"));
    assert!(before.get().starts_with("SIP/2.0 200 OK\r\n"));
    // What goes wrong is told in a line, and counted in the status.
    let mut plain = tcp((ip(SMS), 0).into(), process.address);
    plain.write_all(message(1).as_bytes()).unwrap();
    let line = process.line_with("roger: TLS with 127.0.0.2:");
    assert!(line.contains("what comes is not TLS"), "{line}");
    let socket = process.directory.0.join("status.sock");
    let (code, text, _) = output(&["status", "--socket", socket.to_str().unwrap()]);
    assert_eq!(code, 0);
    let count = |name: &str| {
        let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((count("tls_not_tls"), count("tls_handshakes")), (1, 3));
}

#[test]
fn openssl_speaks_with_it() {
    let process = Process::start("tls-openssl");
    let path = |name: &str| process.directory.0.join(name).display().to_string();
    process.authority.certify(&["sms.example"]).write(&process.directory.0, "sms");
    for version in ["-tls1_2", "-tls1_3"] {
        let address = process.address.to_string();
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-connect", &address, "-bind", "127.0.0.2:0", version]);
        command.args(["-verify_return_error", "-verify_hostname", "roger.example"]);
        let (own, key, ca) = (path("sms.pem"), path("sms.key"), path("ca.pem"));
        command.args(["-CAfile", &ca, "-cert", &own, "-key", &key]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            println!("there is no openssl here");
            return;
        };
        let mut input = child.stdin.take().unwrap();
        input.write_all(message(1).replace("MESSAGE", "OPTIONS").as_bytes()).unwrap();
        input.flush().unwrap();
        let mut answer = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut answer).unwrap();
        let _ = child.kill();
        let _ = child.wait();
        let mut said = String::new();
        let _ = child.stderr.take().unwrap().read_to_string(&mut said);
        assert_eq!(answer, "SIP/2.0 200 OK\r\n", "{version}: {said}");
    }
}
