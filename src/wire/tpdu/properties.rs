//! Views made at random and written, texts packed bit by bit, and all vectors cut and changed.

use super::judgement::{Vector, context, vectors};
use super::tests::{MO, MT};
use super::*;
use crate::wire::cursor::count_visits;
use crate::wire::sip::properties::Chance;

const CASES: u64 = 3_000;

/// What the views made at random borrow from.
#[derive(Default)]
struct Rooms {
    address: [u8; 10],
    data: Vec<u8>,
    indicator: Vec<u8>,
    later: Vec<u8>,
}

fn octets(chance: &mut Chance, count: usize) -> Vec<u8> {
    (0..count).map(|_| chance.octet()).collect()
}

fn flag(chance: &mut Chance) -> bool {
    chance.one_in(2)
}

fn address<'a>(chance: &mut Chance, room: &'a mut [u8; 10]) -> Address<'a> {
    if chance.one_in(4) {
        let text: String =
            (0..chance.below(12)).map(|_| if flag(chance) { 'x' } else { 'Ω' }).collect();
        return Address::of_letters(&text, room).unwrap();
    }
    let digits: String =
        (0..chance.below(21)).map(|_| char::from(b"0123456789*#abc"[chance.below(15)])).collect();
    let ton = [0, 1, 2, 3, 4, 6, 7][chance.below(7)];
    Address::of_digits(ton, chance.octet() & 15, &digits, room).unwrap()
}

fn time(chance: &mut Chance) -> Timestamp {
    let moment = 631_200_000 + i64::try_from(chance.below(3_155_000_000)).unwrap();
    let quarters = i8::try_from(i64::try_from(chance.below(159)).unwrap() - 79).unwrap();
    Timestamp::of(moment, quarters).unwrap()
}

/// User data of up to that many octets, with a header or without.
fn user_data<'a>(chance: &mut Chance, dcs: Dcs, max: usize, room: &'a mut Vec<u8>) -> UserData<'a> {
    loop {
        let size = chance.below(max + 1);
        let udl = if dcs.is_packed() { (size * 8 / 7).min(255) } else { size };
        let size = if dcs.is_packed() { (udl * 7).div_ceil(8) } else { size };
        let drawn = octets(chance, size);
        let udhi = flag(chance);
        if UserData::new(dcs, udhi, u8::try_from(udl).unwrap(), &drawn).is_some() {
            *room = drawn;
            return UserData::new(dcs, udhi, u8::try_from(udl).unwrap(), room).unwrap();
        }
    }
}

fn parameters<'a>(
    chance: &mut Chance,
    max: usize,
    data: &'a mut Vec<u8>,
    indicator: &'a mut Vec<u8>,
    later: &'a mut Vec<u8>,
) -> Parameters<'a> {
    let pid = flag(chance).then(|| chance.octet());
    let dcs = flag(chance).then(|| Dcs(chance.octet()));
    let data = flag(chance).then(|| user_data(chance, dcs.unwrap_or_default(), max, data));
    let mut view = Parameters::new(pid, dcs, data);
    if chance.one_in(3) {
        // A later release: reserved bits, perhaps in octets of their own, and octets behind.
        indicator.push(view.pi() | 0x10);
        if flag(chance) {
            indicator[0] |= 0x80;
            indicator.extend([0x80 | chance.octet(), chance.octet() & 0x7F]);
        }
        let count = chance.below(5);
        later.extend(octets(chance, count));
        (view.indicator, view.later) = (indicator, later);
    }
    view
}

fn validity_period(chance: &mut Chance) -> ValidityPeriod {
    match chance.below(4) {
        0 => ValidityPeriod::None,
        1 => ValidityPeriod::Relative(chance.octet()),
        2 => ValidityPeriod::Absolute(time(chance)),
        _ => ValidityPeriod::Enhanced([0x41, chance.octet(), 0, 0, 0, 0, 0]),
    }
}

