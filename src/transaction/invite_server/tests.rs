//! The machine against the figure, in every state with every event; and walks at random.

use super::*;

const STATES: [State; 6] = [
    State::Fresh,
    State::Proceeding,
    State::Accepted,
    State::Completed,
    State::Confirmed,
    State::Terminated,
];

const EVENTS: [Event; 14] = [
    Event::Request,
    Event::Ack,
    Event::Cancel,
    Event::Respond(100),
    Event::Respond(183),
    Event::Respond(200),
    Event::Respond(300),
    Event::Respond(699),
    Event::Trying,
    Event::TimerG,
    Event::TimerH,
    Event::TimerI,
    Event::TimerL,
    Event::TransportError,
];

/// RFC 6026 figure 7, arrow by arrow: state, label, next state, what is under the line. Every event that
/// is on no arrow out of a state does nothing there.
const FIGURE_7: [(&str, &str, &str, &str); 16] = [
    ("Proceeding", "INVITE", "Proceeding", "send response"),
    ("Proceeding", "101-199 from TU", "Proceeding", "send response"),
    ("Proceeding", "Transport Err.", "Proceeding", "inform TU"),
    ("Proceeding", "300-699 from TU", "Completed", "send response"),
    ("Proceeding", "2xx from TU", "Accepted", "send response"),
    ("Completed", "INVITE", "Completed", "send response"),
    ("Completed", "Timer G fires", "Completed", "send response"),
    ("Completed", "Transport Err.", "Completed", "inform TU"),
    ("Completed", "ACK", "Confirmed", "-"),
    // The figure says nothing under the line; section 17.2.1 says that the TU is told of a failure.
    ("Completed", "Timer H fires", "Terminated", "failure to TU"),
    ("Confirmed", "Timer I fires", "Terminated", "-"),
    ("Accepted", "INVITE", "Accepted", "-"),
    ("Accepted", "Transport Err.", "Accepted", "inform TU"),
    ("Accepted", "ACK", "Accepted", "ACK to TU"),
    ("Accepted", "2xx from TU", "Accepted", "send response"),
    ("Accepted", "Timer L fires", "Terminated", "-"),
];

fn label(event: Event) -> Option<&'static str> {
    Some(match event {
        Event::Request => "INVITE",
        Event::Ack => "ACK",
        Event::Respond(100..=199) => "101-199 from TU",
        Event::Respond(200..=299) => "2xx from TU",
        Event::Respond(_) => "300-699 from TU",
        Event::TimerG => "Timer G fires",
        Event::TimerH => "Timer H fires",
        Event::TimerI => "Timer I fires",
        Event::TimerL => "Timer L fires",
        Event::TransportError => "Transport Err.",
        Event::Cancel | Event::Trying => return None,
    })
}

fn under_the_line(action: Action) -> &'static str {
    match action {
        Action::None | Action::Free => "-",
        Action::Send | Action::Repeat => "send response",
        Action::Ack => "ACK to TU",
        Action::Failure => "failure to TU",
        Action::TransportError => "inform TU",
        Action::SendTrying => "send 100",
        Action::Cancelled => "CANCEL to TU",
    }
}

#[test]
fn every_arrow_of_the_figure_is_there_and_no_other() {
    for state in STATES {
        for event in EVENTS {
            let Some(label) = label(event) else { continue };
            let mut after = state;
            let action = after.on(event);
            // The figure has one state for before and after the first answer.
            let name = |state| match state {
                State::Fresh | State::Proceeding => "Proceeding",
                State::Accepted => "Accepted",
                State::Completed => "Completed",
                State::Confirmed => "Confirmed",
                State::Terminated => "Terminated",
            };
            let before = name(state);
            let arrow = FIGURE_7.iter().find(|(from, on, ..)| (*from, *on) == (before, label));
            let (next, mut does) = arrow.map_or((before, "-"), |it| (it.2, it.3));
            if (state, event) == (State::Fresh, Event::Request) {
                does = "send 100";
            }
            let found = (name(after), under_the_line(action));
            assert_eq!(found, (next, does), "{state:?} {event:?}");
            let ends = after == State::Terminated && state != State::Terminated;
            assert_eq!(
                ends,
                matches!(action, Action::Free | Action::Failure),
                "{state:?} {event:?}"
            );
        }
    }
}

/// The whole machine as text, so that a change to it shows up as a diff.
#[test]
fn transitions() {
    use std::fmt::Write as _;
    let mut table = String::new();
    for before in STATES {
        for event in EVENTS {
            let mut after = before;
            let action = after.on(event);
            let _ = writeln!(table, "{before:?} + {event:?} -> {after:?}, {action:?}");
        }
    }
    assert_eq!(table, include_str!("../../../tests/snapshots/invite_server.txt"));
}

