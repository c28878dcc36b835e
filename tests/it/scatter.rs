//! Every datagram to a random worker of four, on real sockets: each message ends as with one worker.

mod group;
mod play;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;

use roger::config::Config;
use roger::metrics::Counter;
use roger::oam::Service;

use self::play::{Fate, Played, Players};

const WORKERS: u8 = 4;

/// How many messages are played: fewer where every access to memory is watched.
fn messages() -> u32 {
    std::env::var("ROGER_SCATTER_MESSAGES").map_or(2_000, |text| text.parse().unwrap())
}

/// Where and how a service runs.
struct Place {
    ip: &'static str,
    driver: &'static str,
    /// What stands in `[requests]`.
    requests: &'static str,
    steering: &'static str,
}

const SINGLE_PORT: &str = "single_port = true";
const PORTS: &str = "ports = \"20000-60000\"";

impl Place {
    fn config(&self, workers: u8, players: &Players) -> Config {
        let Self { ip, driver, requests, steering } = self;
        let listen = SocketAddr::new(ip.parse().unwrap(), 0);
        let sms: Vec<String> = players.sms().iter().map(|at| format!("\"{at}\"")).collect();
        let steering = match workers {
            1 => String::new(),
            _ => format!("steering = \"{steering}\"\n"),
        };
        let text = format!(
            "[workers]\ncpus = \"any\"\ncount = {workers}\npolling = \"wait\"\n\
             driver = \"{driver}\"\n{steering}\
             [[listen]]\naddress = \"{listen}\"\n[requests]\n{requests}\n\
             [[peer]]\nname = \"sbc\"\nside = \"sms\"\ntrusted = true\naddress = [{}]\n\
             [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\naddress = \"{}\"\n\
             [route]\noutbound_proxies = \"im\"\n\
             [timers]\nt1 = \"100ms\"\nsync_deadline = \"4s\"\n\
             [capacity]\nrate = 4000\nopen = 8192\nopen_large = 64\n",
            sms.join(", "),
            players.im(),
        );
        Config::parse(&text, "test").unwrap()
    }

    /// Plays with so many workers; `attach` may change who gets which datagram.
    fn play(&self, workers: u8, attach: impl FnOnce(SocketAddr)) -> Played {
        let players = Players::new(self.ip);
        let service = Service::start(&self.config(workers, &players), true).unwrap();
        attach(service.addresses()[0]);
        let played = players.play(service, messages());
        for tally in played.total.tallies() {
            assert_eq!(tally.counters.read(Counter::Allocations), 0);
        }
        let lost = [
            Counter::DroppedHandover,
            Counter::DroppedHandoverProof,
            Counter::KernelDrops,
            Counter::AccountsLost,
            Counter::Contradictions,
            Counter::WorkersLost,
        ];
        assert_eq!(lost.map(|counter| played.count(counter)), [0; 6]);
        let forged = [
            Counter::DroppedResponseForeign,
            Counter::DroppedResponseSource,
            Counter::DroppedStranger,
        ];
        assert_eq!(forged.map(|counter| played.count(counter)).iter().sum::<u64>(), played.forged);
        played
    }

    /// Plays with four workers, and compares with one.
    fn compare(&self, attach: impl FnOnce(SocketAddr)) -> Played {
        let played = self.play(WORKERS, attach);
        let different = differences(alone(), &played.fates);
        assert!(different.is_empty(), "{different:#?}");
        played
    }
}

/// The fates with one worker.
fn alone() -> &'static BTreeMap<String, Fate> {
    static ALONE: OnceLock<BTreeMap<String, Fate>> = OnceLock::new();
    ALONE.get_or_init(|| {
        let place = Place {
            ip: "127.0.0.1",
            driver: "io_uring",
            requests: SINGLE_PORT,
            steering: "spread",
        };
        let played = place.play(1, |_| {});
        assert_eq!(played.count(Counter::HandedOver), 0);
        played.fates
    })
}

