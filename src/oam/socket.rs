//! The Unix socket over which a running process tells its state, and the client's end of it.
//!
//! Whoever connects gets one JSON document and the end of the stream; nothing is read. The socket
//! is for the owner and the group of the process only.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// How long one client may keep the others waiting.
const CLIENT_PATIENCE: Duration = Duration::from_secs(2);

/// How long a client waits for an answer.
const SERVER_PATIENCE: Duration = Duration::from_secs(5);

/// The most octets that a client takes.
const DOCUMENT_SIZE_MAX: u64 = 1 << 20;

/// The thread that answers.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Listens at `path`, in place of a socket that a dead process left there.
    ///
    /// # Errors
    ///
    /// When something else is at `path`, a living process listens there, or it cannot be created.
    pub fn start(path: &Path, document: impl Fn() -> String + Send + 'static) -> io::Result<Self> {
        remove_dead(path)?;
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("status".to_owned()).spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                match client {
                    // A client that goes away misses its answer, that is all.
                    Ok(client) => drop(answer(client, &document())),
                    // Out of descriptors, most likely: it does not get better by asking at once.
                    Err(_) => thread::park_timeout(CLIENT_PATIENCE),
                }
            }
        })?;
        Ok(Self { path: path.to_owned(), stop, thread })
    }

    /// Stops listening and takes the socket away.
    pub fn finish(self) {
        self.stop.store(true, Ordering::Release);
        // The thread waits for a client: this one tells it to look at the flag. If that fails,
        // nobody can connect any more, and the thread ends with the process.
        if UnixStream::connect(&self.path).is_ok() {
            let _ = self.thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn answer(mut client: UnixStream, document: &str) -> io::Result<()> {
    client.set_write_timeout(Some(CLIENT_PATIENCE))?;
    client.write_all(document.as_bytes())
}

/// Removes a socket at `path` that nobody listens on.
fn remove_dead(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "a running process listens there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Asks the process behind `path`.
///
/// # Errors
///
/// When nobody answers there.
pub fn ask(path: &Path) -> io::Result<String> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(SERVER_PATIENCE))?;
    let mut document = String::new();
    stream.take(DOCUMENT_SIZE_MAX).read_to_string(&mut document)?;
    Ok(document)
}
