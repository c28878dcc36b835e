//! Requests and responses over connections: which way they take, and what is certain when there is none.

use std::num::NonZeroU32;

use roger::delivery::{Evidence, Report, RpResult, Verdict};
use roger::engine::{Families, RequestSockets, Setup, Strangers};
use roger::id::WorkerId;
use roger::metrics::Counter;
use roger::packet::{Arrival, ConnectionId, Flow, SendError, SocketId, Transport};

use crate::bench::{
    Bench, IM, IM_2, Left, OWN, SBC, answer, answer_with, endpoint, message, message_with, setup,
};
use crate::short::{Short, ack, rp_of};

pub(crate) const UDP: SocketId = SocketId(0);
pub(crate) const TCP: SocketId = SocketId(1);
pub(crate) const TLS: SocketId = SocketId(2);

/// Where the SBC's connections come from.
pub(crate) const EPHEMERAL: &str = "10.0.0.1:49152";

/// With a socket of each transport.
pub(crate) fn with_sockets(setup: &mut Setup) {
    setup.sent_by = Box::new([OWN.into(), OWN.into(), "10.0.0.5:5061".into()]);
    setup.transports = Box::new([Transport::Udp, Transport::Tcp, Transport::Tls]);
    let v4 = |socket| Families { v4: Some(socket), v6: None };
    setup.request_sockets = RequestSockets { udp: v4(UDP), tcp: v4(TCP), tls: v4(TLS) };
}

fn bench(change: impl FnOnce(&mut Setup)) -> Bench {
    let mut setup = setup();
    with_sockets(&mut setup);
    change(&mut setup);
    Bench::with(setup)
}

/// Connection number `index` of a worker.
pub(crate) fn connection(worker: u8, index: u16) -> Option<ConnectionId> {
    let generation = NonZeroU32::new(7).unwrap();
    Some(ConnectionId { generation, index, worker: WorkerId(worker) })
}

pub(crate) fn on(socket: SocketId, from: &str, connection: Option<ConnectionId>) -> Flow {
    Flow { connection, ..Flow::to(endpoint(from), socket) }
}

fn give(bench: &mut Bench, flow: Flow, text: &str) -> Vec<Left> {
    bench.give_by(flow, text.as_bytes(), false)
}

/// A message whose request has this many octets when it has left over UDP or TCP.
fn of_size(size: usize) -> String {
    let mut probe = bench(|_| {});
    let body = |len: usize| message_with(9_999, "", &"x".repeat(len));
    let grown = probe.give(SBC, &body(900)).remove(0).octets.len() - body(900).len();
    let len = (0..size).find(|len| body(*len).len() + grown == size);
    body(len.unwrap())
}

fn number(text: &str, number: u32) -> String {
    text.replace("9999", &format!("{number:04}"))
}

#[test]
fn a_request_leaves_by_the_transport_of_its_peer_and_is_not_repeated_over_a_connection() {
    let mut bench = bench(|setup| setup.peers[1].transport = Transport::Tcp);
    let request = message(1).replace("Content-Length: 5\r\n", "");
    let onward = bench.give(SBC, &request).remove(0);
    assert_eq!(onward.flow, Flow::to(endpoint(IM), TCP));
    let via = onward.field("via");
    assert!(via.starts_with("SIP/2.0/TCP 10.0.0.5:5060;branch=z9hG4bK01"), "{via}");
    assert_eq!(onward.field("content-length"), "5", "nobody else says where it ends");
    let left = bench.wait_ms(27_990);
    let statuses: Vec<u16> = left.iter().map(|(_, left)| left.status()).collect();
    assert_eq!(statuses, [100], "and no request");
    assert_eq!(bench.count(Counter::VerdictUnknown), 0);
    assert!(bench.wait_ms(3_000).is_empty());
    assert_eq!(bench.count(Counter::VerdictUnknown), 1);
    assert_eq!(bench.engine.open(), 1, "what comes until timer F is still taken");
    assert!(bench.wait_ms(1_100).is_empty());
    let account = bench.account();
    assert_eq!((account.evidence, account.transmissions), (Evidence::Deadline, 1));
    assert_eq!((bench.count(Counter::TimerF), bench.count(Counter::Retransmissions)), (1, 0));
}

