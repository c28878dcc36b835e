//! Where io_uring is refused the other driver takes over and says why.

use super::seccomp::{scripted, without};
use super::*;
use crate::io::Kind;

fn echoes(worker: &mut Worker, local: SocketAddr) {
    let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
    peer.send_to(b"a question", local).unwrap();
    worker.run_until("the question", |worker| worker.got.len() == 1);
    worker.push(worker.got[0].flow, b"an answer", None);
    worker.submit();
    let mut answer = [0; 100];
    assert_eq!(peer.recv(&mut answer).unwrap(), 9);
}

#[test]
fn io_uring_is_the_first_choice() {
    if !choices().contains(&Choice::Uring) {
        return;
    }
    let ours = bind(&spec(LOCALHOST_V4)).unwrap();
    let local = address(&ours);
    let mut worker = Worker::new(Choice::Auto, vec![ours]);
    assert_eq!(worker.driver.kind(), Kind::Uring);
    assert!(worker.driver.refusal().is_none());
    echoes(&mut worker, local);
}

#[test]
fn mmsg_takes_over_where_io_uring_is_refused() {
    for errno in [libc::EPERM, libc::ENOSYS, libc::EACCES, libc::ENOMEM, libc::EINVAL] {
        without(libc::SYS_io_uring_setup, errno, || {
            let ours = bind(&spec(LOCALHOST_V4)).unwrap();
            let local = address(&ours);
            let mut worker = Worker::new(Choice::Auto, vec![ours]);
            assert_eq!(worker.driver.kind(), Kind::Mmsg);
            assert_eq!(worker.driver.refusal().unwrap().raw_os_error(), Some(errno));
            echoes(&mut worker, local);
        });
    }
}

#[test]
fn mmsg_takes_over_where_something_that_the_ring_needs_is_refused() {
    if !choices().contains(&Choice::Uring) {
        return;
    }
    // In this order: the probe, the files, the buffers.
    for granted in 0..3 {
        let mut script = vec![None; granted];
        script.push(Some(libc::EINVAL));
        scripted(&[libc::SYS_io_uring_register], &script, || {
            let ours = bind(&spec(LOCALHOST_V4)).unwrap();
            let local = address(&ours);
            let mut worker = Worker::new(Choice::Auto, vec![ours]);
            assert_eq!(worker.driver.kind(), Kind::Mmsg);
            assert_eq!(worker.driver.refusal().unwrap().raw_os_error(), Some(libc::EINVAL));
            echoes(&mut worker, local);
        });
    }
}

#[test]
fn who_wants_io_uring_only_is_told_that_it_is_refused() {
    without(libc::SYS_io_uring_setup, libc::EPERM, || {
        let tally = Arc::new(Tally::new(0));
        let error = Driver::open(Vec::new(), Choice::Uring, tally).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    });
}

#[test]
fn more_sockets_than_a_worker_may_have_are_refused() {
    for choice in choices() {
        let sockets: Vec<_> =
            (0..=crate::limits::SOCKETS_MAX).map(|_| bind(&spec(LOCALHOST_V4)).unwrap()).collect();
        let error = Driver::open(sockets, choice, Arc::new(Tally::new(0))).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}
