//! The types of single values: how each is written, and what is said when it is written wrongly.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::config::{Cpus, HostPort, PortRange};

/// A value as it was written, before anybody asked what it means.
#[derive(Clone, Debug)]
pub(super) enum Raw<'a> {
    /// A string of the file.
    Text(&'a str),
    /// A whole number of the file.
    Number(Option<i64>),
    /// `true` or `false` in the file.
    Truth(bool),
    /// An array of the file; each element with its place.
    List(Vec<(Self, Range<usize>)>),
    /// A table of the file: key and value, each with its place.
    Table(Vec<(&'a str, Range<usize>, Self, Range<usize>)>),
    /// From the environment or the command line, where everything is text.
    Loose(&'a str),
    /// What no setting ever is.
    Other(&'static str),
}

impl<'a> Raw<'a> {
    pub(super) fn of(value: &'a DeValue<'a>) -> Self {
        match value {
            DeValue::String(text) => Raw::Text(text),
            DeValue::Integer(number) => {
                Raw::Number(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Boolean(truth) => Raw::Truth(*truth),
            DeValue::Array(array) => {
                Raw::List(array.iter().map(|item| (Raw::of(item.get_ref()), item.span())).collect())
            }
            DeValue::Float(_) => Raw::Other("a number with a fraction"),
            DeValue::Datetime(_) => Raw::Other("a date"),
            DeValue::Table(table) => {
                let entries = table.iter().map(|(key, value)| {
                    (key.get_ref().as_ref(), key.span(), Raw::of(value.get_ref()), value.span())
                });
                Raw::Table(entries.collect())
            }
        }
    }

    pub(super) const fn described(&self) -> &'static str {
        match self {
            Raw::Text(_) | Raw::Loose(_) => "a string",
            Raw::Number(_) => "a number",
            Raw::Truth(_) => "a truth value",
            Raw::List(_) => "a list",
            Raw::Table(_) => "a table",
            Raw::Other(described) => described,
        }
    }

    pub(super) fn text(&self, expected: &str) -> Result<&'a str, Complaint> {
        match self {
            Raw::Text(text) | Raw::Loose(text) => Ok(text),
            Raw::Number(_) | Raw::Truth(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => {
                Err(Complaint::unexpected(self, expected))
            }
        }
    }
}

/// Why a value was not taken.
#[derive(Clone, Debug)]
pub(super) struct Complaint {
    /// What is wrong.
    pub(super) message: String,
    /// A few words beside the value.
    pub(super) label: String,
    /// Why that is wrong, where it is not plain.
    pub(super) reason: Option<&'static str>,
    /// What would be right.
    pub(super) suggestion: Option<String>,
    /// The element that is wrong, when the value is a list.
    pub(super) at: Option<Range<usize>>,
}

impl Complaint {
    pub(super) fn new(message: String, label: impl Into<String>) -> Self {
        Self { message, label: label.into(), reason: None, suggestion: None, at: None }
    }

    pub(super) fn unexpected(raw: &Raw<'_>, expected: &str) -> Self {
        Self::new(
            format!("expected {expected}, found {}", raw.described()),
            format!("must be {expected}"),
        )
    }

    pub(super) const fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    pub(super) fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

/// Something that a setting can be.
pub(super) trait Value: Sized {
    /// Understands what was written.
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint>;

    /// Writes it so that it would be understood again.
    fn to_toml(&self) -> String;

    /// What is wrong with parts of it, where the rest can still be judged.
    fn complaints(&mut self) -> Vec<Complaint> {
        Vec::new()
    }
}

/// `text` as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The one of `known` that is most like `written`, if any is like it at all.
pub(crate) fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .filter(|(distance, name)| *distance <= name.chars().count().div_ceil(3))
        .min()
        .map(|(_, name)| name)
}

impl Value for bool {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        match raw {
            Raw::Truth(truth) => Ok(*truth),
            Raw::Loose("true") => Ok(true),
            Raw::Loose("false") => Ok(false),
            Raw::Loose(_)
            | Raw::Text(_)
            | Raw::Number(_)
            | Raw::List(_)
            | Raw::Table(_)
            | Raw::Other(_) => Err(Complaint::unexpected(raw, "`true` or `false`")),
        }
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

/// A whole number up to `MAX`, from `MIN`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Count<const MIN: u32, const MAX: u32>(pub(super) u32);

impl<const MIN: u32, const MAX: u32> Value for Count<MIN, MAX> {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        let number = match raw {
            Raw::Number(number) => *number,
            Raw::Loose(text) => match text.parse() {
                Ok(number) => Some(number),
                Err(_) => return Err(Complaint::unexpected(raw, "a whole number")),
            },
            Raw::Text(_) | Raw::Truth(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => {
                return Err(Complaint::unexpected(raw, "a whole number"));
            }
        };
        match number.and_then(|number| u32::try_from(number).ok()) {
            Some(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            Some(_) | None => Err(Complaint::new(
                format!("this number must lie between {MIN} and {MAX}"),
                "out of range",
            )),
        }
    }

    fn to_toml(&self) -> String {
        self.0.to_string()
    }
}

/// A span of time in milliseconds, written with its unit.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Millis(pub(super) u32);

/// The longest that is written shortest comes last: `to_toml` takes the largest unit that fits.
const UNITS: [(&str, u32); 4] = [("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000)];

impl Value for Millis {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        const EXPECTED: &str = "a duration such as \"500ms\" or \"28s\"";
        if let Raw::Number(Some(number)) = raw {
            return Err(Complaint::new("a duration needs a unit".into(), "which unit?")
                .suggest(format!("write \"{number}s\" or \"{number}ms\"")));
        }
        let text = raw.text(EXPECTED)?.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let (Ok(number), unit) = (number.parse::<u32>(), unit.trim()) else {
            return Err(Complaint::new(
                format!("`{}` is not a duration", text.escape_default()),
                format!("must be {EXPECTED}"),
            ));
        };
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(if unit.is_empty() {
                Complaint::new("a duration needs a unit".into(), "which unit?")
                    .suggest(format!("write \"{number}s\" or \"{number}ms\""))
            } else {
                Complaint::new(
                    format!("`{}` is not a unit of time", unit.escape_default()),
                    "must end in ms, s, min or h",
                )
            });
        };
        number
            .checked_mul(*scale)
            .map(Self)
            .ok_or_else(|| Complaint::new("this duration is too long".into(), "at most 49 days"))
    }

    fn to_toml(&self) -> String {
        quoted(&self.to_string())
    }
}

impl core::fmt::Display for Millis {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let fits = |scale: u32| self.0 != 0 && self.0.is_multiple_of(scale);
        let unit = UNITS.iter().rev().find(|(_, scale)| fits(*scale));
        let (name, scale) = unit.copied().unwrap_or(("ms", 1));
        write!(f, "{}{name}", self.0 / scale)
    }
}

/// A name that people give: of a peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Name(pub(super) String);

/// The longest name of a peer.
const NAME_LEN_MAX: usize = 32;

impl Value for Name {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        let text = raw.text("a name")?;
        let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > NAME_LEN_MAX || !text.chars().all(usual) {
            return Err(Complaint::new(
                format!("`{}` cannot be a name", text.escape_default()),
                format!("1 to {NAME_LEN_MAX} letters, digits, `-`, `_` or `.`"),
            )
            .because("names stand in status tables, in verdict lines and later in metrics"));
        }
        Ok(Self(text.to_owned()))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

impl Value for PathBuf {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        /// What `sun_path` of a Unix socket address holds beside its final zero.
        const SUN_PATH_SIZE: usize = 107;
        let text = raw.text("a path")?;
        if text.is_empty() || text.len() > SUN_PATH_SIZE || text.contains('\0') {
            return Err(Complaint::new(
                "this cannot be the path of a Unix socket".into(),
                format!("must have 1 to {SUN_PATH_SIZE} octets"),
            ));
        }
        Ok(Self::from(text))
    }

    fn to_toml(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Value for SocketAddr {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        const EXPECTED: &str = "an address and a port such as \"192.0.2.1:5060\" or \"[::]:5060\"";
        let text = raw.text(EXPECTED)?;
        if let Ok(address) = text.parse::<Self>() {
            return Ok(address);
        }
        let complaint = Complaint::new(
            format!("`{}` is not an address with a port", text.escape_default()),
            format!("must be {EXPECTED}"),
        );
        Err(if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            let with_port = HostPort { host: text.trim_matches(['[', ']']).into(), port: 5060 };
            complaint.suggest(format!("add the port: \"{with_port}\""))
        } else if HostPort::parse(text).is_some() {
            complaint
                .because("a name can stand for several addresses, and we listen on exactly one")
                .suggest("write the address here, and the name as `advertise`")
        } else {
            complaint
        })
    }

    fn to_toml(&self) -> String {
        quoted(&self.to_string())
    }
}

impl HostPort {
    /// `host:port`, `a.b.c.d:port` or `[IPv6]:port`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.bytes().all(|c| c.is_ascii_digit()).then(|| port.parse().ok())??;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse::<core::net::Ipv6Addr>().ok()?.to_string(),
            None if is_host(host) => host.to_ascii_lowercase(),
            None => return None,
        };
        Some(Self { host, port })
    }

    /// The address, if the host is one.
    pub fn literal(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse::<IpAddr>().ok()?, self.port))
    }
}

/// RFC 3261 section 25.1, `hostname / IPv4address`: labels of letters, digits and hyphens; what
/// consists of digits and dots only is an address or nothing.
pub(super) fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.bytes().all(|c| c.is_ascii_digit() || c == b'.') {
        return name.parse::<core::net::Ipv4Addr>().is_ok();
    }
    name.len() <= 253 && name.split('.').all(label)
}

impl core::fmt::Display for HostPort {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Value for HostPort {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        const EXPECTED: &str = "a host and a port such as \"sbc.example.net:5060\"";
        let text = raw.text(EXPECTED)?;
        let complaint = || {
            Complaint::new(
                format!("`{}` is not a host with a port", text.escape_default()),
                format!("must be {EXPECTED}"),
            )
        };
        match Self::parse(text) {
            Some(Self { port: 0, .. }) => {
                Err(Complaint::new("port 0 is nobody's port".into(), "must be 1 to 65535"))
            }
            Some(host_port) => Ok(host_port),
            None if is_host(text) || text.parse::<core::net::Ipv6Addr>().is_ok() => {
                let with_port = Self { host: text.to_owned(), port: 5060 };
                Err(complaint().suggest(format!("add the port: \"{with_port}\"")))
            }
            None => Err(complaint()),
        }
    }

    fn to_toml(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for PortRange {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        const EXPECTED: &str = "a range of ports such as \"5070-5079\"";
        let text = raw.text(EXPECTED)?;
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (Ok(first), Ok(last)) = (first.trim().parse::<u16>(), last.trim().parse::<u16>())
        else {
            return Err(Complaint::new(
                format!("`{}` is not a range of ports", text.escape_default()),
                format!("must be {EXPECTED}"),
            ));
        };
        if first == 0 {
            return Err(Complaint::new(
                "port 0 cannot be in the range".into(),
                "must be within 1 to 65535",
            )
            .because("peers and firewalls are told this range, so it must be known beforehand"));
        }
        if first > last {
            return Err(Complaint::new(
                format!("the range runs backwards: {first} is more than {last}"),
                "first port, then last port",
            )
            .suggest(format!("write \"{last}-{first}\"")));
        }
        Ok(Self { first, last })
    }

    fn to_toml(&self) -> String {
        quoted(&format!("{}-{}", self.first, self.last))
    }
}

impl Value for Cpus {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        const EXPECTED: &str = "a set of CPUs such as \"1\" or \"2-5,8\", or \"any\"";
        let text = match raw {
            Raw::Number(Some(number)) if *number >= 0 => &number.to_string(),
            Raw::Number(_)
            | Raw::Text(_)
            | Raw::Loose(_)
            | Raw::Truth(_)
            | Raw::List(_)
            | Raw::Table(_)
            | Raw::Other(_) => raw.text(EXPECTED)?,
        };
        if text == "any" {
            return Ok(Self::Any);
        }
        let wrong = || {
            Complaint::new(
                format!("`{}` is not a set of CPUs", text.escape_default()),
                format!("must be {EXPECTED}"),
            )
        };
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u16 = first.trim().parse().map_err(|_| wrong())?;
            let last: u16 = last.trim().parse().map_err(|_| wrong())?;
            if first > last {
                return Err(wrong().suggest(format!("write {last}-{first}")));
            }
            cpus.extend(usize::from(first)..=usize::from(last));
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Self::Set(cpus))
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Any => quoted("any"),
            Self::Set(cpus) => quoted(&cpu_set(cpus)),
        }
    }
}

