//! SIP over TLS: both ways, and everybody who is not whom he says he is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use roger::metrics::Counter;

use crate::pki::{Authority, Time};
use crate::tls_site::{Channel, IM, OTHER, SMS, Site, ip, message, peer, tcp};

/// Sends a message and returns the request that arrives on this channel.
fn relayed(sms: &mut Channel, im: &mut Channel, number: u32) -> String {
    sms.send(&message(number));
    let request = im.get();
    assert!(request.contains(&format!("Call-ID: {number}\r\n")), "{request}");
    request
}

#[test]
fn a_message_goes_over_tls_and_its_answer_comes_back() {
    for mutual in [true, false] {
        let site = Site::with(&format!("tls-both-{mutual}"), "", mutual);
        let mut sms = match mutual {
            true => site.sms(),
            false => site.connect_with(SMS, site.authority.client(None)),
        };
        assert_eq!(sms.shown.as_deref(), Some(site.own.chain()[0].as_ref()));
        sms.send(&message(1));
        let mut im = site.accept(&site.im, "im.example");
        // The service shows its own certificate to whoever asks for one.
        assert_eq!(im.shown, sms.shown);
        let request = im.get();
        assert!(request.contains("Via: SIP/2.0/TLS roger.example:5061;branch="), "{request}");
        im.answer(&request, "200 OK");
        let response = sms.get();
        assert!(response.starts_with("SIP/2.0 200 OK\r\n"), "{response}");
        // The connections stay, so that no more hands are shaken. A recipient may be at home on the
        // other worker, which has a connection of its own; this one is the same.
        let request = relayed(&mut sms, &mut im, 2);
        im.answer(&request, "404 Not Found");
        assert!(sms.get().starts_with("SIP/2.0 404 Not Found\r\n"));
        assert_eq!(site.count(Counter::TlsHandshakes), 2);
        assert_eq!(site.count(Counter::TlsConnections), 2);
        assert_eq!(site.count(Counter::VerdictDelivered), 1);
        assert_eq!(site.count(Counter::Allocations), 0, "on the workers");
        assert_eq!(site.service.troubles().count(), 0);
        assert_eq!(site.service.stop().abandoned, 0);
    }
}

#[test]
fn h28_what_comes_before_the_end_is_taken_before_the_end() {
    let site = Site::new("tls-end");
    let mut sms = site.sms();
    // An OPTIONS and the end of the connection in one write.
    let options = message(1).replace("MESSAGE", "OPTIONS");
    sms.send(&options);
    assert!(sms.get().starts_with("SIP/2.0 200 OK\r\n"));
    drop(sms);
    site.wait_for(Counter::TlsCut, 1);
    site.wait_for(Counter::TlsConnections, 0);
    assert_eq!(site.count(Counter::ConnectionsEnded), 1);
    let own = site.authority.certify(&["sms.example"]);
    let mut stream = tcp((ip(SMS), 0).into(), site.address());
    let name = "roger.example".try_into().unwrap();
    let config = site.authority.client(Some(&own));
    let mut session = rustls::ClientConnection::new(config, name).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut stream).unwrap();
    }
    let mut owned = rustls::StreamOwned::new(session, stream);
    let many: String =
        (2..60).map(|number| options.replace("z9hG4bK1", &format!("z9hG4bK{number}"))).collect();
    owned.conn.writer().write_all(many.as_bytes()).unwrap();
    owned.conn.send_close_notify();
    owned.flush().unwrap();
    owned.sock.shutdown(std::net::Shutdown::Write).unwrap();
    // It says that it ends, too. What it answers after the end may go another way.
    owned.read_to_string(&mut String::new()).unwrap();
    site.wait_for(Counter::OptionsAnswered, 59);
    site.wait_for(Counter::TlsConnections, 0);
    assert_eq!(site.count(Counter::TlsCut), 1);
}

/// The first server does something wrong: nothing is sent to it, and the message goes to the second.
fn the_next_server_is_asked(name: &str, counter: Option<Counter>, wrong: impl FnOnce(&Site)) {
    let site = Site::new(name);
    let mut sms = site.sms();
    sms.send(&message(1));
    wrong(&site);
    let mut other = site.accept(&site.other, "other.example");
    let request = other.get();
    other.answer(&request, "200 OK");
    assert!(sms.get().starts_with("SIP/2.0 200 OK\r\n"));
    assert_eq!(site.count(Counter::NextServer), 1);
    assert_eq!(site.count(Counter::ConnectionsFailed), 1);
    if let Some(counter) = counter {
        site.wait_for(counter, 1);
        let troubles: Vec<String> = site.service.troubles().collect();
        let place = format!("TLS with {}: ", site.im.local_addr().unwrap());
        assert!(troubles.len() == 1 && troubles[0].starts_with(&place), "{troubles:?}");
    }
}

