//! Values out of a few that have names.

use crate::config::value::{Complaint, Raw, Value, nearest, quoted};
use crate::config::{Driver, MsrpTransport, OnLoss, PeerSide, Polling, Steering, Strangers};
use crate::delivery::{MsrpRole, Preset, Role};
use crate::engine::{Content, Profile, Recipient};
use crate::packet::Transport;

/// A value out of a few that have names.
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// Every value with its name.
    const CHOICES: &'static [(&'static str, Self)];
}

impl<T: Choice> Value for T {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        let names = || T::CHOICES.iter().map(|(name, _)| *name);
        let listed = one_of(names());
        let text = raw.text(&listed)?;
        if let Some((_, value)) = T::CHOICES.iter().find(|(name, _)| *name == text) {
            return Ok(*value);
        }
        let complaint = Complaint::new(
            format!("`{}` is not {listed}", text.escape_default()),
            "not one of them",
        );
        Err(match nearest(text, names()) {
            Some(name) => complaint.suggest(format!("did you mean `{name}`?")),
            None => complaint,
        })
    }

    fn to_toml(&self) -> String {
        let named = T::CHOICES.iter().find(|(_, value)| value == self);
        quoted(named.map_or("", |(name, _)| *name))
    }
}

/// "`a`, `b` or `c`".
pub(super) fn one_of<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

impl Choice for Driver {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("io_uring", Self::Uring), ("mmsg", Self::Mmsg)];
}

impl Choice for Polling {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("spin", Self::Spin), ("adaptive", Self::Adaptive), ("wait", Self::Wait)];
}

impl Choice for Steering {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("spread", Self::Spread), ("kernel", Self::Kernel)];
}

impl Choice for OnLoss {
    const CHOICES: &'static [(&'static str, Self)] = &[("exit", Self::Exit), ("stay", Self::Stay)];
}

impl Choice for PeerSide {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("sms", Self::Sms), ("im", Self::Im), ("both", Self::Both)];
}

impl Choice for Role {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("proxy", Self::Proxy),
        ("endpoint", Self::Endpoint),
        ("im_server", Self::ImServer),
        ("gateway", Self::Gateway),
    ];
}

impl Choice for Option<Preset> {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("none", None), (Preset::Kamailio.name(), Some(Preset::Kamailio))];
}

impl Choice for Recipient {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("called-party", Self::CalledParty), ("to", Self::To), ("request-uri", Self::RequestUri)];
}

impl Choice for Content {
    const CHOICES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("cpim", Self::Cpim)];
}

impl Choice for Transport {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("udp", Self::Udp), ("tcp", Self::Tcp), ("tls", Self::Tls)];
}

/// What is listened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Listened {
    /// SIP, carried like this.
    Sip(Transport),
    /// MSRP over TCP.
    Msrp,
    /// MSRP over TLS.
    Msrps,
}

impl Choice for Listened {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("udp", Self::Sip(Transport::Udp)),
        ("tcp", Self::Sip(Transport::Tcp)),
        ("tls", Self::Sip(Transport::Tls)),
        ("msrp", Self::Msrp),
        ("msrps", Self::Msrps),
    ];
}

impl Choice for MsrpTransport {
    const CHOICES: &'static [(&'static str, Self)] = &[("tcp", Self::Tcp), ("tls", Self::Tls)];
}

impl Choice for MsrpRole {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("endpoint", Self::Endpoint),
        ("relay", Self::Relay),
        ("b2bua", Self::B2bua),
        ("im_server", Self::ImServer),
    ];
}

impl Choice for Profile {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("simple-im", Self::SimpleIm), ("cpm", Self::Cpm)];
}

impl Choice for Strangers {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("silence", Self::Silence), ("forbid", Self::Forbid)];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint<T: Value>(text: &str) -> Complaint {
        T::from_raw(&Raw::Text(text)).err().unwrap()
    }

    #[test]
    fn a_wrong_choice_is_met_with_the_nearest_right_one() {
        assert_eq!(complaint::<Role>("endpiont").suggestion.unwrap(), "did you mean `endpoint`?");
        assert_eq!(complaint::<Listened>("mrsp").suggestion.unwrap(), "did you mean `msrp`?");
        let far = complaint::<Role>("banana");
        assert_eq!(far.suggestion, None);
        let message = "`banana` is not `proxy`, `endpoint`, `im_server` or `gateway`";
        assert_eq!(far.message, message);
    }
}
