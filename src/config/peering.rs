//! What the settings of a peer and of the gateway must not say together.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::diagnosis::{Diagnosis, Origin};
use crate::config::reader::{Reader, Setting};
use crate::config::relations::{judge_deadline, remark};
use crate::config::sections::{Draft, DraftPeer};
use crate::config::terms::CREDENTIAL_SIZE_MAX;
use crate::config::value::Millis;
use crate::config::{Sources, origin_name};
use crate::delivery::mapping::{Leg, Origin as Said};
use crate::delivery::{Mapping, Role, Verdict};
use crate::engine::{Credentials, Gateway};
use crate::limits::{REMEMBERED_MAX, REMEMBERED_MIN, REMEMBERED_SECONDS, REMEMBERED_SIZE};

/// What its final responses mean: its role, its preset, then its own words.
pub(super) fn mapping(reader: &mut Reader, draft: &DraftPeer, sources: Sources<'_>) -> Mapping {
    // That a role is missing was said; a proxy's is the one that allows most.
    let mut mapping = Mapping::of(draft.role.as_ref().map_or(Role::Proxy, |role| role.value));
    if let Some(preset) = draft.preset.as_ref().and_then(|preset| preset.value) {
        // A preset that could make a report false would be our own mistake: a test sets them all.
        let _ = mapping.preset(preset);
    }
    let Some(map) = &draft.map else { return mapping };
    for one in &map.value.items {
        let at = Origin::File(one.at.clone());
        let said = Said::Configuration(origin_name(&at, sources).into());
        let letter = one.verdict.letter();
        let status = match one.leg {
            Leg::Message => one.status.to_string(),
            leg @ (Leg::Invite | Leg::Msrp) => format!("{} {}", leg.name(), one.status),
        };
        match mapping.set_on(one.leg, one.status, one.verdict, said) {
            Err(refusal) => reader.report(
                Diagnosis::error(
                    format!("{status} cannot mean {letter}, {}", one.verdict.word()),
                    at,
                    "would make reports false",
                )
                .because(refusal.reason()),
            ),
            Ok(())
                if may_race(one.leg, one.status)
                    && matches!(one.verdict, Verdict::Permanent | Verdict::Temporary) =>
            {
                let reason = match one.leg {
                    Leg::Message | Leg::Invite => {
                        "it can race with a success that is under way (RFC 4320), so that a\n\
                         failure may be reported although the message is there, or it is sent twice"
                    }
                    Leg::Msrp => {
                        "somebody on the way has waited in vain, as a time-out of our own (RFC 4975\n\
                         section 10.4), so that a failure may be reported although the message is there"
                    }
                };
                reader.report(
                    Diagnosis::warning(
                        format!("{status} is taken for certain here"),
                        at,
                        "the client may have the message all the same",
                    )
                    .because(reason),
                );
            }
            Ok(()) => {}
        }
    }
    mapping
}

/// Whether a status may come although the message is there. Of an INVITE nothing has left.
const fn may_race(leg: Leg, status: u16) -> bool {
    match leg {
        Leg::Message => matches!(status, 408 | 487 | 504),
        Leg::Invite => false,
        Leg::Msrp => status == 408,
    }
}

/// What a peer says beside its addresses.
pub(super) fn peer(reader: &mut Reader, draft: &Draft, peer: &DraftPeer) {
    if let Some(deadline) = &peer.sync_deadline
        && !deadline.is_default()
    {
        judge_deadline(reader, &draft.timers.t1, deadline);
    }
    if let Some(ack) = &peer.ack_accepted
        && ack.value
    {
        reader.report(
            Diagnosis::warning(
                "a 202 from this peer is reported as RP-ACK where no status report was asked for",
                ack.origin.clone(),
                "the sender's network takes that for delivered",
            )
            .because(
                "nobody knows whether the message was delivered; the verdict stays A, accepted,\n\
                 and is counted as such",
            ),
        );
    }
}

/// How the challenges of a peer are answered.
pub(super) fn credentials(reader: &mut Reader, draft: &DraftPeer) -> Option<Credentials> {
    let (name, file) = match (&draft.username, &draft.password_file) {
        (Some(name), Some(file)) => (name, file),
        (None, None) => return None,
        (Some(Setting { origin, .. }), None) => {
            if !draft.has_password_file {
                lonely(reader, "password_file", origin, "password_file = \"/etc/roger/sbc.pw\"");
            }
            return None;
        }
        (None, Some(Setting { origin, .. })) => {
            if !draft.has_username {
                lonely(reader, "username", origin, "username = \"roger\"");
            }
            return None;
        }
    };
    match password(&file.value.0) {
        Ok((password, mode)) => {
            if mode & 0o007 != 0 {
                reader.report(
                    Diagnosis::warning(
                        "everybody on this machine may read this password",
                        file.origin.clone(),
                        format!("mode {:04o}", mode & 0o7777),
                    )
                    .suggest(format!("chmod o= {}", file.value.0.display())),
                );
            }
            Some(Credentials { username: name.value.0.as_str().into(), password: password.into() })
        }
        Err(problem) => {
            let message = format!("no password in {}", file.value.0.display());
            reader.report(
                Diagnosis::error(message, file.origin.clone(), problem)
                    .because("its first line is the password"),
            );
            None
        }
    }
}

