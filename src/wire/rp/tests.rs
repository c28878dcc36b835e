//! Each guard of reading, alone.

use super::*;

const DELIVER: &[u8] =
    b"\x24\x0b\x91\x64\x07\x28\x15\x53\xf8\0\0\x52\x11\x22\x11\x82\0\x23\x0a\xe8\x32\x9b\xfd\x46\x97\xd9\xec\x37";

fn wrong(octets: &[u8]) -> (u8, usize) {
    let fault = parse(octets).unwrap_err();
    (fault.cause, fault.malformed.at)
}

#[test]
fn the_vectors_of_both_directions() {
    let octets = [b"\x01\x2a\x08\x91\x68\x31\x08\x10\x83\0\xf0\0\x1c", DELIVER].concat();
    let Ok(Message::Data(view)) = parse(&octets) else { panic!() };
    let mut room = [0; 30];
    let len = view.originator.unwrap().write(&mut room).unwrap();
    assert_eq!(&room[..len], b"8613800138000");
    assert_eq!((view.direction, view.reference), (Direction::NetworkToMs, 0x2A));
    assert_eq!((view.destination, view.tpdu, view.tpdu_at), (None, DELIVER, 13));
    let ack = |tpdu, tpdu_at| {
        Message::Ack(Ack { direction: Direction::MsToNetwork, reference: 0x2A, tpdu, tpdu_at })
    };
    assert_eq!(parse(b"\x02\x2a"), Ok(ack(None, 0)));
    assert_eq!(parse(b"\x02\x2a\x41\x02\0\0"), Ok(ack(Some(b"\0\0"), 4)));
    assert_eq!(parse(b"\x02\x2a\x41\0"), Ok(ack(None, 0)), "as good as none");
    assert_eq!(parse(b"\x02\x2a\x42\x01\0\x80\x41\x01\x07\x41\x01\x09"), Ok(ack(Some(b"\x07"), 8)));
    let error = Error {
        direction: Direction::MsToNetwork,
        reference: 0x2A,
        cause: 22,
        diagnostic: None,
        tpdu: Some(b"\0\xd3\0"),
        tpdu_at: 6,
    };
    assert_eq!(parse(b"\x04\x2a\x01\x16\x41\x03\0\xd3\0"), Ok(Message::Error(error)));
    assert_eq!(parse(b"\x06\xff"), Ok(Message::Smma(Smma { reference: 0xFF })));
}

#[test]
fn what_is_no_message_is_refused_with_its_cause() {
    assert_eq!(wrong(b""), (111, 0));
    assert_eq!(wrong(b"\x07\x2a"), (97, 0));
    assert_eq!(wrong(b"\x02"), (96, 1));
    assert_eq!(wrong(b"\x06\x2a\0"), (99, 2), "behind the end");
    assert_eq!(wrong(b"\x02\x2a\x01\x00"), (96, 2), "comprehension required");
    assert_eq!(wrong(b"\x02\x2a\x41\x02\0"), (111, 2), "cut");
    assert_eq!(wrong(b"\x04\x2a"), (96, 2));
    assert_eq!(wrong(b"\x04\x2a\0"), (96, 2));
    assert_eq!(wrong(b"\x04\x2a\x01"), (96, 2));
    let fault = parse(b"\x07\x2a").unwrap_err();
    assert_eq!((fault.mti, fault.reference), (Some(7), Some(0x2A)));
}

