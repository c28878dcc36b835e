//! Each guard of reading, alone, and the views of the known vectors.

use super::*;

/// The octets of a hexadecimal text.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits = text.chars().filter_map(|digit| digit.to_digit(16));
    let digits: Vec<_> = digits.map(|digit| u8::try_from(digit).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(super) const MT: Direction = Direction::NetworkToMs;
pub(super) const MO: Direction = Direction::MsToNetwork;

fn text(write: impl Fn(&mut [u8]) -> Option<usize>) -> String {
    let mut room = [0; UserData::TEXT_SIZE_MAX];
    let len = write(&mut room).unwrap();
    std::str::from_utf8(&room[..len]).unwrap().to_owned()
}

fn text_of(user_data: &UserData<'_>) -> String {
    text(|to| user_data.text(to))
}

fn wrong(octets: &str, direction: Direction) -> (usize, u8) {
    let octets = hex(octets);
    let fault = parse(&octets, direction, Answer::Ack).unwrap_err();
    (fault.malformed.at, fault.fcs)
}

fn delivered(octets: &[u8]) -> Deliver<'_> {
    match parse(octets, MT, Answer::Ack) {
        Ok(Tpdu::Deliver(view)) => view,
        other => panic!("{other:?}"),
    }
}

/// What is before the address, and between it and TP-UDL.
const FIRST: &str = "04";
const ADDRESS: &str = "0b916407281553f8";
const SCTS: &str = "52112211820023";

fn deliver_with(first: &str, address: &str, dcs: &str, scts: &str, rest: &str) -> String {
    format!("{first}{address}00{dcs}{scts}{rest}")
}

#[test]
fn sms_deliver() {
    let octets = hex("240b916407281553f80000521122118200230ae8329bfd4697d9ec37");
    let view = delivered(&octets);
    assert_eq!(text(|to| view.originator.write(to)), "46708251358");
    assert!(view.originator.is_international());
    assert_eq!((view.originator.ton, view.originator.npi), (1, 1));
    assert!(view.status_report_indication);
    assert!(!view.more_messages);
    assert!(!view.loop_prevention);
    assert!(!view.reply_path);
    assert_eq!(text(|to| view.scts.write_rfc3339(to)), "2025-11-22T11:28:00+08:00");
    assert_eq!((view.user_data.udl, text_of(&view.user_data)), (10, "hellohello".to_owned()));
    let octets = hex("8b0b916407281553f8000052112211820023 00");
    let view = delivered(&octets);
    assert!(view.more_messages);
    assert!(view.loop_prevention);
    assert!(view.reply_path);
    assert_eq!(text_of(&view.user_data), "", "TP-MTI 3 is read as an SMS-DELIVER");
    assert_eq!(wrong("03 00 00 91 00 00 00", MO), (0, Fault::FCS_TPDU_NOT_SUPPORTED));
}

#[test]
fn sms_status_report() {
    let octets = hex("06550b916407281553f8521122118200235211221182102300");
    let Ok(Tpdu::StatusReport(view)) = parse(&octets, MT, Answer::Ack) else { panic!() };
    assert_eq!((view.reference, view.status, view.of_command), (0x55, 0, false));
    assert_eq!(text(|to| view.discharge_time.write_rfc3339(to)), "2025-11-22T11:28:01+08:00");
    assert_eq!(view.parameters, None);
    let whole = "26550b916407281553f852112211820023521122118210234607 00 08 02 0041";
    let octets = hex(whole);
    let Ok(Tpdu::StatusReport(view)) = parse(&octets, MT, Answer::Ack) else { panic!() };
    let parameters = view.parameters.unwrap();
    assert_eq!((view.status, view.of_command), (0x46, true));
    assert_eq!((parameters.pid, parameters.dcs), (Some(0), Some(Dcs::UCS2)));
    assert_eq!(text_of(&parameters.user_data.unwrap()), "A");
    // A reserved bit announces what a receiver has to discard.
    let later = hex(&whole.replace("4607", "460f")).into_iter().chain([1, 2]).collect::<Vec<_>>();
    let Ok(Tpdu::StatusReport(view)) = parse(&later, MT, Answer::Ack) else { panic!() };
    assert_eq!(view.parameters.unwrap().later, [1, 2]);
    let extended =
        hex(&whole.replace("4607", "46 87 80 01")).into_iter().chain([9]).collect::<Vec<_>>();
    let Ok(Tpdu::StatusReport(view)) = parse(&extended, MT, Answer::Ack) else { panic!() };
    let parameters = view.parameters.unwrap();
    assert_eq!((parameters.indicator, parameters.later), (&[0x87, 0x80, 1][..], &[9][..]));
    assert_eq!(wrong(&format!("{whole}00"), MT).0, 31, "behind the end");
    assert_eq!(wrong(&whole.replacen("26", "66", 1).replace("4607", "4603"), MT).0, 28);
    assert_eq!(wrong("46550b916407281553f852112211820023521122118210230 0", MT).0, 25);
}

