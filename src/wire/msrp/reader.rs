//! The stream of one connection, divided into heads, pieces of bodies, and end-lines.

use super::class::Class;
use super::search::{self, BEGIN};
use crate::limits::{MSRP_HEADER_SIZE_MAX, MSRP_IDENT_SIZE_MAX, MSRP_IDENT_SIZE_MIN};
use crate::wire::Malformed;
use crate::wire::cursor::{find_control, visited};

/// What stands at the front of the octets that have arrived and were not yet consumed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A start line with all its header fields; [`super::head`] reads these octets. The empty line
    /// that announces a body is among them.
    Head {
        /// How many octets.
        len: usize,
    },
    /// The next octets of the body. They cannot be the beginning of an end-line.
    Body {
        /// How many octets, at least one.
        len: usize,
    },
    /// The end-line. The CRLF in front of it belongs to it and not to the body.
    End {
        /// Whether the message goes on.
        flag: Flag,
        /// How many octets.
        len: usize,
    },
    /// Nothing that can be said yet.
    Partial {
        /// Before there are that many octets, there is no use in asking again.
        wanted: usize,
    },
    /// No request and no response can be like this. Nobody can say where the next one begins, so
    /// the connection is of no more use.
    Malformed(Malformed),
}

/// The `continuation-flag` of an end-line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flag {
    /// `$`: this was the end of the message.
    Last,
    /// `+`: more chunks of the message follow.
    More,
    /// `#`: the sender gives the message up; no more of it follows.
    Aborted,
}

impl Flag {
    /// As it is written.
    pub const fn octet(self) -> u8 {
        match self {
            Self::Last => b'$',
            Self::More => b'+',
            Self::Aborted => b'#',
        }
    }

    /// What the octet means, if it is a flag.
    pub const fn of(octet: u8) -> Option<Self> {
        match octet {
            b'$' => Some(Self::Last),
            b'+' => Some(Self::More),
            b'#' => Some(Self::Aborted),
            _ => None,
        }
    }
}

/// What the stream is in the middle of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    /// A start line, up to its method or status code.
    #[default]
    Start,
    /// The rest of the head.
    Headers,
    /// The end-line directly behind the head.
    NoBody,
    /// The body, before its first octet.
    Opening,
    /// The body.
    Body,
}

/// Where a connection stands: forty octets, whatever has arrived and however.
///
/// [`Reader::read`] is shown everything that has arrived and was not consumed, and says what its
/// front is. Who asks consumes exactly as many octets as the event has and asks again; for
/// [`Event::Partial`] he waits for more. What was looked at once is not looked at again when more
/// arrives, except for the few octets of a start line or an end-line that are still torn.
///
/// ```text
///   Start --> Headers --+-- "-------" --> NoBody ------+
///     ^                 +-- CRLF -------> Opening      |
///     |                                      |         |
///     |                 Body <---------------+         |
///     +-- end-line ------+---------------+-------------+
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reader {
    phase: Phase,
    transaction_id: [u8; MSRP_IDENT_SIZE_MAX],
    transaction_id_len: u8,
    /// How many octets at the front need no second look: in a head, those before the line end that
    /// is looked for; else those that are the beginning of the end-line.
    passed: u16,
}

/// How far octets agree with the end-line of the transaction.
enum Agreement {
    Whole {
        flag: Flag,
        len: usize,
    },
    /// All that there are, and that is not all of it.
    Torn,
    /// Up to this one.
    Until(usize),
}

impl Reader {
    /// At the beginning of a stream.
    pub const fn new() -> Self {
        Self {
            phase: Phase::Start,
            transaction_id: [0; MSRP_IDENT_SIZE_MAX],
            transaction_id_len: 0,
            passed: 0,
        }
    }

    /// The transaction identifier of the chunk that is open; empty between two chunks.
    pub fn transaction_id(&self) -> &[u8] {
        match self.phase {
            Phase::Start => &[],
            Phase::Headers | Phase::NoBody | Phase::Opening | Phase::Body => {
                self.transaction_id.get(..usize::from(self.transaction_id_len)).unwrap_or_default()
            }
        }
    }

    /// Says what the front of these octets is: all that have arrived and were not consumed.
    pub fn read(&mut self, octets: &[u8]) -> Event {
        let result = match self.phase {
            Phase::Start => self.start(octets),
            Phase::Headers => self.headers(octets),
            Phase::NoBody => self.no_body(octets),
            Phase::Opening => Ok(self.opening(octets)),
            Phase::Body => Ok(self.body(octets)),
        };
        result.unwrap_or_else(Event::Malformed)
    }

