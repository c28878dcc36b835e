//! MSRP over TLS on real sockets and both drivers: whose certificate a session takes, and that nothing leaves
//! before that is known.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use roger::delivery::Verdict;
use roger::metrics::Counter;
use sha2::Digest;

use crate::msrps_site::{Offered, Site, drivers, fingerprint, first, hexadecimal, phone, place};
use crate::pki::self_signed;

/// Where a phone that connects says it is.
fn nowhere() -> std::net::SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

fn active(fingerprint: &str) -> String {
    format!("a=setup:active\r\na=fingerprint:{fingerprint}\r\n")
}

fn passive(fingerprint: &str) -> String {
    format!("a=setup:passive\r\na=fingerprint:{fingerprint}\r\n")
}

#[test]
fn a_phone_that_connects_with_the_certificate_of_its_sdp_is_delivered_to() {
    for driver in drivers() {
        let site = Site::new("msrps-active", driver);
        // Nobody vouches for it: the SDP says that it is the one.
        let own = self_signed(&["phone.example"]);
        let offered = site.submit(1);
        assert!(offered.path.starts_with("msrps://127.0.0.1:"), "{}", offered.path);
        site.take(&offered, nowhere(), &active(&fingerprint(&own)));
        let mut channel = site.connect(place(&offered.path), Some(&own));
        let shown = hexadecimal(&sha2::Sha256::digest(channel.shown.as_ref().unwrap()));
        assert_eq!(offered.fingerprint.to_uppercase(), format!("SHA-256 {shown}"));
        channel.says_who(&offered, &phone(nowhere()));
        let answer = channel.chunk();
        assert!(answer.starts_with("MSRP f1rst 200 "), "{answer}");
        let send = channel.take_message();
        assert!(send.contains(&"\u{20AC}".repeat(65)), "{send}");
        assert_eq!(site.account().verdict, Verdict::Delivered, "{driver}");
        assert_eq!(site.count(Counter::MsrpWrongCertificate), 0);
        assert_eq!(site.count(Counter::TlsHandshakes), 1);
        assert_eq!(site.count(Counter::Allocations), 0, "{driver}: on the workers");
    }
}

