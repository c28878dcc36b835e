//! What statuses of a peer mean, against the standards: the section `[peer.map]`.

use core::ops::Range;

use crate::config::choices::one_of;
use crate::config::value::{Complaint, Raw, Value};
use crate::delivery::Verdict;
use crate::delivery::mapping::Leg;

/// What some statuses of a peer mean: `404 = "T"`, and below `invite` and `msrp` those of the INVITE and of
/// the session of a Large Message.
#[derive(Clone, Debug)]
pub(super) struct Meanings {
    pub(super) items: Vec<Meaning>,
    complaints: Vec<Complaint>,
}

/// What one status means, and where that stands.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    pub(super) leg: Leg,
    pub(super) status: u16,
    pub(super) verdict: Verdict,
    /// The place of the verdict.
    pub(super) at: Range<usize>,
}

/// A key and its value, each with its place.
type Entry<'e> = (&'e str, Range<usize>, Raw<'e>, Range<usize>);

impl Meanings {
    fn take(&mut self, leg: Leg, (key, key_at, raw, at): &Entry<'_>) {
        let verdict =
            verdict(raw).map_err(|complaint| Complaint { at: Some(at.clone()), ..complaint });
        let status = status(leg, key)
            .map_err(|complaint| Complaint { at: Some(key_at.clone()), ..complaint });
        match (status, verdict) {
            (Ok(status), Ok(verdict)) => {
                self.items.push(Meaning { leg, status, verdict, at: at.clone() });
            }
            (status, verdict) => {
                self.complaints.extend(status.err().into_iter().chain(verdict.err()))
            }
        }
    }
}

/// The leg that has a section of its own below `[peer.map]`.
fn leg(key: &str) -> Option<Leg> {
    [Leg::Invite, Leg::Msrp].into_iter().find(|leg| leg.name() == key)
}

fn status(leg: Leg, key: &str) -> Result<u16, Complaint> {
    let last = if leg == Leg::Msrp { 999 } else { 699 };
    let digits = key.len() == 3 && key.bytes().all(|octet| octet.is_ascii_digit());
    match digits.then(|| key.parse::<u16>().ok()).flatten() {
        Some(status) if (200..=last).contains(&status) => Ok(status),
        Some(status @ 100..=199) if leg != Leg::Msrp => {
            Err(Complaint::new(format!("{status} is not final"), "must be 200 to 699")
                .because("a provisional response proves nothing: the final one comes later"))
        }
        Some(_) | None => {
            let what = if leg == Leg::Msrp { "status of MSRP" } else { "status code" };
            let written = key.escape_default();
            let complaint = Complaint::new(
                format!("`{written}` is not a {what}"),
                format!("must be 200 to {last}"),
            );
            Err(match self::leg(&key.to_ascii_lowercase()) {
                Some(section) if leg == Leg::Message => {
                    let name = section.name();
                    complaint.suggest(format!("[peer.map.{name}], and below it 486 = \"T\""))
                }
                Some(_) | None => complaint,
            })
        }
    }
}

fn verdict(raw: &Raw<'_>) -> Result<Verdict, Complaint> {
    let letters: Vec<String> = Verdict::ALL.map(|verdict| verdict.letter().to_string()).into();
    let listed = one_of(letters.iter().map(String::as_str));
    let text = raw.text(&listed)?;
    Verdict::of_letter(text).ok_or_else(|| {
        let complaint =
            Complaint::new(format!("`{}` is not {listed}", text.escape_default()), "not a verdict");
        match Verdict::of_letter(&text.trim().to_ascii_uppercase())
            .or_else(|| Verdict::ALL.into_iter().find(|one| one.word().eq_ignore_ascii_case(text)))
        {
            Some(verdict) => complaint.suggest(format!("write \"{}\"", verdict.letter())),
            None => complaint.because(
                "D delivered, P permanent: refused for good, T temporary: certainly not delivered,\n\
                 U unknown, A accepted by an intermediary",
            ),
        }
    })
}

impl Value for Meanings {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        let Raw::Table(entries) = raw else {
            return Err(Complaint::unexpected(
                raw,
                "a section such as [peer.map] with 404 = \"T\"",
            ));
        };
        let mut meanings = Self { items: Vec::new(), complaints: Vec::new() };
        for entry in entries {
            match (leg(entry.0), &entry.2) {
                (Some(leg), Raw::Table(entries)) => {
                    entries.iter().for_each(|entry| meanings.take(leg, entry));
                }
                (Some(_) | None, _) => meanings.take(Leg::Message, entry),
            }
        }
        meanings.items.sort_by_key(|one| (one.leg, one.status));
        Ok(meanings)
    }

    fn to_toml(&self) -> String {
        let of = |leg: Leg| {
            let items = self.items.iter().filter(move |one| one.leg == leg);
            items.map(|one| format!("{} = \"{}\"", one.status, one.verdict.letter()))
        };
        let mut entries: Vec<String> = of(Leg::Message).collect();
        for leg in [Leg::Invite, Leg::Msrp] {
            let own: Vec<String> = of(leg).collect();
            if !own.is_empty() {
                entries.push(format!("{} = {{ {} }}", leg.name(), own.join(", ")));
            }
        }
        format!("{{ {} }}", entries.join(", "))
    }

    fn complaints(&mut self) -> Vec<Complaint> {
        std::mem::take(&mut self.complaints)
    }
}
