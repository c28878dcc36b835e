//! The part of the demo that goes over connections: both ends are the generator's.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::io::{Choice, Polling};
use crate::load::generator::message::RunId;
use crate::load::generator::mix::Mix;
use crate::load::generator::plan::{End, Pace, Plan, Profile, Timers};
use crate::load::generator::stage::{Look, Stage};
use crate::load::generator::summary::Summary;
use crate::packet::Transport;

/// Where messages over connections come from. Whoever connects is known by his address alone, so no
/// other peer of the demo may have it.
const SENDER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Where they go.
const ANSWERER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// How it is answered there.
const MIX: &str = "200:90,480:5,486:5";

/// Octets of a text.
const TEXT_SIZE: usize = 120;

/// The ends, before there is an engine between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The sending end.
    pub(super) sender: SocketAddr,
    /// The answering end.
    pub(super) answerer: SocketAddr,
}

impl Places {
    /// Finds ports that are free.
    pub(super) fn find() -> io::Result<Self> {
        let free = |ip| TcpListener::bind((ip, 0))?.local_addr();
        Ok(Self { sender: free(SENDER)?, answerer: free(ANSWERER)? })
    }
}

/// What is sent over connections, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// Messages per second, times 1000.
    pub(super) rate_mhz: u64,
    /// Messages in all.
    pub(super) messages: u32,
    /// Decides how each is answered.
    pub(super) seed: u64,
    /// T1, in milliseconds.
    pub(super) t1_ms: u64,
}

/// Both ends with the engine between them.
#[derive(Debug)]
pub(super) struct Trunk {
    stage: Stage,
    /// Verdicts of the engine, by their letter.
    pub(super) verdicts: BTreeMap<char, u64>,
}

impl Trunk {
    pub(super) fn start(places: Places, engine: SocketAddr, share: Share) -> io::Result<Self> {
        let end = |address| Some(End { address, cpu: None });
        let mut stage = Stage::set(Plan {
            run: RunId(std::process::id()),
            seed: share.seed,
            profile: Profile::Pager,
            target: engine,
            transport: Transport::Tcp,
            sender: end(places.sender),
            answerer: end(places.answerer),
            pace: Pace::new(share.rate_mhz),
            messages: share.messages,
            warmup: 0,
            mix: Mix::read(MIX).map_err(io::Error::other)?,
            timers: Timers::of(share.t1_ms * 1_000_000),
            recipient: "u########".to_owned(),
            domain: places.answerer.to_string(),
            text_size: TEXT_SIZE,
            parts: 1,
            sessions: None,
            driver: Choice::Auto,
            polling: Polling::Wait,
        })?;
        stage.start();
        Ok(Self { stage, verdicts: BTreeMap::new() })
    }

    pub(super) fn look(&self) -> Look {
        self.stage.look()
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage.is_over()
    }

    /// How many verdicts were told.
    pub(super) fn settled(&self) -> u64 {
        self.verdicts.values().sum()
    }

    /// Ends both ends and judges.
    pub(super) fn finish(self) -> io::Result<(Summary, BTreeMap<char, u64>)> {
        let Self { stage, verdicts } = self;
        let round = stage.round();
        let mut total =
            crate::load::generator::interval::Interval::new().map_err(io::Error::other)?;
        let records = stage.finish()?;
        round.take(|interval| total.add(interval));
        if let Some(told) = &records.sender {
            total.add(&told.interval);
        }
        Ok((Summary::of(&records, &total, &[], false), verdicts))
    }
}
