//! A second reader that knows no shortcuts: all octets at once, every position tried, text split at
//! its separators, numbers in 128 bits. The laws hold the first one against it.

use super::Flag;
use crate::limits::{MSRP_HEADER_SIZE_MAX, MSRP_PATH_URIS_MAX};

/// What a stream holds, in order. Pieces of a body are one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// A head.
    Head(Vec<u8>),
    /// As much of a body as certainly is one.
    Body(Vec<u8>),
    /// An end-line.
    End(Flag),
    /// What cannot go on at this octet of the stream.
    Malformed(usize),
}

/// Divides a stream.
pub(super) fn divide(octets: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = 0;
    loop {
        let rest = octets.get(at..).unwrap_or_default();
        let len = match head_len(rest) {
            Ok(Some(len)) => len,
            Ok(None) => return parts,
            Err(wrong) => {
                parts.push(Part::Malformed(at.saturating_add(wrong)));
                return parts;
            }
        };
        let (head, rest) = rest.split_at_checked(len).unwrap_or_default();
        at = at.saturating_add(len);
        parts.push(Part::Head(head.to_vec()));
        let id = head.split(|octet| *octet == b' ').nth(1).unwrap_or_default();
        let (body, flag, len) = if head.ends_with(b"\r\n\r\n") {
            let (body, end) = body(rest, id);
            let len = end.as_ref().map_or(0, |(_, line)| body.len().saturating_add(line.len()));
            (body, end.map(|(flag, _)| flag), len)
        } else {
            let lines = end_lines(id, false);
            match lines.iter().find(|(_, line)| rest.starts_with(line)) {
                Some((flag, line)) => (&[][..], Some(*flag), line.len()),
                None if lines.iter().any(|(_, line)| line.starts_with(rest)) => return parts,
                None => {
                    // The first octet that none of them has.
                    let wrong = (0..rest.len())
                        .find(|len| {
                            let front = rest.get(..=*len).unwrap_or_default();
                            !lines.iter().any(|(_, line)| line.starts_with(front))
                        })
                        .unwrap_or_default();
                    parts.push(Part::Malformed(at.saturating_add(wrong)));
                    return parts;
                }
            }
        };
        if !body.is_empty() {
            parts.push(Part::Body(body.to_vec()));
        }
        let Some(flag) = flag else { return parts };
        parts.push(Part::End(flag));
        at = at.saturating_add(len);
    }
}

/// The three end-lines of a transaction, behind a body or directly behind a head.
fn end_lines(id: &[u8], behind_body: bool) -> Vec<(Flag, Vec<u8>)> {
    [Flag::Last, Flag::More, Flag::Aborted]
        .into_iter()
        .map(|flag| {
            let crlf: &[u8] = if behind_body { b"\r\n" } else { b"" };
            (flag, [crlf, b"-------", id, &[flag.octet()], b"\r\n"].concat())
        })
        .collect()
}

/// The body, and its end-line if that is there; else all but what may become one.
fn body<'a>(octets: &'a [u8], id: &[u8]) -> (&'a [u8], Option<(Flag, Vec<u8>)>) {
    for at in 0..=octets.len() {
        let (body, rest) = octets.split_at_checked(at).unwrap_or_default();
        let mut lines = end_lines(id, true);
        if at == 0 {
            lines.extend(end_lines(id, false));
        }
        if let Some(end) = lines.iter().find(|(_, line)| rest.starts_with(line)) {
            return (body, Some(end.clone()));
        }
        if lines.iter().any(|(_, line)| line.starts_with(rest)) {
            return (body, None);
        }
    }
    (octets, None)
}

/// Up to the first header field of the next line that is none; or the octet that cannot be right.
fn head_len(octets: &[u8]) -> Result<Option<usize>, usize> {
    for (at, octet) in octets.iter().copied().enumerate().take(38) {
        let ident = octet.is_ascii_alphanumeric() || b".-+%=".contains(&octet);
        let good = match at {
            0..=4 => b"MSRP ".get(at) == Some(&octet),
            5 => octet.is_ascii_alphanumeric(),
            6..=8 => ident,
            9..=36 => ident || octet == b' ',
            _ => octet == b' ',
        };
        if !good {
            return Err(at);
        }
        if at > 5 && octet == b' ' {
            break;
        }
    }
    if octets.get(5..).is_none_or(|rest| !rest.contains(&b' ')) {
        return Ok(None);
    }
    let section = octets.get(..=MSRP_HEADER_SIZE_MAX).unwrap_or(octets);
    for at in 0..section.len() {
        let len = match section.get(at..).unwrap_or_default() {
            [b'\n', ..] if at.checked_sub(1).and_then(|at| octets.get(at)) != Some(&b'\r') => {
                return Err(at);
            }
            [b'\r', next, ..] if *next != b'\n' => return Err(at),
            [b'\r', b'\n', b'\r', next, ..] if *next != b'\n' => return Err(at.saturating_add(2)),
            [b'\r', b'\n', b'\r', b'\n', ..] => at.saturating_add(4),
            [b'\r', b'\n', b'-', ..] => at.saturating_add(2),
            _ => continue,
        };
        if len <= MSRP_HEADER_SIZE_MAX {
            return Ok(Some(len));
        }
    }
    if section.len() > MSRP_HEADER_SIZE_MAX { Err(MSRP_HEADER_SIZE_MAX) } else { Ok(None) }
}