#[test]
fn addresses_are_where_they_must_be_and_nowhere_else() {
    let data = |mti: u8, rest: &[u8]| [&[mti, 0x2A], rest].concat();
    assert!(parse(&data(1, b"\x02\x91\x21\0\x01\0")).is_ok());
    assert!(parse(&data(0, b"\0\x02\x91\x21\x01\0")).is_ok());
    assert_eq!(wrong(&data(1, b"\0\0\x01\0")), (96, 2), "RP-OA is missing");
    assert_eq!(wrong(&data(0, b"\0\0\x01\0")), (96, 3), "RP-DA is missing");
    assert_eq!(wrong(&data(1, b"\x02\x91\x21\x02\x91\x21\x01\0")), (96, 5), "RP-DA is there");
    assert_eq!(wrong(&data(0, b"\x02\x91\x21\x02\x91\x21\x01\0")), (96, 2), "RP-OA is there");
    assert_eq!(wrong(&data(1, b"\x01\x91\0\x01\0")), (96, 2), "no digits");
    assert_eq!(
        wrong(&data(1, b"\x0c\x91\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\0\x01\0")),
        (96, 2)
    );
    assert_eq!(wrong(&data(1, b"\x02\x11\x21\0\x01\0")), (96, 3), "another octet of the type");
    assert_eq!(wrong(&data(1, b"\x03\x91\x2f\x21\0\x01\0")), (96, 4), "a filler in front");
    assert_eq!(wrong(&data(1, b"\x03\x91\xf2\x21\0\x01\0")), (96, 4), "a filler in the middle");
    assert_eq!(wrong(&data(1, b"\x02\x91\xff\0\x01\0")), (96, 4), "nothing but filler");
    assert_eq!(wrong(&data(1, b"\x02\x91\x21\0\0")), (96, 6), "no TPDU");
    assert_eq!(wrong(&data(1, b"\x02\x91\x21\0\x02\0")), (96, 6), "a TPDU cut");
    assert_eq!(wrong(&data(1, b"\x02\x91\x21\0\x01\0\xff")), (99, 8), "octets behind the end");
}

#[test]
fn a_cause_is_seven_bits_and_may_be_longer() {
    let Ok(Message::Error(view)) = parse(b"\x05\x01\x03\xa6\x07\x08") else { panic!() };
    assert_eq!((view.cause, view.diagnostic), (38, Some(7)));
    assert_eq!(error(Direction::MsToNetwork, 1, 128, None, b"", &mut [0; 9]), None);
}

#[test]
fn messages_are_written_in_place() {
    let mut room = [0xEE; 40];
    assert_eq!(ack(Direction::MsToNetwork, 0x2A, b"\0\0", &mut room), Some(6));
    assert_eq!(&room[..7], b"\x02\x2a\x41\x02\0\0\xee");
    assert_eq!(ack(Direction::NetworkToMs, 0x2A, b"", &mut room), Some(2));
    assert_eq!(&room[..2], b"\x03\x2a");
    assert_eq!(error(Direction::MsToNetwork, 1, 22, Some(5), b"", &mut room), Some(5));
    assert_eq!(&room[..5], b"\x04\x01\x02\x16\x05");
    assert_eq!(smma(9, &mut room), Some(2));
    assert_eq!(&room[..2], b"\x06\x09");
    let mut digits = [0; 10];
    let centre = Address::of_digits(1, 1, "8613800138000", &mut digits).unwrap();
    let len = data(Direction::NetworkToMs, 0x2A, &centre, b"\x07", &mut room).unwrap();
    assert_eq!(&room[..len], b"\x01\x2a\x08\x91\x68\x31\x08\x10\x83\0\xf0\0\x01\x07");
    let len = data(Direction::MsToNetwork, 0x2A, &centre, b"\x07", &mut room).unwrap();
    assert_eq!(&room[..len], b"\0\x2a\0\x08\x91\x68\x31\x08\x10\x83\0\xf0\x01\x07");
    for size in 0..len {
        assert_eq!(data(Direction::MsToNetwork, 0, &centre, b"\x07", &mut room[..size]), None);
    }
    assert_eq!(data(Direction::MsToNetwork, 0, &centre, b"", &mut room), None);
    let name = Address::of_letters("name", &mut digits).unwrap();
    assert_eq!(data(Direction::MsToNetwork, 0, &name, b"\x07", &mut room), None);
}
