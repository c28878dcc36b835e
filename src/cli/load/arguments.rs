//! What `roger load run` takes, and the plan that it comes to.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::load::fresh;
use crate::cli::load::sessions::SessionArguments;
use crate::cli::load::units::{self, Target};
use crate::io::{Choice, Polling};
use crate::load::generator::message::{
    PAGER_SIZE_MAX, PAGER_STREAM_SIZE_MAX, PART_SIZE_MAX, PART_SIZE_MIN, RunId, SMS_SIZE_MAX,
    TEXT_SIZE_MIN,
};
use crate::load::generator::mix::Mix;
use crate::load::generator::plan::{End, MESSAGES_MAX, Pace, Plan, Profile, Timers};
use crate::load::generator::threshold::Threshold;
use crate::load::table::grouped;
use crate::packet::Transport;

/// How long a run is unless it is said.
const DURATION_NS: u64 = 10_000_000_000;

/// What is sent and answered, how fast, and what fails.
#[derive(Args, Clone, Debug)]
pub(super) struct RunArguments {
    /// Where messages go: sip:HOST:PORT or sip:HOST:PORT;transport=tcp; "self" sends straight to the
    /// answering end, which shows what the generator and the machine can do
    #[arg(long, value_name = "URI", value_parser = units::target, required_unless_present_any = ["plays"])]
    to: Option<Target>,
    /// Messages per second, sent whether or not earlier ones are answered: 0.5, 200, 200k, 1.5M
    #[arg(long, default_value = "1k", value_parser = units::rate_mhz)]
    rate: u64,
    /// How long messages are measured: 500ms, 30s, 2m [default: 10s]
    #[arg(long = "for", value_name = "DURATION", value_parser = units::duration_ns, conflicts_with = "messages")]
    duration: Option<u64>,
    /// How many messages are measured
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MESSAGES_MAX)))]
    messages: Option<u32>,
    /// How long messages are sent before that, which are in no figure but in the audit
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = units::duration_ns)]
    warmup: u64,
    /// What the messages are
    #[arg(long, value_enum, default_value_t)]
    profile: ProfileName,
    /// Which ends are played; with both, what the sender is told is held against the truth
    #[arg(long, value_enum, default_value_t)]
    plays: Plays,
    /// Where the answering end listens; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where the sending end sends from [default: the address that reaches the target, any port]
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<SocketAddr>,
    /// What the answering end answers, with weights: 200:90,480:5,silent:5
    #[arg(long, value_name = "MIX", default_value = "200", value_parser = Mix::read)]
    answer: Mix,
    /// The core of each end, the sending end first: 0,1. They spin on them
    #[arg(long, value_name = "CPU[,CPU]", value_delimiter = ',')]
    pub(super) cpu: Vec<usize>,
    /// How octets are moved
    #[arg(long, value_enum, default_value_t)]
    driver: Driver,
    /// What an end does when there is nothing to do [default: spin with --cpu, else adaptive]
    #[arg(long, value_enum)]
    polling: Option<PollingName>,
    /// User part of the recipients; each # is a digit of the message's number
    #[arg(long, default_value = "+1555#######", value_parser = recipient)]
    recipient: String,
    /// Host and port of the recipients [default: those of --to]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = domain)]
    domain: Option<String>,
    /// Octets of the text: pager from 24 to 800, over TCP to 8000; sms to 160, each of several parts to 153
    #[arg(long, default_value_t = 140)]
    text_size: usize,
    /// Short messages that make one text together, for one recipient; each is a message that is counted
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    parts: u8,
    /// T1 of RFC 3261; T2 is eight times that, timer F 64 times
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = units::duration_ns)]
    t1: u64,
    /// Decides which message gets which answer
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The run has failed if this holds: p99.9>500us, pacing.p99>1ms, unresolved>0, achieved<99%
    #[arg(long, value_name = "CONDITION")]
    pub(super) fail_if: Vec<Threshold>,
    /// Write the results to a directory, which must not have any
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) out: Option<PathBuf>,
    /// Print the result for programs
    #[arg(long)]
    pub(super) json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(super) quiet: bool,
    #[command(flatten)]
    sessions: SessionArguments,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum ProfileName {
    /// Text in a MESSAGE; its final response is the report
    #[default]
    Pager,
    /// An SMS-DELIVER in RP-DATA; RP-ACK or RP-ERROR comes back in a MESSAGE
    Sms,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Plays {
    /// The sending end
    #[default]
    Send,
    /// The answering end
    Answer,
    /// Both ends, with the tested system between them
    Both,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Driver {
    /// Over UDP trains, over TCP `io_uring`, or `recvmmsg` where that is refused
    #[default]
    Auto,
    /// `io_uring` or nothing
    #[value(name = "io_uring")]
    Uring,
    /// `recvmmsg` and `sendmmsg`
    Mmsg,
    /// The same with trains: messages that are due together leave as one piece (`UDP_SEGMENT`)
    Trains,
}

impl Driver {
    const fn choice(self, transport: Transport) -> Choice {
        match self {
            // A datagram that goes alone costs four times as much as one of a train.
            Self::Auto if !transport.is_reliable() => Choice::Trains,
            Self::Auto => Choice::Auto,
            Self::Uring => Choice::Uring,
            Self::Mmsg => Choice::Mmsg,
            Self::Trains => Choice::Trains,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum PollingName {
    /// Look again at once
    Spin,
    /// Look again for a while, then sleep
    Adaptive,
}

/// What a user part is made of (RFC 3261 section 25.1), without what would have to be escaped.
fn recipient(text: &str) -> Result<String, String> {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/#".contains(&octet);
    let hashes = text.bytes().filter(|octet| *octet == b'#').count();
    if text.is_empty() || text.len() > 64 || !text.bytes().all(fits) || hashes > 10 {
        return Err("must be the user part of a SIP URI, with at most ten #".to_owned());
    }
    Ok(text.to_owned())
}

fn domain(text: &str) -> Result<String, String> {
    let uri = ["sip:u@", text].concat();
    let read = crate::wire::sip::uri::parse(uri.as_bytes());
    let plain = |uri: crate::wire::sip::uri::Uri<'_>| {
        !uri.host.is_empty() && uri.params.is_empty() && uri.headers.is_empty()
    };
    match read {
        Ok(uri) if plain(uri) && text.len() <= 128 => Ok(text.to_owned()),
        _ => Err("must be a host, or a host and a port".to_owned()),
    }
}

impl RunArguments {
    /// Whether an end is told for how long it runs.
    pub(super) const fn is_bounded(&self) -> bool {
        self.duration.is_some()
    }

    /// What is to be done, and how long messages leave, in nanoseconds.
    pub(super) fn plan(&self) -> Result<(Plan, u64), String> {
        let (sends, answers) = match self.plays {
            Plays::Send => (true, false),
            Plays::Answer => (false, true),
            Plays::Both => (true, true),
        };
        let (target, domain, transport) = self.target(sends, answers)?;
        let profile = self.profile(transport)?;
        let is_alone = matches!(self.to, Some(Target::Myself { .. }));
        let sessions = self.sessions.plan(answers, is_alone)?;
        let pace = Pace::new(self.rate);
        let (messages, warmup) = self.messages(pace)?;
        let mut cpus = self.cpu.iter().copied();
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let sender = sends.then(|| End { address: self.bind.unwrap_or(any), cpu: cpus.next() });
        let answerer = match (answers, self.listen) {
            (false, Some(_)) => return Err("--listen needs --plays answer or both".to_owned()),
            (false, None) => None,
            (true, None) if self.to != Some(Target::Myself { transport }) => {
                return Err("--listen ADDRESS:PORT says where messages come to".to_owned());
            }
            (true, listen) => {
                let own = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                Some(End { address: listen.unwrap_or(own), cpu: cpus.next() })
            }
        };
        if cpus.next().is_some() {
            return Err("--cpu names more cores than there are ends".to_owned());
        }
        if let Some(threshold) =
            self.fail_if.iter().find(|it| it.needs_audit() && !(sends && answers))
        {
            return Err(format!("{threshold} can be known with --plays both only"));
        }
        let own_core = self.cpu.is_empty();
        let polling = match self.polling {
            Some(PollingName::Spin) => Polling::Spin,
            None if !own_core => Polling::Spin,
            Some(PollingName::Adaptive) | None => Polling::Adaptive,
        };
        let plan = Plan {
            run: RunId(fresh(self.seed)),
            seed: self.seed,
            profile,
            target,
            transport,
            sender,
            answerer,
            pace,
            messages,
            warmup,
            mix: self.answer.clone(),
            timers: Timers::of(self.t1.clamp(1_000_000, 60_000_000_000)),
            recipient: self.recipient.clone(),
            domain,
            text_size: self.text_size,
            parts: self.parts,
            sessions,
            driver: self.driver.choice(transport),
            polling,
        };
        let whole_ns = match (sends, self.duration) {
            (true, _) => pace.due_ns(messages),
            (false, duration) => duration.unwrap_or(0),
        };
        Ok((plan, whole_ns))
    }

    fn target(
        &self,
        sends: bool,
        answers: bool,
    ) -> Result<(SocketAddr, String, Transport), String> {
        let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (address, host, transport) = match &self.to {
            None if sends => return Err("--to says where messages go".to_owned()),
            Some(_) if !sends => return Err("--to needs --plays send or both".to_owned()),
            None => (unknown, String::new(), Transport::Udp),
            Some(Target::Myself { .. }) if !answers => {
                return Err("--to self needs --plays both".to_owned());
            }
            Some(Target::Myself { transport }) => (unknown, "127.0.0.1".to_owned(), *transport),
            Some(Target::System { host, address, transport }) => {
                (*address, host.clone(), *transport)
            }
        };
        Ok((address, self.domain.clone().unwrap_or(host), transport))
    }

    fn profile(&self, transport: Transport) -> Result<Profile, String> {
        let (profile, max) = match self.profile {
            ProfileName::Pager if transport.is_reliable() => {
                (Profile::Pager, PAGER_STREAM_SIZE_MAX)
            }
            ProfileName::Pager => (Profile::Pager, PAGER_SIZE_MAX),
            ProfileName::Sms if self.parts > 1 => (Profile::Sms, PART_SIZE_MAX),
            ProfileName::Sms => (Profile::Sms, SMS_SIZE_MAX),
        };
        let min = if self.parts > 1 { PART_SIZE_MIN } else { TEXT_SIZE_MIN };
        if self.parts > 1 && profile == Profile::Pager {
            return Err("--parts needs --profile sms".to_owned());
        }
        if !(min..=max).contains(&self.text_size) {
            let of = if self.parts > 1 { "a part" } else { profile.name() };
            return Err(format!("--text-size of {of} is from {min} to {max}"));
        }
        Ok(profile)
    }

    /// All messages, and how many of them are warm-up.
    fn messages(&self, pace: Pace) -> Result<(u32, u32), String> {
        let measured = match (self.messages, self.duration) {
            (Some(messages), _) => u64::from(messages),
            (None, duration) => pace.messages_in(duration.unwrap_or(DURATION_NS)).max(1),
        };
        // No text is left without some of its parts.
        let parts = u64::from(self.parts);
        let whole = |count: u64| count.checked_next_multiple_of(parts).unwrap_or(u64::MAX);
        let (measured, warmup) = (whole(measured), whole(pace.messages_in(self.warmup)));
        let fits = |count: u64| u32::try_from(count).ok().filter(|count| *count <= MESSAGES_MAX);
        match (fits(measured.saturating_add(warmup)), fits(warmup)) {
            (Some(messages), Some(warmup)) => Ok((messages, warmup)),
            _ => Err(format!(
                "{} messages are too many to remember, {} are not",
                grouped(measured.saturating_add(warmup)),
                grouped(u64::from(MESSAGES_MAX))
            )),
        }
    }
}