/// What a head says, and what is answered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Facts {
    pub(super) id: String,
    /// A method, or a code and a comment.
    pub(super) start: String,
    pub(super) to_path: Vec<String>,
    pub(super) from_path: Vec<String>,
    pub(super) message_id: String,
    pub(super) range: Option<(u128, Option<u128>, Option<u128>)>,
    pub(super) success: bool,
    pub(super) failure: String,
    pub(super) status: Option<(String, String)>,
    pub(super) content_type: String,
    pub(super) has_body: bool,
}

/// What becomes of a head.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Judged {
    /// Worked with.
    Taken(Box<Facts>),
    /// A request that is answered with this code.
    Refused(u16),
    /// Nothing to answer to, or a response with something wrong.
    Dropped,
}

/// The header fields of a head: names in small letters, values, and whether they are any.
struct Lines<'a>(Vec<(String, &'a str, bool)>);

impl<'a> Lines<'a> {
    fn all(&self, name: &str) -> Vec<&'a str> {
        self.0.iter().filter(|(found, _, _)| found == name).map(|(_, value, _)| *value).collect()
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.all(name).first().copied()
    }

    fn first_uri(&self, name: &str) -> &'a str {
        self.value(name).unwrap_or_default().split(' ').next().unwrap_or_default()
    }

    /// Whether anything is wrong with them, whatever the start line is.
    fn are_wrong(&self, has_body: bool) -> bool {
        const SINGLE: [&str; 12] = [
            "to-path",
            "from-path",
            "message-id",
            "byte-range",
            "success-report",
            "failure-report",
            "status",
            "content-type",
            "use-path",
            "expires",
            "min-expires",
            "max-expires",
        ];
        let is = |name: &str, good: &dyn Fn(&str) -> bool| self.value(name).is_none_or(good);
        let seconds = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let one_of = |words: &'static [&str]| {
            move |text: &str| words.contains(&text.to_ascii_lowercase().as_str())
        };
        let typed_at = self.0.iter().position(|(name, _, _)| name == "content-type");
        let good = SINGLE.iter().all(|name| self.all(name).len() < 2)
            && self.0.iter().all(|(_, _, good)| *good)
            && self.0.first().is_some_and(|(name, _, _)| name == "to-path")
            && self.0.get(1).is_some_and(|(name, _, _)| name == "from-path")
            && typed_at.map_or(!has_body, |at| at.saturating_add(1) == self.0.len())
            && ["to-path", "from-path", "use-path"]
                .iter()
                .all(|name| is(name, &|v| path(v).is_some()))
            && ["expires", "min-expires", "max-expires"].iter().all(|name| is(name, &seconds))
            && is("message-id", &is_ident)
            && is("byte-range", &|value| range(value).is_some())
            && is("status", &|value| status(value).is_some())
            && is("success-report", &one_of(&["yes", "no"]))
            && is("failure-report", &one_of(&["yes", "no", "partial"]))
            && is("content-type", &is_media_type);
        !good
    }
}

/// Judges a head that a stream was divided into. Octets are characters here.
pub(super) fn judge(head: &[u8]) -> Judged {
    let text: String = head.iter().copied().map(char::from).collect();
    let has_body = text.ends_with("\r\n\r\n");
    let mut lines: Vec<&str> = text.split_terminator("\r\n").collect();
    if has_body {
        lines.pop();
    }
    let (start, fields) = lines.split_first().unwrap_or((&"", &[]));
    let (id, start) = start.get(5..).unwrap_or_default().split_once(' ').unwrap_or_default();
    let lines = Lines(fields.iter().map(|line| field(line)).collect());
    if !is_uri(lines.first_uri("to-path")) || !is_uri(lines.first_uri("from-path")) {
        return Judged::Dropped;
    }
    let mut wrong = lines.are_wrong(has_body) | start.contains(|c: char| c < ' ' && c != '\t');
    if start.starts_with(|first: char| first.is_ascii_digit()) {
        let (code, rest) = start.split_at_checked(3).unwrap_or((start, "x"));
        let coded = code.len() == 3 && code.chars().all(|c| c.is_ascii_digit());
        wrong |= !coded || !(rest.is_empty() || rest.starts_with(' '));
        if wrong {
            return Judged::Dropped;
        }
    } else {
        wrong |= start.is_empty() || !start.chars().all(|c| c.is_ascii_uppercase());
        let known = ["SEND", "REPORT", "AUTH"].contains(&start);
        let lacks = ["SEND", "REPORT"].contains(&start) && lines.value("message-id").is_none();
        if !wrong && !known {
            return Judged::Refused(501);
        }
        if wrong || lacks || (start == "REPORT" && lines.value("status").is_none()) {
            return Judged::Refused(400);
        }
    }
    let value = |name| lines.value(name).unwrap_or_default();
    let report = |name, default| lines.value(name).unwrap_or(default).to_ascii_lowercase();
    Judged::Taken(Box::new(Facts {
        id: id.to_owned(),
        start: start.to_owned(),
        to_path: path(value("to-path")).unwrap_or_default(),
        from_path: path(value("from-path")).unwrap_or_default(),
        message_id: value("message-id").to_owned(),
        range: range(value("byte-range")),
        success: report("success-report", "no") == "yes",
        failure: report("failure-report", "yes"),
        status: status(value("status")),
        content_type: value("content-type").to_owned(),
        has_body,
    }))
}