/// CPUs in rising order as a set is written: `2-5,8`.
pub(crate) fn cpu_set(cpus: &[usize]) -> String {
    let runs = cpus.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let written = runs.filter_map(|run| match run {
        [] => None,
        [only] => Some(only.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    written.collect::<Vec<_>>().join(",")
}

/// One value or a list of them. Each keeps its place in the file, and one that is wrong does not
/// hide the others.
#[derive(Clone, Debug)]
pub(super) struct Several<T> {
    pub(super) items: Vec<(T, Option<Range<usize>>)>,
    complaints: Vec<Complaint>,
}

impl<T> Several<T> {
    /// No value.
    pub(super) const fn none() -> Self {
        Self { items: Vec::new(), complaints: Vec::new() }
    }

    /// These values, which stand nowhere.
    pub(super) fn of(items: impl IntoIterator<Item = T>) -> Self {
        let items = items.into_iter().map(|item| (item, None)).collect();
        Self { items, complaints: Vec::new() }
    }
}

impl<T: Value> Several<T> {
    fn take(&mut self, raw: &Raw<'_>, at: Option<Range<usize>>) {
        match T::from_raw(raw) {
            Ok(value) => self.items.push((value, at)),
            Err(complaint) => self.complaints.push(Complaint { at, ..complaint }),
        }
    }
}

impl<T: Value> Value for Several<T> {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        let mut several = Self::none();
        match raw {
            Raw::List(items) => {
                for (item, at) in items {
                    several.take(item, Some(at.clone()));
                }
            }
            Raw::Loose("") => {}
            Raw::Loose(text) => {
                for item in text.split(',') {
                    several.take(&Raw::Loose(item.trim()), None);
                }
            }
            Raw::Text(_) | Raw::Number(_) | Raw::Truth(_) | Raw::Table(_) | Raw::Other(_) => {
                several.take(raw, None);
            }
        }
        Ok(several)
    }

    fn to_toml(&self) -> String {
        match self.items.as_slice() {
            [(only, None)] => only.to_toml(),
            several => {
                let items: Vec<String> = several.iter().map(|(item, _)| item.to_toml()).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    fn complaints(&mut self) -> Vec<Complaint> {
        std::mem::take(&mut self.complaints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again<T: Value>(text: &str) -> String {
        T::from_raw(&Raw::Text(text)).unwrap().to_toml()
    }

    fn complaint<T: Value>(text: &str) -> Complaint {
        T::from_raw(&Raw::Text(text)).err().unwrap()
    }

    #[test]
    fn durations_keep_their_meaning_when_written_again() {
        for (written, again_written) in [
            ("500ms", "\"500ms\""),
            ("1000ms", "\"1s\""),
            ("28 s", "\"28s\""),
            ("60s", "\"1min\""),
            ("0s", "\"0ms\""),
            ("24h", "\"24h\""),
        ] {
            assert_eq!(again::<Millis>(written), again_written);
        }
        for wrong in ["", "s", "28", "28 parsecs", "-1s", "5000000000ms", "1200h", "1.5s"] {
            assert!(Millis::from_raw(&Raw::Text(wrong)).is_err(), "{wrong}");
        }
        let unitless = Millis::from_raw(&Raw::Number(Some(28))).err().unwrap();
        assert_eq!(unitless.suggestion.unwrap(), "write \"28s\" or \"28ms\"");
    }

    #[test]
    fn hosts_are_names_or_addresses_with_a_port() {
        for right in
            ["sbc:5060", "sbc.example.net.:1", "192.0.2.1:5060", "[2001:db8::1]:5060", "a_b:7"]
        {
            let parsed = HostPort::parse(right).unwrap();
            assert_eq!(parsed.to_string(), right);
            assert_eq!(HostPort::parse(&parsed.to_string()), Some(parsed));
        }
        for wrong in [
            "",
            ":5060",
            "sbc",
            "sbc:",
            "sbc:99999",
            "sbc:+5",
            "sbc:-1",
            "1.2.3:5060",
            "2001:db8::1:5060",
            "[sbc]:5060",
            "-a:1",
            "a-:1",
            "a..b:1",
            "sip:sbc:5060",
            "a b:1",
        ] {
            assert!(HostPort::parse(wrong).is_none(), "{wrong}");
        }
        assert_eq!(
            complaint::<HostPort>("2001:db8::1").suggestion.unwrap(),
            "add the port: \"[2001:db8::1]:5060\"",
        );
        assert!(HostPort::from_raw(&Raw::Text("sbc:0")).is_err());
    }

    #[test]
    fn port_ranges_run_forwards() {
        assert_eq!(again::<PortRange>("5070"), "\"5070-5070\"");
        assert_eq!(complaint::<PortRange>("5079-5070").suggestion.unwrap(), "write \"5070-5079\"");
        for wrong in ["", "a-b", "1-2-3", "5070-70000", "0-5"] {
            assert!(PortRange::from_raw(&Raw::Text(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sets_of_cpus_are_sorted_have_no_doubles_and_stay_short() {
        assert_eq!(again::<Cpus>("8, 2-5,3"), "\"2-5,8\"");
        assert_eq!(again::<Cpus>("7,4,0"), "\"0,4,7\"");
        assert_eq!(again::<Cpus>("any"), "\"any\"");
        assert_eq!(Cpus::from_raw(&Raw::Number(Some(3))).unwrap(), Cpus::Set([3].into()));
        for wrong in ["", "5-2", "x", "1,", "99999999"] {
            assert!(Cpus::from_raw(&Raw::Text(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        type Node = Count<0, 255>;
        assert_eq!(Node::from_raw(&Raw::Loose("7")).unwrap(), Count(7));
        for wrong in [Raw::Number(Some(256)), Raw::Number(Some(-1)), Raw::Number(None)] {
            assert_eq!(Node::from_raw(&wrong).err().unwrap().label, "out of range");
        }
        assert!(Node::from_raw(&Raw::Text("7")).is_err());
    }
}