/// A TPDU of any type with its direction and the answer that it goes in.
fn tpdu<'a>(chance: &mut Chance, rooms: &'a mut Rooms) -> (Tpdu<'a>, Direction, Answer) {
    let Rooms { address: room, data, indicator, later } = rooms;
    let kind = chance.below(6);
    let fcs = flag(chance).then(|| chance.octet());
    let answer = if fcs.is_some() { Answer::Error } else { Answer::Ack };
    let (tpdu, direction) = match kind {
        0 => {
            let parameters = parameters(chance, 158, data, indicator, later);
            (Tpdu::DeliverReport(DeliverReport { fcs, parameters }), MO)
        }
        1 => {
            let scts = time(chance);
            let parameters = parameters(chance, 151, data, indicator, later);
            (Tpdu::SubmitReport(SubmitReport { fcs, scts, parameters }), MT)
        }
        2 => {
            let view = StatusReport {
                more_messages: flag(chance),
                loop_prevention: flag(chance),
                of_command: flag(chance),
                reference: chance.octet(),
                recipient: address(chance, room),
                scts: time(chance),
                discharge_time: time(chance),
                status: chance.octet(),
                parameters: flag(chance).then(|| parameters(chance, 143, data, indicator, later)),
            };
            (Tpdu::StatusReport(view), MT)
        }
        3 => (Tpdu::Deliver(deliver_of(chance, room, data)), MT),
        4 => (Tpdu::Submit(submit_of(chance, room, data)), MO),
        _ => {
            let view = Command {
                status_report_request: flag(chance),
                reference: chance.octet(),
                pid: chance.octet(),
                command_type: chance.octet(),
                message_number: chance.octet(),
                destination: address(chance, room),
                data: user_data(chance, Dcs::OCTETS, 157, data),
            };
            (Tpdu::Command(view), MO)
        }
    };
    (tpdu, direction, answer)
}

fn deliver_of<'a>(
    chance: &mut Chance,
    room: &'a mut [u8; 10],
    data: &'a mut Vec<u8>,
) -> Deliver<'a> {
    let dcs = Dcs(chance.octet());
    Deliver {
        more_messages: flag(chance),
        loop_prevention: flag(chance),
        status_report_indication: flag(chance),
        reply_path: flag(chance),
        originator: address(chance, room),
        pid: chance.octet(),
        dcs,
        scts: time(chance),
        user_data: user_data(chance, dcs, 140, data),
    }
}

fn submit_of<'a>(chance: &mut Chance, room: &'a mut [u8; 10], data: &'a mut Vec<u8>) -> Submit<'a> {
    let dcs = Dcs(chance.octet());
    Submit {
        reject_duplicates: flag(chance),
        status_report_request: flag(chance),
        reply_path: flag(chance),
        reference: chance.octet(),
        destination: address(chance, room),
        pid: chance.octet(),
        dcs,
        validity_period: validity_period(chance),
        user_data: user_data(chance, dcs, 140, data),
    }
}

#[test]
fn what_is_written_of_a_view_reads_as_that_view() {
    for seed in 0..CASES {
        let mut chance = Chance(seed);
        let mut rooms = Rooms::default();
        let (view, direction, answer) = tpdu(&mut chance, &mut rooms);
        let mut room = [0; 2 * TPDU_SIZE_MAX];
        let len = write(&view, &mut room).unwrap_or_else(|| panic!("{seed}: {view:?}"));
        assert_eq!(parse(&room[..len], direction, answer), Ok(view), "{seed}");
        assert_eq!(write(&view, &mut room[..len - 1]), None, "{seed}");
        laws::reads(&room[..len]);
    }
}

/// Letters that the default alphabet has, in one septet and in two.
const LETTERS: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./019:;<=>?¡AZÄÖÑÜ§¿azäöñüà\
    \u{c}^{}\\[~]|€";

