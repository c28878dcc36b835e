//! Both ends of an INVITE on one line of time, over a network that loses, doubles and delays.

use std::collections::BTreeMap;

use super::invite_client::{self, Client, timer_a_ms};
use super::invite_server::{self, timer_g_ms};
use super::success;
use invite_client::Action::{AckThenFinal, Success, Timeout};

const T1: u32 = 500;
const T2: u32 = 4_000;
const T4: u32 = 5_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Message {
    Invite,
    /// ACK to an error.
    Ack,
    /// ACK to a 2xx.
    AckSuccess,
    Cancel,
    Bye,
    Response(u16),
}

/// What is due at a time. Timers name the state for which they were set.
#[derive(Clone, Copy, Debug)]
enum Due {
    ToServer(Message),
    ToClient(Message),
    TimerA,
    TimerG,
    ClientLeaves(invite_client::State),
    ServerLeaves(invite_server::State),
    CancelTimeout,
    UserCancels,
    UserAnswers(u16),
    SuccessAgain,
    SuccessTimeout,
}

#[derive(Debug)]
struct World {
    word: u64,
    /// In percent.
    loss: u64,
    doubles: u64,
    delay_max_ms: u64,
    is_reliable: bool,
    due: BTreeMap<(u64, u32), Due>,
    number: u32,
    now: u64,
    client: Client,
    invites: Vec<u64>,
    server: Option<invite_server::State>,
    responses: u8,
    sent_last: u16,
    answer: (u64, u16),
    success: Option<success::State>,
    successes: u8,
    told: Vec<invite_client::Action>,
    server_told: Vec<invite_server::Action>,
    is_ended: bool,
}

impl World {
    fn random(&mut self) -> u64 {
        self.word = self
            .word
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.word >> 33
    }

    fn at(&mut self, after_ms: u64, due: Due) {
        self.number += 1;
        self.due.insert((self.now + after_ms, self.number), due);
    }

    fn send(&mut self, due: Due) {
        let copies =
            if self.is_reliable { 1 } else { 1 + u64::from(self.random() % 100 < self.doubles) };
        for _ in 0..copies {
            let is_lost = self.random() % 100 < self.loss;
            if !is_lost {
                let delay =
                    if self.is_reliable { 5 } else { self.random() % self.delay_max_ms + 1 };
                self.at(delay, due);
            }
        }
    }

    fn send_invite(&mut self) {
        self.invites.push(self.now);
        self.send(Due::ToServer(Message::Invite));
        if !self.is_reliable {
            let transmissions = u8::try_from(self.invites.len()).unwrap();
            self.at(timer_a_ms(transmissions, T1), Due::TimerA);
        }
    }

    fn client(&mut self, event: invite_client::Event) {
        let before = self.client.state;
        let action = self.client.on(event);
        if self.client.state != before
            && let Some(ms) = self.client.lifetime_ms(self.is_reliable, T1)
        {
            self.at(ms, Due::ClientLeaves(self.client.state));
        }
        match action {
            invite_client::Action::None
            | invite_client::Action::Free
            | invite_client::Action::Provisional(_) => {}
            invite_client::Action::Retransmit => self.send_invite(),
            invite_client::Action::Cancel | invite_client::Action::ProvisionalThenCancel(_) => {
                self.send(Due::ToServer(Message::Cancel));
                self.at(u64::from(64 * T1), Due::CancelTimeout);
            }
            Success { is_wanted, .. } => {
                self.told.push(action);
                self.send(Due::ToServer(Message::AckSuccess));
                if !is_wanted {
                    self.send(Due::ToServer(Message::Bye));
                }
            }
            AckThenFinal(_) => {
                self.told.push(action);
                self.send(Due::ToServer(Message::Ack));
            }
            invite_client::Action::Ack => self.send(Due::ToServer(Message::Ack)),
            Timeout | invite_client::Action::TransportError => self.told.push(action),
        }
    }

    fn server(&mut self, event: invite_server::Event) {
        use invite_server::{Action, Event};
        let Some(mut state) = self.server else { return };
        let before = state;
        let action = state.on(event);
        self.server = Some(state);
        if state != before
            && let Some(ms) = state.lifetime_ms(self.is_reliable, T1, T4)
        {
            self.at(ms, Due::ServerLeaves(state));
        }
        match (action, event) {
            (Action::None | Action::Free | Action::TransportError, _) => {}
            (Action::SendTrying, _) => self.respond(100),
            (Action::Send, Event::Respond(status)) => {
                self.respond(status);
                if state == invite_server::State::Completed {
                    self.time_g();
                }
            }
            (Action::Send, _) => unreachable!("only a response is sent"),
            (Action::Repeat, event) => {
                self.respond(self.sent_last);
                if event == Event::TimerG {
                    self.time_g();
                }
            }
            (Action::Ack, _) => {
                if let Some(state) = &mut self.success {
                    state.on(success::Event::Ack);
                }
            }
            (Action::Cancelled, _) => self.server(Event::Respond(487)),
            (Action::Failure, _) => self.server_told.push(action),
        }
    }

