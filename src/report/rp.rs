//! The report in the RP layer: RP-ACK or RP-ERROR with its SMS-DELIVER-REPORT or
//! SMS-SUBMIT-REPORT (TS 24.011 sections 7.3.3 and 7.3.4, TS 23.040 sections 9.2.2.1a and 9.2.2.2a).

use crate::delivery::Answer;
use crate::wire::rp::{self, Direction};

/// Octets of the longest report.
pub const SIZE_MAX: usize = 16;

/// SMS-DELIVER-REPORT for RP-ACK: no failure cause, no parameters.
const DELIVERED: [u8; 2] = [0x00, 0x00];

/// Writes the answer to the RP-DATA with this RP-MR. From the MS to the network it carries an
/// SMS-DELIVER-REPORT; to an MS it is RP-ACK or RP-ERROR alone, which answers RP-SMMA and what is
/// refused before its TPDU is looked at.
pub fn write(direction: Direction, reference: u8, answer: Answer, to: &mut [u8]) -> Option<usize> {
    match (direction, answer) {
        (Direction::MsToNetwork, Answer::Ack) => rp::ack(direction, reference, &DELIVERED, to),
        (Direction::NetworkToMs, Answer::Ack) => rp::ack(direction, reference, &[], to),
        (Direction::MsToNetwork, Answer::Error { cause, fcs }) => {
            rp::error(direction, reference, cause, None, &[0x00, fcs, 0x00], to)
        }
        (Direction::NetworkToMs, Answer::Error { cause, .. }) => {
            rp::error(direction, reference, cause, None, &[], to)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(direction: Direction, answer: Answer) -> Vec<u8> {
        let mut octets = [0xFF; SIZE_MAX];
        let len = write(direction, 0x2A, answer, &mut octets).unwrap();
        octets[..len].to_vec()
    }

    #[test]
    fn the_four_forms_have_the_octets_of_the_standard() {
        let error = Answer::Error { cause: 22, fcs: 0xD3 };
        assert_eq!(
            written(Direction::MsToNetwork, Answer::Ack),
            [0x02, 0x2A, 0x41, 0x02, 0x00, 0x00]
        );
        assert_eq!(
            written(Direction::MsToNetwork, error),
            [0x04, 0x2A, 0x01, 0x16, 0x41, 0x03, 0x00, 0xD3, 0x00]
        );
        assert_eq!(written(Direction::NetworkToMs, Answer::Ack), [0x03, 0x2A]);
        let refused = Answer::Error { cause: 69, fcs: 0xFF };
        assert_eq!(written(Direction::NetworkToMs, refused), [0x05, 0x2A, 0x01, 0x45]);
    }
}
