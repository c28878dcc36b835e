//! RP and TP as a service centre writes and reads them: octet by octet from TS 24.011 and
//! TS 23.040, and on purpose none of the engine's own code.

/// RP-DATA from the network to the MS (TS 24.011 section 8.2.2).
pub(crate) const DATA_TO_MS: u8 = 1;

/// RP-DATA from the MS to the network.
pub(crate) const DATA_FROM_MS: u8 = 0;

/// The default alphabet of TS 23.038 section 6.2.1, in the order of its code points. U+001B stands
/// for the escape to the extension table.
const DEFAULT: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The extension table of section 6.2.1.1.
const EXTENSION: [(char, u8); 10] = [
    ('\u{c}', 0x0A),
    ('^', 0x14),
    ('{', 0x28),
    ('}', 0x29),
    ('\\', 0x2F),
    ('[', 0x3C),
    ('~', 0x3D),
    (']', 0x3E),
    ('|', 0x40),
    ('€', 0x65),
];

/// The septets of a text, unless a character of it is in neither table.
pub(crate) fn septets(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::new();
    for character in text.chars() {
        let code = DEFAULT.chars().position(|known| known == character && known != '\u{1b}');
        if let Some(code) = code {
            septets.push(u8::try_from(code).ok()?);
        } else {
            let (_, code) = EXTENSION.iter().find(|(known, _)| *known == character)?;
            septets.extend([0x1B, *code]);
        }
    }
    Some(septets)
}

/// The user data of a short message.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// Septets of the default alphabet.
    Septets(Vec<u8>),
    /// Anything that is counted in octets.
    Octets(Vec<u8>),
}

impl Payload {
    /// UTF-16, most significant octet first.
    pub(crate) fn ucs2(text: &str) -> Self {
        Self::Octets(text.encode_utf16().flat_map(u16::to_be_bytes).collect())
    }
}

/// An SMS-DELIVER in the making (TS 23.040 section 9.2.2.1).
#[derive(Clone, Debug)]
pub(crate) struct Deliver {
    /// TP-MMS is 0 where more messages wait.
    pub(crate) more: bool,
    /// TP-SRI: somebody asked for a status report.
    pub(crate) status_report: bool,
    /// TP-OA.
    pub(crate) originator: Originator,
    pub(crate) pid: u8,
    pub(crate) dcs: u8,
    pub(crate) scts: [u8; 7],
    /// The information elements of the user data header; empty for none.
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Payload,
}

/// Who a short message is from.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Originator {
    /// Type of number: 0 unknown, 1 international, 2 national, 5 alphanumeric.
    pub(crate) ton: u8,
    /// Digits, or letters of the default alphabet.
    pub(crate) text: String,
}

impl Originator {
    /// TP-OA: the length counts semi-octets in use.
    fn octets(&self) -> Vec<u8> {
        let plan = if self.ton == 5 { 0 } else { 1 };
        let value = if self.ton == 5 {
            pack(&[], &septets(&self.text).unwrap_or_default()).0
        } else {
            semi_octets(&self.text)
        };
        let len = if self.ton == 5 {
            (self.text.chars().count() * 7).div_ceil(4)
        } else {
            self.text.len()
        };
        let mut octets = vec![octet(len), 0x80 | self.ton << 4 | plan];
        octets.extend(value);
        octets
    }
}

impl Deliver {
    /// The TPDU.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let flag = |on: bool, bit: u8| if on { 1 << bit } else { 0 };
        let first =
            flag(!self.more, 2) | flag(self.status_report, 5) | flag(!self.header.is_empty(), 6);
        let mut octets = vec![first];
        octets.extend(self.originator.octets());
        octets.extend([self.pid, self.dcs]);
        octets.extend(self.scts);
        octets.extend(user_data(&self.header, &self.payload));
        octets
    }
}

/// An SMS-SUBMIT of a phone: no validity period, to a number (TS 23.040 section 9.2.2.2).
pub(crate) fn submit(reference: u8, destination: &str, text: &str) -> Vec<u8> {
    let mut octets = vec![0x01, reference, octet(destination.len()), 0x91];
    octets.extend(semi_octets(destination));
    octets.extend([0, 0]);
    octets.extend(user_data(&[], &Payload::Septets(septets(text).unwrap_or_default())));
    octets
}

