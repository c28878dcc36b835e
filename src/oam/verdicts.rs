//! What happened to a message: one line of JSON for each, written off the packet path.
//!
//! The worker puts an [`Account`] into a ring when a message is closed; a thread of its own takes
//! them out and writes. When the writer cannot keep up, the worker drops accounts and counts them
//! (`accounts_lost`): it never waits.
//!
//! What stands in a line is in [`mod@line`].

pub mod line;

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, Thread};

use crossbeam::channel::{self, Receiver};
use crossbeam::queue::ArrayQueue;

use crate::delivery::Account;
use crate::oam::verdicts::line::write_line;

pub use self::line::Context;
pub(crate) use self::line::{msrp_role_name, role_name};

/// How many octets are written at once when many lines wait.
const BATCH_SIZE: usize = 1 << 16;

/// How long the writer sleeps when there is nothing to write.
const PAUSE: Duration = Duration::from_millis(5);

/// Opens the file that lines are appended to, `-` for standard output.
///
/// # Errors
///
/// When it cannot be created or appended to.
pub fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    // Recipients are nobody's business but the operator's.
    let file: File = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    Ok(Box::new(file))
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writer {
    accounts: Arc<ArrayQueue<Account>>,
    stop: Arc<AtomicBool>,
    thread: Thread,
    ended: Receiver<Outcome>,
}

/// What became of the lines.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Lines that were written.
    pub written: u64,
    /// Lines that could not be.
    pub failed: u64,
    /// Why the first of them could not.
    pub error: Option<io::Error>,
    /// Whether the writer still hangs in a write: whoever reads the lines has stopped reading.
    pub stuck: bool,
}

impl Writer {
    /// Starts it. `on_error` hears of the first line that cannot be written, at once.
    ///
    /// # Errors
    ///
    /// When there can be no further thread.
    pub fn start(
        accounts: Arc<ArrayQueue<Account>>,
        context: Context,
        to: Box<dyn Write + Send>,
        on_error: fn(&io::Error),
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, ended) = channel::bounded(1);
        let (source, stopped) = (Arc::clone(&accounts), Arc::clone(&stop));
        let thread = thread::Builder::new().name("verdicts".to_owned()).spawn(move || {
            // Nobody listens when the writer was given up.
            let _ = tell.send(drain(&source, &context, to, &stopped, on_error));
        })?;
        Ok(Self { accounts, stop, thread: thread.thread().clone(), ended })
    }

    /// Writes what is still in the ring and ends, unless that takes longer than `patience`.
    pub fn finish(self, patience: Duration) -> Outcome {
        self.stop.store(true, Ordering::Release);
        self.thread.unpark();
        self.ended.recv_timeout(patience).unwrap_or_else(|_| Outcome {
            failed: self.accounts.len() as u64,
            stuck: true,
            ..Outcome::default()
        })
    }
}

fn drain(
    accounts: &ArrayQueue<Account>,
    context: &Context,
    to: Box<dyn Write + Send>,
    stop: &AtomicBool,
    on_error: fn(&io::Error),
) -> Outcome {
    let mut file = Lines { to, torn: false };
    let mut outcome = Outcome::default();
    let mut batch = Vec::with_capacity(BATCH_SIZE * 2);
    loop {
        // Read before the ring: what was put in before the stop is still found.
        let stopped = stop.load(Ordering::Acquire);
        batch.clear();
        let mut lines = 0;
        while batch.len() < BATCH_SIZE
            && let Some(account) = accounts.pop()
        {
            write_line(&account, context, &mut batch);
            lines += 1;
        }
        let (written, result) = file.put(&batch);
        outcome.written += written;
        outcome.failed += lines - written;
        if let Err(error) = result
            && outcome.error.is_none()
        {
            on_error(&error);
            outcome.error = Some(error);
        }
        if lines > 0 {
            continue;
        }
        if stopped {
            return outcome;
        }
        thread::park_timeout(PAUSE);
    }
}

/// A file of lines in which a half line never becomes the start of another one.
struct Lines {
    to: Box<dyn Write + Send>,
    /// Whether the last line has no end.
    torn: bool,
}

