//! What `roger load run` takes about sessions at the answering end.

use std::net::SocketAddr;

use clap::Args;

use crate::load::generator::mix::Mix;
use crate::load::generator::plan::Sessions;

/// Sessions at once unless it is said.
const COUNT: u32 = 1_024;

/// Sessions at once at most: each may take three of the connections that one thread can have.
const COUNT_MAX: i64 = 16_384;

/// Who takes Large Messages, and what is said to them.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Large Messages")]
pub(super) struct SessionArguments {
    /// The answering end takes what no MESSAGE can carry in MSRP sessions, which it listens for here;
    /// port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS:PORT")]
    msrp: Option<SocketAddr>,
    /// What it answers INVITE, with weights; 180 rings until it is cancelled: 200:90,486:6,180:3,silent:1
    /// [default: 200]
    #[arg(long, value_name = "MIX", requires = "msrp", value_parser = Mix::read_ringing)]
    invite: Option<Mix>,
    /// What it answers the end of a message in a session: 200:95,413:4,silent:1 [default: 200]
    #[arg(long, value_name = "MIX", requires = "msrp", value_parser = Mix::read)]
    send: Option<Mix>,
    /// What the REPORTs of its recipients say, who are behind a relay then: 200:90,413:8,silent:2
    /// [default: there is no relay, and 200 to the end of a message is of the recipient]
    #[arg(long, value_name = "MIX", requires = "msrp", value_parser = Mix::read)]
    report: Option<Mix>,
    /// In how many of a hundred sessions it connects itself, where it is left to it [default: 0]
    #[arg(long, value_name = "PERCENT", requires = "msrp", value_parser = clap::value_parser!(u8).range(..=100))]
    active: Option<u8>,
    /// How many sessions it takes at once; who is invited to one more is busy (486) [default: 1024]
    #[arg(long, value_name = "COUNT", requires = "msrp", value_parser = clap::value_parser!(u32).range(1..=COUNT_MAX))]
    sessions: Option<u32>,
}

impl SessionArguments {
    /// The sessions of an end that answers, or does not; which may be all that there is between both ends.
    pub(super) fn plan(&self, answers: bool, is_alone: bool) -> Result<Option<Sessions>, String> {
        let Some(address) = self.msrp else { return Ok(None) };
        if !answers {
            return Err("--msrp needs --plays answer or both".to_owned());
        }
        if is_alone {
            return Err(
                "--msrp needs a system between both ends: nobody here sends in sessions".to_owned()
            );
        }
        if address.ip().is_unspecified() {
            return Err(
                "--msrp needs an address that can be connected to: it is told in SDP".to_owned()
            );
        }
        let always = || Mix::always(200);
        Ok(Some(Sessions {
            address,
            invite: self.invite.clone().unwrap_or_else(always),
            send: self.send.clone().unwrap_or_else(always),
            report: self.report.clone(),
            active_percent: self.active.unwrap_or(0),
            count: self.sessions.unwrap_or(COUNT),
        }))
    }
}
