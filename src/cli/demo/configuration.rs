//! The configuration of the engine that the demo plays with.

use crate::cli::demo::trunk::Places;
use crate::cli::demo::{Arguments, Ends};
use crate::load::schedule::Timers;
use crate::load::short::plan::Domains;

/// The configuration of the demo: short timers, room for what the silent ones hold.
pub(super) fn config_text(arguments: &Arguments, ends: &Ends) -> String {
    let Timers { t1_ms, t2_ms, deadline_ms } = Timers::SHORT;
    let Ends { sms, sc, im, users, trunk: Places { sender, answerer } } = ends;
    let Domains { pager, phone, relay } = users;
    format!(
        "[workers]\n\
         driver = \"{driver}\"\n\
         polling = \"adaptive\"\n\
         [[listen]]\n\
         address = \"127.0.0.1:0\"\n\
         [[listen]]\n\
         address = \"127.0.0.1:0\"\n\
         transports = [\"msrp\"]\n\
         [[peer]]\n\
         name = \"sms\"\n\
         side = \"sms\"\n\
         address = \"{sms}\"\n\
         [[peer]]\n\
         name = \"sc\"\n\
         side = \"sms\"\n\
         trusted = true\n\
         address = \"{sc}\"\n\
         [[peer]]\n\
         name = \"im\"\n\
         side = \"im\"\n\
         role = \"endpoint\"\n\
         address = [\"{im}\", \"{pager}\"]\n\
         [[peer]]\n\
         name = \"{TRUNK}-sms\"\n\
         side = \"sms\"\n\
         transport = \"tcp\"\n\
         address = \"{sender}\"\n\
         [[peer]]\n\
         name = \"{TRUNK}-im\"\n\
         side = \"im\"\n\
         role = \"endpoint\"\n\
         transport = \"tcp\"\n\
         address = \"{answerer}\"\n\
         [[peer]]\n\
         name = \"phone\"\n\
         side = \"im\"\n\
         role = \"endpoint\"\n\
         msrp = \"endpoint\"\n\
         address = \"{phone}\"\n\
         [[peer]]\n\
         name = \"relay\"\n\
         side = \"im\"\n\
         role = \"endpoint\"\n\
         msrp = \"relay\"\n\
         address = \"{relay}\"\n\
         [gateway]\n\
         pager_max = {PAGER_MAX}\n\
         [large]\n\
         sessions = {sessions}\n\
         connections = {MSRP_CONNECTIONS}\n\
         invite_wait = \"{INVITE_WAIT_MS}ms\"\n\
         response_wait = \"{f_ms}ms\"\n\
         report_wait = \"{f_ms}ms\"\n\
         [timers]\n\
         t1 = \"{t1_ms}ms\"\n\
         t2 = \"{t2_ms}ms\"\n\
         sync_deadline = \"{deadline_ms}ms\"\n\
         [capacity]\n\
         rate = {rate}\n\
         open = {open}\n",
        driver = arguments.driver.name(),
        // A sender that was held up catches up: planned for the average, the tables would be full.
        rate = u64::from(arguments.rate) * 2,
        open = arguments.rate.max(4_096),
        // A twentieth of all messages goes in sessions, and of these the slowest last for two timers F.
        sessions = arguments.rate.max(1_024),
        f_ms = Timers::SHORT.f_ms(),
    )
}

/// Octets of a MESSAGE: more than those of a text of some words, and fewer than those of one that fills a
/// short message.
const PAGER_MAX: u16 = 625;

/// Connections for MSRP: one to the phones, one to their relay, and those that are of one session alone.
const MSRP_CONNECTIONS: u16 = 512;

/// How long a phone may ring.
const INVITE_WAIT_MS: u16 = 1_000;

/// How the names of peers over connections begin.
const TRUNK: &str = "trunk";

/// The place of the sending one among the peers.
pub(super) const TRUNK_SMS: u8 = 3;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::cli::demo::Driver;
    use crate::config::Config;

    #[test]
    fn the_configuration_of_the_demo_is_right_at_every_rate() {
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for rate in [1, 5_000, 1_000_000] {
            for driver in [Driver::Auto, Driver::Uring, Driver::Mmsg] {
                let arguments = Arguments { rate, seconds: 1, driver, seed: 1, json: false };
                let ends = Ends {
                    sms: address(5_061),
                    sc: address(5_062),
                    im: address(5_063),
                    users: Domains {
                        pager: address(5_064),
                        phone: address(5_067),
                        relay: address(5_068),
                    },
                    trunk: Places { sender: address(5_065), answerer: address(5_066) },
                };
                let text = config_text(&arguments, &ends);
                let config = Config::parse(&text, "demo").unwrap();
                assert_eq!(u64::from(config.timers.t1_ms) * 64, Timers::SHORT.f_ms());
                assert_eq!(config.peers.len(), 7);
                assert_eq!(config.peers[usize::from(TRUNK_SMS)].name, "trunk-sms");
            }
        }
    }
}