#[test]
fn reports_have_a_cause_in_an_error_only() {
    let octets = hex("00d300");
    let Ok(Tpdu::DeliverReport(view)) = parse(&octets, MO, Answer::Error) else { panic!() };
    assert_eq!((view.fcs, view.parameters), (Some(0xD3), Parameters::NONE));
    let octets = hex("0000");
    let Ok(Tpdu::DeliverReport(view)) = parse(&octets, MO, Answer::Ack) else { panic!() };
    assert_eq!((view.fcs, view.parameters.pi()), (None, 0));
    assert_eq!(wrong("00", MO).0, 1, "TP-PI is mandatory");
    assert!(parse(&hex("0000"), MO, Answer::Error).is_err());
    assert_eq!(wrong("4000", MO).0, 2, "a header of what is not there");
    let octets = hex("0104 52112211820023 0ae8329bfd4697d9ec37");
    let Ok(Tpdu::SubmitReport(view)) = parse(&octets, MT, Answer::Ack) else { panic!() };
    assert_eq!(text_of(&view.parameters.user_data.unwrap()), "hellohello", "TP-DCS is absent");
    assert!(Tpdu::SubmitReport(view).is_report());
    // 159 octets are 181 septets, and no more of them fit.
    let most = |udl: u8, size: usize| [&[0, 4, udl][..], &vec![0; size]].concat();
    assert!(parse(&most(181, 159), MO, Answer::Ack).is_ok());
    assert!(parse(&most(182, 160), MO, Answer::Ack).is_err());
    let most = |udl: u8, size: usize| [&[0, 0xD3, 4, udl][..], &vec![0; size]].concat();
    assert!(parse(&most(180, 158), MO, Answer::Error).is_ok());
    assert!(parse(&most(181, 159), MO, Answer::Error).is_err());
}

#[test]
fn user_data_of_reports_is_as_long_as_its_type_allows() {
    let is_ok = |head: &str, size: u8, direction, answer| {
        let rest = [&[size][..], &vec![0; size.into()]].concat();
        parse(&[hex(head), rest].concat(), direction, answer).is_ok()
    };
    let status = format!("06 55 {ADDRESS}{SCTS}{SCTS} 00 06 04");
    let (ack, error) = (format!("01 06 {SCTS} 04"), format!("01 c0 06 {SCTS} 04"));
    for (head, most, direction, answer) in [
        (&status[..], 143, MT, Answer::Ack),
        (&ack, 152, MT, Answer::Ack),
        (&error, 151, MT, Answer::Error),
        ("00 06 04", 159, MO, Answer::Ack),
        ("00 d3 06 04", 158, MO, Answer::Error),
    ] {
        assert!(is_ok(head, most, direction, answer), "{head}");
        assert!(!is_ok(head, most + 1, direction, answer), "{head}");
    }
}

#[test]
fn sms_submit_and_its_validity_periods() {
    let octets = hex("25 07 0b916407281553f8 00 00 0ae8329bfd4697d9ec37");
    assert_eq!(wrong("25 07 0b916407281553f8 00 00 0ae8329bfd4697d9ec", MO).0, 13);
    let Ok(Tpdu::Submit(view)) = parse(&octets, MO, Answer::Ack) else { panic!() };
    assert!(view.reject_duplicates);
    assert!(view.status_report_request);
    assert_eq!((view.reference, view.validity_period), (7, ValidityPeriod::None));
    for (first, period, validity) in [
        ("11", "ad", ValidityPeriod::Relative(0xAD)),
        ("19", SCTS, ValidityPeriod::Absolute(Timestamp([0x52, 0x11, 0x22, 0x11, 0x82, 0, 0x23]))),
        ("09", "01ad0000000000", ValidityPeriod::Enhanced([1, 0xAD, 0, 0, 0, 0, 0])),
    ] {
        let octets = hex(&format!("{first} 07 {ADDRESS} 00 04 {period} 01 ff"));
        let Ok(Tpdu::Submit(view)) = parse(&octets, MO, Answer::Ack) else { panic!() };
        assert_eq!(view.validity_period, validity);
        assert_eq!(view.user_data.text(&mut [0; 400]), None, "8 bit data");
        assert_eq!(view.user_data.data(), [0xFF]);
    }
    let wrong = |period| wrong(&format!("09 07 {ADDRESS} 00 04 {period} 01 ff"), MO);
    assert_eq!(wrong("81000000000000"), (12, Fault::FCS_VP_NOT_SUPPORTED));
    assert_eq!(wrong("0102"), (12, Fault::FCS_VP_NOT_SUPPORTED), "cut");
}

