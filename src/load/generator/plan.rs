//! What a run is: fixed before the first message leaves.

use std::net::SocketAddr;

use crate::io::{Choice, Polling};
use crate::load::generator::message::RunId;
use crate::load::generator::mix::Mix;
use crate::packet::Transport;

/// Messages of one run at most: the records of both ends take 32 octets each.
pub const MESSAGES_MAX: u32 = 100_000_000;

/// Octets asked of the kernel for each direction of a socket: what an end cannot take while its
/// thread is off its core would be laid at the tested system's door.
pub const SOCKET_BUFFER_SIZE: usize = 16 << 20;

/// From the moment that both ends are ready to the first message, in nanoseconds.
pub const LEAD_IN_NS: u64 = 20_000_000;

/// How long both ends listen after everything was said, in nanoseconds: for what should not come any
/// more.
pub const LINGER_NS: u64 = 200_000_000;

/// What the messages are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// Text in a MESSAGE (RFC 3428): its final response says what became of it.
    Pager,
    /// An SMS-DELIVER in RP-DATA in a MESSAGE (TS 24.341): RP-ACK or RP-ERROR in a MESSAGE that comes
    /// back says what became of it.
    Sms,
}

impl Profile {
    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pager => "pager",
            Self::Sms => "sms",
        }
    }
}

/// The client timers (RFC 3261 section 17.1.2.2), in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timers {
    /// T1.
    pub t1_ns: u64,
    /// T2.
    pub t2_ns: u64,
    /// From the submission of a short message to the moment at which its report is not waited for any
    /// more: longer than timer F, which the tested system has to wait for itself.
    pub report_ns: u64,
}

impl Timers {
    /// RFC 3261 table 4. A report may come eight seconds after timer F.
    pub const RFC_3261: Self = Self::of(500_000_000);

    /// With another T1: T2 is eight times that, as in RFC 3261.
    pub const fn of(t1_ns: u64) -> Self {
        Self { t1_ns, t2_ns: 8 * t1_ns, report_ns: 80 * t1_ns }
    }

    /// Timer F: 64*T1.
    pub const fn f_ns(self) -> u64 {
        64 * self.t1_ns
    }
}

/// When each message is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// Messages per second, times 1000.
    pub rate_mhz: u64,
    /// From one message to the next, in nanoseconds times 2^32.
    step: u128,
}

impl Pace {
    /// `rate_mhz` thousandths of a message per second, of which there is at least one.
    pub fn new(rate_mhz: u64) -> Self {
        let rate_mhz = rate_mhz.max(1);
        Self { rate_mhz, step: (1_000_000_000_000_u128 << 32) / u128::from(rate_mhz) }
    }

    /// When message `number` is due, in nanoseconds after the first.
    pub fn due_ns(self, number: u32) -> u64 {
        let due = (u128::from(number) * self.step) >> 32;
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// How many messages are due within `ns` nanoseconds.
    pub fn messages_in(self, ns: u64) -> u64 {
        let count = u128::from(ns) * u128::from(self.rate_mhz) / 1_000_000_000_000;
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

/// How one end runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct End {
    /// Where it listens; port 0 takes one that is free.
    pub address: SocketAddr,
    /// The core that it is pinned to.
    pub cpu: Option<usize>,
}

/// Sessions of the answering end: who takes Large Messages in MSRP sessions (RFC 4975), and what is said to them.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// Where it listens for MSRP; port 0 takes one that is free.
    pub address: SocketAddr,
    /// What INVITE is answered.
    pub invite: Mix,
    /// What the end of a message is answered: by the recipient, or by the relay before him.
    pub send: Mix,
    /// What REPORTs say, where a relay (RFC 4976) is before the recipients, so that nothing else proves
    /// delivery. Without one the recipients answer themselves.
    pub report: Option<Mix>,
    /// The share of sessions in which the answering end connects, in percent; the sender does in others.
    pub active_percent: u8,
    /// Sessions at once; who is invited to one more is busy.
    pub count: u32,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Stands in every identifier.
    pub run: RunId,
    /// Decides what each message is answered.
    pub seed: u64,
    /// What the messages are.
    pub profile: Profile,
    /// Where they go.
    pub target: SocketAddr,
    /// How they get there, and how the answering end is reached.
    pub transport: Transport,
    /// The sending end, if it is played.
    pub sender: Option<End>,
    /// The answering end, if it is played.
    pub answerer: Option<End>,
    /// When each message is due.
    pub pace: Pace,
    /// All messages.
    pub messages: u32,
    /// The first so many are in no figure.
    pub warmup: u32,
    /// What the answering end answers.
    pub mix: Mix,
    /// The client timers.
    pub timers: Timers,
    /// User part of the recipients; each `#` is a digit of the message's number.
    pub recipient: String,
    /// Host and port of the recipients.
    pub domain: String,
    /// Octets of the text.
    pub text_size: usize,
    /// Short messages that make one text together, each a part of it (TS 23.040 section 9.2.3.24.1).
    pub parts: u8,
    /// Whether the answering end takes sessions.
    pub sessions: Option<Sessions>,
    /// How octets are moved.
    pub driver: Choice,
    /// What an end does when there is nothing to do.
    pub polling: Polling,
}

impl Plan {
    /// Whether message `number` is in the figures.
    pub const fn is_measured(&self, number: u32) -> bool {
        number >= self.warmup
    }

    /// Whether both ends are played, so that what the sender was told can be judged.
    pub const fn plays_both(&self) -> bool {
        self.sender.is_some() && self.answerer.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_depend_on_nothing_but_the_rate() {
        let pace = Pace::new(200_000_000);
        assert_eq!([0, 1, 2].map(|number| pace.due_ns(number)), [0, 5_000, 10_000]);
        // A third of a nanosecond is not lost a hundred million times.
        let pace = Pace::new(300_000_000);
        let last = pace.due_ns(MESSAGES_MAX);
        assert!(last.abs_diff(333_333_333_333) <= 1, "{last}");
        assert_eq!(pace.messages_in(2_000_000_000), 600_000);
    }

    #[test]
    fn a_rate_may_be_below_one() {
        assert_eq!(Pace::new(500).due_ns(3), 6_000_000_000);
        assert!(Pace::new(0).due_ns(1) >= 1_000_000_000_000);
    }

    #[test]
    fn the_timers_are_those_of_rfc_3261() {
        let timers = Timers::RFC_3261;
        assert_eq!((timers.t2_ns, timers.f_ns()), (4_000_000_000, 32_000_000_000));
        assert!(timers.report_ns > timers.f_ns());
    }
}