#[test]
fn the_answer_may_come_on_any_connection_of_the_peer_and_of_nobody_else() {
    let mut bench = bench(|setup| setup.peers[1].transport = Transport::Tcp);
    let onward = bench.give(SBC, &message(1)).remove(0);
    let ok = answer(&onward.text, "200 OK");
    let stranger = on(TCP, "10.0.0.10:50000", connection(0, 3));
    assert!(give(&mut bench, stranger, &ok).is_empty());
    assert_eq!(bench.count(Counter::DroppedResponseSource), 1);
    let accepted = on(TCP, "10.0.0.9:50000", connection(0, 4));
    assert_eq!(give(&mut bench, accepted, &ok)[0].status(), 200);
    assert_eq!(bench.account().verdict, Verdict::Delivered);
    assert!(give(&mut bench, accepted, &ok).is_empty());
    assert_eq!(bench.count(Counter::DroppedResponseRepeated), 1);

    // The answer that is late proves as much there.
    let onward = bench.give(SBC, &message(2)).remove(0);
    bench.wait_ms(33_000);
    bench.account();
    assert!(give(&mut bench, accepted, &answer(&onward.text, "200 OK")).is_empty());
    assert_eq!(bench.count(Counter::LateDelivered), 1);
}

#[test]
fn what_is_longer_than_1300_octets_as_it_leaves_takes_tcp() {
    let mut bench = bench(|_| {});
    let left = bench.give(SBC, &number(&of_size(1_300), 1)).remove(0);
    assert_eq!((left.octets.len(), left.flow.socket), (1_300, UDP));
    assert_eq!(bench.count(Counter::SizeToTcp), 0);
    let left = bench.give(SBC, &number(&of_size(1_301), 2)).remove(0);
    assert_eq!((left.octets.len(), left.flow), (1_301, Flow::to(endpoint(IM), TCP)));
    assert!(left.field("via").starts_with("SIP/2.0/TCP 10.0.0.5:5060;"));
    assert_eq!(bench.count(Counter::SizeToTcp), 1);
    assert_eq!(bench.give(IM, &answer(&left.text, "200 OK"))[0].status(), 200);
    assert_eq!(bench.account().verdict, Verdict::Delivered);
}

#[test]
fn without_a_tcp_socket_of_the_family_all_goes_over_udp() {
    let mut bench = bench(|setup| setup.request_sockets.tcp = Families::default());
    let left = bench.give(SBC, &of_size(5_000)).remove(0);
    assert_eq!((left.octets.len(), left.flow.socket), (5_000, UDP));
}

#[test]
fn where_there_is_no_connection_a_large_request_goes_back_to_udp_once() {
    let mut bench = bench(|setup| setup.next_servers = [endpoint(IM), endpoint(IM_2)].into());
    let large = of_size(2_000);
    bench.sent = Err(SendError::NoConnection);
    let first = bench.give(SBC, &number(&large, 1)).remove(0);
    assert_eq!(first.flow.socket, TCP);
    bench.sent = Ok(());
    let left = bench.wait_ms(10);
    assert_eq!(left.len(), 1);
    let second = &left[0].1;
    assert_eq!(second.flow, Flow::to(endpoint(IM), UDP), "the same server");
    assert!(second.field("via").starts_with("SIP/2.0/UDP "));
    let branch = |left: &Left| left.field("via").split("branch=").nth(1).unwrap()[..61].to_owned();
    assert_ne!(branch(second), branch(&first));
    assert!(bench.give(IM, &answer(&first.text, "200 OK")).is_empty(), "it never left");
    assert_eq!(bench.wait_ms(600).len(), 1, "timer E");
    assert_eq!(bench.give(IM, &answer(&second.text, "200 OK"))[0].status(), 200);
    let account = bench.account();
    assert_eq!((account.verdict, account.im_peer), (Verdict::Delivered, 1));
    assert_eq!((bench.count(Counter::TcpToUdp), bench.count(Counter::NextServer)), (1, 0));

    // It is remembered, of this peer, for half a minute.
    let socket = |bench: &mut Bench, text: String| bench.give(SBC, &text)[0].flow.socket;
    assert_eq!(socket(&mut bench, number(&large, 2)), UDP);
    let other = number(&large, 3).replacen(
        "Max-Forwards",
        "Route: <sip:im-2.example:5070;lr>\r\nMax-Forwards",
        1,
    );
    assert_eq!(socket(&mut bench, other), TCP);
    bench.wait_ms(29_000);
    assert_eq!(socket(&mut bench, number(&large, 4)), UDP);
    bench.wait_ms(1_000);
    assert_eq!(socket(&mut bench, number(&large, 5)), TCP);
}

