//! What goes wrong with connections: its class, its counter, and a line now and then.

use core::cell::RefCell;
use core::fmt;
use std::io;

use crossbeam::channel::Sender;
use rustls::{AlertDescription, CertificateError, Error};

use crate::metrics::{Counter, Counters};
use crate::packet::Endpoint;
use crate::time::Instant;

/// Why a handshake came to nothing, or a connection was not wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// What came is not TLS.
    NotTls,
    /// No certificate, where one is asked for.
    NoCertificate,
    /// A certificate of nobody we know.
    Untrusted,
    /// A certificate whose time is over or has not come.
    Expired,
    /// A certificate of somebody else.
    WrongName,
    /// It took too long.
    Timeout,
    /// The other end does not want our certificate.
    Rejected,
    /// Anything else.
    Other,
}

impl Trouble {
    const COUNT: usize = 8;

    const fn counter(self) -> Counter {
        match self {
            Self::NotTls => Counter::TlsNotTls,
            Self::NoCertificate | Self::Untrusted => Counter::TlsUntrusted,
            Self::Expired => Counter::TlsExpired,
            Self::WrongName => Counter::TlsWrongName,
            Self::Timeout => Counter::TlsTimeouts,
            Self::Rejected => Counter::TlsRejected,
            Self::Other => Counter::TlsFailed,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::NotTls => "what comes is not TLS",
            Self::NoCertificate => "it shows no certificate",
            Self::Untrusted => "its certificate leads to no root that we have",
            Self::Expired => "its certificate is not valid now",
            Self::WrongName => "its certificate bears another name",
            Self::Timeout => "the handshake has not ended in time",
            Self::Rejected => "it does not accept our certificate",
            Self::Other => "the handshake has failed",
        }
    }

    /// What an error of a handshake says.
    #[expect(clippy::wildcard_enum_match_arm, reason = "there are many, and more to come")]
    pub(super) fn of(error: &io::Error) -> Self {
        let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) else {
            return Self::Other;
        };
        match error {
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => Self::NotTls,
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            _ => Self::Other,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is wrong, nothing vouches")]
    const fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::Expired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            _ => Self::Untrusted,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "there are many alerts, these are about us")]
    const fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => Self::Rejected,
            _ => Self::Other,
        }
    }
}

/// How often one class of trouble is told, in milliseconds.
const PAUSE_MS: u32 = 10_000;

/// Says what goes wrong, each class once in a while.
#[derive(Debug)]
pub(super) struct Teller {
    to: Sender<String>,
    /// When each class may be told again, and how often it happened since.
    said: RefCell<[(Instant, u64); Trouble::COUNT]>,
}

impl Teller {
    pub(super) fn new(to: Sender<String>) -> Self {
        Self { to, said: RefCell::new([(Instant(0), 0); Trouble::COUNT]) }
    }

    /// Counts it, and tells it unless that was done not long ago. Whoever is not listened to says
    /// nothing.
    pub(super) fn tell(
        &self,
        counters: &Counters,
        (trouble, remote): (Trouble, Endpoint),
        more: &dyn fmt::Display,
        now: Instant,
    ) {
        counters.add(trouble.counter());
        let mut said = self.said.borrow_mut();
        let Some((after, unsaid)) = said.get_mut(trouble as usize) else { return };
        if now < *after {
            *unsaid += 1;
            return;
        }
        let mut text = format!("TLS with {}: {}{more}", remote.to_socket_addr(), trouble.words());
        if *unsaid > 0 {
            text.push_str(&format!(" ({unsaid} more since the last time)"));
        }
        (*after, *unsaid) = (now.plus_ms(PAUSE_MS), 0);
        let _ = self.to.try_send(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Tally;

    #[test]
    fn each_class_is_told_once_in_ten_seconds_and_counted_each_time() {
        let (to, told) = crossbeam::channel::bounded(8);
        let (teller, tally) = (Teller::new(to), Tally::new(0));
        let remote = Endpoint::from(core::net::SocketAddr::from(([192, 0, 2, 1], 4_000)));
        let tell = |trouble, ms| {
            let now = Instant(1).plus_ms(ms);
            teller.tell(&tally.counters, (trouble, remote), &"", now);
        };
        for ms in 0..5 {
            tell(Trouble::NotTls, ms);
        }
        tell(Trouble::Expired, 5);
        tell(Trouble::NotTls, PAUSE_MS);
        let lines: Vec<String> = told.try_iter().collect();
        assert_eq!(
            lines,
            [
                "TLS with 192.0.2.1:4000: what comes is not TLS",
                "TLS with 192.0.2.1:4000: its certificate is not valid now",
                "TLS with 192.0.2.1:4000: what comes is not TLS (4 more since the last time)",
            ]
        );
        assert_eq!(tally.counters.read(Counter::TlsNotTls), 6);
    }
}
