//! What each short message of a run is called, for whom it is, what it says and what shall become of
//! it: fixed before the first one leaves.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use std::net::SocketAddr;

use crate::load::schedule::{Run, chance};
use crate::load::short::case::{Case, Way};
use crate::load::short::octets::Kind;
use crate::load::sip::COOKIE;

/// The identity of the SC.
pub const SC: &str = "<sip:sc@sc.example>";

/// What becomes of message `number`: every case for two messages, then by chance and weight. Two
/// messages in a row have the same case, so that a pair can be one.
pub fn case(run: &Run, number: usize) -> Case {
    let pair = number / 2;
    if let Some(case) = Case::ALL.get(pair) {
        return *case;
    }
    let mut draw = chance(!run.seed, pair) % Case::WEIGHTS;
    for case in Case::ALL {
        if draw < case.weight() {
            return case;
        }
        draw -= case.weight();
    }
    unreachable!("the draw is below the sum of all weights")
}

/// Where the user agents of each way are.
#[derive(Clone, Copy, Debug)]
pub struct Domains {
    /// Of [`Way::Pager`].
    pub pager: SocketAddr,
    /// Of [`Way::Phone`].
    pub phone: SocketAddr,
    /// Of [`Way::Relay`].
    pub relay: SocketAddr,
}

impl Domains {
    /// Where the user agent of message `number` is.
    pub fn of(&self, run: &Run, number: usize) -> SocketAddr {
        match case(run, number).way() {
            Way::Pager => self.pager,
            Way::Phone => self.phone,
            Way::Relay => self.relay,
        }
    }
}

/// The URI of the recipient, in brackets. The messages of a pair have the same.
pub fn recipient(run: &Run, number: usize, domain: SocketAddr) -> String {
    let case = case(run, number);
    let first = if case.is_pair() { number & !1 } else { number };
    format!("<sip:s{first:06}-{}@{domain}>", case.code())
}

/// What message `number` says: in letters for which the alphabet must be known. One that is to be too long
/// for a MESSAGE has as many letters as a short message can have, or a few fewer.
pub fn text(run: &Run, number: usize) -> String {
    let is_wide = kind(run, number) == Kind::Ucs2;
    let tea = if is_wide { "5 € {tea} 😀茶" } else { "5 € {tea}" };
    let mut text = format!("No {number} of {:08x}: Grüße, {tea}.", run.id);
    if case(run, number).is_long() {
        let (units, more) = if is_wide { (70, '茶') } else { (150, 'z') };
        text.extend(core::iter::repeat_n(more, units - text.encode_utf16().count()));
    }
    text
}

/// The number of the message that says this; it may not be the whole message.
pub fn number_of_text(run: &Run, text: &str) -> Option<usize> {
    let (number, rest) = text.strip_prefix("No ")?.split_once(" of ")?;
    let number = number.parse().ok().filter(|number| *number < run.messages)?;
    rest.starts_with(&format!("{:08x}:", run.id)).then_some(number)
}

/// In which form message `number` is sent.
pub fn kind(run: &Run, number: usize) -> Kind {
    let [reference, ..] = (number / 2).to_le_bytes();
    let is_first = number.is_multiple_of(2);
    let case = case(run, number);
    if case == Case::TwoParts {
        return Kind::Part { reference, number: if is_first { 1 } else { 2 }, count: 2 };
    }
    let text = if is_first { Kind::Gsm7 } else { Kind::Ucs2 };
    let special = [(Case::TypeZero, Kind::TypeZero), (Case::Octets, Kind::Octets)];
    special.into_iter().find(|(one, _)| *one == case).map_or(text, |(_, kind)| kind)
}

/// RP-MR of a submission: eight of them for all messages, and a repetition has the same again or the
/// next one.
pub fn reference(number: usize, submission: usize) -> u8 {
    let [reference, ..] = (number % 8 + submission * (number % 2)).to_le_bytes();
    reference
}