#[test]
fn a_server_with_another_name_is_told_nothing() {
    let wrong = Some(Counter::TlsWrongName);
    for (number, names) in [
        &["other.example"] as &[&str],
        &["*.example"],
        &[IM],
        &["sips:im.example"],
        &["sip:user@im.example"],
    ]
    .into_iter()
    .enumerate()
    {
        the_next_server_is_asked(&format!("tls-name-{number}"), wrong, |site| {
            let own = site.authority.certify(names);
            assert!(Channel::server(&site.im, site.authority.server(&own)).is_closed());
        });
    }
}

#[test]
fn a_server_of_a_sip_domain_is_known_by_its_uri() {
    let site = Site::new("tls-uri");
    let mut sms = site.sms();
    sms.send(&message(1));
    let mut im = site.accept(&site.im, "sip:im.example");
    assert!(im.get().starts_with("MESSAGE sip:bob@example.net"));
}

#[test]
fn a_server_that_nobody_vouches_for_is_told_nothing() {
    the_next_server_is_asked("tls-untrusted", Some(Counter::TlsUntrusted), |site| {
        let own = Authority::new("somebody else").certify(&["im.example"]);
        assert!(Channel::server(&site.im, site.authority.server(&own)).is_closed());
    });
    for (name, time) in [("tls-past", Time::Past), ("tls-future", Time::Future)] {
        the_next_server_is_asked(name, Some(Counter::TlsExpired), |site| {
            let own = site.authority.certify_for(&["im.example"], time);
            assert!(Channel::server(&site.im, site.authority.server(&own)).is_closed());
        });
    }
    the_next_server_is_asked("tls-rejected", Some(Counter::TlsNotTls), |site| {
        let (mut stream, _) = site.im.accept().unwrap();
        stream.write_all(b"SIP/2.0 400 Bad Request\r\n\r\n").unwrap();
    });
    the_next_server_is_asked("tls-stall", None, |site| {
        // It connects, and says nothing: the time of a connection is over after two seconds.
        let (mut stream, _) = site.im.accept().unwrap();
        let mut octets = Vec::new();
        let begun = Instant::now();
        let _ = stream.read_to_end(&mut octets);
        assert!(begun.elapsed() < Duration::from_secs(4));
        assert!(!octets.windows(7).any(|seven| seven == b"MESSAGE"));
    });
}

#[test]
fn a_server_that_refuses_connections_is_passed_over() {
    let site = Site::new("tls-refused");
    let nobody = site.im.local_addr().unwrap();
    let Site { authority, other, service, im, directory: _directory, .. } = site;
    drop(im);
    let own = authority.certify(&["sms.example"]);
    let stream = tcp((ip(SMS), 0).into(), service.addresses()[0]);
    let mut sms = Channel::client(stream, authority.client(Some(&own)));
    sms.send(&message(1));
    let own = authority.certify(&["other.example"]);
    let mut other = Channel::server(&other, authority.server(&own));
    let request = other.get();
    other.answer(&request, "200 OK");
    assert!(sms.get().starts_with("SIP/2.0 200 OK\r\n"));
    assert!(tcp_is_refused(nobody));
    assert_eq!(service.total().read(Counter::NextServer), 1);
}

fn tcp_is_refused(address: SocketAddr) -> bool {
    std::net::TcpStream::connect(address).is_err()
}

#[test]
fn who_connects_has_to_be_the_peer_at_his_address() {
    let site = Site::new("tls-clients");
    let trusted = &site.authority;
    let elsewhere = Authority::new("somebody else").certify(&["sms.example"]);
    let named = |names: &[&str]| trusted.certify(names);
    let refused = [
        (Some(elsewhere), Counter::TlsUntrusted),
        (None, Counter::TlsUntrusted),
        (Some(trusted.certify_for(&["sms.example"], Time::Past)), Counter::TlsExpired),
        (Some(named(&["im.example"])), Counter::TlsWrongName),
        (Some(named(&["*.example"])), Counter::TlsWrongName),
        (Some(named(&[SMS])), Counter::TlsWrongName),
    ];
    for (own, counter) in refused {
        let before = site.count(counter);
        let mut sms = site.connect_with(SMS, trusted.client(own.as_ref()));
        assert!(sms.is_closed());
        site.wait_for(counter, before + 1);
    }
    // From nobody's address nobody is listened to, whatever he shows.
    let mut stranger = site.connect("127.0.0.9", "sms.example");
    assert!(stranger.is_closed());
    site.wait_for(Counter::TlsRefused, 1);
    assert_eq!(site.count(Counter::TlsHandshakes), 0);
    assert_eq!(site.count(Counter::ConnectionsAccepted), 0);
    // Each class is told once.
    let troubles: Vec<String> = site.service.troubles().collect();
    assert_eq!(troubles.len(), 4, "{troubles:#?}");
    let mut sms = site.sms();
    sms.send(&message(1));
    site.accept(&site.im, "im.example").get();
}