#[test]
fn sms_command() {
    let octets = hex("62 07 00 02 06 0b916407281553f8 04 03 70 01 aa");
    let Ok(Tpdu::Command(view)) = parse(&octets, MO, Answer::Ack) else { panic!() };
    assert!(view.status_report_request);
    assert_eq!((view.command_type, view.message_number, view.reference), (2, 6, 7));
    assert_eq!(view.data.elements().collect::<Vec<_>>(), [Element { iei: 0x70, data: &[0xAA] }]);
    assert_eq!(view.data.header(), [0x70, 1, 0xAA]);
    let octets = hex("02 07 00 02 06 0b916407281553f8 00");
    assert!(parse(&octets, MO, Answer::Ack).is_ok());
    assert_eq!(wrong("02 07 00 02 06 0b916407281553f8", MO).0, 13);
}

#[test]
fn addresses_have_digits_and_a_filler_behind_an_odd_number() {
    let rest = format!("0000{SCTS}00");
    let ok = |address: &str| {
        let octets = hex(&format!("{FIRST}{address}{rest}"));
        let view = delivered(&octets);
        text(|to| view.originator.write(to))
    };
    let wrong = |address: &str| wrong(&format!("{FIRST}{address}{rest}"), MT);
    assert_eq!(ok("0080"), "");
    assert_eq!(ok("01a1f1"), "1");
    assert_eq!(ok("1491 1032547698badc0e2143"), "0123456789*#abc01234");
    assert_eq!(ok("02f1a9"), "9*", "a reserved type of number");
    assert_eq!(wrong("1591 00000000000000000000f0"), (1, 0xFF), "more than 20");
    assert_eq!(wrong("0211 21"), (2, 0xFF), "the type's first bit");
    assert_eq!(wrong("0291 2f"), (3, 0xFF), "a filler in front");
    assert_eq!(wrong("0291 f2"), (3, 0xFF), "a filler as a digit");
    assert_eq!(wrong("0391 2112"), (4, 0xFF), "no filler");
    assert_eq!(wrong("0391 f2f1"), (3, 0xFF), "two fillers");
}

#[test]
fn names_are_septets() {
    let name = |address: &str| {
        let octets = hex(&format!("{FIRST}{address}0000{SCTS}00"));
        let view = delivered(&octets);
        assert!(view.originator.is_alphanumeric());
        text(|to| view.originator.write(to))
    };
    // "Roger" is 35 bits: nine semi-octets; seven letters are 49 bits: thirteen, or fourteen by
    // those who count whole octets.
    let mut room = [0; 10];
    for (letters, digits) in
        [("Roger", 9), ("Rogerxy", 13), ("€[x]", 13), ("Elevenchars", 20), ("", 0)]
    {
        let address = Address::of_letters(letters, &mut room).unwrap();
        assert_eq!(address.digits, digits, "{letters}");
        assert_eq!(text(|to| address.write(to)), letters);
    }
    let seven = Address::of_letters("Rogerxy", &mut room).unwrap().octets().to_vec();
    let seven: String = seven.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(name(&format!("0dd0{seven}")), "Rogerxy");
    assert_eq!(name(&format!("0ed0{seven}")), "Rogerxy");
    assert_eq!(name("0ed0ffffffffffffff"), "àààààààà");
    assert_eq!(Address::of_letters("twelve chars", &mut room), None);
    assert_eq!(Address::of_digits(1, 1, "012345678901234567890", &mut room), None);
    assert_eq!(Address::of_digits(1, 1, "12e", &mut room), None);
    assert_eq!(Address::of_digits(8, 1, "12", &mut room), None);
    assert_eq!(Address::of_digits(1, 16, "12", &mut room), None);
}