/// TP-UDL and TP-UD.
fn user_data(header: &[u8], payload: &Payload) -> Vec<u8> {
    let mut head = Vec::new();
    if !header.is_empty() {
        head.push(octet(header.len()));
        head.extend(header);
    }
    match payload {
        Payload::Septets(septets) => {
            let (packed, before) = pack(&head, septets);
            let mut octets = vec![octet(before + septets.len())];
            octets.extend(packed);
            octets
        }
        Payload::Octets(body) => {
            let mut octets = vec![octet(head.len() + body.len())];
            octets.extend(head);
            octets.extend(body);
            octets
        }
    }
}

/// Septets behind a header, which begin at a septet boundary; and how many septets the header
/// takes.
fn pack(head: &[u8], septets: &[u8]) -> (Vec<u8>, usize) {
    let before = (head.len() * 8).div_ceil(7);
    let mut bits: Vec<bool> = Vec::new();
    for value in head {
        bits.extend((0..8).map(|bit| value >> bit & 1 == 1));
    }
    bits.resize(before * 7, false);
    for value in septets {
        bits.extend((0..7).map(|bit| value >> bit & 1 == 1));
    }
    let mut octets = Vec::new();
    for eight in bits.chunks(8) {
        let value = eight.iter().enumerate().map(|(at, bit)| u8::from(*bit) << at);
        octets.push(value.fold(0, |sum, bit| sum | bit));
    }
    (octets, before)
}

/// Digits, two in an octet, the first one below.
fn semi_octets(digits: &str) -> Vec<u8> {
    let value = |digit: &u8| digit.wrapping_sub(b'0') & 0xF;
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| pair.get(1).map_or(0xF, value) << 4 | value(&pair[0])).collect()
}

fn octet(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

/// RP-DATA with a TPDU (TS 24.011 section 7.3.1), from or to a service centre with this number.
pub(crate) fn data(mti: u8, reference: u8, centre: &str, tpdu: &[u8]) -> Vec<u8> {
    let mut address = vec![octet(1 + centre.len().div_ceil(2)), 0x91];
    address.extend(semi_octets(centre));
    let mut octets = vec![mti, reference];
    if mti == DATA_TO_MS {
        octets.extend(address);
        octets.push(0);
    } else {
        octets.push(0);
        octets.extend(address);
    }
    octets.push(octet(tpdu.len()));
    octets.extend(tpdu);
    octets
}

/// TP-SCTS, or TP-DT, of a moment in seconds since 1970 in a zone of so many quarters of an hour
/// (TS 23.040 section 9.2.3.11).
pub(crate) fn timestamp(seconds: i64, quarters: i8) -> [u8; 7] {
    let local = Moment::of(seconds + i64::from(quarters) * 900);
    let swapped = |value: u32| u8::try_from((value % 10) * 16 + value / 10 % 10).unwrap_or(0);
    let zone = swapped(u32::from(quarters.unsigned_abs()));
    [
        swapped(local.year % 100),
        swapped(local.month),
        swapped(local.day),
        swapped(local.second_of_day / 3_600),
        swapped(local.second_of_day / 60 % 60),
        swapped(local.second_of_day % 60),
        if quarters < 0 { zone | 0x08 } else { zone },
    ]
}

/// A moment as SIP writes it (RFC 3261 section 20.17).
pub(crate) fn sip_date(seconds: i64) -> String {
    let at = Moment::of(seconds);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let month =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let of_day = at.second_of_day;
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        weekday[usize::try_from(seconds.div_euclid(86_400) % 7).unwrap_or(0)],
        at.day,
        month[usize::try_from(at.month - 1).unwrap_or(0)],
        at.year,
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// A day and a time of day, counted day by day.
struct Moment {
    year: u32,
    month: u32,
    day: u32,
    second_of_day: u32,
}

impl Moment {
    fn of(seconds: i64) -> Self {
        let mut days = seconds.div_euclid(86_400);
        let second_of_day = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
        let mut year = 1970;
        let leap = |year: u32| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        while days >= if leap(year) { 366 } else { 365 } {
            days -= if leap(year) { 366 } else { 365 };
            year += 1;
        }
        let february = if leap(year) { 29 } else { 28 };
        let mut month = 1;
        for len in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if days < len {
                break;
            }
            days -= len;
            month += 1;
        }
        Self { year, month, day: u32::try_from(days + 1).unwrap_or(1), second_of_day }
    }
}

/// What a report of ours says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Ack,
    Error { cause: u8, fcs: u8 },
}

