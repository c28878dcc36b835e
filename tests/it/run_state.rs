//! The state directory as an operator meets it: one process at a time, disks that are full, files
//! that are damaged, and what a restart keeps.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use roger::oam::Identity;

use crate::run_process::{config, output, roger, socket};
use crate::status_socket::Directory;

/// A configuration with the state directory `state`, both in a directory of their own.
struct Place {
    directory: Directory,
    state: String,
    config: String,
}

impl Place {
    fn new(name: &str) -> Self {
        let directory = Directory::new(name);
        let address = || socket().local_addr().unwrap();
        let (path, state) = (directory.0.join("roger.toml"), directory.0.join("state"));
        fs::write(&path, config(&directory.0, address(), address(), "")).unwrap();
        fs::create_dir(&state).unwrap();
        let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        Self { state: text(&state), config: text(&path), directory }
    }

    /// The lines of secret and epoch.
    fn identity(&self) -> (String, u32) {
        let text = fs::read_to_string(self.directory.0.join("state/identity")).unwrap();
        let mut lines = text.lines().skip(1);
        let secret = lines.next().unwrap().to_owned();
        (secret, lines.next().unwrap().strip_prefix("epoch ").unwrap().parse().unwrap())
    }

    fn set(&self) -> String {
        format!("state_directory={}", self.state)
    }

    /// A process that runs, with the state directory that systemd would give it.
    fn running(&self) -> Running {
        let mut command = roger(&["run", "--config", &self.config]);
        let mut child = command.env("STATE_DIRECTORY", &self.state).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        while !said.contains("a crash forgets") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "{said}");
        }
        assert!(said.contains(&format!("  state     {}\n", self.state)), "{said}");
        Running(child)
    }
}

struct Running(Child);

impl Drop for Running {
    /// SIGKILL: nothing can be tidied up.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_restart_keeps_the_secret_and_two_at_once_are_refused() {
    let place = Place::new("state-processes");
    let first = place.running();
    let (secret, epoch) = place.identity();
    let (code, _, error) = output(&["run", "--config", &place.config, "--set", &place.set()]);
    assert_eq!(code, 69, "{error}");
    assert!(error.starts_with("roger: another process is running with this state: "), "{error}");
    assert_eq!(place.identity(), (secret.clone(), epoch));
    // The lock ends with its process, however that ends.
    drop(first);
    let second = place.running();
    assert_eq!(place.identity(), (secret, epoch + 1));
    drop(second);
}

#[test]
fn a_full_disk_is_no_start_and_does_no_harm() {
    let place = Place::new("state-full");
    drop(Identity::open(Some(place.state.as_ref())).unwrap());
    let before = place.identity();
    // A file may have no octet: every write ends as on a full disk, but for the number of the error.
    let limited = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    let ended = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_roger"), "run"])
        .args(["--config", &place.config, "--set", &place.set()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(73), "{error}");
    let expected = format!("roger: cannot write {}/identity.new: ", place.state);
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(place.identity(), before);
    drop(place.running());
    assert_eq!(place.identity(), (before.0, before.1 + 1));
}

#[test]
fn a_damaged_state_is_not_tried_again() {
    let place = Place::new("state-damaged");
    let file = place.directory.0.join("state/identity");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let run = || output(&["run", "--config", &place.config, "--set", &place.set()]);
    let (code, _, error) = run();
    assert_eq!(code, 78, "{error}");
    assert!(error.contains("others may read the secret"), "{error}");
    fs::remove_file(&file).unwrap();
    drop(Identity::open(Some(place.state.as_ref())).unwrap());
    fs::write(&file, "").unwrap();
    let (code, _, error) = run();
    assert_eq!(code, 78, "{error}");
    assert!(error.contains("identity is damaged: it is empty"), "{error}");
    // `check` has no business with the secret, and says where it is.
    let (code, out, _) = output(&["check", &place.config, "--set", &place.set()]);
    assert_eq!(code, 0);
    assert!(out.trim_end().ends_with(&format!("; state in {}", place.state)), "{out}");
}

#[test]
fn a_demo_writes_nothing_wherever_it_is_started() {
    let place = Place::new("state-demo");
    let mut demo = roger(&["demo", "--rate", "10", "--seconds", "1"]);
    let ended = demo.env("STATE_DIRECTORY", &place.state).output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8(ended.stderr).unwrap());
    assert_eq!(fs::read_dir(&place.state).unwrap().count(), 0);
}