#[test]
fn lengths_of_user_data_are_those_of_the_octets() {
    let of = |dcs: &str, rest: &str| deliver_with(FIRST, ADDRESS, dcs, SCTS, rest);
    let size =
        |dcs: &str, udl: u8, size: usize| of(dcs, &format!("{udl:02x}{}", "00".repeat(size)));
    let is_ok = |octets: String| parse(&hex(&octets), MT, Answer::Ack).is_ok();
    assert!(is_ok(size("00", 160, 140)));
    assert_eq!(wrong(&size("00", 161, 141), MT).0, 18);
    assert!(is_ok(size("04", 140, 140)));
    assert_eq!(wrong(&size("04", 141, 141), MT).0, 18);
    assert_eq!(wrong(&size("20", 160, 140), MT).0, 18, "compressed text counts octets");
    assert!(is_ok(size("20", 140, 140)));
    assert_eq!(wrong(&size("08", 4, 3), MT).0, 19);
    assert_eq!(wrong(&size("08", 4, 5), MT).0, 23, "behind the end");
    assert_eq!(wrong(&size("00", 9, 7), MT).0, 19);
    assert_eq!(wrong(&of("00", ""), MT).0, 18);
    let octets = hex(&of("08", "030041d8"));
    assert_eq!(text_of(&delivered(&octets).user_data), "A\u{FFFD}", "an odd length");
    let octets = hex(&size("20", 5, 5));
    assert_eq!(delivered(&octets).user_data.text(&mut [0; 400]), None);
    let octets = hex(&size("f4", 5, 5));
    assert_eq!(delivered(&octets).user_data.text(&mut [0; 400]), None);
    let octets = hex(&of("00", "0ae8329bfd4697d9ec37"));
    assert_eq!(delivered(&octets).user_data.text(&mut [0; 9]), None, "no room");
}

#[test]
fn headers_end_within_the_user_data() {
    let of = |dcs: &str, rest: &str| deliver_with("44", ADDRESS, dcs, SCTS, rest);
    let octets = hex(&of("00", "09 0500037e0202d069"));
    let data = delivered(&octets).user_data;
    assert_eq!(text_of(&data), "hi");
    let part = Concatenation { reference: 0x7E, wide: false, total: 2, number: 2 };
    assert_eq!(data.concatenation(), Some(part));
    assert_eq!(data.header(), [0, 3, 0x7E, 2, 2]);
    let octets = hex(&of("08", "09 06080400ff0201 0041"));
    let data = delivered(&octets).user_data;
    assert_eq!(text_of(&data), "A");
    let part = Concatenation { reference: 0xFF, wide: true, total: 2, number: 1 };
    assert_eq!(data.concatenation(), Some(part));
    assert_eq!(wrong(&of("08", "00"), MT).0, 19, "no UDHL");
    assert_eq!(wrong(&of("08", "02 0200"), MT).0, 19, "beyond");
    assert_eq!(wrong(&of("00", "07 06000000000000"), MT).0, 19, "seven octets are eight septets");
    let octets = hex(&of("00", "08 06000000000000"));
    assert_eq!(text_of(&delivered(&octets).user_data), "");
}

#[test]
fn elements_that_are_wrong_are_ignored() {
    let concatenation = |header: &str| {
        let len = header.len() / 2;
        let rest = format!("{:02x}{len:02x}{header}", len + 1);
        let octets = hex(&deliver_with("44", ADDRESS, "04", SCTS, &rest));
        let data = delivered(&octets).user_data;
        data.concatenation().map(|part| (part.reference, part.total, part.number))
    };
    assert_eq!(concatenation("0003010201"), Some((1, 2, 1)));
    assert_eq!(concatenation("0003010000"), None, "no parts");
    assert_eq!(concatenation("0003010200"), None, "part 0");
    assert_eq!(concatenation("0003010203"), None, "part 3 of 2");
    assert_eq!(concatenation("000201020003010201"), Some((1, 2, 1)), "another length");
    assert_eq!(
        concatenation("00030102010804000703 02"[..].replace(' ', "").as_str()),
        Some((7, 3, 2))
    );
    assert_eq!(concatenation("00030102010003010203"), Some((1, 2, 1)), "the last that is one");
    assert_eq!(concatenation("00030102017002aa"), None, "the last element is cut");
    assert_eq!(concatenation("000301020170"), None, "an octet is left over");
    let has = |header: &str, is: fn(&UserData<'_>) -> bool| {
        let len = header.len() / 2;
        let rest = format!("{:02x}{len:02x}{header}", len + 1);
        is(&delivered(&hex(&deliver_with("44", ADDRESS, "04", SCTS, &rest))).user_data)
    };
    assert!(has("0402aabb", |data| data.is_port_addressed()));
    assert!(has("0504aabbccdd", |data| data.is_port_addressed()));
    assert!(!has("0502aabb", |data| data.is_port_addressed()));
    assert!(has("240101", |data| data.has_language()));
    assert!(!has("230101", |data| data.has_language()));
}

