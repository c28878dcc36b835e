//! What is injected, what it determines, and what really happened to the client.
//!
//! The right verdict and the right report for each outcome are written down here by hand from the
//! standards (RFC 3428 section 7, RFC 4320 section 4, RFC 3261 section 16.7). They are not taken
//! from the engine, which is measured against them.

/// What the IM side does with one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Outcome {
    /// 200 at once.
    Ok,
    /// 202: somebody else will try to deliver it.
    Accepted,
    /// 302 without a way to follow it.
    Moved,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 408, which a proxy may not pass on (RFC 4320 section 4.2).
    Timeout,
    /// 480.
    Unavailable,
    /// 486.
    Busy,
    /// 500.
    ServerError,
    /// 503, which a proxy passes on as 500 (RFC 3261 section 16.7).
    Overloaded,
    /// 504: a gateway behind it waited in vain.
    GatewayTimeout,
    /// 603: the user has seen and refused it.
    Declined,
    /// 200 whose first transmission is lost; the retransmitted request fetches another.
    OkLost,
    /// The same 200 twice.
    OkTwice,
    /// 100, and 200 after a while.
    OkSlow,
    /// 200, and then 486 in the same transaction.
    OkThenBusy,
    /// 200 after the deadline, before timer F.
    OkLate,
    /// 200 after timer F.
    OkTooLate,
    /// Nothing, although the client has it.
    SilentHas,
    /// Nothing, and the client never saw it.
    SilentHasNot,
}

/// Something that an outcome makes the IM side send.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// How long after the request.
    pub after: After,
    /// What.
    pub status: u16,
}

/// A distance from the arrival of the request.
#[derive(Clone, Copy, Debug)]
pub enum After {
    /// None: at once.
    Now,
    /// So many milliseconds.
    Ms(u64),
    /// Half-way between the deadline of the tested side and timer F.
    Deadline,
    /// A little more than timer F.
    TimerF,
}

/// What an outcome determines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Right {
    /// The verdict: D delivered, P permanent, T temporary failure, U unknown, A accepted.
    pub verdict: char,
    /// The final response that the SMS side must see, if it may see one.
    pub report: Option<u16>,
}

const fn answer(status: u16) -> Answer {
    Answer { after: After::Now, status }
}

impl Outcome {
    /// Every outcome in the order of the table.
    pub const ALL: [Self; 20] = [
        Self::Ok,
        Self::Accepted,
        Self::Moved,
        Self::Forbidden,
        Self::NotFound,
        Self::Timeout,
        Self::Unavailable,
        Self::Busy,
        Self::ServerError,
        Self::Overloaded,
        Self::GatewayTimeout,
        Self::Declined,
        Self::OkLost,
        Self::OkTwice,
        Self::OkSlow,
        Self::OkThenBusy,
        Self::OkLate,
        Self::OkTooLate,
        Self::SilentHas,
        Self::SilentHasNot,
    ];

    /// The sum of all weights.
    pub const WEIGHTS: u64 = {
        let mut sum = 0;
        let mut index = 0;
        while index < Self::ALL.len() {
            sum += Self::ALL[index].weight();
            index += 1;
        }
        sum
    };

    /// How often it is injected.
    pub const fn weight(self) -> u64 {
        match self {
            Self::Ok => 700,
            Self::Accepted => 50,
            Self::Unavailable | Self::Busy => 40,
            Self::NotFound | Self::OkLost | Self::OkTwice => 20,
            Self::ServerError | Self::Overloaded | Self::Declined | Self::OkSlow => 15,
            Self::Forbidden => 10,
            Self::Moved | Self::Timeout | Self::GatewayTimeout => 5,
            Self::OkThenBusy | Self::OkLate | Self::OkTooLate => 5,
            Self::SilentHas | Self::SilentHasNot => 5,
        }
    }