#[test]
fn a_phone_that_is_connected_to_and_has_that_certificate_is_delivered_to() {
    for driver in drivers() {
        let site = Site::new("msrps-passive", driver);
        let own = self_signed(&[]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let offered = site.submit(1);
        site.take(&offered, at, &passive(&fingerprint(&own)));
        let mut channel = site.accept(&listener, &own);
        let shown = hexadecimal(&sha2::Sha256::digest(channel.shown.as_ref().unwrap()));
        assert_eq!(offered.fingerprint.to_uppercase(), format!("SHA-256 {shown}"));
        channel.take_message();
        assert_eq!(site.account().verdict, Verdict::Delivered, "{driver}");
        assert_eq!(site.count(Counter::MsrpWrongCertificate), 0);
    }
}

/// The same by the other hash functions that are good enough.
#[test]
fn the_best_hash_of_the_sdp_decides() {
    let site = Site::new("msrps-hashes", "mmsg");
    let own = self_signed(&[]);
    let der = own.chain()[0].to_vec();
    let sha384 = format!("sha-384 {}", hexadecimal(&sha2::Sha384::digest(&der)));
    let sha512 = format!("sha-512 {}", hexadecimal(&sha2::Sha512::digest(&der)));
    for (number, print) in (1..).zip([sha384, sha512]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let offered = site.submit(number);
        // A weak one beside it means nothing.
        let lines = format!("a=fingerprint:sha-1 {}\r\n{}", ["00"; 20].join(":"), passive(&print));
        site.take(&offered, at, &lines);
        site.accept(&listener, &own).take_message();
        assert_eq!(site.account().verdict, Verdict::Delivered, "{print}");
    }
}

/// Whoever is there is not the phone: he gets not an octet, and that is as certain as if nobody were there.
#[test]
fn somebody_else_where_the_phone_should_be_gets_nothing() {
    for driver in drivers() {
        let site = Site::new("msrps-wrong", driver);
        let (own, other) = (self_signed(&["phone.example"]), self_signed(&["phone.example"]));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let offered = site.submit(1);
        site.take(&offered, at, &passive(&fingerprint(&own)));
        assert!(site.accept(&listener, &other).is_closed(), "{driver}: without an octet");
        assert_eq!(site.account().verdict, Verdict::Temporary, "{driver}");
        assert_eq!(site.count(Counter::Allocations), 0, "{driver}: on the workers");
        assert_eq!(site.count(Counter::MsrpWrongCertificate), 1);
        assert_eq!(site.count(Counter::MsrpOctetsOut), 0);
    }
}

/// Who has learned of a session and is not the phone is sent away, and does the session no harm.
#[test]
fn somebody_else_who_connects_for_a_session_gets_nothing() {
    for driver in drivers() {
        let site = Site::with_workers("msrps-intruder", driver, 1);
        let (own, other) = (self_signed(&[]), self_signed(&[]));
        let offered = site.submit(1);
        site.take(&offered, nowhere(), &active(&fingerprint(&own)));
        let mut intruder = site.connect(place(&offered.path), Some(&other));
        intruder.says_who(&offered, &phone(nowhere()));
        assert!(intruder.is_closed(), "{driver}: without an octet");
        site.wait_for(Counter::MsrpWrongCertificate, 1);
        // Without TLS nobody comes to it either.
        let [_, plain] = site.msrp();
        let mut plain = TcpStream::connect(plain).unwrap();
        plain.write_all(first(&offered, &phone(nowhere())).as_bytes()).unwrap();
        let mut octet = [0];
        assert!(!matches!(plain.read(&mut octet), Ok(1..)), "{driver}: without an octet");
        assert_eq!(site.count(Counter::MsrpOctetsOut), 0);
        let mut channel = site.connect(place(&offered.path), Some(&own));
        channel.says_who(&offered, &phone(nowhere()));
        let answer = channel.chunk();
        assert!(answer.starts_with("MSRP f1rst 200 "), "{answer}");
        channel.take_message();
        assert_eq!(site.account().verdict, Verdict::Delivered, "{driver}");
    }
}

#[test]
fn an_sdp_that_names_no_certificate_or_by_a_weak_hash_only_is_no_session() {
    let site = Site::new("msrps-none", "mmsg");
    let weak = format!("a=fingerprint:sha-1 {}\r\n", ["01"; 20].join(":"));
    for (number, lines) in (1..).zip(["", weak.as_str()]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let offered: Offered = site.submit(number);
        let lines = format!("a=setup:passive\r\n{lines}");
        site.take(&offered, listener.local_addr().unwrap(), &lines);
        site.wait("BYE");
        assert_eq!(site.count(Counter::MsrpNoFingerprint), u64::from(number));
        assert!(listener.accept().is_err(), "nobody has connected");
    }
}

#[test]
fn who_shows_no_certificate_or_speaks_no_tls_is_turned_away_before_any_worker_hears_of_him() {
    let site = Site::new("msrps-bare", "mmsg");
    let [at, _] = site.msrp();
    assert!(site.connect(at, None).is_closed());
    site.wait_for(Counter::TlsUntrusted, 1);
    let mut plain = TcpStream::connect(at).unwrap();
    plain.write_all(b"MSRP f1rst SEND\r\nTo-Path: msrp://127.0.0.1/x;tcp\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest);
    site.wait_for(Counter::TlsNotTls, 1);
    assert_eq!(site.count(Counter::ConnectionsAccepted), 0);
}

/// Of a relay there is no fingerprint: somebody of `ca` says who it is.
#[test]
fn a_relay_in_front_of_a_phone_has_to_prove_its_name() {
    let site = Site::new("msrps-relay", "mmsg");
    let certified = |name: &str| site.authority.certify(&[name]);
    // Of the phone behind it, which the connection does not lead to.
    let behind = passive(&fingerprint(&self_signed(&[])));
    for (number, own, is_right) in [
        (1, certified("127.0.0.2"), false),
        (2, self_signed(&["127.0.0.1"]), false),
        (3, certified("127.0.0.1"), true),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let path = format!("msrps://{at};tcp msrps://192.0.2.9:2855/ph0ne;tcp");
        let offered = site.submit(number);
        site.take_by(&offered, (at, &path), &behind);
        let mut relay = site.accept(&listener, &own);
        if is_right {
            let send = relay.take_message();
            assert!(send.contains(&format!("To-Path: {path}\r\n")), "{send}");
        } else {
            assert!(relay.is_closed(), "{number}: without an octet");
            assert_eq!(site.account().verdict, Verdict::Temporary, "{number}");
        }
    }
    assert_eq!(site.count(Counter::MsrpWrongCertificate), 2);
}

/// Sessions that lead to one place: a connection is only shared if its certificate is that of each of them.
#[test]
fn each_session_asks_the_connection_that_it_shares_for_its_own_certificate() {
    for driver in drivers() {
        let site = Site::with_workers("msrps-shared", driver, 1);
        let (own, renewed) = (self_signed(&[]), self_signed(&[]));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let take = |number, certificate| {
            let offered = site.submit(number);
            site.take(&offered, at, &passive(&fingerprint(certificate)));
        };
        take(1, &own);
        let mut first = site.accept(&listener, &own);
        first.take_message();
        assert_eq!(site.account().verdict, Verdict::Delivered, "{driver}");
        take(2, &own);
        first.take_message();
        assert_eq!(site.account().verdict, Verdict::Delivered, "{driver}: on the same one");
        take(3, &renewed);
        let mut second = site.accept(&listener, &renewed);
        second.take_message();
        assert_eq!(site.account().verdict, Verdict::Delivered, "{driver}: on another one");
        // The first one is there still, and nobody but its own sessions has it.
        take(4, &own);
        first.take_message();
        assert_eq!(site.account().verdict, Verdict::Delivered, "{driver}");
        assert_eq!(site.count(Counter::MsrpWrongCertificate), 0);
        assert_eq!(site.count(Counter::TlsHandshakes), 2);
    }
}

#[test]
fn what_is_offered_after_a_renewal_names_the_new_certificate() {
    let site = Site::new("msrps-renewed", "mmsg");
    let own = self_signed(&[]);
    let print = |shown: Option<Vec<u8>>| {
        format!("SHA-256 {}", hexadecimal(&sha2::Sha256::digest(shown.unwrap())))
    };
    let [at, _] = site.msrp();
    let before = print(site.connect(at, Some(&own)).shown);
    site.renew();
    let mut shown = std::iter::repeat_with(|| print(site.connect(at, Some(&own)).shown)).take(200);
    let after = shown.find(|shown| *shown != before).unwrap();
    let offered = site.submit(1);
    assert_eq!(offered.fingerprint.to_uppercase(), after);
    site.take(&offered, nowhere(), &active(&fingerprint(&own)));
    let mut channel = site.connect(place(&offered.path), Some(&own));
    assert_eq!(print(channel.shown.take()), after);
    channel.says_who(&offered, &phone(nowhere()));
    channel.chunk();
    channel.take_message();
    assert_eq!(site.account().verdict, Verdict::Delivered);
}