#[test]
fn times_that_are_not_real_are_refused() {
    for (at, wrong_octet) in
        [(1, "31"), (2, "00"), (3, "42"), (4, "06"), (5, "06"), (6, "f0"), (0, "a0")]
    {
        let mut scts = hex(SCTS);
        scts[at] = hex(wrong_octet)[0];
        let scts: String = scts.iter().map(|octet| format!("{octet:02x}")).collect();
        let octets = deliver_with(FIRST, ADDRESS, "00", &scts, "00");
        assert_eq!(wrong(&octets, MT), (11 + at, 0xFF), "{octets}");
    }
}

#[test]
fn text_is_put_where_it_fits() {
    let mut room = [0xFF; USER_DATA_SIZE_MAX];
    let header = [0, 3, 0x7E, 2, 2];
    let data = UserData::of_gsm7("hi", &header, &mut room).unwrap();
    assert_eq!((data.udl, data.octets), (9, &hex("0500037e0202d069")[..]));
    for (header, room_for) in [(&[][..], 160), (&header, 153), (&[8, 4, 0, 1, 2, 2], 152)] {
        let most = "a".repeat(room_for);
        let data = UserData::of_gsm7(&most, header, &mut room).unwrap();
        assert_eq!((data.udl, data.octets.len(), text_of(&data)), (160, 140, most.clone()));
        assert_eq!(UserData::of_gsm7(&(most + "a"), header, &mut room), None);
    }
    for (header, room_for) in [(&[][..], 70), (&header, 67), (&[8, 4, 0, 1, 2, 2], 66)] {
        let most = "語".repeat(room_for);
        let data = UserData::of_ucs2(&most, header, &mut room).unwrap();
        assert_eq!(text_of(&data), most);
        assert_eq!(UserData::of_ucs2(&(most + "語"), header, &mut room), None);
    }
    assert_eq!(UserData::of_gsm7("語", &[], &mut room), None);
    assert_eq!(UserData::new(Dcs::GSM7, false, 2, &[0]), None);
    assert_eq!(UserData::new(Dcs::GSM7, true, 1, &[1]), None);
}

#[test]
fn a_view_of_no_tpdu_is_not_written() {
    let octets = hex("240b916407281553f80000521122118200230ae8329bfd4697d9ec37");
    let view = delivered(&octets);
    let mut room = [0; TPDU_SIZE_MAX];
    for size in 0..octets.len() {
        assert_eq!(deliver(&view, &mut room[..size]), None);
    }
    assert_eq!(deliver(&view, &mut room), Some(octets.len()));
    assert_eq!(&room[..octets.len()], &octets);
    let mut none = |view: Deliver<'_>| assert_eq!(deliver(&view, &mut room), None, "{view:?}");
    none(Deliver { dcs: Dcs::OCTETS, ..view });
    none(Deliver { dcs: Dcs(0x10), ..view });
    none(Deliver { scts: Timestamp([0; 7]), ..view });
    let mut changed = |change: fn(&mut Deliver<'_>)| {
        let mut view = view;
        change(&mut view);
        none(view);
    };
    changed(|view| view.originator.digits = 12);
    changed(|view| view.originator.digits = 9);
    changed(|view| view.originator.ton = 5);
    changed(|view| view.originator.ton = 9);
    changed(|view| view.user_data.udl = 12);
    changed(|view| view.user_data.udhi = true);
    let report = |parameters| Tpdu::DeliverReport(DeliverReport { fcs: None, parameters });
    let mut none = |parameters| assert_eq!(write(&report(parameters), &mut room), None);
    none(Parameters { indicator: &[1], ..Parameters::NONE });
    none(Parameters { indicator: &[], ..Parameters::NONE });
    none(Parameters { indicator: &[0x80], ..Parameters::NONE });
    none(Parameters { indicator: &[0, 0], ..Parameters::NONE });
    none(Parameters { later: &[1], ..Parameters::NONE });
    assert_eq!(deliver_report(Some(0xD3), &mut room), Some(3));
    assert_eq!(&room[..3], [0, 0xD3, 0]);
    assert_eq!(submit_report(None, view.scts, &mut room), Some(9));
    assert_eq!(&room[..3], [1, 0, 0x52]);
}
