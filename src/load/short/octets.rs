//! RP and TP octets as TS 24.011 section 7.3 and TS 23.040 section 9.2.2 lay them out, written and
//! read by hand.

/// RP-DATA from the network to a mobile station.
const RP_DATA: u8 = 0x01;
/// RP-ACK and RP-ERROR from a mobile station to the network.
const RP_ACK: u8 = 0x02;
const RP_ERROR: u8 = 0x04;
/// The identifier of RP-User-Data in the two.
const USER_DATA: u8 = 0x41;

/// RP-OA: the SC +8613800138000; RP-DA: none.
const SC: [u8; 10] = [0x08, 0x91, 0x68, 0x31, 0x08, 0x10, 0x83, 0x00, 0xF0, 0x00];

/// TP-OA: +15551230001.
const ORIGINATOR: [u8; 8] = [0x0B, 0x91, 0x51, 0x55, 0x21, 0x03, 0x00, 0xF1];

/// TP-MTI SMS-DELIVER with TP-MMS: no more messages are waiting.
const DELIVER: u8 = 0x04;
/// TP-UDHI.
const HEADER: u8 = 0x40;

/// TP-PID of short message type 0.
const TYPE_0: u8 = 0x40;

/// TP-DCS: GSM 7 bit default alphabet, 8-bit data, UCS-2.
const DCS_GSM7: u8 = 0x00;
const DCS_OCTETS: u8 = 0x04;
const DCS_UCS2: u8 = 0x08;

/// TP-SCTS: 22 November 2026, 12:00:00, UTC.
const TIME: [u8; 7] = [0x62, 0x11, 0x22, 0x21, 0x00, 0x00, 0x00];

/// What kind of SMS-DELIVER it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Text in the GSM 7 bit default alphabet with its extension table (TS 23.038 section 6.2.1).
    Gsm7,
    /// Text in UCS-2, which everybody reads as UTF-16.
    Ucs2,
    /// The same as [`Kind::Gsm7`], as part `number` of `count` under this reference.
    Part {
        /// Concatenated short message reference number.
        reference: u8,
        /// Which part, from 1.
        number: u8,
        /// How many parts there are.
        count: u8,
    },
    /// The same as [`Kind::Gsm7`], short message type 0.
    TypeZero,
    /// 8-bit data.
    Octets,
}

/// Writes RP-DATA with an SMS-DELIVER.
pub fn rp_data(reference: u8, kind: Kind, text: &str) -> Vec<u8> {
    let tpdu = deliver(kind, text);
    let mut octets = Vec::from([RP_DATA, reference]);
    octets.extend(SC);
    octets.push(short(tpdu.len()));
    octets.extend(tpdu);
    octets
}

fn deliver(kind: Kind, text: &str) -> Vec<u8> {
    let first = if matches!(kind, Kind::Part { .. }) { DELIVER | HEADER } else { DELIVER };
    let pid = if kind == Kind::TypeZero { TYPE_0 } else { 0 };
    let (dcs, length, user_data) = match kind {
        Kind::Gsm7 | Kind::TypeZero => {
            let septets = septets(text);
            (DCS_GSM7, septets.len(), packed(&septets))
        }
        Kind::Part { reference, number, count } => {
            // Six octets of header and a bit of filling take the place of seven septets.
            let mut septets = septets(text);
            septets.splice(0..0, [0; 7]);
            let mut octets = packed(&septets);
            octets[..6].copy_from_slice(&[0x05, 0x00, 0x03, reference, count, number]);
            (DCS_GSM7, septets.len(), octets)
        }
        Kind::Ucs2 => {
            let octets: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            (DCS_UCS2, octets.len(), octets)
        }
        Kind::Octets => (DCS_OCTETS, text.len(), Vec::from(text.as_bytes())),
    };
    let mut octets = Vec::from([first]);
    octets.extend(ORIGINATOR);
    octets.extend([pid, dcs]);
    octets.extend(TIME);
    octets.push(short(length));
    octets.extend(user_data);
    octets
}

