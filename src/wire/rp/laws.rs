//! What holds for all octets whatsoever: the mutation tests and the fuzz target check it.

use super::*;
use crate::wire::tpdu;

/// Reading a message and its TPDU: what is written of a view reads as it.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn reads(octets: &[u8]) {
    match parse(octets) {
        Ok(message) => holds(octets, &message),
        Err(fault) => {
            assert!(fault.malformed.at <= octets.len());
            assert_eq!(fault.mti, octets.first().map(|octet| octet & 7));
            assert_eq!(fault.reference, octets.get(1).copied());
            assert!(matches!(fault.cause, 96 | 97 | 99 | 111));
        }
    }
}

fn holds(octets: &[u8], message: &Message<'_>) {
    let (tpdu, at) = match message {
        Message::Data(view) => (Some(view.tpdu), view.tpdu_at),
        Message::Ack(view) => (view.tpdu, view.tpdu_at),
        Message::Error(view) => (view.tpdu, view.tpdu_at),
        Message::Smma(_) => (None, 0),
    };
    assert_eq!(tpdu.is_none(), at == 0);
    if let Some(tpdu) = tpdu {
        assert!(!tpdu.is_empty());
        assert!(octets.get(at..).is_some_and(|behind| behind.starts_with(tpdu)));
        tpdu::laws::reads(tpdu);
    }
    let mut room = [0; 300];
    let written = write(message, &mut room);
    assert!(written.is_some_and(|written| written <= octets.len()));
    let out = room.get(..written.unwrap_or_default()).unwrap_or_default();
    let again = parse(out);
    assert_eq!(again.map(|again| again.mti()), Ok(message.mti()));
    assert_eq!(again.map(|again| again.reference()), Ok(message.reference()));
    // Elements that were passed over are gone, and the TPDU may have moved.
    let moved = |message: Message<'_>| match message {
        Message::Data(view) => view.tpdu_at,
        Message::Ack(view) => view.tpdu_at,
        Message::Error(view) => view.tpdu_at,
        Message::Smma(_) => 0,
    };
    if again.map(moved) == Ok(at) {
        assert_eq!(again, Ok(*message));
    }
}