    /// `pMSRP SP transact-id SP`: what is no MSRP is refused at its first octet.
    fn start(&mut self, octets: &[u8]) -> Result<Event, Malformed> {
        const PROTOCOL: &[u8] = b"MSRP ";
        let partial = Ok(Event::Partial { wanted: octets.len().saturating_add(1) });
        let Some(rest) = octets.strip_prefix(PROTOCOL) else {
            let same = PROTOCOL.iter().zip(octets).take_while(|(wanted, is)| wanted == is).count();
            visited(same);
            let malformed = Malformed { expected: "MSRP and a space", at: same };
            return if same == octets.len() { partial } else { Err(malformed) };
        };
        let len = Class::IDENT.run(rest.get(..=MSRP_IDENT_SIZE_MAX).unwrap_or(rest));
        let begins = rest.first().is_none_or(u8::is_ascii_alphanumeric);
        let long = len > MSRP_IDENT_SIZE_MAX;
        let short = len < MSRP_IDENT_SIZE_MIN && len < rest.len();
        if !begins || long || short {
            let at = if begins { len.min(MSRP_IDENT_SIZE_MAX) } else { 0 };
            let expected = "a transaction identifier of 4 to 32 characters";
            return Err(Malformed { expected, at: PROTOCOL.len().saturating_add(at) });
        }
        let end = PROTOCOL.len().saturating_add(len);
        match octets.get(end) {
            None => return partial,
            Some(b' ') => {}
            Some(_) => {
                let expected = "a space behind the transaction identifier";
                return Err(Malformed { expected, at: end });
            }
        }
        let room = self.transaction_id.get_mut(..len).unwrap_or_default();
        room.copy_from_slice(rest.get(..room.len()).unwrap_or_default());
        self.transaction_id_len = u8::try_from(len).unwrap_or_default();
        self.phase = Phase::Headers;
        self.passed = u16::try_from(end).unwrap_or_default();
        self.headers(octets)
    }