#[test]
fn something_is_answered_within_200_ms() {
    let mut state = State::Fresh;
    assert_eq!(state.lifetime_ms(false, 500, 5_000), Some(200));
    assert_eq!(state.on(Event::Trying), Action::SendTrying);
    assert_eq!(state.on(Event::Request), Action::Repeat);
    // Whoever has answered by then says no more.
    for status in [100, 180, 200, 486] {
        let mut answered = State::Fresh;
        assert_eq!(answered.on(Event::Respond(status)), Action::Send);
        assert_eq!(answered.on(Event::Trying), Action::None, "{status}");
    }
    // A repetition that comes first is answered at once.
    let mut repeated = State::Fresh;
    assert_eq!(repeated.on(Event::Request), Action::SendTrying);
    assert_eq!(repeated.on(Event::Trying), Action::None);
}

#[test]
fn cancel_matters_only_before_a_final_response_and_is_answered_anyway() {
    for (statuses, action) in [
        (&[] as &[u16], Action::Cancelled),
        (&[180], Action::Cancelled),
        (&[200], Action::None),
        (&[486], Action::None),
    ] {
        let mut state = State::Fresh;
        for status in statuses {
            state.on(Event::Respond(*status));
        }
        let before = state;
        assert_eq!(state.cancel_status(), 200);
        assert_eq!(state.on(Event::Cancel), action, "{statuses:?}");
        assert_eq!(state, before);
    }
    let mut confirmed = State::Completed;
    confirmed.on(Event::Ack);
    assert_eq!((confirmed.cancel_status(), confirmed.on(Event::Cancel)), (200, Action::None));
    assert_eq!(State::Terminated.cancel_status(), 481);
    // The transaction user answers 487, and no 2xx follows.
    let mut cancelled = State::Proceeding;
    cancelled.on(Event::Cancel);
    assert_eq!(cancelled.on(Event::Respond(487)), Action::Send);
    assert_eq!(cancelled.on(Event::Respond(200)), Action::None);
}

/// RFC 3261 section 17.2.1 and table 4; RFC 6026 section 7.1.
#[test]
fn timers_have_the_values_of_the_table() {
    let mut at = 0;
    for (transmissions, expected) in (1..).zip([500, 1_500, 3_500, 7_500, 11_500, 15_500]) {
        at += timer_g_ms(transmissions, 500, 4_000);
        assert_eq!(at, expected);
    }
    assert_eq!(timer_g_ms(255, 500, 4_000), 4_000);
    let lifetime = |state: State, is_reliable| state.lifetime_ms(is_reliable, 500, 5_000);
    for is_reliable in [false, true] {
        assert_eq!(lifetime(State::Completed, is_reliable), Some(32_000), "H");
        assert_eq!(lifetime(State::Accepted, is_reliable), Some(32_000), "L");
        assert_eq!(lifetime(State::Proceeding, is_reliable), None);
        assert_eq!(lifetime(State::Terminated, is_reliable), None);
    }
    assert_eq!(lifetime(State::Confirmed, false), Some(5_000), "I");
    assert_eq!(lifetime(State::Confirmed, true), Some(0), "I over reliable transports");
}

fn random(word: &mut u64) -> usize {
    *word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*word >> 33).unwrap()
}

/// What the other side and the transaction user may rely on, read off the whole walk.
#[test]
fn on_any_walk_there_is_one_final_response() {
    for seed in 1..20_000 {
        let mut word = seed;
        let mut state = State::Fresh;
        let mut walk: Vec<(Event, Action)> = Vec::new();
        for _ in 0..16 {
            let event = EVENTS[random(&mut word) % EVENTS.len()];
            walk.push((event, state.on(event)));
        }
        let sent: Vec<u16> = walk
            .iter()
            .filter_map(|it| match *it {
                (Event::Respond(status), Action::Send) => Some(status),
                (_, _) => None,
            })
            .collect();
        // One error, or 2xx only; and nothing provisional behind a final response.
        let finals: Vec<u16> = sent.iter().copied().filter(|status| *status >= 200).collect();
        assert!(finals.len() <= 1 || finals.iter().all(|status| *status == 200), "{walk:?}");
        assert!(sent.is_sorted_by_key(|status| *status >= 200), "{walk:?}");
        // A 100 of its own comes first or not at all.
        let trying = walk.iter().position(|it| it.1 == Action::SendTrying);
        let first = walk.iter().position(|it| it.1 == Action::Send);
        assert!(trying.is_none_or(|trying| first.is_none_or(|first| trying < first)), "{walk:?}");
        // It is told of a CANCEL only before that.
        let cancelled = walk.iter().rposition(|it| it.1 == Action::Cancelled);
        let decided = walk.iter().position(|it| {
            it.1 == Action::Send && matches!(it.0, Event::Respond(status) if status >= 200)
        });
        let in_time = |cancelled| decided.is_none_or(|decided| cancelled < decided);
        assert!(cancelled.is_none_or(in_time), "{walk:?}");
        // A transport error ends nothing.
        for pair in walk.windows(2) {
            let [_, (event, action)] = pair else { unreachable!("windows of two") };
            if *event == Event::TransportError {
                assert!(matches!(action, Action::TransportError | Action::None), "{walk:?}");
            }
        }
    }
}
