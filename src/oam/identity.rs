//! The secret under every id that we mint, and the boot epoch in it, from one start to the next.
//!
//! Both stand in the file `identity` of the state directory:
//!
//! ```text
//! roger identity 1
//! secret 00112233445566778899aabbccddeeff
//! epoch 1795377594
//! check 0123456789abcdef
//! ```
//!
//! The secret is made at the first start and stays; the epoch rises by one at each, and a start that
//! cannot write it does not happen: an id of an earlier life must match nothing. A lost file is no
//! harm, for the next epoch is then the time in seconds, which is more than earlier starts can have
//! counted, and the secret is another one. A damaged file is not taken for a lost one: somebody
//! should know.
//!
//! Whoever reads the secret can forge proof of delivery, so nobody else may. The file is replaced as
//! a whole (written aside, synced, renamed, and the directory synced), so that it is the old or the
//! new one whatever happens. A lock on `identity.lock` is held while the process lives: two that
//! share an epoch would take each other's ids for their own.

use core::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::store::HashKey;

/// The file in the state directory.
const FILE: &str = "identity";

/// What becomes that file.
const FILE_ASIDE: &str = "identity.new";

/// What is locked: not the file itself, which is another one after each start.
const FILE_LOCKED: &str = "identity.lock";

/// How the file begins: the number is the version of its format.
const HEAD: &str = "roger identity ";

const VERSION: u32 = 1;

/// For the owner alone.
const MODE: u32 = 0o600;

/// Much more than the file has: what is longer is not it.
const SIZE_MAX: u64 = 1_024;

/// What sets this life of the process apart from every other.
#[derive(Debug)]
pub struct Identity {
    /// The secret under every id and fingerprint.
    pub key: HashKey,
    /// Rises at each start.
    pub epoch: u32,
    /// Held while the process lives; none where there is no state directory.
    _lock: Option<File>,
}

/// Why there is no identity.
#[derive(Debug)]
pub enum IdentityError {
    /// There is no such directory, or it is something else.
    NoDirectory(PathBuf),
    /// Another process that runs has the lock.
    Locked(PathBuf),
    /// The file cannot be read, or is not a file.
    Unreadable(PathBuf, io::Error),
    /// Others may read the file, which has this mode.
    Exposed(PathBuf, u32),
    /// The file is not what was written.
    Damaged(PathBuf, &'static str),
    /// The file has a format that is not known here.
    Version(PathBuf, u32),
    /// The epoch cannot rise any more.
    Exhausted(PathBuf),
    /// The lock or the new epoch cannot be written.
    Unwritable(PathBuf, io::Error),
    /// There are no random numbers to make a secret of.
    Random(io::Error),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirectory(path) => write!(f, "there is no state directory {}", path.display()),
            Self::Locked(path) => {
                write!(
                    f,
                    "another process is running with this state: {} is locked",
                    path.display()
                )
            }
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Exposed(path, mode) => write!(
                f,
                "others may read the secret in {} (mode {mode:04o}), and whoever knows it can forge \
                 proof: remove the file to begin anew, or chmod {MODE:o} it if nobody has read it",
                path.display(),
            ),
            Self::Damaged(path, how) => {
                write!(f, "{} is damaged: {how}; remove it to begin anew", path.display())
            }
            Self::Version(path, version) => write!(
                f,
                "{} has format {version}, and this version of roger knows format {VERSION}",
                path.display(),
            ),
            Self::Exhausted(path) => {
                write!(
                    f,
                    "the epoch in {} cannot rise; remove the file to begin anew",
                    path.display()
                )
            }
            Self::Unwritable(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::Random(error) => write!(f, "cannot read random numbers: {error}"),
        }
    }
}

impl core::error::Error for IdentityError {}

impl Identity {
    /// The identity of this start, which is on the disk when this returns. Without a directory it is
    /// a new secret, with the time in seconds as its epoch.
    ///
    /// # Errors
    ///
    /// See [`IdentityError`]; the identity of the start before is then still there.
    pub fn open(directory: Option<&Path>) -> Result<Self, IdentityError> {
        let Some(directory) = directory else {
            return Ok(Self::unlocked(secret().map_err(IdentityError::Random)?, unix_seconds()));
        };
        if !directory.is_dir() {
            return Err(IdentityError::NoDirectory(directory.to_owned()));
        }
        let lock = lock(directory)?;
        let path = directory.join(FILE);
        let (key, epoch) = match read(&path)? {
            Some(text) => {
                let (key, last) = parse(&text, &path)?;
                let next = last.checked_add(1);
                (key, next.ok_or_else(|| IdentityError::Exhausted(path.clone()))?)
            }
            None => (secret().map_err(IdentityError::Random)?, unix_seconds()),
        };
        replace(directory, &path, &render(key, epoch))?;
        Ok(Self { _lock: Some(lock), ..Self::unlocked(key, epoch) })
    }

