//! Many connections, each with a session: idle ones, or slow ones that say an octet now and then.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use roger::io::raise_files;

use crate::Crowd;
use crate::host::{SENDER, uri};

/// Files beside those of connections.
const FILES: u64 = 64;

/// What a slow one says, an octet at a time: the head of a chunk that does not end.
fn slow(to: SocketAddr, number: u32) -> String {
    format!(
        "MSRP slow{number:08x} SEND\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: slow\r\n\
         Byte-Range: 1-*/9000\r\nContent-Type: text/plain\r\n\r\n",
        uri(to, number),
        uri(SENDER, number)
    )
}

#[expect(clippy::disallowed_methods, reason = "a measurement lives by the clock")]
pub(crate) fn run(crowd: Crowd) -> io::Result<()> {
    raise_files(u64::from(crowd.connections) + FILES)?;
    let mut streams = Vec::new();
    for number in crowd.first..crowd.first + crowd.connections {
        let mut stream = TcpStream::connect(crowd.to)?;
        stream.set_nodelay(true)?;
        let id = format!("bind{number:08x}");
        let binding = format!(
            "MSRP {id} SEND\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: {id}\r\n-------{id}$\r\n",
            uri(crowd.to, number),
            uri(SENDER, number)
        );
        stream.write_all(binding.as_bytes())?;
        let mut answer = [0; 512];
        let len = stream.read(&mut answer)?;
        if !answer[..len].starts_with(format!("MSRP {id} 200").as_bytes()) {
            return Err(io::Error::other(String::from_utf8_lossy(&answer[..len]).into_owned()));
        }
        streams.push((stream, slow(crowd.to, number)));
    }
    writeln!(io::stdout().lock(), "ready")?;
    let end = Instant::now() + Duration::from_secs(crowd.seconds);
    if crowd.interval_ms == 0 {
        thread::sleep(end.saturating_duration_since(Instant::now()));
        return Ok(());
    }
    let pause = Duration::from_millis(crowd.interval_ms) / crowd.connections.max(1);
    let mut due = Instant::now();
    for at in 0.. {
        for (stream, text) in &mut streams {
            if Instant::now() >= end {
                return Ok(());
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += pause;
            // When the sender is through, the receiver goes.
            let octet = text.as_bytes().get(at).copied().unwrap_or(b'x');
            if stream.write_all(&[octet]).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
