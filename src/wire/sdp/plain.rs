//! A second reader, which knows no shortcuts: lines are split, and each attribute is looked for from
//! the front.

/// What a reader that knows no shortcuts says of one media description.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Plain {
    pub(super) line: String,
    pub(super) port: u32,
    pub(super) connection: Option<String>,
    pub(super) path: Vec<String>,
    pub(super) accept_types: String,
    pub(super) accept_wrapped_types: String,
    pub(super) max_size: Option<u64>,
    pub(super) setup: Option<String>,
    pub(super) cema: bool,
    pub(super) direction: Option<String>,
    pub(super) fingerprints: usize,
    pub(super) is_wrong: bool,
}

/// The lines split at LF, their order looked up in the grammar as a pattern, each attribute looked for
/// from the front; none if the form is broken.
pub(super) fn plainly(whole: &str) -> Option<Vec<Plain>> {
    let mut lines: Vec<(&str, &str)> = Vec::new();
    for line in whole.trim_end_matches(['\r', '\n']).split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        lines.push(line.split_once('=').filter(|(letter, _)| letter.len() == 1)?);
    }
    let letters: String = lines.iter().map(|(letter, _)| *letter).collect();
    let mut sections = letters.split('m');
    if !is_session(sections.next()?) || !sections.all(is_media) || lines[0].1 != "0" {
        return None;
    }
    let origin: Vec<_> = lines[1].1.split(' ').collect();
    if origin.len() != 6 || origin[1..3].iter().any(|number| number.parse::<u64>().is_err()) {
        return None;
    }
    let mut starts: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| line.0 == "m").map(|(at, _)| at).collect();
    let above = Section(&lines[..starts.first().copied().unwrap_or(lines.len())]);
    starts.push(lines.len());
    starts.windows(2).map(|pair| media(above, Section(&lines[pair[0]..pair[1]]))).collect()
}

fn is_session(letters: &str) -> bool {
    let Some(mut rest) = letters.strip_prefix("vos") else { return false };
    for (letter, most) in [("i", 1), ("u", 1), ("e", 9), ("p", 9), ("c", 1), ("b", 9)] {
        for _ in 0..most {
            rest = rest.strip_prefix(letter).unwrap_or(rest);
        }
    }
    let times = rest.trim_start_matches(['t', 'r']);
    let time = &rest[..rest.len() - times.len()];
    let keyed = times.strip_prefix('k').unwrap_or(times);
    time.starts_with('t') && keyed.bytes().all(|letter| letter == b'a')
}

fn is_media(letters: &str) -> bool {
    let mut rest = letters.strip_prefix('i').unwrap_or(letters);
    rest = rest.trim_start_matches('c').trim_start_matches('b');
    rest.strip_prefix('k').unwrap_or(rest).bytes().all(|letter| letter == b'a')
}

/// Lines that stand together: a letter and a value each.
#[derive(Clone, Copy)]
struct Section<'a>(&'a [(&'a str, &'a str)]);

impl Section<'_> {
    /// The values of all attributes with a name.
    fn named(self, name: &str) -> Vec<String> {
        let attributes = self.0.iter().filter(|line| line.0 == "a");
        let split = attributes.map(|line| line.1.split_once(':').unwrap_or((line.1, "")));
        split.filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).collect()
    }

    /// The last of them that is well-formed.
    fn last(self, name: &str, bad: &str) -> Option<String> {
        self.named(name).into_iter().rfind(|value| value != bad)
    }

    fn directions(self) -> Vec<String> {
        let known = ["sendonly", "recvonly", "inactive"];
        let attributes = self.0.iter().filter(|line| line.0 == "a" && known.contains(&line.1));
        attributes.map(|line| line.1.to_owned()).collect()
    }

    /// Those that there are, and whether there are others.
    fn setups(self) -> (Vec<String>, bool) {
        let known = ["active", "passive", "actpass", "holdconn"];
        let setups: Vec<_> = self.named("setup").iter().map(|value| value.to_lowercase()).collect();
        let (good, bad): (Vec<_>, Vec<_>) =
            setups.into_iter().partition(|value| known.contains(&value.as_str()));
        (good, !bad.is_empty())
    }

    fn connection(self) -> Option<String> {
        self.0.iter().find(|line| line.0 == "c").map(|line| line.1.to_owned())
    }

    /// Whether something is wrong with an attribute that a session may have as well.
    fn is_wrong(self) -> bool {
        let (setups, others) = self.setups();
        others
            || differ(&setups)
            || differ(&self.directions())
            || self.named("fingerprint").iter().any(|value| value == "sha-1 00")
    }
}

fn differ(values: &[String]) -> bool {
    values.windows(2).any(|pair| pair[0] != pair[1])
}

fn media(above: Section<'_>, own: Section<'_>) -> Option<Plain> {
    let fields: Vec<_> = own.0[0].1.split(' ').collect();
    let (port, count) = fields[1].split_once('/').unwrap_or((fields[1], "1"));
    if port.parse::<u16>().is_err() || count.parse::<u16>().ok()? == 0 {
        return None;
    }
    let lists = ["path", "accept-types", "accept-wrapped-types", "max-size"];
    let bad = ["msrp://", "text", "", "x"];
    let is_wrong = own.is_wrong()
        || above.is_wrong()
        || lists.iter().any(|name| differ(&own.named(name)))
        || lists.iter().zip(bad).any(|(name, bad)| own.named(name).iter().any(|one| one == bad));
    let path = own.last("path", "msrp://").unwrap_or_default();
    let prints = own.named("fingerprint");
    let prints = if prints.is_empty() { above.named("fingerprint") } else { prints };
    let last = |of: &[String], above: &[String]| of.last().or_else(|| above.last()).cloned();
    Some(Plain {
        line: own.0[0].1.to_owned(),
        port: port.parse().ok()?,
        connection: own.connection().or_else(|| above.connection()),
        path: path.split_terminator(' ').map(str::to_owned).collect(),
        accept_types: own.last("accept-types", "text").unwrap_or_default(),
        accept_wrapped_types: own.last("accept-wrapped-types", "").unwrap_or_default(),
        max_size: own.last("max-size", "x").map(|size| size.parse().unwrap_or(u64::MAX)),
        setup: last(&own.setups().0, &above.setups().0),
        cema: !own.named("msrp-cema").is_empty(),
        direction: last(&own.directions(), &above.directions()),
        fingerprints: prints.iter().filter(|value| value.starts_with("SHA-1")).count(),
        is_wrong,
    })
}