    fn respond(&mut self, status: u16) {
        self.sent_last = status;
        self.send(Due::ToClient(Message::Response(status)));
    }

    fn time_g(&mut self) {
        self.responses += 1;
        if !self.is_reliable {
            self.at(timer_g_ms(self.responses, T1, T2), Due::TimerG);
        }
    }

    fn success(&mut self, event: success::Event) {
        let Some(state) = &mut self.success else { return };
        match state.on(event) {
            success::Action::None | success::Action::Confirm => {}
            success::Action::End => self.is_ended = true,
            success::Action::Retransmit => {
                self.successes += 1;
                self.server(invite_server::Event::Respond(self.answer.1));
                self.at(success::interval_ms(self.successes, T1, T2), Due::SuccessAgain);
            }
        }
    }

    fn on_server(&mut self, message: Message) {
        use invite_server::{Event, State};
        match (message, self.server) {
            (Message::Invite, None) => {
                self.server = Some(State::Fresh);
                self.at(invite_server::TRYING_MS, Due::ServerLeaves(State::Fresh));
                let (after, status) = self.answer;
                self.at(after, Due::UserAnswers(status));
            }
            (Message::Invite, Some(_)) => self.server(Event::Request),
            (Message::Ack | Message::AckSuccess, _) => self.server(Event::Ack),
            (Message::Cancel, _) => self.server(Event::Cancel),
            (Message::Bye, _) => self.is_ended = true,
            (Message::Response(_), _) => unreachable!("responses go the other way"),
        }
    }

    fn turn(&mut self, due: Due) {
        use {invite_client as uac, invite_server as uas};
        match due {
            Due::ToServer(message) => self.on_server(message),
            Due::ToClient(Message::Response(status)) => self.client(uac::Event::Response(status)),
            Due::ToClient(_) => unreachable!("requests go the other way"),
            Due::TimerA => self.client(uac::Event::TimerA),
            Due::TimerG => self.server(uas::Event::TimerG),
            Due::CancelTimeout => self.client(uac::Event::CancelTimeout),
            Due::UserCancels => self.client(uac::Event::Cancel),
            Due::ClientLeaves(state) if state == self.client.state => match state {
                uac::State::Calling => self.client(uac::Event::TimerB),
                uac::State::Accepted => self.client(uac::Event::TimerM),
                uac::State::Completed => self.client(uac::Event::TimerD),
                uac::State::Proceeding | uac::State::Terminated => {}
            },
            Due::ServerLeaves(state) if Some(state) == self.server => match state {
                uas::State::Fresh => self.server(uas::Event::Trying),
                uas::State::Completed => self.server(uas::Event::TimerH),
                uas::State::Confirmed => self.server(uas::Event::TimerI),
                uas::State::Accepted => self.server(uas::Event::TimerL),
                uas::State::Proceeding | uas::State::Terminated => {}
            },
            Due::ClientLeaves(_) | Due::ServerLeaves(_) => {}
            Due::UserAnswers(status) => {
                let before = self.server;
                self.server(uas::Event::Respond(status));
                let is_accepted = self.server == Some(uas::State::Accepted);
                if is_accepted && before != self.server {
                    self.success = Some(success::State::Waiting);
                    self.successes = 1;
                    self.at(success::interval_ms(1, T1, T2), Due::SuccessAgain);
                    self.at(u64::from(64 * T1), Due::SuccessTimeout);
                }
            }
            Due::SuccessAgain => self.success(success::Event::Again),
            Due::SuccessTimeout => self.success(success::Event::Timeout),
        }
    }

    /// Runs until nothing is due any more.
    fn run(mut self, cancel_at: Option<u64>) -> Self {
        self.at(u64::from(64 * T1), Due::ClientLeaves(invite_client::State::Calling));
        self.send_invite();
        if let Some(at) = cancel_at {
            self.at(at, Due::UserCancels);
        }
        // Proceeding has no timer of its own: nobody waits for ever for whoever has said 100.
        self.at(90_000, Due::UserCancels);
        while let Some(((now, _), due)) = self.due.pop_first() {
            self.now = now;
            assert!(now < 400_000, "it does not end: {self:?}");
            self.turn(due);
        }
        self
    }
}