#[test]
fn what_is_not_tls_reaches_no_worker() {
    let site = Site::new("tls-garbage");
    let plain = message(1);
    let mut garbage: Vec<Vec<u8>> = Vec::from([plain.into_bytes(), vec![0; 4_000]]);
    garbage.push(vec![0x16; 20_000]);
    garbage.push((0..40_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect());
    // A record of a handshake that promises more than it may hold, and one that holds nothing.
    garbage.push([&[22, 3, 1, 0xff, 0xff][..], &[1; 100]].concat());
    garbage.push([&[22, 3, 1, 0, 4][..], &[2, 0, 0, 0]].concat());
    let count = u64::try_from(garbage.len()).unwrap();
    for octets in garbage {
        let mut stream = tcp((ip(SMS), 0).into(), site.address());
        let _ = stream.write_all(&octets);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        // An alert at most.
        assert!(answer.len() < 10 && !answer.starts_with(b"SIP"), "{answer:?}");
    }
    site.wait_for(Counter::TlsNotTls, count);
    site.wait_for(Counter::TlsConnections, 0);
    assert_eq!(site.count(Counter::ConnectionsAccepted), 0);
    assert_eq!(site.count(Counter::StreamMessagesIn), 0);
    assert_eq!(site.service.troubles().count(), 1);
}

#[test]
fn handshakes_that_stall_end_and_leave_room_for_others() {
    let site = Site::new("tls-stalls");
    let begun = Instant::now();
    let stalled: Vec<_> = (0..70).map(|_| tcp((ip(SMS), 0).into(), site.address())).collect();
    // A source has its share of handshakes.
    site.wait_for(Counter::TlsRefused, 70 - 64);
    // So another one is served.
    let mut other = site.connect(OTHER, "other.example");
    other.send(&message(1).replace("MESSAGE", "OPTIONS"));
    assert!(other.get().starts_with("SIP/2.0 "));
    site.wait_for(Counter::TlsTimeouts, 64);
    let waited = begun.elapsed();
    assert!(waited > Duration::from_millis(4_500) && waited < Duration::from_secs(9), "{waited:?}");
    drop(stalled);
    let mut sms = site.sms();
    sms.send(&message(1).replace("MESSAGE", "OPTIONS"));
    assert!(sms.get().starts_with("SIP/2.0 200 OK\r\n"));
}

#[test]
fn two_names_on_one_address_are_two() {
    // Two more at one address, each with a port of its own from which nobody listens.
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let ports = ["127.0.0.5", "127.0.0.5"].map(|ip| port(&TcpListener::bind((ip, 0)).unwrap()));
    let [a, b] = ports.map(|port| SocketAddr::new(ip("127.0.0.5"), port));
    assert_ne!(a, b);
    let more = [peer("a", "sms", &a.to_string(), ""), peer("b", "sms", &b.to_string(), "")];
    let site = Site::with("tls-names", &more.concat(), true);
    let connect = |from: SocketAddr, name: &str| {
        let own = site.authority.certify(&[name]);
        Channel::client(tcp(from, site.address()), site.authority.client(Some(&own)))
    };
    // From the port of one of them, it has to be that one.
    let mut wrong = connect(b, "a.example");
    assert!(wrong.is_closed());
    site.wait_for(Counter::TlsWrongName, 1);
    let mut right = connect(a, "a.example");
    right.send(&message(1).replace("MESSAGE", "OPTIONS"));
    assert!(right.get().starts_with("SIP/2.0 200 OK\r\n"));
    // From any other port it may be either, and is not taken for one of them: it is a stranger's.
    let mut either = connect(SocketAddr::new(b.ip(), 0), "a.example");
    either.send(&message(2).replace("MESSAGE", "OPTIONS"));
    site.wait_for(Counter::DroppedStranger, 1);
    let mut neither = connect(SocketAddr::new(b.ip(), 0), "sms.example");
    assert!(neither.is_closed());
    site.wait_for(Counter::TlsWrongName, 2);
}

#[test]
fn new_certificates_hold_for_new_connections_and_end_none() {
    let site = Site::new("tls-reload");
    let mut before = site.sms();
    before.send(&message(1).replace("MESSAGE", "OPTIONS"));
    before.get();
    let renewed = site.authority.certify(&["roger.example"]);
    let path = &site.directory.0;
    // A certificate without its key is not taken.
    std::fs::write(path.join("roger.pem"), &renewed.certificate).unwrap();
    let problem = site.service.renew_certificates().unwrap().unwrap_err();
    assert!(problem.ends_with("roger.key: this is the key of another certificate"), "{problem}");
    let shown = site.sms().shown;
    assert_eq!(shown.as_deref(), Some(site.own.chain()[0].as_ref()));
    renewed.write(path, "roger");
    site.service.renew_certificates().unwrap().unwrap();
    let mut after = site.sms();
    assert_eq!(after.shown.as_deref(), Some(renewed.chain()[0].as_ref()));
    for (channel, number) in [(&mut before, 2), (&mut after, 3)] {
        channel.send(&message(number).replace("MESSAGE", "OPTIONS"));
        assert!(channel.get().starts_with("SIP/2.0 200 OK\r\n"));
    }
    // What we open has it as well.
    after.send(&message(4));
    let im = site.accept(&site.im, "im.example");
    assert_eq!(im.shown, after.shown);
}