/// A report as TS 24.011 sections 7.3.3 and 7.3.4 and TS 23.040 section 9.2.2.1a lay it out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Report {
    /// The message type: 2 and 4 from the MS, 3 and 5 to it.
    pub(crate) mti: u8,
    pub(crate) reference: u8,
    pub(crate) answer: Answer,
}

impl Report {
    /// Reads RP-ACK or RP-ERROR, with the report in it if there is one; nothing may follow it.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let (mti, reference, rest) = match octets {
            [mti, reference, rest @ ..] => (*mti, *reference, rest),
            [] | [_] => return None,
        };
        match mti {
            2 | 3 => {
                let tpdu = user_data_element(rest)?;
                let deliver_report =
                    tpdu.is_empty() || matches!(tpdu, [first, 0] if first & 0xBF == 0);
                let submit_report =
                    matches!(tpdu, [first, 0, ..] if first & 3 == 1 && tpdu.len() == 9);
                let right =
                    if mti == 2 { deliver_report } else { tpdu.is_empty() || submit_report };
                right.then_some(Self { mti, reference, answer: Answer::Ack })
            }
            4 | 5 => {
                let (len, rest) = rest.split_first()?;
                let cause = *rest.first()?;
                let rest = rest.get(usize::from(*len)..).filter(|_| matches!(len, 1 | 2))?;
                let tpdu = user_data_element(rest)?;
                let fcs = match tpdu {
                    [] => 0xFF,
                    [first, fcs, 0] if first & 3 == 0 && mti == 4 => *fcs,
                    [first, fcs, 0, ..] if first & 3 == 1 && mti == 5 && tpdu.len() == 10 => *fcs,
                    _ => return None,
                };
                Some(Self { mti, reference, answer: Answer::Error { cause: cause & 0x7F, fcs } })
            }
            _ => None,
        }
    }
}

/// RP-User data as it stands in RP-ACK and RP-ERROR: an element with a tag, or nothing.
fn user_data_element(octets: &[u8]) -> Option<&[u8]> {
    match octets {
        [] => Some(&[]),
        [0x41, len, tpdu @ ..] if usize::from(*len) == tpdu.len() => Some(tpdu),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    fn deliver() -> Deliver {
        Deliver {
            more: false,
            status_report: true,
            originator: Originator { ton: 1, text: "46708251358".to_owned() },
            pid: 0,
            dcs: 0,
            scts: timestamp(1_763_782_080, 32),
            header: Vec::new(),
            payload: Payload::Septets(septets("hellohello").unwrap()),
        }
    }

    /// The vectors that an independent script made.
    #[test]
    fn known_vectors_are_met() {
        let tpdu = deliver().octets();
        assert_eq!(hex(&tpdu), "240b916407281553f80000521122118200230ae8329bfd4697d9ec37");
        let data = data(DATA_TO_MS, 0x2A, "8613800138000", &tpdu);
        assert_eq!(hex(&data), format!("012a0891683108108300f0001c{}", hex(&tpdu)));
        assert_eq!(septets("€[x]").unwrap(), [0x1B, 0x65, 0x1B, 0x3C, 0x78, 0x1B, 0x3E]);
        let part = user_data(&[0, 3, 0x7E, 2, 2], &Payload::Septets(septets("hi").unwrap()));
        assert_eq!(hex(&part), "090500037e0202d069");
        assert_eq!(DEFAULT.chars().count(), 128);
        assert_eq!(timestamp(0, -20)[6], 0x0A);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(sip_date(1_763_782_080), "Sat, 22 Nov 2025 03:28:00 GMT");
        assert_eq!(sip_date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
    }

    #[test]
    fn reports_are_read_to_the_last_octet() {
        let of = |octets: &[u8]| Report::read(octets);
        let ack = Report { mti: 2, reference: 0x2A, answer: Answer::Ack };
        assert_eq!(of(&[2, 0x2A]), Some(ack));
        assert_eq!(of(&[2, 0x2A, 0x41, 2, 0, 0]), Some(ack));
        let full = Answer::Error { cause: 22, fcs: 0xD3 };
        let octets = [4, 0x2A, 1, 0x16, 0x41, 3, 0, 0xD3, 0];
        assert_eq!(of(&octets), Some(Report { mti: 4, reference: 0x2A, answer: full }));
        for len in 0..octets.len() {
            let complete = len == 4;
            assert_eq!(of(&octets[..len]).is_some(), complete, "{len}");
        }
        assert_eq!(of(&[2, 0x2A, 0x41, 2, 0, 0, 0]), None);
        assert_eq!(of(&[1, 0x2A, 0, 0, 0]), None);
    }
}