fn lonely(reader: &mut Reader, missing: &str, beside: &Origin, suggestion: &str) {
    reader.report(
        Diagnosis::error(
            format!("`{missing}` is missing in this `peer`"),
            beside.clone(),
            format!("needs a `{missing}`"),
        )
        .because("a challenge is answered with both (RFC 3261 section 22)")
        .suggest(suggestion),
    );
}

/// The first line of a file, and the mode of the file. Only that much is read: the path may name
/// anything.
fn password(path: &Path) -> Result<(String, u32), String> {
    let plain = |error: std::io::Error| {
        let text = error.to_string();
        text.split(" (os error").next().unwrap_or(&text).to_owned()
    };
    let metadata = std::fs::metadata(path).map_err(plain)?;
    // Opening a pipe would wait for its other end.
    if !metadata.is_file() {
        return Err("not a file".to_owned());
    }
    let mut octets = Vec::new();
    let most = u64::try_from(CREDENTIAL_SIZE_MAX + 2).unwrap_or(u64::MAX);
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut octets)).map_err(plain)?;
    let line = octets.split(|&octet| octet == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match core::str::from_utf8(line) {
        Ok("") => Err("its first line is empty".to_owned()),
        Ok(text) if text.len() <= CREDENTIAL_SIZE_MAX => {
            Ok((text.to_owned(), metadata.permissions().mode()))
        }
        Ok(_) => Err(format!("its first line is longer than {CREDENTIAL_SIZE_MAX} octets")),
        Err(_) => Err("its first line is not UTF-8".to_owned()),
    }
}

/// How short messages become instant messages.
pub(super) fn gateway(reader: &mut Reader, draft: &Draft) -> Option<Gateway> {
    let gateway = &draft.gateway;
    if gateway.uri_pending.value.0 > 1 {
        reader.report(
            Diagnosis::warning(
                "more than one request of a sender may be pending to one URI",
                gateway.uri_pending.origin.clone(),
                "messages may overtake each other",
            )
            .because("RFC 3428 section 8 lets a client wait for the final response first"),
        );
    }
    uri_wait(reader, draft);
    permanent_window(reader, &draft.gateway.permanent_window);
    if gateway.pager_max.value.0 > 1_300 {
        reader.report(
            Diagnosis::warning(
                "a longer MESSAGE may be broken into fragments, which are lost together",
                gateway.pager_max.origin.clone(),
                "more than 1300 octets",
            )
            .because("RFC 3428 section 8 forbids it where the path is not known to carry it"),
        );
    }
    let remembered_max = remembered_max(draft.rate.value.0);
    let octets = u64::from(remembered_max) * u64::try_from(REMEMBERED_SIZE).unwrap_or(u64::MAX);
    let table = format!("{remembered_max} short messages at most, {} MiB", octets >> 20);
    remark(reader, "[gateway]", 0, "dedup", &table);
    Some(Gateway {
        domain: gateway.domain.value.0.as_str().into(),
        uri_pending_max: u16::try_from(gateway.uri_pending.value.0).ok()?,
        uri_wait_ms: gateway.uri_wait.value.0,
        pager_max: u16::try_from(gateway.pager_max.value.0).ok()?,
        dedup: gateway.dedup.value,
        permanent_window_ms: gateway.permanent_window.value.0,
        remembered_max,
    })
}

/// What nobody wrote may be longer than a deadline that somebody did: the deadline then comes first.
fn uri_wait(reader: &mut Reader, draft: &Draft) {
    let (wait, shortest) = (&draft.gateway.uri_wait, draft.shortest_deadline());
    if wait.value < shortest.value || wait.is_default() || !shortest.sound {
        return;
    }
    reader.report(
        Diagnosis::error(
            "uri_wait must be shorter than every sync_deadline",
            wait.origin.clone(),
            format!("{} >= {}", wait.value, shortest.value),
        )
        .beside(&shortest.origin, "this one")
        .because("waiting counts against the deadline, which would always come first"),
    );
}

/// Within a minute an equal message has the Call-ID of the one before it, and what is remembered is
/// kept for nine hours at most.
fn permanent_window(reader: &mut Reader, window: &Setting<Millis>) {
    const MINUTE_MS: u32 = 60_000;
    const HOURS_MS: u32 = 8 * 60 * MINUTE_MS;
    if (MINUTE_MS..=HOURS_MS).contains(&window.value.0) {
        return;
    }
    let message = "permanent_window must lie between 1min and 8h";
    reader.report(
        Diagnosis::error(message, window.origin.clone(), "out of range")
            .because("for so long a refusal answers for repetitions of its short message"),
    );
}

/// How many short messages are remembered: those of [`REMEMBERED_SECONDS`] at the planned rate,
/// within bounds. When there are more, those that would be forgotten first make room.
pub(super) fn remembered_max(rate: u32) -> u32 {
    rate.saturating_mul(REMEMBERED_SECONDS).clamp(REMEMBERED_MIN, REMEMBERED_MAX)
}
