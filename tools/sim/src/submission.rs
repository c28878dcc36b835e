//! One accepted message: what left for it, what came about it, and what that proves.

use std::collections::BTreeMap;
use std::rc::Rc;

use roger::delivery::{Account, Report};
use roger::packet::{Endpoint, SendError};
use roger::transaction::branch::BRANCH_SIZE;

use crate::judge;
use crate::ledger::Verdict;
use crate::swarm::{MS, SECOND, Swarm};
use crate::text::{Key, Text, without_top_via};

/// One accepted message.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) key: Key,
    /// The request as it arrived.
    pub(crate) request: Rc<[u8]>,
    /// When it arrived; which of several copies was the first is known when it is told.
    pub(crate) arrived: u64,
    /// When each copy arrived that may have been the first.
    pub(crate) copies: Vec<u64>,
    /// Where it was accepted, for whose turns bring it on.
    pub(crate) seat: usize,
    /// Whether its answers may leave from another worker.
    pub(crate) is_handed: bool,
    /// Whether it came over a connection.
    pub(crate) is_stream: bool,
    /// Whether the request was damaged on its way to us.
    pub(crate) tainted: bool,
    /// Which host on the SMS side it came from.
    pub(crate) client: Option<usize>,
    /// How many servers there are to try.
    pub(crate) servers_max: usize,
    pub(crate) attempts: Vec<Attempt>,
    /// What arrived about it, in order.
    pub(crate) proofs: Vec<Proof>,
    /// When 100 was sent first.
    pub(crate) trying_at: Option<u64>,
    /// The report: when, which status, and which octets.
    pub(crate) told: Option<Told>,
    /// How the kernel refused the report.
    pub(crate) told_refused: Option<SendError>,
    /// Its account, once it is there.
    pub(crate) account: Option<Account>,
}

/// One client transaction of ours.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) server: Endpoint,
    pub(crate) branch: Box<str>,
    pub(crate) octets: Rc<[u8]>,
    /// When it was transmitted.
    pub(crate) sent: Vec<u64>,
    /// When the kernel said that the first transmission has not left.
    pub(crate) refused: Option<u64>,
    /// Whether it went over a connection; and whether the next one goes to the same server, in
    /// datagrams, because there was none.
    pub(crate) is_stream: bool,
    pub(crate) fell_back: bool,
}

/// Something that arrived about a message.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) at: u64,
    pub(crate) what: What,
    /// Since when it has surely reached whom it concerns, so that it must have counted; the end of
    /// time while that is not so. Before it may count or not.
    pub(crate) by: u64,
    /// Whether it must count at all; else it may.
    pub(crate) certain: bool,
    pub(crate) server: Endpoint,
    pub(crate) octets: Rc<[u8]>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    Response(u16),
    Unreachable,
}

/// A final response of ours towards the SMS side.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) at: u64,
    pub(crate) status: u16,
    pub(crate) octets: Rc<[u8]>,
}

impl Submission {
    /// Whether every transmission so far was refused by the kernel.
    pub(crate) fn never_left(&self) -> bool {
        !self.attempts.is_empty()
            && self.account.is_none()
            && self.attempts.iter().all(|attempt| attempt.refused.is_some())
    }

    /// Whether it has not left so far and this is the next server to try.
    pub(crate) fn goes_on_to(
        &self,
        server: Endpoint,
        targets: Option<&[Endpoint]>,
        is_stream: bool,
        swarm: &Swarm,
    ) -> bool {
        let tried = self.tried();
        let next = match targets {
            Some(targets) => targets.get(tried).copied(),
            None if swarm.route_by_uri => None,
            None => swarm.places.servers.get(tried).map(|server| server.addresses[0]),
        };
        let is_next = next == Some(server) || self.falls_back(server, is_stream);
        self.never_left() && self.told.is_none() && is_next
    }

    /// How many servers have had an attempt.
    pub(crate) fn tried(&self) -> usize {
        self.attempts.iter().filter(|attempt| !attempt.fell_back).count()
    }

    /// Whether a datagram to the same server may follow (RFC 3261 section 18.1.1).
    pub(crate) fn falls_back(&self, server: Endpoint, is_stream: bool) -> bool {
        self.attempts.last().is_some_and(|last| {
            last.is_stream && !is_stream && last.server == server && last.refused.is_some()
        })
    }

    /// Whether the report may be a response that was damaged on its way to us.
    pub(crate) fn damaged_report(&self) -> bool {
        let at = self.told.as_ref().map(|told| told.at);
        let reached = |proof: &Proof| at.is_some_and(|at| proof.reached(at));
        self.tainted || self.proofs.iter().any(|proof| !proof.certain && reached(proof))
    }

    pub(crate) fn is_routed(&self) -> bool {
        Text::read(&self.request).is_none_or(|text| text.value("Route").is_some())
    }

