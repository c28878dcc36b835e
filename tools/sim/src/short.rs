//! Short messages: what a service centre has to deliver, and what must become of it.

use roger::packet::Endpoint;

use crate::chance::Chance;
use crate::rp::{self, Deliver, Originator, Payload};
use crate::swarm::{SECOND, Swarm};
use crate::text::written;

/// When the simulated world begins, in seconds since 1970.
const EPOCH: i64 = 1_763_782_080;

/// The number of the service centre in RP-OA.
const CENTRE: &str = "8613800138000";

/// What must become of a short message, by the standards and the rulings alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// It becomes an instant message.
    Send,
    /// It cannot become one: RP-ERROR with a cause that an MS may use.
    Unfit,
    /// Type 0: acknowledged and discarded (TS 23.040 section 9.2.3.9).
    Discard,
    /// SMS-SUBMIT, which is not served: RP-ERROR 69 to the MS.
    Submit,
    /// Something else in RP-DATA from an MS: RP-ERROR with any cause that the network may use.
    FromMs,
    /// RP-SMMA: RP-ACK to the MS.
    Smma,
    /// RP-ACK or RP-ERROR to nothing of ours: no report.
    Stray,
    /// Refused by SIP with one of these: no report.
    Refused(&'static [u16]),
}

impl Fate {
    /// The final responses that it may get at once, beside 503.
    pub(crate) const fn statuses(self) -> &'static [u16] {
        match self {
            Self::Send | Self::Unfit | Self::Discard => &[200],
            Self::Submit | Self::Smma => &[202],
            Self::FromMs => &[200, 202],
            Self::Stray => &[200, 202, 400, 481, 488],
            Self::Refused(statuses) => statuses,
        }
    }

    /// Whether a report is owed.
    pub(crate) const fn is_reported(self) -> bool {
        !matches!(self, Self::Stray | Self::Refused(_))
    }

    /// Whether it is a short message to a user of ours, which has an account.
    pub(crate) const fn is_accounted(self) -> bool {
        matches!(self, Self::Send | Self::Unfit | Self::Discard)
    }

    /// The message types of RP-ACK and RP-ERROR in the direction of the report.
    pub(crate) const fn report_types(self) -> [u8; 2] {
        match self {
            Self::Send | Self::Unfit | Self::Discard => [2, 4],
            Self::Submit | Self::FromMs | Self::Smma | Self::Stray | Self::Refused(_) => [3, 5],
        }
    }
}

/// What the body of its MESSAGE holds.
#[derive(Clone, Debug)]
enum Body {
    /// RP-DATA of this type, of which the last octets may be missing.
    Data { mti: u8, tpdu: Vec<u8>, cut: usize },
    /// Another RP message: its type, and what stands behind the reference.
    Other(u8, Vec<u8>),
    /// These octets, whatever the reference is.
    Octets(Vec<u8>),
}

/// One short message for one recipient.
#[derive(Clone, Debug)]
pub(crate) struct Short {
    /// The service centre that has it.
    pub(crate) centre: usize,
    /// The identity of the recipient.
    pub(crate) recipient: String,
    /// Where an instant message to it must go, in the order in which servers are tried.
    pub(crate) targets: Vec<Endpoint>,
    /// TP-OA.
    pub(crate) originator: Originator,
    /// What the recipient must see.
    pub(crate) text: String,
    /// TP-SCTS, in seconds since 1970 and quarters of an hour east of Greenwich.
    pub(crate) seconds: i64,
    pub(crate) quarters: i8,
    /// TP-SRI.
    pub(crate) status_report: bool,
    pub(crate) fate: Fate,
    /// Whether it must get through because nothing goes wrong any more.
    pub(crate) calm: bool,
    /// Whether its MESSAGE says that the body is encoded.
    pub(crate) encoded: bool,
    /// How often the service centre tries again at most.
    pub(crate) retries: u32,
    body: Body,
}

impl Short {
    /// The body of a MESSAGE that carries it under this RP-MR.
    pub(crate) fn body(&self, reference: u8) -> Vec<u8> {
        match &self.body {
            Body::Data { mti, tpdu, cut } => {
                let mut octets = rp::data(*mti, reference, CENTRE, tpdu);
                octets.truncate(octets.len() - cut);
                octets
            }
            Body::Other(mti, rest) => [&[*mti, reference], &rest[..]].concat(),
            Body::Octets(octets) => octets.clone(),
        }
    }

    /// Its Date in an instant message.
    pub(crate) fn date(&self) -> String {
        rp::sip_date(self.seconds)
    }

    /// Whether a service centre has it to deliver, and so tries again.
    pub(crate) const fn is_retried(&self) -> bool {
        matches!(self.fate, Fate::Send | Fate::Unfit | Fate::Discard)
    }
}

/// Makes short messages.
#[derive(Debug, Default)]
pub(crate) struct Composer {
    composed: u64,
}