#[test]
fn a_text_that_was_put_is_the_text_that_is_read() {
    let letters: Vec<char> = LETTERS.chars().collect();
    for seed in 0..CASES {
        let mut chance = Chance(seed);
        let count = chance.below(162);
        let text: String = (0..count).map(|_| letters[chance.below(letters.len())]).collect();
        let escaped = text.chars().filter(|letter| "\u{c}^{}\\[~]|€".contains(*letter)).count();
        let (septets, units) = (count + escaped, text.encode_utf16().count());
        let len = chance.below(20);
        let header: Vec<u8> =
            if len < 2 { Vec::new() } else { vec![u8::try_from(len - 2).unwrap(); len] };
        // Fill bits and UDHL, counted bit by bit.
        let before = if header.is_empty() { 0 } else { 8 * (len + 1) };
        let filled = (before..).find(|bits| bits % 7 == 0).unwrap();
        let mut room = [0; USER_DATA_SIZE_MAX];
        let mut out = [0; UserData::TEXT_SIZE_MAX];
        match UserData::of_gsm7(&text, &header, &mut room) {
            Some(data) => {
                let read = data.text(&mut out).unwrap();
                assert_eq!(std::str::from_utf8(&out[..read]).unwrap(), text, "{seed}");
                assert_eq!(
                    (usize::from(data.udl), data.header()),
                    (filled / 7 + septets, &header[..])
                );
            }
            None => assert!(filled + 7 * septets > 8 * 140, "{seed}"),
        }
        match UserData::of_ucs2(&text, &header, &mut room) {
            Some(data) => {
                let read = data.text(&mut out).unwrap();
                assert_eq!(std::str::from_utf8(&out[..read]).unwrap(), text, "{seed}");
            }
            None => assert!(before / 8 + 2 * units > 140, "{seed}"),
        }
    }
}

#[test]
fn the_longest_text_has_its_room() {
    let octets = [&[0, 4, 181][..], &[0xFF; 159]].concat();
    let Ok(Tpdu::DeliverReport(view)) = parse(&octets, MO, Answer::Ack) else { panic!() };
    let data = view.parameters.user_data.unwrap();
    assert_eq!(data.text(&mut [0; UserData::TEXT_SIZE_MAX]), Some(UserData::TEXT_SIZE_MAX));
    assert_eq!(data.text(&mut [0; UserData::TEXT_SIZE_MAX - 1]), None);
}

/// A part of a TPDU is none, but for an SMS-STATUS-REPORT that is cut before TP-PI, and for what is
/// to be discarded of a later release.
#[test]
fn every_truncation_of_every_vector_is_refused() {
    for Vector { name, octets, said } in vectors("sms-tpdu") {
        let (direction, answer) = context(&said);
        let whole = parse(&octets, direction, answer);
        for len in 0..octets.len() {
            let part = &octets[..len];
            laws::reads(part);
            match (parse(part, direction, answer), &whole) {
                (Err(_), _) => {}
                (Ok(Tpdu::StatusReport(view)), _)
                    if view.parameters.is_none_or(|view| announces_later(view.indicator)) => {}
                (Ok(_), Err(fault)) => assert_eq!(fault.malformed.at, len, "{name}"),
                (Ok(tpdu), Ok(_)) => panic!("{name}, {len} octets: {tpdu:?}"),
            }
        }
    }
}

/// The most work per octet, and beside it, in visits of a cursor: three times through a header,
/// twice through a text.
const VISITS_PER_OCTET: u64 = 4;

fn work(octets: &[u8], direction: Direction, answer: Answer) -> u64 {
    count_visits(|| {
        if let Ok(Tpdu::Deliver(view)) = parse(octets, direction, answer) {
            view.user_data.text(&mut [0; UserData::TEXT_SIZE_MAX]);
            view.user_data.concatenation();
        }
    })
}

#[test]
fn every_octet_of_every_vector_may_be_any_other() {
    for Vector { name, octets, said } in vectors("sms-tpdu") {
        let (direction, answer) = context(&said);
        // In a long text all octets are alike.
        for at in (0..octets.len()).filter(|at| *at < 30 || *at + 4 > octets.len()) {
            let mut changed = octets.clone();
            for octet in 0..=u8::MAX {
                changed[at] = octet;
                laws::reads_as(&changed, direction, answer);
            }
            let visits = work(&changed, direction, answer);
            let bound = VISITS_PER_OCTET * (changed.len() as u64 + 8);
            assert!(visits <= bound, "{name}: {visits} for {}", changed.len());
        }
    }
}