impl Lines {
    /// Writes whole lines. Says how many got through, and why the rest did not.
    fn put(&mut self, lines: &[u8]) -> (u64, io::Result<()>) {
        if lines.is_empty() {
            return (0, Ok(()));
        }
        if self.torn {
            match self.to.write_all(b"\n") {
                Ok(()) => self.torn = false,
                Err(error) => return (0, Err(error)),
            }
        }
        let mut written = 0;
        let mut result = Ok(());
        while let Some(rest) = lines.get(written..)
            && !rest.is_empty()
        {
            match self.to.write(rest) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        let through = lines.get(..written).unwrap_or(lines);
        self.torn = through.last().is_some_and(|&octet| octet != b'\n');
        let count = through.iter().filter(|&&octet| octet == b'\n').count();
        (count as u64, result.and_then(|()| self.to.flush()))
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicUsize;

    use super::*;
    use crate::oam::verdicts::line::tests::{account, context};

    /// Longer than any test.
    const FOREVER: Duration = Duration::from_secs(600);

    /// Takes so many octets, then nothing until there is room again.
    struct Disk {
        room: Arc<AtomicUsize>,
        text: Arc<ArrayQueue<u8>>,
    }

    impl Write for Disk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let count = self.room.load(Ordering::Relaxed).min(octets.len());
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room.fetch_sub(count, Ordering::Relaxed);
            octets[..count].iter().for_each(|&octet| self.text.push(octet).unwrap());
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn disk(room: usize) -> (Disk, Arc<AtomicUsize>, Arc<ArrayQueue<u8>>) {
        let room = Arc::new(AtomicUsize::new(room));
        let text = Arc::new(ArrayQueue::new(1 << 16));
        (Disk { room: Arc::clone(&room), text: Arc::clone(&text) }, room, text)
    }

    #[test]
    fn a_line_that_was_torn_does_not_spoil_the_next_one() {
        let (disk, room, text) = disk(7);
        let mut file = Lines { to: Box::new(disk), torn: false };
        let (written, result) = file.put(b"one\ntwo\nthree\n");
        assert_eq!((written, result.unwrap_err().kind()), (1, io::ErrorKind::StorageFull));
        assert_eq!(file.put(b"four\n").0, 0);
        room.store(100, Ordering::Relaxed);
        assert_eq!(file.put(b"five\n").0, 1);
        assert_eq!(file.put(b"six\n").0, 1);
        let text: Vec<u8> = core::iter::from_fn(|| text.pop()).collect();
        assert_eq!(text, b"one\ntwo\nfive\nsix\n");
    }

    #[test]
    fn a_full_disk_is_told_and_what_it_cost_is_counted() {
        let ring = Arc::new(ArrayQueue::new(8));
        let writer =
            Writer::start(Arc::clone(&ring), context(), Box::new(disk(0).0), |_| {}).unwrap();
        for _ in 0..2 {
            ring.push(account(b"lost", b"x")).unwrap();
        }
        let outcome = writer.finish(FOREVER);
        assert_eq!((outcome.written, outcome.failed), (0, 2));
        assert_eq!(outcome.error.unwrap().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn the_writer_writes_everything_before_it_ends() {
        let ring = Arc::new(ArrayQueue::new(8));
        let (disk, _, text) = disk(usize::MAX);
        let writer = Writer::start(Arc::clone(&ring), context(), Box::new(disk), |_| {}).unwrap();
        for _ in 0..5 {
            ring.push(account(b"a", b"b")).unwrap();
        }
        assert_eq!(writer.finish(FOREVER).written, 5);
        let lines = core::iter::from_fn(|| text.pop()).filter(|&octet| octet == b'\n').count();
        assert_eq!(lines, 5);
    }

    /// Says when it is written to, and takes nothing until it is let go.
    struct Hanging(channel::Sender<()>, Receiver<()>);

    impl Write for Hanging {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stopped_reading_does_not_hold_up_the_end() {
        let (tell, hangs) = channel::bounded(1);
        let (let_go, wait) = channel::bounded(0);
        let ring = Arc::new(ArrayQueue::new(8));
        let to = Box::new(Hanging(tell, wait));
        let writer = Writer::start(Arc::clone(&ring), context(), to, |_| {}).unwrap();
        ring.push(account(b"a", b"b")).unwrap();
        hangs.recv().unwrap();
        ring.push(account(b"waits", b"b")).unwrap();
        let outcome = writer.finish(Duration::from_millis(1));
        assert!(outcome.stuck);
        assert_eq!(outcome.failed, 1);
        drop(let_go);
    }
}
