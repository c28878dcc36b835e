//! Datagrams come as they were sent and leave as they were written.

use super::*;
use crate::limits::DATAGRAM_SIZE_MAX;

#[test]
fn datagrams_come_and_go_over_both_families() {
    for choice in choices() {
        for ip in families() {
            let ours = bind(&spec(ip)).unwrap();
            let local = address(&ours);
            let peer = UdpSocket::bind(ip).unwrap();
            let mut worker = Worker::new(choice, vec![ours]);
            peer.send_to(b"a question", local).unwrap();
            worker.run_until("the question", |worker| worker.got.len() == 1);
            let question = worker.got[0].clone();
            assert_eq!(question.octets, b"a question");
            assert!(!question.truncated);
            assert_eq!(question.flow.remote, address(&peer).into());
            assert_eq!(question.flow.local, Endpoint::from(local).ip);
            worker.push(question.flow, b"an answer", Some(7));
            worker.run_until("the completion", |worker| worker.sent.len() == 1);
            assert_eq!(worker.sent, [(Owner(7), Ok(()))]);
            let mut answer = [0; 100];
            let (len, from) = peer.recv_from(&mut answer).unwrap();
            assert_eq!(&answer[..len], b"an answer");
            assert_eq!(from, local);
            assert_eq!(worker.count(Counter::DatagramsIn), 1);
            assert_eq!(worker.count(Counter::DatagramsOut), 1);
            assert!(worker.all_slots_are_free());
        }
    }
}

#[test]
fn the_longest_datagram_comes_whole_and_a_longer_one_says_that_it_was_cut() {
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let local = address(&ours);
        let mut worker = Worker::new(choice, vec![ours]);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        for len in [0, 1, DATAGRAM_SIZE_MAX, DATAGRAM_SIZE_MAX + 1, 65_507] {
            let octets: Vec<u8> = (0..=250).cycle().take(len).collect();
            peer.send_to(&octets, local).unwrap();
            worker.run_until("a datagram", |worker| worker.got.len() == 1);
            let got = worker.got.remove(0);
            assert_eq!(got.octets, &octets[..len.min(DATAGRAM_SIZE_MAX)], "{len}");
            assert_eq!(got.truncated, len > DATAGRAM_SIZE_MAX, "{len}");
            assert_eq!(got.flow.remote, address(&peer).into());
        }
        assert_eq!(worker.count(Counter::ReceiveErrors), 0);
    }
}

#[test]
fn a_send_that_the_kernel_refuses_is_told_and_counted_whatever_the_errno() {
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let mut worker = Worker::new(choice, vec![ours]);
        worker.push_to("127.0.0.1:0".parse().unwrap(), b"to no port", Some(1));
        worker.push_to("127.0.0.1:0".parse().unwrap(), b"to no port", None);
        worker.submit();
        worker.run_until("the refusals", Worker::all_slots_are_free);
        let [(Owner(1), Err(error))] = worker.sent[..] else { panic!("{:?}", worker.sent) };
        assert!(!error.nothing_left());
        assert_eq!(worker.count(Counter::SendRefused), 2);
        assert_eq!(worker.count(Counter::DatagramsOut), 0);
    }
}
