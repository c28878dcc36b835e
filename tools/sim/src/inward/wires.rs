//! SMS-SUBMIT and MSRP as a person reads them.

/// A part as it stands in RP-DATA from a mobile station (TS 24.011 section 7.3.1.2, TS 23.040 section 9.2.2.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Part {
    /// RP-MR.
    pub(super) rp_reference: u8,
    /// TP-MR.
    pub(super) reference: u8,
    /// TP-SRR.
    pub(super) asks_status: bool,
    /// How many parts there are, and which one this is, from 1.
    pub(super) parts: u8,
    pub(super) number: u8,
    /// The number of the message, which its text repeats.
    pub(super) message: u32,
}

impl Part {
    /// Reads RP-DATA with an SMS-SUBMIT without a validity period.
    pub(super) fn read(rp: &[u8]) -> Option<Self> {
        let [0, rp_reference, 0, rest @ ..] = rp else { return None };
        let (len, rest) = rest.split_first()?;
        let rest = rest.get(usize::from(*len)..)?;
        let (len, tpdu) = rest.split_first()?;
        if usize::from(*len) != tpdu.len() {
            return None;
        }
        let [first, reference, digits, _, rest @ ..] = tpdu else { return None };
        if first & 0b1_1011 != 1 {
            return None;
        }
        let rest = rest.get(usize::from(digits.div_ceil(2))..)?;
        let [0, dcs, length, data @ ..] = rest else { return None };
        let has_header = first & 0x40 != 0;
        let (parts, number, header) = match data {
            [5, 0, 3, _, parts, number, ..] if has_header => (*parts, *number, 6),
            _ if has_header => return None,
            _ => (1, 1, 0),
        };
        let text = match dcs {
            0 => unpacked(data, header, usize::from(*length)),
            8 if data.len() == usize::from(*length) => {
                let units = data.get(header..)?.as_chunks::<2>().0.iter();
                String::from_utf16(&units.map(|unit| u16::from_be_bytes(*unit)).collect::<Vec<_>>())
                    .ok()?
            }
            _ => return None,
        };
        let mut words = text.split(|letter: char| !letter.is_ascii_digit());
        // The first one may have lost its beginning.
        words.next();
        Some(Self {
            rp_reference: *rp_reference,
            reference: *reference,
            asks_status: first & 0x20 != 0,
            parts,
            number,
            message: words.find(|word| !word.is_empty())?.parse().ok()?,
        })
    }
}

/// Septets behind a header of so many octets; of the alphabet only digits and the full stop are in use.
fn unpacked(data: &[u8], header: usize, septets: usize) -> String {
    let first = (header * 8).div_ceil(7);
    let bit = |at: usize| data.get(at / 8).is_some_and(|octet| octet >> (at % 8) & 1 == 1);
    (first..septets)
        .map(|septet| {
            let value = (0..7).map(|at| u8::from(bit(septet * 7 + at)) << at).sum::<u8>();
            char::from(value)
        })
        .collect()
}

/// One request or response of MSRP.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) id: String,
    /// SEND, REPORT, or a status.
    pub(super) what: String,
    pub(super) text: String,
}

impl Frame {
    /// The first one of these octets, and how many it has.
    pub(super) fn first(octets: &[u8]) -> Option<(Self, usize)> {
        let line_end = memchr::memmem::find(octets, b"\r\n")?;
        let line = core::str::from_utf8(octets.get(..line_end)?).ok()?;
        let mut words = line.split(' ').skip(1);
        let (id, what) = (words.next()?, words.next()?);
        let end_line = ["-------", id].concat();
        let at = memchr::memmem::find(octets, end_line.as_bytes())?;
        let end = at + end_line.len() + 3;
        let text = String::from_utf8_lossy(octets.get(..end)?).into_owned();
        Some((Self { id: id.to_owned(), what: what.to_owned(), text }, end))
    }

    /// The value of a header field.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let begin = ["\r\n", name, ": "].concat();
        self.text.split(&begin).nth(1)?.split("\r\n").next()
    }

    /// The status of a REPORT.
    pub(super) fn status(&self) -> Option<u16> {
        self.value("Status")?.split(' ').nth(1)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rp;

    #[test]
    fn a_part_is_read_in_both_alphabets() {
        let tpdu = rp::submit(7, "491711234567", "17.17.17.");
        let data = rp::data(rp::DATA_FROM_MS, 9, "491710760000", &tpdu);
        let part = Part::read(&data);
        let whole = Part {
            rp_reference: 9,
            reference: 7,
            asks_status: false,
            parts: 1,
            number: 1,
            message: 17,
        };
        assert_eq!(part, Some(whole));
        // Behind a header, the way an independent script has written "hi" (and so without a number).
        let behind = [5, 0, 3, 0x7E, 2, 2, 0xD0, 0x69];
        assert_eq!(unpacked(&behind, 6, 9), "hi");
    }

    #[test]
    fn frames_are_found_one_behind_the_other() {
        let text = b"MSRP abcd 200 OK\r\nTo-Path: x\r\n-------abcd$\r\nMSRP efgh REPORT\r\n\
            Status: 000 408\r\n-------efgh$\r\nMSRP";
        let (first, len) = Frame::first(text).unwrap();
        assert_eq!((first.id.as_str(), first.what.as_str()), ("abcd", "200"));
        let (second, next) = Frame::first(&text[len..]).unwrap();
        assert_eq!((second.what.as_str(), second.status()), ("REPORT", Some(408)));
        assert!(Frame::first(&text[len + next..]).is_none());
    }
}