#[test]
fn a_connection_that_has_ended_says_nothing_about_the_next_one() {
    let mut bench = bench(|_| {});
    let large = of_size(2_000);
    bench.sent = Err(SendError::NotWritten);
    assert_eq!(bench.give(SBC, &number(&large, 1))[0].flow.socket, TCP);
    bench.sent = Ok(());
    assert_eq!(bench.wait_ms(10)[0].1.flow.socket, UDP);
    assert_eq!(bench.give(SBC, &number(&large, 2))[0].flow.socket, TCP);
}

/// The one departure that comes next.
fn next(bench: &mut Bench) -> Left {
    let left = (0..10).map(|_| bench.wait_ms(2)).find(|left| !left.is_empty()).unwrap();
    assert_eq!(left.len(), 1);
    left[0].1.clone()
}

#[test]
fn what_goes_back_to_udp_in_vain_goes_to_the_next_server() {
    let mut bench = bench(|setup| setup.next_servers = [endpoint(IM), endpoint(IM_2)].into());
    bench.sent = Err(SendError::NoConnection);
    let mut ways = vec![bench.give(SBC, &of_size(2_000)).remove(0).flow];
    for error in [SendError::NoRoute, SendError::NoConnection, SendError::NoRoute] {
        bench.sent = Err(error);
        ways.push(next(&mut bench).flow);
    }
    bench.sent = Ok(());
    assert_eq!(next(&mut bench).status(), 500);
    let expected = [(IM, TCP), (IM, UDP), (IM_2, TCP), (IM_2, UDP)];
    assert_eq!(ways, expected.map(|(at, socket)| Flow::to(endpoint(at), socket)));
    assert_eq!(bench.account().evidence, Evidence::NeverSent);
    assert_eq!((bench.count(Counter::TcpToUdp), bench.count(Counter::NextServer)), (2, 1));
}

#[test]
fn a_peer_that_is_reached_over_tcp_has_no_way_back_to_udp() {
    for error in [SendError::NoConnection, SendError::NotWritten] {
        let mut bench = bench(|setup| setup.peers[1].transport = Transport::Tcp);
        bench.sent = Err(error);
        bench.give(SBC, &of_size(2_000));
        bench.sent = Ok(());
        let left = bench.wait_ms(10);
        assert_eq!((left.len(), left[0].1.status()), (1, 500));
        let account = bench.account();
        assert_eq!((account.verdict, account.evidence), (Verdict::Temporary, Evidence::NeverSent));
    }
}

#[test]
fn a_connection_that_ends_behind_the_first_octet_proves_nothing() {
    let mut bench = bench(|setup| setup.next_servers = [endpoint(IM), endpoint(IM_2)].into());
    bench.sent = Err(SendError::Other(104));
    let onward = bench.give(SBC, &of_size(2_000)).remove(0);
    assert_eq!(onward.flow.socket, TCP);
    bench.sent = Ok(());
    let left = bench.wait_ms(27_000);
    assert!(left.iter().all(|(_, left)| !left.is_request()), "{left:?}");
    // The answer comes on the next connection.
    let again = on(TCP, "10.0.0.9:50001", connection(0, 9));
    assert_eq!(give(&mut bench, again, &answer(&onward.text, "200 OK"))[0].status(), 200);
    assert_eq!(bench.account().verdict, Verdict::Delivered);
}

#[test]
fn what_was_told_as_unknown_is_not_sent_when_its_connection_fails_at_last() {
    let mut bench = bench(|setup| {
        setup.peers[1].transport = Transport::Tcp;
        setup.next_servers = [endpoint(IM), endpoint(IM_2)].into();
    });
    bench.sent = Ok(());
    let onward = bench.give(SBC, &message(1)).remove(0);
    bench.wait_ms(28_100);
    assert_eq!(bench.count(Counter::VerdictUnknown), 1);
    bench.engine.on_sent(onward.owner.unwrap(), Err(SendError::NotWritten), bench.now);
    assert!(bench.wait_ms(10).is_empty());
    assert_eq!(bench.account().evidence, Evidence::Deadline);
}

fn by_uri(uri: &str, transport: Transport) -> Result<(SocketId, String), u16> {
    let mut bench = bench(|setup| {
        setup.next_servers = [].into();
        setup.peers[1].transport = transport;
        let tls = setup.peers[1].hosts[0].clone();
        setup.peers[1].hosts = [tls.clone(), roger::engine::Host { port: 5061, ..tls }].into();
    });
    let text = message(1).replacen("sip:+15550000001@im.example:5070", uri, 1);
    let socket = if uri.starts_with("sips") { TLS } else { UDP };
    let flow = Flow::to(endpoint(SBC), socket);
    let left = give(&mut bench, flow, &text).remove(0);
    if left.is_request() {
        Ok((left.flow.socket, left.field("via")[..12].to_owned()))
    } else {
        Err(left.status())
    }
}

