//! The socket that `roger status` asks: whose it is, and what happens to what a dead process left.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use roger::config::{Machine, Sources, status_socket};
use roger::oam::socket::{Server, ask};

/// A directory of its own for one test.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("roger-it-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn whoever_connects_gets_the_document() {
    let directory = Directory::new("document");
    let path = directory.0.join("status.sock");
    let server = Server::start(&path, || "said".repeat(10_000)).unwrap();
    // One that says nothing and one that goes away are no obstacle.
    let silent = UnixStream::connect(&path).unwrap();
    drop(UnixStream::connect(&path).unwrap());
    for _ in 0..3 {
        assert_eq!(ask(&path).unwrap().len(), 40_000);
    }
    drop(silent);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    server.finish();
    assert!(!path.exists());
    assert_eq!(ask(&path).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn what_a_dead_process_left_is_replaced_and_nothing_else() {
    let directory = Directory::new("dead");
    let path = directory.0.join("status.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a closed listener leaves its socket behind");
    let living = Server::start(&path, || "first".to_owned()).unwrap();
    let second = Server::start(&path, || "second".to_owned()).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AddrInUse);
    assert_eq!(ask(&path).unwrap(), "first");
    living.finish();

    fs::write(&path, "precious").unwrap();
    let file = Server::start(&path, String::new).unwrap_err();
    assert_eq!(file.kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_socket_is_found_although_the_rest_of_the_file_is_wrong() {
    let machine = Machine { cpus: vec![0], memory: 0, owns: |_| true, state_directory: None };
    let of =
        |text: &str| status_socket(Sources { name: "x", text, overrides: &[], machine: &machine });
    let text = "[[peer]]\naddress = \"no-such-host.invalid:1\"\n[status]\nsocket = \"/a \\\"b\"\n";
    assert_eq!(of(text), Some(PathBuf::from("/a \"b")));
    assert_eq!(of("[status]\n"), None);
}
