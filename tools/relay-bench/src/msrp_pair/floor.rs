//! The same octets over plain TCP: writes and reads of 64 KiB, and an answer of two hundred octets to each
//! message. Nothing is looked for in them and nothing is kept.
#![expect(unsafe_code, reason = "poll takes a raw pointer")]

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::{Load, cpu_ns};

/// Octets of one write and one read.
const BUFFER_SIZE: usize = 64 << 10;

/// Octets of the head and the end-line of a chunk of MSRP with the URIs that are used here.
const OVERHEAD: usize = 290;

/// Octets of an answer.
const ANSWER_SIZE: usize = 200;

/// Waits until something can be read or, if that is wanted, written.
fn wait(stream: &TcpStream, writes: bool) -> io::Result<()> {
    let events = libc::POLLIN | if writes { libc::POLLOUT } else { 0 };
    let mut polled = libc::pollfd { fd: stream.as_raw_fd(), events, revents: 0 };
    // SAFETY: the pointer is that of one structure that outlives the call.
    let result = unsafe { libc::poll(&raw mut polled, 1, 1_000) };
    match io::Error::last_os_error() {
        error if result < 0 && error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// How many octets; none if it would have to wait.
fn now(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement lives by the clock")]
pub(crate) fn send(load: Load) -> io::Result<()> {
    let mut stream = TcpStream::connect(load.to)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let cpu_before = cpu_ns()?;
    let octets = Box::from_iter(core::iter::repeat_n(b'x', BUFFER_SIZE));
    let mut answers = Box::from_iter(core::iter::repeat_n(0, BUFFER_SIZE));
    let whole = load.size + OVERHEAD;
    let window = load.sessions as usize * load.window as usize;
    let (mut begun, mut left, mut answered) = (0, 0, 0);
    let began = Instant::now();
    loop {
        let is_ending = began.elapsed() >= Duration::from_secs(load.seconds);
        // What may be written: the rest of a message, and as many more as the window has room for.
        if !is_ending && left < BUFFER_SIZE {
            let more = (window - (begun - answered / ANSWER_SIZE)).min(BUFFER_SIZE / whole + 1);
            begun += more;
            left += more * whole;
        }
        if is_ending && left == 0 && answered == begun * ANSWER_SIZE {
            break;
        }
        let put = match left {
            0 => None,
            left => now(stream.write(&octets[..left.min(BUFFER_SIZE)]))?,
        };
        left -= put.unwrap_or(0);
        let came = now(stream.read(&mut answers))?;
        answered += came.unwrap_or(0);
        if put.is_none() && came.is_none() {
            wait(&stream, left > 0)?;
        }
    }
    let elapsed_ns = u64::try_from(began.elapsed().as_nanos()).map_err(io::Error::other)?;
    let said = json!({
        "messages": begun, "octets": begun * load.size, "elapsed_ns": elapsed_ns,
        "cpu_ns": cpu_ns()? - cpu_before,
    });
    writeln!(io::stdout().lock(), "{said}")
}

pub(crate) fn receive(at: SocketAddr, size: usize) -> io::Result<()> {
    let listener = TcpListener::bind(at)?;
    let mut output = io::stdout().lock();
    writeln!(output, "{}", listener.local_addr()?)?;
    output.flush()?;
    let cpu_before = cpu_ns()?;
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut buffer = Box::from_iter(core::iter::repeat_n(0, BUFFER_SIZE));
    let answers = Box::from_iter(core::iter::repeat_n(b'x', BUFFER_SIZE));
    let (mut octets, mut written) = (0, 0);
    // Until the sender goes.
    while let Ok(came) = now(stream.read(&mut buffer)) {
        octets += came.unwrap_or(0);
        let owed = octets / (size + OVERHEAD) * ANSWER_SIZE - written;
        let put = match owed {
            0 => None,
            owed => now(stream.write(&answers[..owed.min(BUFFER_SIZE)]))?,
        };
        written += put.unwrap_or(0);
        if came.is_none() && put.is_none() {
            wait(&stream, owed > 0)?;
        }
    }
    let messages = octets / (size + OVERHEAD);
    let said = json!({ "messages": messages, "cpu_ns": cpu_ns()? - cpu_before });
    writeln!(output, "{said}")
}
