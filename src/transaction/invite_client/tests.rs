//! The machine against the figure, in every state with every event; and walks at random.

use super::*;

const STATES: [State; 5] =
    [State::Calling, State::Proceeding, State::Accepted, State::Completed, State::Terminated];

const EVENTS: [Event; 12] = [
    Event::Response(100),
    Event::Response(180),
    Event::Response(200),
    Event::Response(302),
    Event::Response(699),
    Event::TimerA,
    Event::TimerB,
    Event::TimerD,
    Event::TimerM,
    Event::TransportError,
    Event::Cancel,
    Event::CancelTimeout,
];

/// RFC 6026 figure 5, arrow by arrow: state, label, next state, what is under the line. Every event that
/// is on no arrow out of a state does nothing there.
const FIGURE_5: [(&str, &str, &str, &str); 15] = [
    ("Calling", "Timer A fires", "Calling", "INVITE sent"),
    ("Calling", "Timer B fires", "Terminated", "timeout to TU"),
    ("Calling", "Transport Err.", "Terminated", "error to TU"),
    ("Calling", "1xx", "Proceeding", "1xx to TU"),
    ("Calling", "2xx", "Accepted", "2xx to TU"),
    ("Calling", "300-699", "Completed", "ACK sent, resp. to TU"),
    ("Proceeding", "1xx", "Proceeding", "1xx to TU"),
    ("Proceeding", "2xx", "Accepted", "2xx to TU"),
    ("Proceeding", "300-699", "Completed", "ACK sent, resp. to TU"),
    ("Completed", "300-699", "Completed", "ACK sent"),
    ("Completed", "Transport Err.", "Terminated", "error to TU"),
    ("Completed", "Timer D fires", "Terminated", "-"),
    ("Accepted", "2xx", "Accepted", "2xx to TU"),
    ("Accepted", "Timer M fires", "Terminated", "-"),
    // Not in the figure: RFC 3261 section 16.7 and 13.2.2.4.
    ("Completed", "2xx", "Completed", "2xx to TU"),
];

fn label(event: Event) -> Option<&'static str> {
    Some(match event {
        Event::Response(100..=199) => "1xx",
        Event::Response(200..=299) => "2xx",
        Event::Response(_) => "300-699",
        Event::TimerA => "Timer A fires",
        Event::TimerB => "Timer B fires",
        Event::TimerD => "Timer D fires",
        Event::TimerM => "Timer M fires",
        Event::TransportError => "Transport Err.",
        Event::Cancel | Event::CancelTimeout => return None,
    })
}

fn text(state: State) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let _ = write!(text, "{state:?}");
    text
}

/// What an action is in the figure, where nobody has cancelled.
fn under_the_line(action: Action) -> &'static str {
    match action {
        Action::None => "nothing",
        Action::Retransmit => "INVITE sent",
        Action::Provisional(_) => "1xx to TU",
        Action::Success { .. } => "2xx to TU",
        Action::AckThenFinal(_) => "ACK sent, resp. to TU",
        Action::Ack => "ACK sent",
        Action::Timeout => "timeout to TU",
        Action::TransportError => "error to TU",
        Action::Free => "-",
        Action::Cancel | Action::ProvisionalThenCancel(_) => "CANCEL sent",
    }
}

#[test]
fn every_arrow_of_the_figure_is_there_and_no_other() {
    for state in STATES {
        for event in EVENTS {
            let Some(label) = label(event) else { continue };
            let mut client = Client { state, cancel: Cancel::No };
            let action = client.on(event);
            let before = text(state);
            let arrow = FIGURE_5.iter().find(|(from, on, ..)| (*from, *on) == (&before, label));
            let (next, does) = arrow.map_or((before.as_str(), "nothing"), |it| (it.2, it.3));
            let found = (text(client.state), under_the_line(action));
            assert_eq!(found, (next.to_owned(), does), "{before} {event:?}");
            assert_eq!(client.cancel, Cancel::No);
        }
    }
}