impl Composer {
    /// The next short message, or several that belong together.
    pub(crate) fn compose(
        &mut self,
        now: u64,
        calm: bool,
        chance: &mut Chance,
        swarm: &Swarm,
    ) -> Vec<Short> {
        self.composed += 1;
        let plain = self.plain(now, calm, chance, swarm);
        if calm {
            return [plain].into();
        }
        let gateway = &swarm.gateway;
        match chance.below(20) {
            0 | 1 if gateway.odd => [self.odd(plain, chance)].into(),
            2 | 3 if gateway.odd => [self.unfit(plain, chance)].into(),
            4 | 5 => self.parts(&plain, chance),
            6 => {
                // The same for two recipients: only the destination tells them apart.
                let mut other = plain.clone();
                (other.recipient, other.targets) = recipient(calm, self.composed, chance, swarm);
                if other.recipient == plain.recipient {
                    [plain].into()
                } else {
                    [plain, other].into()
                }
            }
            7 => {
                // Two in one second that differ in their texts alone.
                let mut other = plain.clone();
                other.say(&format!("sm{} and another", self.composed), 0, &[]);
                [plain, other].into()
            }
            8 => {
                // The same text a second later is a message of its own.
                let mut other = plain.clone();
                other.seconds += 1;
                let text = other.text.clone();
                other.say(&text, other.dcs(), &[]);
                [plain, other].into()
            }
            _ => [plain].into(),
        }
    }

    fn plain(&self, now: u64, calm: bool, chance: &mut Chance, swarm: &Swarm) -> Short {
        let number = self.composed;
        let (recipient, targets) = recipient(calm, number, chance, swarm);
        let quarters = chance.pick(&[0, 0, 4, 32, -20, 22, -48, 56]);
        let words = chance.index(16);
        let (dcs, words): (u8, String) = match chance.below(4) {
            0 => (0x08, "слово 😀 ".repeat(words / 4)),
            1 => (chance.pick(&[0, 0x10, 0xF1]), "[€] ÄÖ ".repeat(words)),
            _ => (0, "lorem ".repeat(words)),
        };
        let mut short = Short {
            centre: chance.index(swarm.gateway.centres.len()),
            recipient,
            targets,
            originator: originator(chance, swarm),
            text: String::new(),
            seconds: EPOCH + i64::try_from(now / SECOND).unwrap_or(0)
                - i64::try_from(chance.below(3)).unwrap_or(0),
            quarters,
            status_report: chance.one_in(2),
            fate: Fate::Send,
            calm,
            encoded: false,
            retries: u32::try_from(chance.below(4)).unwrap_or(0),
            body: Body::Octets(Vec::new()),
        };
        short.say(&format!("sm{number} {}", words.trim_end()), dcs, &[]);
        short
    }

    /// The parts of a long message, each of which is delivered by itself.
    fn parts(&self, plain: &Short, chance: &mut Chance) -> Vec<Short> {
        let wide = chance.one_in(2);
        let total = u8::try_from(chance.between(2, 4)).unwrap_or(2);
        let reference = chance.word().to_be_bytes();
        (1..=total)
            .map(|part| {
                let mut short = plain.clone();
                let header: &[u8] = if wide {
                    &[8, 4, reference[0], reference[1], total, part]
                } else {
                    &[0, 3, reference[0], total, part]
                };
                // The last two parts may say the same: their numbers tell them apart, and so do
                // the texts here, without which nobody could judge.
                short.say(&format!("sm{} part {part}", self.composed), 0, header);
                short
            })
            .collect()
    }

    /// What is no short message for a user of ours.
    fn odd(&self, mut short: Short, chance: &mut Chance) -> Short {
        let number = self.composed;
        (short.fate, short.body) = match chance.below(9) {
            0 | 1 => {
                let tpdu = rp::submit(7, "4917012345", &format!("sm{number}"));
                (Fate::Submit, Body::Data { mti: rp::DATA_FROM_MS, tpdu, cut: 0 })
            }
            2 => (Fate::Smma, Body::Other(6, Vec::new())),
            3 => (Fate::Stray, Body::Other(3, Vec::new())),
            4 => (Fate::Stray, Body::Other(5, [1, 41].into())),
            5 => (Fate::Refused(&[400]), Body::Octets(Vec::new())),
            6 => (Fate::Refused(&[400]), Body::Octets([1].into())),
            7 => {
                short.encoded = true;
                (Fate::Refused(&[415]), short.body)
            }
            _ => {
                let Body::Data { tpdu, .. } = short.body else { return short };
                (Fate::FromMs, Body::Data { mti: rp::DATA_FROM_MS, tpdu, cut: 0 })
            }
        };
        short
    }

