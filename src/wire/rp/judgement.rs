//! Every vector, judged: what is read of it, in the names that `roger decode` prints, or where it
//! is wrong and with which RP-Cause; and what becomes of all vectors when they are cut or changed.

use serde_json::{Value, json};

use super::*;
use crate::wire::cursor::count_visits;
use crate::wire::tpdu::judgement::{Vector, assert_facts, hex_of, number_of, vectors};

fn facts(message: &Message<'_>) -> Value {
    let (kind, cause, tpdu, originator, destination) = match message {
        Message::Data(view) => {
            ("rp-data", None, Some(view.tpdu), view.originator, view.destination)
        }
        Message::Ack(view) => ("rp-ack", None, view.tpdu, None, None),
        Message::Error(view) => ("rp-error", Some(view.cause), view.tpdu, None, None),
        Message::Smma(_) => ("rp-smma", None, None, None, None),
    };
    json!({
        "type": kind,
        "mti": message.mti(),
        "dir": if message.direction() == Direction::NetworkToMs { "mt" } else { "mo" },
        "mr": message.reference(),
        "oa": originator.as_ref().map(number_of),
        "da": destination.as_ref().map(number_of),
        "cause": cause,
        "ud_hex": hex_of(tpdu.unwrap_or_default()),
    })
}

#[test]
fn every_vector_is_judged_rightly() {
    for Vector { name, octets, said } in vectors("rp") {
        let (judgement, _) = name.split_once('-').unwrap();
        match parse(&octets) {
            Ok(message) => {
                assert_eq!(judgement, "ok", "{name}: {message:?}");
                assert_facts(&name, &facts(&message), &said["facts"]);
            }
            Err(fault) => {
                assert_eq!(judgement, fault.cause.to_string(), "{name}: {fault}");
                assert_eq!(json!(fault.malformed.at), said["at"], "{name}: {fault}");
            }
        }
    }
}

/// A part of a message is none, but for an answer that is cut before an optional element.
#[test]
fn every_truncation_of_every_vector_is_refused() {
    for Vector { name, octets, .. } in vectors("rp") {
        let whole = parse(&octets);
        for len in 0..octets.len() {
            let part = &octets[..len];
            laws::reads(part);
            match (parse(part), &whole) {
                (Ok(Message::Ack(_) | Message::Error(_)), _) | (Err(_), _) => {}
                (Ok(_), Err(fault)) => assert_eq!(fault.malformed.at, len, "{name}"),
                (Ok(message), Ok(_)) => panic!("{name}, {len} octets: {message:?}"),
            }
        }
    }
}

/// The most work per octet, and beside it, in visits of a cursor.
const VISITS_PER_OCTET: u64 = 4;

#[test]
fn every_octet_of_every_vector_may_be_any_other() {
    for Vector { octets, .. } in vectors("rp") {
        for at in 0..octets.len() {
            let mut changed = octets.clone();
            for octet in 0..=u8::MAX {
                changed[at] = octet;
                laws::reads(&changed);
            }
            let visits = count_visits(|| _ = parse(&changed));
            assert!(visits <= VISITS_PER_OCTET * (changed.len() as u64 + 8), "{visits}");
        }
    }
}

/// Ten times the octets are at most twelve times the work.
#[test]
fn optional_elements_are_passed_over_in_one_go() {
    for element in [&b"\xa0"[..], b"\x42\0", b"\x42\x01\0", b"\x41\0"] {
        let visits = |count: usize| {
            let octets = [&b"\x02\x2a"[..], &element.repeat(count)].concat();
            assert!(parse(&octets).is_ok());
            count_visits(|| _ = parse(&octets))
        };
        assert!(visits(10_000) <= 12 * visits(1_000), "{element:?}");
    }
}