    /// Line by line to an empty one or to the end-line. CR and LF by themselves are refused: two
    /// elements might disagree about where the head ends.
    fn headers(&mut self, octets: &[u8]) -> Result<Event, Malformed> {
        // One octet more tells whether a head of the full size ends there.
        let section = octets.get(..=MSRP_HEADER_SIZE_MAX).unwrap_or(octets);
        let mut at = usize::from(self.passed);
        while let Some(found) = find_control(section.get(at..).unwrap_or_default()) {
            let line_end = at.saturating_add(found);
            at = line_end;
            let rest = section.get(line_end..).unwrap_or_default();
            let (len, phase) = match rest {
                [b'\r', b'\n', b'\r', b'\n', ..] => (4, Phase::Opening),
                [b'\r', b'\n', b'-', ..] => (2, Phase::NoBody),
                [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => break,
                [b'\r', b'\n', ..] => {
                    at = line_end.saturating_add(2);
                    continue;
                }
                [b'\r' | b'\n', ..] => {
                    return Err(Malformed { expected: "CR and LF together", at: line_end });
                }
                // No other control character ends anything; the head is judged when it is there.
                _ => {
                    at = line_end.saturating_add(1);
                    continue;
                }
            };
            let len = line_end.saturating_add(len);
            if len > MSRP_HEADER_SIZE_MAX {
                break;
            }
            (self.phase, self.passed) = (phase, 0);
            return Ok(Event::Head { len });
        }
        if section.len() > MSRP_HEADER_SIZE_MAX {
            let at = MSRP_HEADER_SIZE_MAX;
            return Err(Malformed { expected: "a smaller header section", at });
        }
        // A line end that is torn is looked at again, the rest of a line is not.
        let torn = section.get(at).is_some_and(|octet| *octet == b'\r');
        let passed = if torn { at } else { section.len() };
        self.passed = u16::try_from(passed).unwrap_or_default();
        Ok(Event::Partial { wanted: octets.len().saturating_add(1) })
    }

    /// A line that begins with a hyphen is no header field, so it must be the end-line.
    fn no_body(&mut self, octets: &[u8]) -> Result<Event, Malformed> {
        match self.agree(octets, 2) {
            Agreement::Whole { flag, len } => Ok(self.end(flag, len)),
            Agreement::Torn => Ok(Event::Partial { wanted: octets.len().saturating_add(1) }),
            Agreement::Until(at) => Err(Malformed { expected: "the end-line", at }),
        }
    }

    /// Behind the empty line. The grammar has a CRLF of its own in front of the end-line, but a
    /// sender who forgets it behind an empty body means the end all the same: what stands there is
    /// what no body may contain.
    fn opening(&mut self, octets: &[u8]) -> Event {
        match self.agree(octets, 2) {
            Agreement::Whole { flag, len } => self.end(flag, len),
            Agreement::Torn => Event::Partial { wanted: octets.len().saturating_add(1) },
            Agreement::Until(_) => {
                (self.phase, self.passed) = (Phase::Body, 0);
                self.body(octets)
            }
        }
    }

    /// A body ends at the end-line of its transaction and at nothing that is like it (H31), however
    /// many octets its head has announced (H32).
    fn body(&mut self, octets: &[u8]) -> Event {
        let mut start = (self.passed > 0).then_some(0);
        let mut from = 0;
        while let Some(at) = start.or_else(|| search::find(octets, from)) {
            let first = start.take().is_some();
            if !first {
                self.passed = u16::try_from(BEGIN.len()).unwrap_or_default();
            }
            match self.agree(octets.get(at..).unwrap_or_default(), 0) {
                Agreement::Whole { flag, len } if at == 0 => return self.end(flag, len),
                Agreement::Torn if at == 0 => {
                    return Event::Partial { wanted: octets.len().saturating_add(1) };
                }
                Agreement::Whole { .. } | Agreement::Torn => return Event::Body { len: at },
                // No end-line begins before the octet that differs: it would begin with CR and LF, and
                // behind the one CR that may have been passed there was no LF.
                Agreement::Until(differs) => from = at.saturating_add(differs),
            }
        }
        let held = search::begun(octets, from);
        self.passed = u16::try_from(held).unwrap_or_default();
        match octets.len().saturating_sub(held) {
            0 => Event::Partial { wanted: octets.len().saturating_add(1) },
            len => Event::Body { len },
        }
    }

    /// Compares octets with the end-line from its octet `skipped` on, which two are CRLF. The first
    /// [`Reader::passed`] of them are known to agree.
    fn agree(&mut self, octets: &[u8], skipped: usize) -> Agreement {
        let tid_len = usize::from(self.transaction_id_len);
        let flag_at = BEGIN.len().saturating_add(tid_len);
        let whole = flag_at.saturating_add(3);
        let mut at = usize::from(self.passed).saturating_add(skipped);
        visited(0);
        // The whole identifier at once, where it is there as a whole.
        let id = self.transaction_id.get(..tid_len).unwrap_or_default();
        let id_at = BEGIN.len();
        let there = octets.get(id_at.saturating_sub(skipped)..).is_some_and(|o| o.starts_with(id));
        if at == id_at && there {
            visited(tid_len);
            at = flag_at;
        }
        while at < whole {
            let Some(octet) = octets.get(at.saturating_sub(skipped)) else {
                self.passed = u16::try_from(octets.len()).unwrap_or_default();
                return Agreement::Torn;
            };
            visited(0);
            let wanted = match at.checked_sub(flag_at) {
                None => BEGIN
                    .get(at)
                    .or_else(|| self.transaction_id.get(at.saturating_sub(BEGIN.len())))
                    .copied(),
                Some(0) => Flag::of(*octet).map(Flag::octet),
                Some(1) => Some(b'\r'),
                Some(_) => Some(b'\n'),
            };
            if wanted != Some(*octet) {
                self.passed = 0;
                return Agreement::Until(at.saturating_sub(skipped));
            }
            at = at.saturating_add(1);
        }
        let len = whole.saturating_sub(skipped);
        self.passed = u16::try_from(len).unwrap_or_default();
        match octets.get(flag_at.saturating_sub(skipped)).copied().and_then(Flag::of) {
            Some(flag) => Agreement::Whole { flag, len },
            None => Agreement::Until(flag_at.saturating_sub(skipped)),
        }
    }

    /// The chunk ends here, and the next one may begin.
    const fn end(&mut self, flag: Flag, len: usize) -> Event {
        *self = Self::new();
        Event::End { flag, len }
    }
}