    /// What reaches us as a short message and cannot become an instant message; and type 0.
    fn unfit(&self, mut short: Short, chance: &mut Chance) -> Short {
        let text = format!("sm{} unfit", self.composed);
        short.fate = Fate::Unfit;
        match chance.below(9) {
            0 | 1 => {
                short.fate = Fate::Discard;
                short.make(&text, 0x40, 0, &[]);
            }
            2 => short.make(&text, 0, 0x04, &[]),
            3 => short.make(&text, 0, 0xF5, &[]),
            4 => short.make(&text, 0, 0x20, &[]),
            5 => short.make(&text, 0, 0, &[5, 4, 0x0B, 0x84, 0x23, 0xF0]),
            6 => {
                let tpdu = rp::submit(7, "4917012345", &text);
                short.body = Body::Data { mti: rp::DATA_TO_MS, tpdu, cut: 0 };
            }
            _ => {
                let inside = chance.one_in(2);
                short.make(&text, 0, 0, &[]);
                if let Body::Data { tpdu, cut, .. } = &mut short.body {
                    let lost = 1 + chance.index(tpdu.len());
                    if inside {
                        tpdu.truncate(tpdu.len() - lost);
                    } else {
                        *cut = lost;
                    }
                }
            }
        }
        short
    }
}

impl Short {
    fn dcs(&self) -> u8 {
        if rp::septets(&self.text).is_some() { 0 } else { 0x08 }
    }

    fn say(&mut self, text: &str, dcs: u8, header: &[u8]) {
        self.make(text, 0, dcs, header);
    }

    /// Gives it a text in this coding.
    fn make(&mut self, text: &str, pid: u8, dcs: u8, header: &[u8]) {
        let in_octets = dcs & 0x0C != 0 || dcs == 0xF5;
        let payload = match rp::septets(text) {
            Some(septets) if !in_octets => Payload::Septets(septets),
            _ if dcs == 0x08 => Payload::ucs2(text),
            Some(_) | None => Payload::Octets(text.as_bytes().into()),
        };
        text.clone_into(&mut self.text);
        let deliver = Deliver {
            more: !header.is_empty(),
            status_report: self.status_report,
            originator: self.originator.clone(),
            pid,
            dcs,
            scts: rp::timestamp(self.seconds, self.quarters),
            header: header.into(),
            payload,
        };
        self.body = Body::Data { mti: rp::DATA_TO_MS, tpdu: deliver.octets(), cut: 0 };
    }
}

/// A user on the IM side, and where a MESSAGE to it must go.
fn recipient(
    calm: bool,
    number: u64,
    chance: &mut Chance,
    swarm: &Swarm,
) -> (String, Vec<Endpoint>) {
    let servers = &swarm.places.servers;
    let user = if calm {
        format!("calm{number}")
    } else {
        format!("gw{}", chance.below(swarm.gateway.recipients))
    };
    if !swarm.route_by_uri {
        let targets = servers.iter().map(|server| server.addresses[0]).collect();
        return (format!("sip:{user}@im.example"), targets);
    }
    let index = chance.index(servers.len());
    let address = servers[index].addresses[0];
    if chance.one_in(4) {
        (format!("sip:{user}@im{index}.example"), [address].into())
    } else {
        (format!("sip:{user}@{}", written(address)), [address].into())
    }
}

/// A user on the SMS side.
fn originator(chance: &mut Chance, swarm: &Swarm) -> Originator {
    let number = chance.below(swarm.gateway.originators);
    match chance.below(8) {
        0 => Originator { ton: 5, text: format!("Shop {number}") },
        1 => Originator { ton: 2, text: format!("0171{number:04}") },
        2 => Originator { ton: 0, text: format!("{}", 100 + number) },
        _ => Originator { ton: 1, text: format!("49171{number:05}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swarm() -> Swarm {
        (0..)
            .map(|seed| Swarm::new(&mut Chance::new(seed)))
            .find(|swarm| swarm.gateway.messages > 0 && swarm.gateway.odd)
            .unwrap()
    }

    #[test]
    fn no_two_short_messages_look_alike_to_their_recipient() {
        let swarm = swarm();
        let mut chance = Chance::new(1);
        let mut composer = Composer::default();
        let mut seen = std::collections::BTreeSet::new();
        let mut kinds = std::collections::BTreeSet::new();
        for _ in 0..2_000 {
            for short in composer.compose(7 * SECOND, false, &mut chance, &swarm) {
                kinds.insert(format!("{:?}", short.fate));
                if short.fate == Fate::Send {
                    assert!(
                        seen.insert((short.recipient.clone(), short.text.clone(), short.date())),
                        "{short:?}"
                    );
                    let body = short.body(9);
                    assert_eq!(body[..2], [rp::DATA_TO_MS, 9]);
                    assert!(body.len() <= 248, "{}", body.len());
                }
            }
        }
        assert_eq!(kinds.len(), 9, "{kinds:?}");
    }
}
