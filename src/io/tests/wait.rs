//! A worker that waits is woken by whatever may concern it, and by nothing else.

use std::sync::mpsc;
use std::thread;

use super::*;

/// Far enough away that a test which waits for it has failed.
const NEVER_MS: u32 = 60_000;

/// More looks than fit the time that adaptive polling spends on looking.
const LOOKS_MAX: usize = 1_000_000;

#[test]
fn a_waker_ends_the_wait_from_another_thread() {
    for choice in choices() {
        let mut worker = Worker::new(choice, vec![bind(&spec(LOCALHOST_V4)).unwrap()]);
        let waker = worker.driver.waker().unwrap();
        let (asked, asks) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                while asks.recv().is_ok() {
                    waker.wake();
                }
            });
            for _ in 0..50 {
                let until = worker.driver.now().plus_ms(NEVER_MS);
                asked.send(()).unwrap();
                worker.driver.idle(Some(until), Polling::Wait, || true);
                assert!(worker.driver.now() < until);
                worker.turn();
            }
            drop(asked);
        });
        worker.settle();
        let soon = worker.driver.now().plus_ms(2);
        worker.driver.idle(Some(soon), Polling::Wait, || true);
        assert!(worker.driver.now() >= soon, "a wake-up is used up by one wait");
    }
}

#[test]
fn a_wake_up_before_the_wait_is_not_lost() {
    for choice in choices() {
        let mut worker = Worker::new(choice, vec![bind(&spec(LOCALHOST_V4)).unwrap()]);
        let waker = worker.driver.waker().unwrap();
        worker.settle();
        waker.wake();
        waker.wake();
        // Either a turn sees it, so that the worker does not wait, or the wait ends.
        if worker.turn() == 0 {
            let until = worker.driver.now().plus_ms(NEVER_MS);
            worker.driver.idle(Some(until), Polling::Wait, || true);
            assert!(worker.driver.now() < until);
        }
    }
}

#[test]
fn a_datagram_ends_the_wait() {
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let local = address(&ours);
        let mut worker = Worker::new(choice, vec![ours]);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        for polling in [Polling::Wait, Polling::Adaptive, Polling::Spin] {
            worker.settle();
            let (asked, asks) = mpsc::channel();
            let peer = &peer;
            thread::scope(|scope| {
                scope.spawn(move || {
                    asks.recv().unwrap();
                    peer.send_to(b"a datagram", local).unwrap();
                });
                let until = worker.driver.now().plus_ms(NEVER_MS);
                worker.got.clear();
                asked.send(()).unwrap();
                while worker.got.is_empty() {
                    worker.driver.idle(Some(until), polling, || true);
                    worker.turn();
                }
                assert!(worker.driver.now() < until);
            });
        }
    }
}

#[test]
fn a_wait_ends_in_time_and_never_early() {
    for choice in choices() {
        let mut worker = Worker::new(choice, vec![bind(&spec(LOCALHOST_V4)).unwrap()]);
        worker.settle();
        for ms in [1, 3, 10] {
            let until = worker.driver.now().plus_ms(ms);
            worker.driver.idle(Some(until), Polling::Wait, || true);
            assert!(worker.driver.now() >= until);
        }
        // What lies in the past is not waited for.
        worker.driver.idle(Some(Instant(0)), Polling::Wait, || true);
    }
}

#[test]
fn adaptive_polling_looks_for_a_while_and_then_waits() {
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let local = address(&ours);
        let mut worker = Worker::new(choice, vec![ours]);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        for _ in 0..3 {
            peer.send_to(b"work", local).unwrap();
            worker.got.clear();
            worker.run_until("work", |worker| !worker.got.is_empty());
            // With a deadline that does not come the first look must return at once, or it would
            // block here for a minute.
            let never = worker.driver.now().plus_ms(NEVER_MS);
            worker.driver.idle(Some(never), Polling::Adaptive, || true);
            assert!(worker.driver.now() < never);
            // Later looks wait, each of them until its time. (One alone could be a neighbour that
            // had the core meanwhile.)
            let (mut looks, mut waits) = (1, 0);
            while waits < 5 {
                let until = worker.driver.now().plus_ms(2);
                worker.driver.idle(Some(until), Polling::Adaptive, || true);
                looks += 1;
                waits = if worker.driver.now() >= until { waits + 1 } else { 0 };
                assert!(looks < LOOKS_MAX);
            }
            assert!(looks > waits, "the first look does not wait");
        }
    }
}
