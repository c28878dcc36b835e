//! TP-Data-Coding-Scheme (TS 23.038 clause 4).

/// What the octets of a short message are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alphabet {
    /// Septets of the GSM 7 bit default alphabet, packed.
    Gsm7,
    /// 8 bit data: no text.
    Octets,
    /// UCS-2 in network order.
    Ucs2,
}

/// A message-waiting indication of a data coding scheme.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MessageWaiting {
    /// Whether the message is to be kept (1101 and 1110) or may be discarded (1100).
    pub store: bool,
    /// Whether the indication is to be set active.
    pub active: bool,
    /// What waits: 0 voicemail, 1 fax, 2 electronic mail, 3 other.
    pub kind: u8,
}

/// A data coding scheme, as it came. Every octet is one: what is reserved is read as the default
/// alphabet (TS 23.038 clause 4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dcs(pub u8);

impl Dcs {
    /// The default alphabet without a class.
    pub const GSM7: Self = Self(0x00);
    /// 8 bit data without a class.
    pub const OCTETS: Self = Self(0x04);
    /// UCS-2 without a class.
    pub const UCS2: Self = Self(0x08);

    /// The alphabet; of a compressed text the one it had before.
    pub const fn alphabet(self) -> Alphabet {
        match (self.0 >> 4, self.0 >> 2 & 3) {
            (0b0000..=0b0111, 1) | (0b1111, 1 | 3) => Alphabet::Octets,
            (0b0000..=0b0111, 2) | (0b1110, _) => Alphabet::Ucs2,
            _ => Alphabet::Gsm7,
        }
    }

    /// Whether the text is compressed (TS 23.042); nothing here expands it.
    pub const fn is_compressed(self) -> bool {
        self.0 & 0xA0 == 0x20
    }

    /// The message class, 0 to 3, if there is one.
    pub const fn class(self) -> Option<u8> {
        if self.0 & 0x90 == 0x10 || self.0 & 0xF0 == 0xF0 { Some(self.0 & 3) } else { None }
    }

    /// Whether the message is marked for automatic deletion (group 01).
    pub const fn is_marked_for_deletion(self) -> bool {
        self.0 & 0xC0 == 0x40
    }

    /// The message-waiting indication, if it is one.
    pub const fn message_waiting(self) -> Option<MessageWaiting> {
        match self.0 >> 4 {
            group @ 0b1100..=0b1110 => Some(MessageWaiting {
                store: group != 0b1100,
                active: self.0 & 8 != 0,
                kind: self.0 & 3,
            }),
            _ => None,
        }
    }

    /// Whether the length of the user data counts septets: of all else it counts octets, of
    /// compressed text too (TS 23.040 clause 9.2.3.16).
    pub(super) const fn is_packed(self) -> bool {
        matches!(self.alphabet(), Alphabet::Gsm7) && !self.is_compressed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of clause 4, a row for each pattern of bits.
    #[test]
    fn every_octet_has_its_alphabet_and_class() {
        use Alphabet::{Gsm7, Octets, Ucs2};
        for octet in 0..=u8::MAX {
            let bits = format!("{octet:08b}");
            let (group, low) = (&bits[..4], &bits[4..]);
            let general = [Gsm7, Octets, Ucs2, Gsm7][usize::from(octet >> 2 & 3)];
            let class = Some(octet & 3);
            let (alphabet, compressed, class) = match group {
                "0000" | "0100" => (general, false, None),
                "0001" | "0101" => (general, false, class),
                "0010" | "0110" => (general, true, None),
                "0011" | "0111" => (general, true, class),
                "1110" => (Ucs2, false, None),
                "1111" if &low[1..2] == "1" => (Octets, false, class),
                "1111" => (Gsm7, false, class),
                _ => (Gsm7, false, None),
            };
            let dcs = Dcs(octet);
            assert_eq!(dcs.alphabet(), alphabet, "{bits}");
            assert_eq!(dcs.is_compressed(), compressed, "{bits}");
            assert_eq!(dcs.class(), class, "{bits}");
            assert_eq!(dcs.is_marked_for_deletion(), bits.starts_with("01"), "{bits}");
            let waiting = ["1100", "1101", "1110"].contains(&group);
            let waiting = waiting.then_some(MessageWaiting {
                store: group != "1100",
                active: &low[..1] == "1",
                kind: octet & 3,
            });
            assert_eq!(dcs.message_waiting(), waiting, "{bits}");
        }
    }
}