    /// Whether timer J has run out, so that its retransmission is a new request. A limit only
    /// ends a message in the first of `turns` that comes after it.
    pub(crate) fn forgotten(
        &self,
        now: u64,
        swarm: &Swarm,
        turns: &BTreeMap<usize, Vec<u64>>,
    ) -> bool {
        let turns = turns.get(&self.seat).map_or(&[][..], Vec::as_slice);
        let limit = self.arrived + swarm.deadline().min(swarm.transaction());
        let limited = turns.get(turns.partition_point(|turn| *turn < limit)).copied();
        let proved = self.proofs.iter().find(|proof| proof.ends()).map(|proof| proof.at);
        let end = match (&self.told, &self.account) {
            (Some(told), _) => Some(told.at),
            (None, Some(account)) => Some(account.decided.0),
            (None, None) => proved.into_iter().chain(limited).min(),
        };
        end.is_some_and(|end| now >= end + swarm.transaction())
    }

    /// Whether this is the report that was told, and leaves from another worker after that.
    pub(crate) fn is_owed(&self, status: u16) -> bool {
        let said = self.account.as_ref().map(|account| account.report);
        self.is_handed && self.told.is_none() && said == Some(Report::Response(status))
    }

    /// A report must be a response that has just reached whom it concerns, less our Via; or 500 where
    /// the request has never left.
    pub(crate) fn is_proved(&self, status: u16, octets: &[u8]) -> Verdict<()> {
        if status == 500 && self.never_left() {
            return Ok(());
        }
        let here = self.proofs.iter().filter(|proof| proof.is_fresh());
        let mut seen = false;
        for proof in here {
            let What::Response(from) = proof.what else { continue };
            if from != status && (from, status) != (503, 500) {
                continue;
            }
            seen = true;
            let expected = without_top_via(&proof.octets);
            if !proof.certain
                || expected.is_some_and(|rest| {
                    // A repeated request may be answered on its own connection first.
                    judge::same_response(&rest, octets, from)
                        || self.is_handed && judge::same_answer(&rest, octets)
                })
            {
                return Ok(());
            }
        }
        if seen {
            return Err(format!(
                "I7: {:?}: the octets of {status} are not those that came",
                self.key
            ));
        }
        Err(format!("I3: {:?}: {status} without proof", self.key))
    }
}

impl Proof {
    /// Whether it may be reaching whom it concerns at this very moment.
    pub(crate) const fn is_fresh(&self) -> bool {
        self.by == u64::MAX
    }

    /// Whether it may have reached whom it concerns at this moment.
    pub(crate) const fn reached(&self, at: u64) -> bool {
        self.at <= at && at <= self.by
    }

    /// Whether all that matters in these octets stands in it, damaged or not.
    pub(crate) fn holds(&self, octets: &[u8]) -> bool {
        let lines = octets.split(|octet| *octet == b'\n').skip(1);
        lines
            .filter(|line| line.len() > 2 && !line.to_ascii_lowercase().starts_with(b"v"))
            .all(|line| self.octets.windows(line.len()).any(|window| window == line))
    }

    /// Whether it ends the client transaction.
    pub(crate) fn ends(&self) -> bool {
        match self.what {
            What::Response(status) => status >= 200,
            What::Unreachable => true,
        }
    }
}

/// How late a timer may be seen: the granularity of the wheel, the lag of a turn, a standstill.
pub(crate) fn slack(swarm: &Swarm) -> u64 {
    let stall = swarm.faults.stalls * 10 * SECOND + swarm.crew.standstill() + 2 * swarm.crew.doze;
    50 * MS + 3 * swarm.faults.lag + 2 * swarm.faults.hold + stall
}

/// Damaged octets in a form that can be read at all.
pub(crate) fn sanitised(octets: &Rc<[u8]>) -> Rc<[u8]> {
    if octets.is_ascii() {
        return octets.clone();
    }
    octets.iter().map(|octet| if octet.is_ascii() { *octet } else { b'?' }).collect()
}

/// Status and topmost branch of a response, however damaged.
pub(crate) fn guess(octets: &[u8]) -> Option<(u16, Box<str>)> {
    let status = core::str::from_utf8(octets.get(8..11)?).ok()?.parse().ok()?;
    Some((status, branch_in(octets)?))
}

/// The first branch of RFC 3261, in lower case: hexadecimal digits have none.
fn branch_in(octets: &[u8]) -> Option<Box<str>> {
    let cookie =
        |at: &usize| octets[*at..].get(..7).is_some_and(|c| c.eq_ignore_ascii_case(b"z9hG4bK"));
    let at = (0..octets.len()).find(cookie)?;
    let rest = &octets[at..];
    let len = rest.iter().position(|octet| !octet.is_ascii_alphanumeric()).unwrap_or(rest.len());
    Some(rest[..len].iter().map(|octet| char::from(octet.to_ascii_lowercase())).collect())
}

/// The branch of ours in a request that an ICMP error quotes: what stands behind it may be damaged.
pub(crate) fn quoted_branch(quoted: &[u8]) -> Option<Box<str>> {
    let branch = branch_in(quoted)?;
    Some(branch.get(..BRANCH_SIZE).unwrap_or(&branch).into())
}