/// The name in small letters, the value, and whether it is a header field at all.
fn field(line: &str) -> (String, &str, bool) {
    let Some((name, value)) = line.split_once(':') else { return (String::new(), "", false) };
    let good = name.starts_with(|first: char| first.is_ascii_alphabetic()) && is_token(name);
    let control = value.contains(|c: char| c < ' ' && c != '\t');
    (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']), good && !control)
}

fn is_token(text: &str) -> bool {
    let symbols = "!#$%&'*+-.^_`{|}~";
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || symbols.contains(c))
}

fn is_ident(text: &str) -> bool {
    (4..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-+%=".contains(c))
}

fn path(text: &str) -> Option<Vec<String>> {
    let uris: Vec<String> = text.split(' ').map(str::to_owned).collect();
    (uris.len() <= MSRP_PATH_URIS_MAX && uris.iter().all(|uri| is_uri(uri))).then_some(uris)
}

fn is_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else { return false };
    let (place, parameters) = rest.split_once(';').unwrap_or((rest, ""));
    let (authority, session) = match place.split_once('/') {
        Some((authority, session)) => (authority, Some(session)),
        None => (place, None),
    };
    let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let (user, host) = match authority.split_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    let is_part = |text: &str, more: &str| {
        let mut pieces = text.split('%');
        let plain = |text: &str| {
            text.chars().all(|c| unreserved(c) || "!$&'()*+,;=".contains(c) || more.contains(c))
        };
        pieces.next().is_none_or(plain)
            && pieces.all(|piece| {
                let hex: String = piece.chars().take(2).collect();
                let rest: String = piece.chars().skip(2).collect();
                hex.len() == 2 && hex.chars().all(|c| c.is_ascii_hexdigit()) && plain(&rest)
            })
    };
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<core::net::Ipv6Addr>().is_ok() => {
                ("", (!port.is_empty()).then_some(port))
            }
            _ => return false,
        },
        None => match host.find(':').and_then(|at| host.split_at_checked(at)) {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let is_address = name.is_empty() || name.parse::<core::net::Ipv4Addr>().is_ok();
    let numbered = |port: &str| {
        let digits = port.strip_prefix(':').unwrap_or("x");
        !digits.is_empty()
            && digits.chars().all(|c| c.is_ascii_digit())
            && digits.trim_start_matches('0').len() <= 5
            && digits.parse::<u64>().is_ok_and(|port| port < 65_536)
    };
    let mut parameters = parameters.split(';');
    let transport = parameters.next().unwrap_or_default();
    ["msrp", "msrps"].contains(&scheme.to_ascii_lowercase().as_str())
        && is_part(user, ":")
        && (!name.is_empty() || host.starts_with('['))
        && is_part(name, "")
        && port.map_or(!is_address, numbered)
        && session.is_none_or(|session| {
            !session.is_empty() && session.chars().all(|c| unreserved(c) || "+=/".contains(c))
        })
        && !transport.is_empty()
        && transport.chars().all(|c| c.is_ascii_alphanumeric())
        && parameters.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, "x"));
            is_token(name) && is_token(value)
        })
}

fn number(text: &str) -> Option<u128> {
    let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let value = digits.then(|| text.trim_start_matches('0'))?;
    // As many digits as no 64 bits have are as many as nobody counts to.
    let value = if value.len() > 30 { u128::MAX } else { format!("0{value}").parse().ok()? };
    (value < u128::from(u64::MAX)).then_some(value)
}

type Range = (u128, Option<u128>, Option<u128>);

fn range(text: &str) -> Option<Range> {
    let (start, rest) = text.split_once('-')?;
    let (end, total) = rest.split_once('/')?;
    let open = |text: &str| if text == "*" { Some(None) } else { number(text).map(Some) };
    let (start, end, total) = (number(start)?, open(end)?, open(total)?);
    let ordered = start >= 1 && end.is_none_or(|end| end.saturating_add(1) >= start);
    ordered.then_some((start, end, total))
}

fn status(text: &str) -> Option<(String, String)> {
    let three = |text: &str| text.len() == 3 && text.chars().all(|c| c.is_ascii_digit());
    let mut words = text.splitn(3, ' ');
    let (namespace, code) = (words.next()?, words.next()?);
    (three(namespace) && three(code)).then(|| (namespace.to_owned(), code.to_owned()))
}

fn is_media_type(text: &str) -> bool {
    let (essence, _) = text.split_once(';').unwrap_or((text, ""));
    let essence = essence.trim_end_matches([' ', '\t']);
    essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}