#[test]
fn the_transport_that_a_uri_asks_for_is_taken() {
    let sent = |socket, name: &str| Ok((socket, format!("SIP/2.0/{name} ")));
    use Transport::{Tcp, Tls, Udp};
    for (uri, peer, expected) in [
        ("sip:a@im.example:5070", Udp, sent(UDP, "UDP")),
        ("sip:a@im.example:5070", Tcp, sent(TCP, "TCP")),
        ("sip:a@im.example:5070;transport=tcp", Udp, sent(TCP, "TCP")),
        ("sip:a@im.example:5070;Transport=TCP;x", Udp, sent(TCP, "TCP")),
        ("sip:a@im.example:5070;transport=udp", Tcp, sent(UDP, "UDP")),
        ("sip:a@im.example:5070;transport=sctp", Udp, Err(403)),
        // Whether it is encrypted is not for the URI to say.
        ("sip:a@im.example:5070;transport=tls", Udp, Err(403)),
        ("sip:a@im.example:5070;transport=udp", Tls, Err(403)),
        ("sip:a@im.example:5070;transport=tcp", Tls, Err(403)),
        ("sip:a@im.example;transport=tls", Tls, sent(TLS, "TLS")),
        ("sips:a@im.example", Tls, sent(TLS, "TLS")),
        ("sips:a@im.example;transport=tcp", Tls, sent(TLS, "TLS")),
        ("sips:a@im.example:5070", Udp, Err(403)),
        ("sips:a@im.example:5070;transport=udp", Tls, Err(416)),
    ] {
        assert_eq!(by_uri(uri, peer), expected, "{uri} {peer:?}");
    }
}

#[test]
fn the_transport_that_a_route_asks_for_is_taken() {
    let routed = |route: &str| message_with(1, &format!("Route: {route}\r\n"), "Hello");
    for (route, socket) in [
        ("<sip:roger.example;transport=tcp;lr>, <sip:im.example:5070;lr>", UDP),
        ("<sip:roger.example;lr>, <sip:im.example:5070;transport=tcp;lr>", TCP),
        ("<sip:10.0.0.9:5070;transport=tcp;lr>", TCP),
    ] {
        let left = bench(|_| {}).give(SBC, &routed(route)).remove(0);
        assert_eq!(
            (left.flow, left.field("route")),
            (
                Flow::to(endpoint(IM), socket),
                if socket == TCP && !route.contains("roger") {
                    route
                } else {
                    route.split(", ").last().unwrap()
                }
            ),
            "{route}"
        );
    }
}

#[test]
fn sips_needs_encryption_on_both_sides() {
    let sips = message(1).replacen("sip:+1555", "sips:+1555", 1);
    let status = |socket, transport| {
        let mut bench = bench(|setup| setup.peers[1].transport = transport);
        let left = give(&mut bench, Flow::to(endpoint(SBC), socket), &sips).remove(0);
        if left.is_request() { Ok(left.flow.socket) } else { Err(left.status()) }
    };
    assert_eq!(status(UDP, Transport::Tls), Err(416));
    assert_eq!(status(TCP, Transport::Tls), Err(416));
    assert_eq!(status(TLS, Transport::Tcp), Err(416));
    assert_eq!(status(TLS, Transport::Tls), Ok(TLS));
}

#[test]
fn whoever_is_known_by_his_certificate_is_a_stranger_in_clear() {
    let mut bench = bench(|setup| {
        setup.peers[0].transport = Transport::Tls;
        setup.peers[1].transport = Transport::Tls;
    });
    for socket in [UDP, TCP] {
        assert!(give(&mut bench, Flow::to(endpoint(SBC), socket), &message(1)).is_empty());
    }
    assert_eq!(bench.count(Counter::DroppedStranger), 2);
    let onward = give(&mut bench, Flow::to(endpoint(SBC), TLS), &message(1)).remove(0);
    let ok = answer(&onward.text, "200 OK");
    assert!(give(&mut bench, Flow::to(endpoint(IM), UDP), &ok).is_empty());
    assert_eq!(bench.count(Counter::VerdictDelivered), 0, "proof comes from whom we know");
    assert_eq!(give(&mut bench, Flow::to(endpoint(IM), TLS), &ok)[0].status(), 200);
}