/// The Call-ID of a submission.
pub fn call_id(run: &Run, number: usize, submission: usize) -> String {
    format!("r{number}.{submission}-{:08x}@sc.example", run.id)
}

/// The message and the submission that a Call-ID of this run names.
pub fn of_call_id(run: &Run, call_id: &str) -> Option<(usize, usize)> {
    let (numbers, rest) = call_id.strip_prefix('r')?.split_once('-')?;
    let (number, submission) = numbers.split_once('.')?;
    let number = number.parse().ok().filter(|number| *number < run.messages)?;
    (rest == format!("{:08x}@sc.example", run.id)).then_some((number, submission.parse().ok()?))
}

/// The branch of a submission.
pub fn branch(run: &Run, number: usize, submission: usize) -> String {
    format!("{COOKIE}-sc-{:08x}-{number}.{submission}", run.id)
}

/// Writes the MESSAGE of a submission as an S-CSCF passes it on: the Request-URI is a contact. Its
/// retransmissions are the same octets.
pub fn request(
    run: &Run,
    (number, submission): (usize, usize),
    sent_by: SocketAddr,
    domain: SocketAddr,
    body: &[u8],
) -> Vec<u8> {
    let recipient = recipient(run, number, domain);
    let head = format!(
        "MESSAGE sip:ue{number}@{domain} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {sent_by};branch={branch};rport\r\n\
         Max-Forwards: 70\r\n\
         From: {SC};tag={id:08x}{number}-{submission}\r\n\
         To: {recipient}\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: 1 MESSAGE\r\n\
         P-Asserted-Identity: {SC}\r\n\
         P-Called-Party-ID: {recipient}\r\n\
         Content-Type: {MEDIA_TYPE}\r\n\
         Content-Length: {len}\r\n\r\n",
        branch = branch(run, number, submission),
        id = run.id,
        call_id = call_id(run, number, submission),
        len = body.len(),
    );
    let mut octets = head.into_bytes();
    octets.extend_from_slice(body);
    octets
}

/// What RP messages travel as.
pub const MEDIA_TYPE: &str = "application/vnd.3gpp.sms";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::schedule::Timers;

    const RUN: Run =
        Run { id: 0xbeef, seed: 1, rate_mhz: 1_000, messages: 9_000, timers: Timers::SHORT };

    #[test]
    fn identifiers_lead_back() {
        assert_eq!(of_call_id(&RUN, &call_id(&RUN, 17, 3)), Some((17, 3)));
        let other = Run { id: 0xbee, ..RUN };
        assert_eq!(of_call_id(&other, &call_id(&RUN, 17, 3)), None);
        assert_eq!(of_call_id(&RUN, &call_id(&RUN, 9_000, 0)), None);
        assert_eq!(number_of_text(&RUN, &text(&RUN, 17)), Some(17));
        assert_eq!(number_of_text(&other, &text(&RUN, 17)), None);
    }

    #[test]
    fn every_case_comes_and_pairs_share_a_recipient() {
        let domain = SocketAddr::from(([127, 0, 0, 1], 5062));
        let mut counts = [0; Case::ALL.len()];
        for number in (0..RUN.messages).step_by(2) {
            let case = case(&RUN, number);
            counts[case as usize] += 2;
            let recipients = [number, number + 1].map(|number| recipient(&RUN, number, domain));
            assert_eq!(recipients[0] == recipients[1], case.is_pair());
        }
        for case in Case::ALL {
            let expected = 9_000 * case.weight() / Case::WEIGHTS;
            let count = counts[case as usize];
            assert!(
                count > expected / 4 && count < expected * 2,
                "{case:?}: {count} of {expected}"
            );
        }
        let first = 0..2 * Case::ALL.len();
        assert!(first.into_iter().all(|number| case(&RUN, number) == Case::ALL[number / 2]));
    }

    #[test]
    fn rp_message_references_are_used_again() {
        assert_eq!(reference(3, 0), reference(11, 0));
        assert_eq!(reference(2, 0), reference(2, 1));
        assert_ne!(reference(3, 0), reference(3, 1));
    }
}