/// The messages whose fates differ.
fn differences<'a>(
    one: &'a BTreeMap<String, Fate>,
    other: &'a BTreeMap<String, Fate>,
) -> Vec<(&'a str, Option<&'a Fate>, Option<&'a Fate>)> {
    let mut ids: Vec<&String> = one.keys().chain(other.keys()).collect();
    ids.sort();
    ids.dedup();
    let both = ids.into_iter().map(|id| (id.as_str(), one.get(id), other.get(id)));
    both.filter(|(_, one, other)| one != other).collect()
}

fn at_random(ip: &'static str, driver: &'static str, requests: &'static str) {
    let place = Place { ip, driver, requests, steering: "spread" };
    let played = place.compare(|address| group::scatter(address, WORKERS));
    // Three of four requests arrive elsewhere than at home, and so do responses on a shared port.
    let handed = played.count(Counter::HandedOver);
    assert!(handed > u64::from(messages()) / 2, "{handed}");
    assert!(played.count(Counter::AnsweredForHome) > u64::from(messages()) / 8);
    shares(&played, messages() / 2);
}

/// Every worker takes so many datagrams at least.
fn shares(played: &Played, least: u32) {
    for tally in played.total.tallies().iter().take(WORKERS.into()) {
        assert!(tally.counters.read(Counter::DatagramsIn) > u64::from(least));
    }
}

#[test]
fn at_random_with_io_uring_on_one_port() {
    at_random("127.0.0.1", "io_uring", SINGLE_PORT);
}

#[test]
fn at_random_with_mmsg_and_ports_of_their_own() {
    at_random("127.0.0.1", "mmsg", PORTS);
}

#[test]
fn at_random_with_io_uring_and_ports_of_their_own_over_ipv6() {
    at_random("::1", "io_uring", PORTS);
}

#[test]
fn at_random_with_mmsg_on_one_port_over_ipv6() {
    at_random("::1", "mmsg", SINGLE_PORT);
}

#[test]
fn spread_by_our_own_program() {
    let place =
        Place { ip: "127.0.0.1", driver: "io_uring", requests: SINGLE_PORT, steering: "spread" };
    let played = place.compare(|_| {});
    assert!(played.count(Counter::HandedOver) > u64::from(messages()) / 2);
    shares(&played, messages() / 2);
}

#[test]
fn left_to_the_hash_of_the_kernel() {
    let place = Place { ip: "::1", driver: "mmsg", requests: SINGLE_PORT, steering: "kernel" };
    let played = place.compare(|_| {});
    assert!(played.count(Counter::HandedOver) > 0);
}

/// What the messages of a play meet is all there, and the comparison sees every part of it.
#[test]
fn one_changed_verdict_is_found() {
    let alone = alone();
    let words = ["Delivered", "Permanent", "Temporary", "Unknown", "Accepted"];
    for verdict in words {
        let told = |fate: &&Fate| fate.accounts[0].starts_with(verdict);
        let count = alone.values().filter(told).count();
        assert!(count > alone.len() / 20, "{verdict}: {count} of {}", alone.len());
    }
    assert!(alone.iter().all(|(_, fate)| fate.accounts.len() == 1 && fate.requests <= 1));
    let cut_through = alone.iter().filter(|(id, _)| id.starts_with("call-"));
    assert!(cut_through.clone().all(|(_, fate)| fate.requests == 1));
    for (id, fate) in cut_through.take(3) {
        let mut changed = alone.clone();
        let told = words.map(|word| fate.accounts[0].starts_with(word));
        let (own, other) = if told[0] { (words[0], words[3]) } else { ("", "Delivered") };
        let account = format!("{other}{}", fate.accounts[0].strip_prefix(own).unwrap());
        changed.get_mut(id).unwrap().accounts = Vec::from([account]);
        let found: Vec<&str> = differences(alone, &changed).iter().map(|(id, ..)| *id).collect();
        assert_eq!(found, [id]);
        changed.remove(id);
        assert_eq!(differences(&changed, alone).len(), 1);
    }
}