    /// Its name in the user part of a Request-URI.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ok => "200",
            Self::Accepted => "202",
            Self::Moved => "302",
            Self::Forbidden => "403",
            Self::NotFound => "404",
            Self::Timeout => "408",
            Self::Unavailable => "480",
            Self::Busy => "486",
            Self::ServerError => "500",
            Self::Overloaded => "503",
            Self::GatewayTimeout => "504",
            Self::Declined => "603",
            Self::OkLost => "lost",
            Self::OkTwice => "twice",
            Self::OkSlow => "slow",
            Self::OkThenBusy => "contradiction",
            Self::OkLate => "late",
            Self::OkTooLate => "too-late",
            Self::SilentHas => "silent-has",
            Self::SilentHasNot => "silent",
        }
    }

    /// The outcome of that name.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }

    /// What tables call it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::Accepted => "202 Accepted",
            Self::Moved => "302 Moved Temporarily",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::Timeout => "408 Request Timeout",
            Self::Unavailable => "480 Temporarily Unavailable",
            Self::Busy => "486 Busy Here",
            Self::ServerError => "500 Server Internal Error",
            Self::Overloaded => "503 Service Unavailable",
            Self::GatewayTimeout => "504 Server Time-out",
            Self::Declined => "603 Decline",
            Self::OkLost => "200, the first one lost",
            Self::OkTwice => "200, sent twice",
            Self::OkSlow => "100, then 200 after 300 ms",
            Self::OkThenBusy => "200, then 486",
            Self::OkLate => "200 after the deadline",
            Self::OkTooLate => "200 after Timer F",
            Self::SilentHas => "silence, client has it",
            Self::SilentHasNot => "silence, client has it not",
        }
    }

    /// The only right verdict and report.
    pub const fn right(self) -> Right {
        let (verdict, report) = match self {
            Self::Ok | Self::OkLost | Self::OkTwice | Self::OkSlow | Self::OkThenBusy => {
                ('D', Some(200))
            }
            Self::Accepted => ('A', Some(202)),
            Self::Moved => ('T', Some(302)),
            Self::Unavailable => ('T', Some(480)),
            Self::Busy => ('T', Some(486)),
            Self::ServerError | Self::Overloaded => ('T', Some(500)),
            Self::Forbidden => ('P', Some(403)),
            Self::NotFound => ('P', Some(404)),
            Self::Declined => ('P', Some(603)),
            Self::GatewayTimeout => ('U', Some(504)),
            Self::Timeout | Self::OkLate | Self::OkTooLate => ('U', None),
            Self::SilentHas | Self::SilentHasNot => ('U', None),
        };
        Right { verdict, report }
    }

    /// Whether the client ends up with the message.
    pub const fn client_has_it(self) -> bool {
        match self {
            Self::Ok | Self::OkLost | Self::OkTwice | Self::OkSlow | Self::OkThenBusy => true,
            Self::OkLate | Self::OkTooLate | Self::SilentHas => true,
            Self::Accepted | Self::Moved | Self::Forbidden | Self::NotFound | Self::Timeout => {
                false
            }
            Self::Unavailable | Self::Busy | Self::ServerError | Self::Overloaded => false,
            Self::GatewayTimeout | Self::Declined | Self::SilentHasNot => false,
        }
    }

    /// How many transmissions of the request get no answer because it is lost on its way.
    pub const fn answers_lost(self) -> u16 {
        if matches!(self, Self::OkLost) { 1 } else { 0 }
    }

    /// What the client answers to the request, in order.
    pub const fn answers(self) -> &'static [Answer] {
        const SLOW: Answer = Answer { after: After::Ms(300), status: 200 };
        const LATE: Answer = Answer { after: After::Deadline, status: 200 };
        const TOO_LATE: Answer = Answer { after: After::TimerF, status: 200 };
        match self {
            Self::Ok | Self::OkLost => const { &[answer(200)] },
            Self::Accepted => const { &[answer(202)] },
            Self::Moved => const { &[answer(302)] },
            Self::Forbidden => const { &[answer(403)] },
            Self::NotFound => const { &[answer(404)] },
            Self::Timeout => const { &[answer(408)] },
            Self::Unavailable => const { &[answer(480)] },
            Self::Busy => const { &[answer(486)] },
            Self::ServerError => const { &[answer(500)] },
            Self::Overloaded => const { &[answer(503)] },
            Self::GatewayTimeout => const { &[answer(504)] },
            Self::Declined => const { &[answer(603)] },
            Self::OkTwice => const { &[answer(200), answer(200)] },
            Self::OkSlow => const { &[answer(100), SLOW] },
            Self::OkThenBusy => const { &[answer(200), answer(486)] },
            Self::OkLate => const { &[LATE] },
            Self::OkTooLate => const { &[TOO_LATE] },
            Self::SilentHas | Self::SilentHasNot => &[],
        }
    }
}

/// What the IM side knows of one message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Truth {
    /// Transmissions of the request that arrived.
    pub requests: u16,
    /// Client transactions that carried it: more than one is the message delivered twice.
    pub transactions: u16,
    /// Fingerprint of the branch of the first of them.
    pub branch: u64,
    /// When the first transmission arrived.
    pub received_ns: u64,
    /// When the first final response left.
    pub answered_ns: Option<u64>,
    /// That response.
    pub status: Option<u16>,
    /// Whether the client has the message, whole and unchanged.
    pub has: bool,
    /// Whether the body that arrived differs from the one that was sent.
    pub damaged: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_outcome_once_and_codes_name_them() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
            assert_eq!(Outcome::from_code(outcome.code()), Some(outcome));
        }
        assert_eq!(Outcome::from_code("201"), None);
        assert_eq!(Outcome::WEIGHTS, 1_000);
    }

    #[test]
    fn delivered_is_right_only_where_the_client_has_it() {
        for outcome in Outcome::ALL {
            let right = outcome.right();
            assert!(right.verdict != 'D' || outcome.client_has_it(), "{outcome:?}");
            assert!(!"PT".contains(right.verdict) || !outcome.client_has_it(), "{outcome:?}");
            assert_eq!(right.verdict == 'D', right.report == Some(200), "{outcome:?}");
        }
    }
}