fn world(seed: u64, is_reliable: bool, answer: (u64, u16)) -> World {
    World {
        word: seed,
        loss: 0,
        doubles: 0,
        delay_max_ms: 20,
        is_reliable,
        due: BTreeMap::new(),
        number: 0,
        now: 0,
        client: Client::new(),
        invites: Vec::new(),
        server: None,
        responses: 0,
        sent_last: 0,
        answer,
        success: None,
        successes: 0,
        told: Vec::new(),
        server_told: Vec::new(),
        is_ended: false,
    }
}

#[test]
fn a_call_that_is_answered_is_answered_once() {
    for is_reliable in [false, true] {
        for (after, invites) in [(0, 1), (150, 1), (1_000, 1), (60_000, 1)] {
            let done = world(1, is_reliable, (after, 200)).run(None);
            assert_eq!(done.told, [Success { status: 200, is_wanted: true }], "{done:?}");
            assert_eq!((done.invites.len(), done.successes), (invites, 1));
            assert_eq!(done.success, Some(success::State::Confirmed));
            let refused = world(1, is_reliable, (after, 486)).run(None);
            assert_eq!(refused.told, [AckThenFinal(486)]);
            assert!(refused.server_told.is_empty());
        }
    }
}

#[test]
fn silence_is_retransmitted_into_and_ends() {
    let silent = World { loss: 100, ..world(1, false, (0, 200)) }.run(None);
    assert_eq!(silent.told, [Timeout]);
    assert_eq!(silent.invites, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    let reliable = World { loss: 100, ..world(1, true, (0, 200)) }.run(Some(5_000));
    assert_eq!((reliable.told, reliable.invites.len()), (Vec::from([Timeout]), 1));
}

#[test]
fn a_call_that_is_cancelled_in_time_ends_with_487() {
    for is_reliable in [false, true] {
        let done = world(1, is_reliable, (30_000, 200)).run(Some(2_000));
        assert_eq!(done.told, [AckThenFinal(487)]);
        let late = world(1, is_reliable, (500, 200)).run(Some(2_000));
        assert_eq!(late.told, [Success { status: 200, is_wanted: true }]);
        // It crosses with the answer.
        let crossing = world(1, true, (1_000, 200)).run(Some(1_004));
        assert_eq!(crossing.told, [Success { status: 200, is_wanted: false }]);
        assert!(crossing.is_ended);
    }
}

#[test]
fn whatever_the_network_does_both_ends_end_and_agree() {
    let (mut answered, mut timeouts, mut crossed, mut unheard) = (0, 0, 0, 0);
    for seed in 1..1_500 {
        let mut start = world(seed, seed % 5 == 0, (0, 0));
        if !start.is_reliable {
            start.loss = [0, 10, 30, 60][usize::try_from(seed % 4).unwrap()];
        }
        start.doubles = 20;
        start.delay_max_ms = [20, 400, 3_000][usize::try_from(seed % 3).unwrap()];
        let status = [200, 486, 302, 200][usize::try_from(start.random() % 4).unwrap()];
        start.answer = (start.random() % 9_000, status);
        let cancel = start.random().is_multiple_of(3).then(|| start.random() % 10_000);
        let done = start.run(cancel);
        let told = &done.told;
        assert_eq!(done.client.state, invite_client::State::Terminated, "{seed} {done:?}");
        let gone = done.server.is_none_or(|state| state == invite_server::State::Terminated);
        assert!(gone, "{seed} {done:?}");
        // One end, or the same 2xx as often as it came.
        let errors = told.iter().filter(|it| matches!(it, AckThenFinal(_) | Timeout)).count();
        let successes = told.iter().filter(|it| matches!(it, Success { .. })).count();
        assert!(errors + usize::from(successes > 0) == 1, "{seed} {told:?}");
        for action in told {
            if let Success { status, is_wanted } = *action {
                assert_eq!((status, done.answer.1), (200, 200), "{seed}");
                crossed += usize::from(!is_wanted);
                answered += usize::from(is_wanted);
            } else if let AckThenFinal(status) = *action {
                let is_cancelled = status == 487 && cancel.is_some();
                assert!(is_cancelled || status == done.answer.1, "{seed} {status}");
                assert!(done.success.is_none(), "{seed}");
            } else {
                assert_eq!(*action, Timeout, "{seed}");
                timeouts += 1;
            }
        }
        // A session of which only one end knows is ended by that end.
        if done.success == Some(success::State::GivenUp) {
            assert!(done.is_ended, "{seed}");
            unheard += 1;
        }
    }
    // All of that has happened.
    assert!(answered > 50 && timeouts > 10 && crossed > 10 && unheard > 3);
}