/// The whole machine as text, so that a change to it shows up as a diff.
#[test]
fn transitions() {
    use std::fmt::Write as _;
    let mut table = String::new();
    for cancel in [Cancel::No, Cancel::Wanted, Cancel::Sent] {
        for state in STATES {
            for event in EVENTS {
                let mut client = Client { state, cancel };
                let action = client.on(event);
                let Client { state: after, cancel: then } = client;
                let _ = writeln!(
                    table,
                    "{state:?} {cancel:?} + {event:?} -> {after:?} {then:?}, {action:?}"
                );
            }
        }
    }
    assert_eq!(table, include_str!("../../../tests/snapshots/invite_client.txt"));
}

#[test]
fn cancel_waits_for_a_provisional_response_and_is_sent_once() {
    let mut client = Client::new();
    assert_eq!(client.on(Event::Cancel), Action::None);
    assert_eq!(client.on(Event::Cancel), Action::None);
    // The INVITE goes on being sent: only what it brings back lets the CANCEL leave.
    assert_eq!(client.on(Event::TimerA), Action::Retransmit);
    assert_eq!(client.on(Event::Response(180)), Action::ProvisionalThenCancel(180));
    assert_eq!(client.on(Event::Response(180)), Action::Provisional(180));
    assert_eq!(client.on(Event::Cancel), Action::None);
    assert_eq!(client.on(Event::Response(487)), Action::AckThenFinal(487));
    let mut asked = Client::new();
    asked.on(Event::Response(100));
    assert_eq!(asked.on(Event::Cancel), Action::Cancel);
    assert_eq!(asked.on(Event::Cancel), Action::None);
    // Who answers nothing after CANCEL is not waited for: 64*T1 after it (section 9.1).
    assert_eq!(asked.on(Event::CancelTimeout), Action::Timeout);
    assert_eq!(asked.state, State::Terminated);
    // Without a CANCEL that was sent, nothing has run out.
    let mut ringing = Client::new();
    ringing.on(Event::Response(180));
    assert_eq!(ringing.on(Event::CancelTimeout), Action::None);
    assert_eq!(ringing.state, State::Proceeding);
    // Nobody has answered at all: timer B.
    let mut silent = Client::new();
    silent.on(Event::Cancel);
    assert_eq!(silent.on(Event::CancelTimeout), Action::None);
    assert_eq!(silent.on(Event::TimerB), Action::Timeout);
}

#[test]
fn cancel_after_a_final_response_changes_nothing() {
    for status in [200, 302, 486, 603] {
        let mut client = Client::new();
        client.on(Event::Response(status));
        let before = client;
        assert_eq!(client.on(Event::Cancel), Action::None);
        assert_eq!(client.on(Event::CancelTimeout), Action::None);
        assert_eq!(client, before);
    }
}

#[test]
fn a_2xx_that_crosses_with_the_cancel_is_not_wanted() {
    for wanted_first in [false, true] {
        let mut client = Client::new();
        if wanted_first {
            client.on(Event::Cancel);
        } else {
            client.on(Event::Response(180));
            client.on(Event::Cancel);
        }
        let unwanted = Action::Success { status: 200, is_wanted: false };
        assert_eq!(client.on(Event::Response(200)), unwanted);
        // Its repetitions neither, so that each is acknowledged.
        assert_eq!(client.on(Event::Response(200)), unwanted);
        assert_eq!(client.state, State::Accepted);
    }
    let mut refused = Client::new();
    refused.on(Event::Response(486));
    let unwanted = Action::Success { status: 200, is_wanted: false };
    assert_eq!(refused.on(Event::Response(200)), unwanted);
    assert_eq!(refused.state, State::Completed);
}

