//! The secret and the boot epoch: what survives a start, and what a start refuses to begin with.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use roger::oam::{Identity, IdentityError};

use crate::status_socket::Directory;

/// Opens it. Another test may start a process at this moment, which has a copy of every lock until
/// it becomes the other program: then it is tried again.
fn open(directory: &Path) -> Result<Identity, IdentityError> {
    for _ in 0..1_000 {
        match Identity::open(Some(directory)) {
            Err(IdentityError::Locked(_)) => thread::sleep(Duration::from_millis(1)),
            opened => return opened,
        }
    }
    Identity::open(Some(directory))
}

#[track_caller]
fn opened(directory: &Path) -> ([u64; 2], u32) {
    let Identity { key, epoch, .. } = open(directory).unwrap();
    (key.0, epoch)
}

/// The error, which must leave what is in the file as it was.
#[track_caller]
fn refused(directory: &Path) -> IdentityError {
    let before = fs::read(directory.join("identity")).ok();
    let error = open(directory).unwrap_err();
    assert_eq!(fs::read(directory.join("identity")).ok(), before);
    error
}

fn seconds() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}

fn text(directory: &Path) -> String {
    fs::read_to_string(directory.join("identity")).unwrap()
}

#[test]
fn the_secret_stays_and_the_epoch_rises() {
    let directory = Directory::new("identity");
    let before = seconds();
    let (key, epoch) = opened(&directory.0);
    assert!((before..=seconds()).contains(&epoch), "{epoch}");
    assert_eq!(opened(&directory.0), (key, epoch + 1));
    assert_eq!(opened(&directory.0), (key, epoch + 2));
    let mode = fs::metadata(directory.0.join("identity")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let lines = text(&directory.0);
    let head = format!("roger identity 1\nsecret {:016x}{:016x}\n", key[0], key[1]);
    assert!(lines.starts_with(&format!("{head}epoch {}\ncheck ", epoch + 2)), "{lines}");
    // Whoever lost it begins anew, beyond all that was.
    fs::remove_file(directory.0.join("identity")).unwrap();
    let (other, anew) = opened(&directory.0);
    assert_ne!(other, key);
    assert!(anew >= epoch);
}

#[test]
fn without_a_directory_each_start_has_a_secret_of_its_own() {
    let before = seconds();
    let [one, other] = [(); 2].map(|()| Identity::open(None).unwrap());
    assert_ne!(one.key.0, other.key.0);
    assert!((before..=seconds()).contains(&one.epoch));
}

#[test]
fn a_file_that_was_left_aside_is_replaced() {
    let directory = Directory::new("identity-torn");
    let (key, epoch) = opened(&directory.0);
    let aside = directory.0.join("identity.new");
    fs::write(&aside, "roger identity 1\nsecret 00").unwrap();
    fs::set_permissions(&aside, Permissions::from_mode(0o666)).unwrap();
    assert_eq!(opened(&directory.0), (key, epoch + 1));
    assert_eq!(opened(&directory.0), (key, epoch + 2));
    assert!(!aside.exists());
}

#[test]
fn a_directory_is_not_made() {
    let directory = Directory::new("identity-none");
    let missing = directory.0.join("missing");
    let error = Identity::open(Some(&missing)).unwrap_err();
    assert!(matches!(&error, IdentityError::NoDirectory(path) if *path == missing));
    assert!(error.to_string().starts_with("there is no state directory "), "{error}");
    assert!(!missing.exists());
    fs::write(&missing, "").unwrap();
    let error = Identity::open(Some(&missing)).unwrap_err();
    assert!(matches!(error, IdentityError::NoDirectory(_)), "{error}");
}

#[test]
fn a_damaged_file_is_not_taken_for_a_lost_one() {
    let directory = Directory::new("identity-damaged");
    opened(&directory.0);
    let (good, path) = (text(&directory.0), directory.0.join("identity"));
    for at in 0..good.len() {
        // Every octet counts: changed, gone, or with nothing behind it.
        let changed = if good.as_bytes()[at] == b'0' { "1" } else { "0" };
        let mut wrong = good.clone();
        wrong.replace_range(at..=at, changed);
        let mut shorter = good.clone();
        shorter.remove(at);
        for wrong in [&wrong, &shorter, &good[..at]] {
            fs::write(&path, wrong).unwrap();
            let error = refused(&directory.0);
            let is_version = matches!(error, IdentityError::Version(_, 0));
            assert!(is_version || matches!(error, IdentityError::Damaged(..)), "{wrong}: {error}");
        }
    }
    for (wrong, how) in [
        (Vec::new(), "it is empty"),
        (vec![0; 4_096], "it does not begin as it should"),
        (vec![0xFF; 64], "it is not text"),
        (format!("{good}\n").into(), "its lines disagree"),
        (good.to_uppercase().replacen("ROGER IDENTITY", "roger identity", 1).into(), "a line is"),
    ] {
        fs::write(&path, wrong).unwrap();
        let error = refused(&directory.0).to_string();
        assert!(error.contains(&format!("identity is damaged: {how}")), "{error}");
        assert!(error.ends_with("; remove it to begin anew"), "{error}");
    }
    // The epoch of one file and the secret of another.
    fs::remove_file(&path).unwrap();
    let (_, epoch) = opened(&directory.0);
    let other = text(&directory.0);
    let mixed = good.lines().take(2).chain(other.lines().skip(2));
    fs::write(&path, mixed.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    assert!(refused(&directory.0).to_string().contains("its lines disagree"), "{epoch}");
}

#[test]
fn a_later_format_is_not_understood() {
    let directory = Directory::new("identity-later");
    opened(&directory.0);
    let later = text(&directory.0).replacen("identity 1", "identity 2", 1);
    fs::write(directory.0.join("identity"), later).unwrap();
    let error = refused(&directory.0).to_string();
    let expected = "identity has format 2, and this version of roger knows format 1";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn nobody_else_may_read_the_secret() {
    let directory = Directory::new("identity-exposed");
    let (key, epoch) = opened(&directory.0);
    let path = directory.0.join("identity");
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = refused(&directory.0);
        assert!(matches!(error, IdentityError::Exposed(_, found) if found == mode));
        assert!(error.to_string().contains(&format!("(mode {mode:04o})")), "{error}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert_eq!(opened(&directory.0), (key, epoch + 1));
}

#[test]
fn what_is_not_a_file_cannot_be_read() {
    let directory = Directory::new("identity-unreadable");
    let path = directory.0.join("identity");
    symlink("/proc/self/mem", &path).unwrap();
    let error = Identity::open(Some(&directory.0)).unwrap_err();
    assert!(matches!(&error, IdentityError::Unreadable(at, _) if *at == path), "{error}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = refused(&directory.0).to_string();
    assert!(
        error.starts_with("cannot read ") && error.ends_with("identity: not a file"),
        "{error}"
    );
}

#[test]
fn an_epoch_that_cannot_be_written_is_no_start() {
    let directory = Directory::new("identity-unwritable");
    let (key, epoch) = opened(&directory.0);
    let aside = directory.0.join("identity.new");
    fs::create_dir(&aside).unwrap();
    let IdentityError::Unwritable(at, error) = refused(&directory.0) else { panic!("written") };
    assert_eq!((&at, error.kind()), (&aside, ErrorKind::IsADirectory));
    fs::remove_dir(&aside).unwrap();
    assert_eq!(opened(&directory.0), (key, epoch + 1));

    let lock = directory.0.join("identity.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let error = refused(&directory.0);
    let IdentityError::Unwritable(at, error) = error else { panic!("{error}") };
    assert_eq!((at, error.kind()), (lock, ErrorKind::IsADirectory));
}

#[test]
fn an_epoch_does_not_begin_again() {
    let directory = Directory::new("identity-exhausted");
    // What is written for the last epoch under the secret 0: `check` is its keyed hash.
    let check = roger::store::HashKey([0, 0]).of_words(&[u32::MAX.into()]).0[0];
    let last =
        format!("roger identity 1\nsecret {:032x}\nepoch {}\ncheck {check:016x}\n", 0, u32::MAX);
    let path = directory.0.join("identity");
    fs::write(&path, last).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let error = refused(&directory.0);
    assert!(matches!(error, IdentityError::Exhausted(_)), "{error}");
    assert!(error.to_string().contains("cannot rise"), "{error}");
}

#[test]
fn two_at_once_are_one_too_many() {
    let directory = Directory::new("identity-locked");
    let first = Identity::open(Some(&directory.0)).unwrap();
    let before = text(&directory.0);
    let error = Identity::open(Some(&directory.0)).unwrap_err();
    assert_eq!(text(&directory.0), before);
    assert!(matches!(&error, IdentityError::Locked(_)), "{error}");
    assert!(error.to_string().starts_with("another process is running with this state: "));
    let epoch = first.epoch;
    drop(first);
    assert_eq!(opened(&directory.0).1, epoch + 1);

    // However many try at the same time: each that succeeds has an epoch of its own.
    let successes = AtomicUsize::new(0);
    let mut epochs: Vec<u32> = thread::scope(|scope| {
        let one = || {
            let tries = (0..50).filter_map(|_| match Identity::open(Some(&directory.0)) {
                Ok(identity) => {
                    successes.fetch_add(1, Ordering::Relaxed);
                    Some(identity.epoch)
                }
                Err(IdentityError::Locked(_)) => None,
                Err(error) => panic!("{error}"),
            });
            tries.collect::<Vec<u32>>()
        };
        let threads = [(); 4].map(|()| scope.spawn(one));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    epochs.sort_unstable();
    let count = u32::try_from(successes.into_inner()).unwrap();
    assert!(count > 0);
    assert_eq!(epochs, (epoch + 2..epoch + 2 + count).collect::<Vec<_>>());
}
