//! A connection of MSRP, as the user agent or its relay hears it.

#![expect(clippy::disallowed_types, reason = "two threads may write on a connection")]

use std::cmp::Reverse;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::load::im::wait_ns;
use crate::load::short::case::Case;
use crate::load::short::plan;
use crate::load::short::session::frame::{self, Frame};
use crate::load::short::session::{Due, Session, Shared, State};
use crate::load::sip;
use crate::load::truth::After;

/// How long is waited for a connection, or on one, before the stop sign is looked at again.
const WAIT: Duration = Duration::from_millis(20);

/// How often is looked for a connection.
const LOOK: Duration = Duration::from_millis(2);

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<Mutex<TcpStream>>);

impl Line {
    /// What cannot be written is lost: the other end has gone.
    pub(super) fn write(&self, text: &str) {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stream.write_all(text.as_bytes());
    }

    pub(super) fn close(&self) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Takes connections until the stop sign, or only the first one.
pub(super) fn accept(shared: &Arc<Shared>, listener: &TcpListener, is_once: bool) {
    if listener.set_nonblocking(true).is_err() {
        return;
    }
    while !shared.has_stopped() {
        let Ok((stream, _)) = listener.accept() else {
            pause();
            continue;
        };
        if serve(shared, stream).is_err() {
            shared.stray();
        }
        if is_once {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a load generator may wait")]
fn pause() {
    thread::sleep(LOOK);
}

/// A place to connect to for one session alone.
pub(super) fn own_place(shared: &Arc<Shared>) -> Option<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    let at = listener.local_addr().ok()?;
    let shared = Arc::clone(shared);
    let builder = thread::Builder::new().name(String::from("phone-accept"));
    builder.spawn(move || accept(&shared, &listener, true)).ok()?;
    Some(at)
}

/// Connects to the other end of a session and says whose connection it is.
pub(super) fn connect(shared: &Arc<Shared>, ours: &str, theirs: &str) -> Option<Line> {
    let place = theirs.strip_prefix("msrp://")?.split('/').next()?;
    let line = serve(shared, TcpStream::connect(place).ok()?).ok()?;
    line.write(&frame::binding(theirs, ours, shared.unique()));
    Some(line)
}

/// A thread that hears what comes on a connection until it ends.
fn serve(shared: &Arc<Shared>, stream: TcpStream) -> io::Result<Line> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(WAIT))?;
    let mut reading = stream.try_clone()?;
    let line = Line(Arc::new(Mutex::new(stream)));
    let (shared, answering) = (Arc::clone(shared), line.clone());
    thread::Builder::new().name(String::from("phone-line")).spawn(move || {
        let mut read = Vec::new();
        let mut buffer = [0; 16_384];
        while !shared.has_stopped() {
            match reading.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => read.extend_from_slice(&buffer[..len]),
                Err(error) if is_wait(&error) => continue,
                Err(_) => break,
            }
            if take_all(&shared, &answering, &mut read).is_err() {
                shared.stray();
                break;
            }
        }
        answering.close();
    })?;
    Ok(line)
}

fn is_wait(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

fn take_all(shared: &Shared, line: &Line, read: &mut Vec<u8>) -> Result<(), &'static str> {
    while let Some(frame) = frame::take(read)? {
        match frame.what.as_str() {
            "SEND" => {
                if on_send(shared, line, &frame).is_none() {
                    shared.stray();
                    line.write(&frame::response(&frame, "481 Session Does Not Exist"));
                }
            }
            // To the SEND that tells whose connection this is.
            "200" => {}
            _ => shared.stray(),
        }
    }
    Ok(())
}

/// `None` if it is not of a session that there is, or not as it ought to be there.
fn on_send(shared: &Shared, line: &Line, send: &Frame) -> Option<()> {
    let (to, from) = (send.field("To-Path")?, send.field("From-Path")?);
    let id = to.split(' ').next()?.rsplit_once('/')?.1;
    let (number, rest) = id.strip_prefix('s')?.split_once('.')?;
    let key = (number.parse().ok()?, rest.split_once('-')?.0.parse().ok()?);
    let mut state = shared.lock();
    let session = state.sessions.get_mut(&key)?;
    let is_right = session.ours == to
        && session.theirs == from
        && send.field("Success-Report")? == "yes"
        && send.field("Content-Type")? == "text/plain;charset=UTF-8";
    if !is_right {
        return None;
    }
    let (first, total) = send.range()?;
    take_octets(session, first, send)?;
    let case = plan::case(&shared.run, key.0);
    if send.flag == '$' {
        let octets = core::mem::take(&mut session.octets);
        let is_whole = octets.len() == total;
        see(shared, &mut state, key, (send, is_whole, &octets));
        drop(state);
        conclude(shared, line, send, (key, case, total));
    } else {
        line.write(&frame::response(send, OK));
    }
    Some(())
}

/// Chunks come in their order, unless a relay is between that may not keep it.
fn take_octets(session: &mut Session, first: usize, send: &Frame) -> Option<()> {
    let body = send.body.as_deref()?;
    (session.octets.len() + 1 == first).then(|| session.octets.extend_from_slice(body))
}

/// The user sees the message, if that is what its case says.
fn see(
    shared: &Shared,
    state: &mut State,
    (number, attempt): (usize, usize),
    (send, is_whole, octets): (&Frame, bool, &[u8]),
) {
    let is_intact = is_whole && octets == plan::text(&shared.run, number).as_bytes();
    let id = sip::fingerprint(send.field("Message-ID").unwrap_or_default().as_bytes());
    let seen = &mut state.seen[number];
    seen.is_damaged |= !is_intact;
    if is_intact && plan::case(&shared.run, number).is_seen_at(attempt) {
        match seen.times {
            0 => (seen.times, seen.at_ns, seen.call_id) = (1, shared.clock.now_ns(), id),
            _ if seen.call_id == id => seen.recognised += 1,
            _ => seen.times = seen.times.saturating_add(1),
        }
    }
}

/// What is said to the last chunk, and about the message.
fn conclude(
    shared: &Shared,
    line: &Line,
    send: &Frame,
    ((number, attempt), case, total): ((usize, usize), Case, usize),
) {
    let report = |octets, status| frame::report(send, shared.unique(), octets, status);
    let (all, third) = ((1, total), total / 3);
    let reports = match (case, attempt) {
        (Case::SessionSilent, 0) => return,
        (Case::SessionLost, 0) => return line.close(),
        (Case::SessionTooLarge, _) => {
            return line.write(&frame::response(send, "413 Stop Sending"));
        }
        (Case::SessionRefused, _) => {
            return line.write(&frame::response(send, "415 Unknown Media Type"));
        }
        (Case::RelaySilent, 0) | (Case::RelayLate, _) => String::new(),
        (Case::RelayGap, 0) => report((1, third), OK) + &report((2 * third, total), OK),
        (Case::RelayParts, _) => report((third + 1, total), OK) + &report((1, third), OK),
        (Case::RelayFailed, _) => report(all, "413 Stop Sending"),
        (_, _) => report(all, OK),
    };
    line.write(&(frame::response(send, OK) + &reports));
    if case == Case::RelayLate {
        let at_ns = shared.clock.now_ns() + wait_ns(shared.run.timers, After::Deadline);
        let due = Due { at_ns, number, line: line.clone(), text: report(all, OK) };
        shared.lock().due.push(Reverse(due));
    }
}

/// The comment stands behind the code in a response as in a REPORT.
const OK: &str = "200 OK";
