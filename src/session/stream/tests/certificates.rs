//! What the other end of a connection has shown is told with the connection, and with no other one.

use super::undivided::{Engine, MSRP, closed, rules_with};
use super::*;
use crate::packet::{Certificate, StreamEvent, Wish};

fn shown(octet: u8) -> Certificate {
    Certificate { sha256: [octet; 32], sha384: [octet; 48], sha512: [octet; 64], is_named: false }
}

/// What is told of the connection that is there next.
fn told(engine: &mut Engine) -> Option<Certificate> {
    let mut told = None;
    let Engine { streams, out, now, .. } = engine;
    streams.tell(*now, out, &mut |event, _| match event {
        StreamEvent::Opened { certificate, .. } => told = Some(certificate.copied()),
        other => panic!("{other:?}"),
    });
    told.unwrap()
}

#[test]
fn a_place_that_is_given_to_another_connection_has_no_certificate() {
    let rules = Rules { connections_max: 2, ..rules_with(2) };
    let mut engine = Engine::new(rules);
    engine.streams = streams(rules_with(2)).with_certificates();
    let mut seen = Vec::new();
    for certificate in [Some(shown(1)), None, Some(shown(2))] {
        let remote = endpoint(1, 40_000);
        let index = engine.streams.accept(remote, [0; 16], MSRP, engine.now).unwrap();
        if certificate.is_some() {
            engine.streams.show_certificate(index, certificate);
        }
        orders(&mut engine.streams);
        assert_eq!(told(&mut engine), certificate);
        seen.push(index);
        let id = engine.streams.flow(index).connection.unwrap();
        engine.wish(Wish::Close(id));
        closed(&mut engine, index);
    }
    assert!(seen.iter().filter(|index| **index == seen[0]).count() > 1, "a place comes again");
}

#[test]
fn what_was_wished_for_is_told_with_what_its_other_end_has_shown() {
    let mut engine = Engine::new(rules_with(8));
    engine.streams = streams(rules_with(8)).with_certificates();
    let flow = Flow::to(endpoint(1, 2_855), MSRP);
    engine.wish(Wish::Connect { flow, owner: Owner(7) });
    engine.turn();
    let [Order::Connect(index)] = orders(&mut engine.streams)[..] else { panic!("no order") };
    engine.streams.show_certificate(index, Some(shown(3)));
    engine.streams.connected(index, Ok([0; 16]), engine.now);
    assert_eq!(told(&mut engine), Some(shown(3)));
}

#[test]
fn where_nothing_is_encrypted_nothing_is_kept() {
    let mut plain = streams(rules_with(8));
    plain.show_certificate(0, Some(shown(1)));
    let size = plain.size();
    assert_eq!(plain.with_certificates().size() - size, 8 * size_of::<Option<Certificate>>());
}