/// Lengths are given in an octet; the texts here are short.
fn short(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// The codes of TS 23.038 section 6.2.1 for what the texts here are made of.
fn septets(text: &str) -> Vec<u8> {
    const ESCAPE: u8 = 0x1B;
    text.chars().fold(Vec::new(), |mut septets, character| {
        match character {
            'ü' => septets.push(0x7E),
            'ß' => septets.push(0x1E),
            '{' => septets.extend([ESCAPE, 0x28]),
            '}' => septets.extend([ESCAPE, 0x29]),
            '€' => septets.extend([ESCAPE, 0x65]),
            // Letters, digits and most of the punctuation have the codes of ASCII.
            _ => septets.push(u8::try_from(character).unwrap_or(b'?')),
        }
        septets
    })
}

/// Septets one after the other, the least significant bit first (TS 23.038 section 6.1.2.1).
fn packed(septets: &[u8]) -> Vec<u8> {
    let mut octets = Vec::from_iter(core::iter::repeat_n(0, (septets.len() * 7).div_ceil(8)));
    for (index, septet) in septets.iter().enumerate() {
        for bit in 0..7 {
            let at = index * 7 + bit;
            octets[at / 8] |= (septet >> bit & 1) << (at % 8);
        }
    }
    octets
}

/// RP-ACK or RP-ERROR.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Report {
    /// RP-MR.
    pub reference: u8,
    /// RP-Cause, if it is RP-ERROR.
    pub cause: Option<u8>,
    /// TP-FCS, if it is RP-ERROR.
    pub fcs: Option<u8>,
}

/// Reads a report of a mobile station with its SMS-DELIVER-REPORT; `None` if it is anything else.
pub fn report(octets: &[u8]) -> Option<Report> {
    match *octets {
        // TP-MTI and TP-PI, no parameters.
        [RP_ACK, reference, USER_DATA, 2, 0, 0] => {
            Some(Report { reference, cause: None, fcs: None })
        }
        [RP_ERROR, reference, 1, cause, USER_DATA, 3, 0, fcs, 0] => {
            Some(Report { reference, cause: Some(cause), fcs: Some(fcs) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_text_has_its_octets() {
        let octets = deliver(Kind::Gsm7, "hellohello");
        assert_eq!(
            octets[octets.len() - 10..],
            [10, 0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]
        );
        let euro = deliver(Kind::Gsm7, "€");
        assert_eq!(euro[euro.len() - 3..], [2, 0x9B, 0x32]);
    }

    #[test]
    fn the_forms_differ_where_they_should() {
        let whole = rp_data(9, Kind::Gsm7, "a");
        assert_eq!(whole[..2], [0x01, 9]);
        assert_eq!(usize::from(whole[12]), whole.len() - 13);
        assert_eq!(whole[13], 0x04);
        assert_eq!(whole[22..24], [0x00, 0x00]);
        assert_eq!(rp_data(9, Kind::TypeZero, "a")[22..24], [0x40, 0x00]);
        assert_eq!(rp_data(9, Kind::Octets, "a")[22..24], [0x00, 0x04]);
        assert_eq!(rp_data(9, Kind::Ucs2, "é")[31..], [2, 0x00, 0xE9]);
        let part = rp_data(9, Kind::Part { reference: 7, number: 2, count: 2 }, "a");
        assert_eq!(part[13], 0x44);
        // Eight septets: the header with its filling, and an "a" above that.
        assert_eq!(part[31..], [8, 5, 0, 3, 7, 2, 2, 0x61 << 1]);
    }

    #[test]
    fn a_report_is_read_as_it_is_or_not_at_all() {
        let ack = Report { reference: 200, cause: None, fcs: None };
        assert_eq!(report(&[0x02, 200, 0x41, 2, 0, 0]), Some(ack));
        let error = Report { reference: 3, cause: Some(111), fcs: Some(0x90) };
        assert_eq!(report(&[0x04, 3, 1, 111, 0x41, 3, 0, 0x90, 0]), Some(error));
        for other in [&[][..], &[0x02, 3], &[0x03, 3, 0x41, 2, 0, 0], &[0x02, 3, 0x41, 2, 0, 0, 0]]
        {
            assert_eq!(report(other), None);
        }
    }
}