#[test]
fn a_response_goes_back_on_the_connection_and_knows_the_port_of_another_one() {
    let mut bench = bench(|setup| setup.strangers = Strangers::Forbid);
    let options = message(1).replace("MESSAGE", "OPTIONS");
    for (via, socket, port) in [
        ("SIP/2.0/TCP 10.0.0.1:5062;branch=z9hG4bKsbc1;rport", TCP, 5062),
        ("SIP/2.0/TCP 10.0.0.1:5062;branch=z9hG4bKsbc1", TCP, 5062),
        ("SIP/2.0/TCP sbc.example;branch=z9hG4bKsbc1", TCP, 5060),
        ("SIP/2.0/TLS sbc.example;branch=z9hG4bKsbc1", TLS, 5061),
    ] {
        let arrival = on(socket, EPHEMERAL, connection(0, 5));
        let text = options.replace("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKsbc1;rport", via);
        let left = give(&mut bench, arrival, &text).remove(0);
        let mut expected = arrival;
        expected.remote.port = port;
        assert_eq!((left.status(), left.flow), (200, expected), "{via}");
        assert_eq!(left.field("via").contains(";rport=49152"), via.contains("rport"), "{via}");

        let mut stranger = arrival;
        stranger.remote = endpoint("203.0.113.9:40000");
        let left = give(&mut bench, stranger, &text).remove(0);
        assert_eq!((left.status(), left.flow.connection), (403, arrival.connection));
        assert_eq!(left.flow.remote.port, port, "{via}");
    }
    // A datagram goes back to where it came from.
    let left = bench.give(EPHEMERAL, &options).remove(0);
    assert_eq!(left.flow, Flow::to(endpoint(EPHEMERAL), UDP));
}

#[test]
fn a_report_goes_back_on_the_connection_of_its_request_and_is_framed() {
    let mut bench = bench(|_| {});
    let arrival = on(TCP, EPHEMERAL, connection(0, 5));
    let onward = give(&mut bench, arrival, &message(1)).remove(0);
    assert!(onward.text.contains(";rport=49152"), "the Via says where it came from");
    let without = answer(&onward.text, "200 OK").replace("Content-Length: 0\r\n", "") + "abc";
    let back = bench.give(IM, &without).remove(0);
    assert_eq!(back.flow, Flow { remote: endpoint(SBC), ..arrival });
    assert_eq!((back.status(), back.field("content-length"), back.body()), (200, "3", &b"abc"[..]));
    // The client asks again on another connection: it gets the same, there.
    let again = on(TCP, "10.0.0.1:49153", connection(0, 6));
    let repeated = give(&mut bench, again, &message(1)).remove(0);
    assert_eq!((repeated.status(), repeated.flow.connection), (200, again.connection));
    assert_eq!(bench.count(Counter::MessagesAccepted), 1);

    // What is kept word for word came in a datagram first, and is framed all the same.
    let onward = bench.give(SBC, &message(2)).remove(0);
    bench.give(IM, &answer(&onward.text, "486 Busy").replace("Content-Length: 0\r\n", ""));
    let kept = give(&mut bench, again, &message(2)).remove(0);
    assert_eq!((kept.status(), kept.field("content-length")), (486, "0"));
}

#[test]
fn a_report_that_cannot_be_written_is_told_as_refused() {
    let mut bench = bench(|_| {});
    let onward = give(&mut bench, on(TCP, EPHEMERAL, connection(0, 5)), &message(1)).remove(0);
    bench.sent = Err(SendError::NoConnection);
    bench.give(IM, &answer(&onward.text, "200 OK"));
    let account = bench.account();
    assert_eq!(account.report, Report::Refused(200, SendError::NoConnection));
    assert_eq!((account.verdict, bench.count(Counter::ReportsRefused)), (Verdict::Delivered, 1));
}

