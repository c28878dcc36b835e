//! The lines that an operator reads first: what became of the messages, and of the short ones.

use core::fmt::Write as _;

use crate::oam::status::{ALARM, FAINT, HEADING, Snapshot, grouped, paint};

/// Of what is counted, in words. Nothing where nothing was accepted yet.
pub(super) fn summary(snapshot: &Snapshot, colour: bool) -> String {
    let of = |name| count(snapshot, name);
    let accepted = of("messages_accepted");
    if accepted == 0 {
        return String::new();
    }
    let mut text = String::from("\n");
    let mut line = |name: &str, words: &str, style: &str| {
        let name = paint(&format!("{name:<16}"), HEADING, colour);
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{name}{}", paint(words, style, colour));
    };
    let open = format!("{} accepted, {} open  ", grouped(accepted), grouped(of("messages_open")));
    line("messages", &(open + &verdicts(snapshot)), "");
    let shorts = of("short_messages");
    if shorts == 0 {
        return text;
    }
    let [acks, errors] = ["rp_acks", "rp_errors"].map(|name| grouped(of(name)));
    let words = format!("{} of these: RP-ACK {acks}, RP-ERROR {errors}", grouped(shorts));
    line("short messages", &words, "");
    let [taken, refused, silent] =
        ["reports_taken", "reports_rejected", "reports_unconfirmed"].map(of);
    let words = format!(
        "{} taken, {} refused, {} never answered",
        grouped(taken),
        grouped(refused),
        grouped(silent)
    );
    line("  their reports", &words, if refused > 0 { ALARM } else { "" });
    let absorbed = of("retries_absorbed") + of("retries_attached");
    let [again, possible] = ["retries_attempted", "possible_duplicates"].map(of);
    let words = format!(
        "{} absorbed, {} tried again ({} possibly delivered before)",
        grouped(absorbed),
        grouped(again),
        grouped(possible)
    );
    line("  repetitions", &words, if absorbed + again == 0 { FAINT } else { "" });
    let [waits, ended] = ["uri_waits", "uri_waits_ended"].map(of);
    let words = format!(
        "{} for another one to the same recipient, {} too long",
        grouped(waits),
        grouped(ended)
    );
    line("  waited", &words, if waits == 0 { FAINT } else { "" });
    text
}

/// Each verdict's share of all of them.
fn verdicts(snapshot: &Snapshot) -> String {
    const VERDICTS: [(&str, &str); 5] = [
        ("D", "verdict_delivered"),
        ("P", "verdict_permanent"),
        ("T", "verdict_temporary"),
        ("U", "verdict_unknown"),
        ("A", "verdict_accepted"),
    ];
    let counts = VERDICTS.map(|(letter, name)| (letter, count(snapshot, name)));
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    counts.iter().fold(String::new(), |mut text, (letter, count)| {
        let _ = write!(text, "  {letter} {}", share(*count, all));
        text
    })
}

/// A share in percent. What is not zero does not look like it, nor like all what is not all.
fn share(part: u64, all: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(all.max(1));
    match hundredths {
        0 if part > 0 => String::from("<0.01%"),
        _ => format!("{}.{:02}%", hundredths / 100, hundredths % 100),
    }
}

/// What was counted under this name; 0 if the process does not count it.
fn count(snapshot: &Snapshot, name: &str) -> u64 {
    let all = snapshot.counters.iter().flat_map(|group| &group.counters);
    all.into_iter().find(|count| count.name == name).map_or(0, |count| count.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_to_none_or_all() {
        for (part, all, text) in [
            (0, 0, "0.00%"),
            (0, 7, "0.00%"),
            (7, 7, "100.00%"),
            (1, 3, "33.33%"),
            (1, 20, "5.00%"),
            (1, 100_000, "<0.01%"),
            (99_999, 100_000, "99.99%"),
        ] {
            assert_eq!(share(part, all), text);
        }
    }
}