    /// One that nothing on a disk stands for.
    pub(super) const fn unlocked(key: HashKey, epoch: u32) -> Self {
        Self { key, epoch, _lock: None }
    }
}

fn lock(directory: &Path) -> Result<File, IdentityError> {
    let path = directory.join(FILE_LOCKED);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(&path);
    let file = match opened {
        Ok(file) => file,
        Err(error) => return Err(IdentityError::Unwritable(path, error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IdentityError::Locked(path)),
        Err(TryLockError::Error(error)) => Err(IdentityError::Unwritable(path, error)),
    }
}

/// The text of the file; `None` if there is no file.
fn read(path: &Path) -> Result<Option<String>, IdentityError> {
    let unreadable = |error| IdentityError::Unreadable(path.to_owned(), error);
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(unreadable)?,
    };
    // What stands behind a link would stay as it is; opening a pipe would wait for its other end.
    if !metadata.is_file() {
        return Err(unreadable(io::Error::new(ErrorKind::InvalidInput, "not a file")));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::Exposed(path.to_owned(), mode));
    }
    let mut octets = Vec::new();
    let opened = File::open(path);
    opened.and_then(|file| file.take(SIZE_MAX).read_to_end(&mut octets)).map_err(unreadable)?;
    let not_text = |_| IdentityError::Damaged(path.to_owned(), "it is not text");
    String::from_utf8(octets).map(Some).map_err(not_text)
}

fn parse(text: &str, path: &Path) -> Result<(HashKey, u32), IdentityError> {
    let damaged = |how| IdentityError::Damaged(path.to_owned(), how);
    let mut lines = text.lines();
    let head = lines.next().and_then(|line| line.strip_prefix(HEAD));
    match head.and_then(|version| version.parse().ok()) {
        Some(VERSION) => {}
        Some(version) => return Err(IdentityError::Version(path.to_owned(), version)),
        None if text.is_empty() => return Err(damaged("it is empty")),
        None => return Err(damaged("it does not begin as it should")),
    }
    let mut value = |name| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let secret = value("secret").and_then(|hex| u128::from_str_radix(hex, 16).ok());
    let epoch = value("epoch").and_then(|digits| digits.parse().ok());
    let (Some(secret), Some(epoch)) = (secret, epoch) else {
        return Err(damaged("a line is missing or wrong"));
    };
    let key = key(secret.to_be_bytes());
    // There is one way of writing it; the check tells secret and epoch that do not belong together.
    if text == render(key, epoch) { Ok((key, epoch)) } else { Err(damaged("its lines disagree")) }
}

fn render(key: HashKey, epoch: u32) -> String {
    let HashKey([high, low]) = key;
    let check = key.of_words(&[epoch.into()]).0[0];
    format!("{HEAD}{VERSION}\nsecret {high:016x}{low:016x}\nepoch {epoch}\ncheck {check:016x}\n")
}

/// Puts `text` in the place of the file at `path`, all of it or nothing.
fn replace(directory: &Path, path: &Path, text: &str) -> Result<(), IdentityError> {
    let aside = directory.join(FILE_ASIDE);
    let unwritable = |error| IdentityError::Unwritable(aside.clone(), error);
    // What a start that was cut short left behind may have another mode.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(unwritable(error)),
        Ok(()) | Err(_) => {}
    }
    let created = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&aside);
    let mut file = created.map_err(unwritable)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(unwritable)?;
    fs::rename(&aside, path)
        .and_then(|()| File::open(directory)?.sync_all())
        .map_err(|error| IdentityError::Unwritable(path.to_owned(), error))
}

/// 128 bits that nobody knows.
fn secret() -> io::Result<HashKey> {
    let mut octets = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(key(octets))
}

const fn key(octets: [u8; 16]) -> HashKey {
    let [a, b, c, d, e, f, g, h, rest @ ..] = octets;
    HashKey([u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(rest)])
}

#[expect(clippy::disallowed_methods, reason = "the first epoch is the time of day")]
fn unix_seconds() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u32::try_from(since.unwrap_or_default().as_secs()).unwrap_or(u32::MAX)
}