#[test]
fn a_short_message_and_its_report_take_the_transports_of_their_peers() {
    let mut bench = bench(|setup| {
        setup.peers[0].transport = Transport::Tcp;
        setup.peers[1].transport = Transport::Tls;
    });
    let arrival = on(TCP, EPHEMERAL, connection(0, 5));
    let left = bench.give_by(arrival, &Short::new(42, "a").request(), false);
    assert_eq!((left[0].status(), left[0].flow.connection), (200, arrival.connection));
    assert_eq!(left[1].flow, Flow::to(endpoint(IM), TLS));
    assert!(left[1].field("via").starts_with("SIP/2.0/TLS 10.0.0.5:5061;"));
    assert!(bench.wait_ms(1_000).is_empty());
    let ok = answer(&left[1].text, "200 OK");
    let report = give(&mut bench, on(TLS, IM, connection(0, 6)), &ok).remove(0);
    assert_eq!((report.flow, rp_of(&report)), (Flow::to(endpoint(SBC), TCP), ack(42)));
    assert!(report.field("via").starts_with("SIP/2.0/TCP 10.0.0.5:5060;"));
    assert!(bench.wait_ms(31_000).is_empty(), "no timer E");
    assert!(bench.wait_ms(1_100).is_empty());
    let Report::Rp(_, result) = bench.account().report else { panic!() };
    assert_eq!(result, RpResult::Unconfirmed);
}

#[test]
fn what_is_long_of_our_own_takes_tcp_and_comes_back_too() {
    let name = "n".repeat(400);
    let mut bench = bench(|setup| setup.gateway.pager_max = 8_000);
    let mut short = Short::new(1, &"a".repeat(60));
    short.recipient = format!("sip:{name}@im.example");
    short.fields = format!("P-Asserted-Identity: <sip:{name}@sbc.example>\r\n");
    bench.sent = Err(SendError::NoConnection);
    let left = bench.give_octets(SBC, &short.request(), false);
    assert_eq!((left[0].status(), left[1].flow.socket), (200, TCP));
    assert!(left[1].octets.len() > 1_300);
    bench.sent = Ok(());
    let instant = bench.wait_ms(10).remove(0).1;
    assert_eq!(instant.flow, Flow::to(endpoint(IM), UDP));
    assert!(instant.field("via").starts_with("SIP/2.0/UDP "));
    assert_eq!(instant.field("cseq"), left[1].field("cseq"));

    bench.sent = Err(SendError::NotWritten);
    let report = bench.give(IM, &answer(&instant.text, "200 OK")).remove(0);
    assert_eq!(report.flow, Flow::to(endpoint(SBC), TCP));
    bench.sent = Ok(());
    let report = bench.wait_ms(10).remove(0).1;
    assert_eq!((report.flow, rp_of(&report)), (Flow::to(endpoint(SBC), UDP), ack(1)));
    assert!(bench.give(SBC, &answer_with(&report.text, "200 OK", "")).is_empty());
    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Delivered);
    assert_eq!(bench.count(Counter::TcpToUdp), 2);
}

#[test]
fn a_report_takes_tcp_exactly_when_it_is_too_long_for_a_datagram() {
    let mut bench = bench(|setup| setup.gateway.pager_max = 8_000);
    let mut ways = [0; 2];
    for len in (1..500).step_by(3) {
        let name = "n".repeat(len);
        let mut short = Short::new(u32::try_from(len).unwrap(), "a");
        short.recipient = format!("sip:{name}@im.example");
        short.fields = format!("P-Asserted-Identity: <sip:{name}@sbc.example>\r\n");
        let instant = bench.give_octets(SBC, &short.request(), false).remove(1);
        let report = bench.give(IM, &answer(&instant.text, "200 OK")).remove(0);
        for left in [&instant, &report] {
            let expected = if left.octets.len() > 1_300 { TCP } else { UDP };
            assert_eq!(left.flow.socket, expected, "{} octets", left.octets.len());
            ways[usize::from(expected.0)] += 1;
        }
        bench.give(SBC, &answer(&report.text, "200 OK"));
        bench.account();
    }
    assert!(ways.into_iter().all(|count| count > 20), "{ways:?}");
}

#[test]
fn whoever_has_answered_has_the_request_whatever_its_connection_says() {
    let mut bench = bench(|setup| setup.peers[1].transport = Transport::Tcp);
    let onward = bench.give(SBC, &message(1)).remove(0);
    let ok = answer(&onward.text, "200 OK");
    let flow = on(TCP, IM, connection(0, 4));
    let arrival = Arrival { flow, at: bench.now, octets: ok.as_bytes(), truncated: false };
    bench.engine.on_burst(&[arrival], &mut bench.out);
    bench.engine.on_sent(onward.owner.unwrap(), Err(SendError::NotWritten), bench.now);
    bench.now = bench.now.plus_ms(20);
    bench.engine.on_tick(bench.now, &mut bench.out);
    assert_eq!(bench.engine.open(), 1, "its report is on its way");
    assert_eq!(bench.leave()[0].status(), 200);
    assert_eq!(bench.account().report, Report::Response(200));
}