/// RFC 3261 section 17.1.1.2 and table 4: seven transmissions before timer B.
#[test]
fn timers_have_the_values_of_the_table() {
    let mut at = 0;
    let mut sent = Vec::from([0]);
    let timer_b = Client::new().lifetime_ms(false, 500).unwrap();
    for transmissions in 1.. {
        at += timer_a_ms(transmissions, 500);
        if at >= timer_b {
            break;
        }
        sent.push(at);
    }
    assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(timer_a_ms(255, 500), 500 << 16);
    let lifetime = |state, is_reliable, t1_ms| {
        Client { state, cancel: Cancel::No }.lifetime_ms(is_reliable, t1_ms)
    };
    for is_reliable in [false, true] {
        assert_eq!(lifetime(State::Calling, is_reliable, 500), Some(32_000), "B");
        assert_eq!(lifetime(State::Accepted, is_reliable, 100), Some(6_400), "M");
        assert_eq!(lifetime(State::Proceeding, is_reliable, 500), None);
        assert_eq!(lifetime(State::Terminated, is_reliable, 500), None);
    }
    assert_eq!(lifetime(State::Completed, false, 100), Some(32_000), "D is 32 s at least");
    assert_eq!(lifetime(State::Completed, false, 1_000), Some(64_000), "D");
    assert_eq!(lifetime(State::Completed, true, 500), Some(0), "D over reliable transports");
}

fn random(word: &mut u64) -> usize {
    *word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*word >> 33).unwrap()
}

/// What a transaction user may rely on, read off the whole walk.
#[test]
fn on_any_walk_the_transaction_user_is_told_what_is_true() {
    for seed in 1..20_000 {
        let mut word = seed;
        let mut client = Client::new();
        let mut walk: Vec<(Event, Action)> = Vec::new();
        for _ in 0..14 {
            let event = EVENTS[random(&mut word) % EVENTS.len()];
            walk.push((event, client.on(event)));
        }
        let count = |is: &dyn Fn(&Action) -> bool| walk.iter().filter(|(_, it)| is(it)).count();
        let first = |is: &dyn Fn(&(Event, Action)) -> bool| walk.iter().position(is);
        let ends = count(&|it| {
            matches!(it, Action::AckThenFinal(_) | Action::Timeout | Action::TransportError)
        });
        let finals = count(&|it| matches!(it, Action::AckThenFinal(_)));
        assert!(finals <= 1 && ends - finals <= 1, "{walk:?}");
        let cancels = count(&|it| matches!(it, Action::Cancel | Action::ProvisionalThenCancel(_)));
        assert!(cancels <= 1, "{walk:?}");
        let is_final =
            |it: &(Event, Action)| matches!(it.0, Event::Response(status) if status >= 200);
        let cancel = first(&|it| matches!(it.1, Action::Cancel | Action::ProvisionalThenCancel(_)));
        if let Some(cancel) = cancel {
            let provisional = first(&|it| matches!(it.0, Event::Response(100..=199)));
            assert!(provisional.is_some_and(|place| place <= cancel), "{walk:?}");
            assert!(first(&is_final).is_none_or(|place| place > cancel), "{walk:?}");
        }
        // Timers and errors that end it: behind them there is nothing.
        let end =
            first(&|it| matches!(it.1, Action::Timeout | Action::TransportError | Action::Free));
        if let Some(end) = end {
            assert!(walk[end + 1..].iter().all(|it| it.1 == Action::None), "{walk:?}");
            assert_eq!(client.state, State::Terminated);
        }
        // Every 2xx reaches the transaction user while the transaction is there, wanted only if nobody
        // has cancelled and no error came.
        for (place, (event, action)) in walk.iter().enumerate() {
            let is_there = end.is_none_or(|end| place < end);
            if let (Event::Response(200), true) = (event, is_there) {
                let before = &walk[..place];
                let asked = before.iter().position(|it| it.0 == Event::Cancel);
                let is_cancelled = asked.is_some_and(|asked| !before[..asked].iter().any(is_final));
                let is_refused = before.iter().any(|it| matches!(it.1, Action::AckThenFinal(_)));
                let is_spoilt = is_cancelled || is_refused;
                let expected = Action::Success { status: 200, is_wanted: !is_spoilt };
                assert_eq!(*action, expected, "{walk:?}");
            }
        }
        // Every error that comes is acknowledged, but not one behind a 2xx.
        let accepted = first(&|it| matches!(it.1, Action::Success { .. }) && finals == 0);
        for (place, (event, action)) in walk.iter().enumerate() {
            let is_there = end.is_none_or(|end| place < end) && accepted.is_none();
            if let (Event::Response(300..), true) = (event, is_there) {
                assert!(matches!(action, Action::Ack | Action::AckThenFinal(_)), "{walk:?}");
            }
        }
    }
}
