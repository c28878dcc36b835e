//! Copies octets between an encrypted connection and a driver's end of a local pair, both ways.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Sleep;
use tokio_rustls::TlsStream;

use crate::limits::{STREAM_STALLED_MS, TLS_LINGER_MS};

/// What is taken from a driver at once: what one record holds.
const RECORD_SIZE: usize = 16 << 10;

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// The other end has said that it ends, or a driver has ended it.
    Said,
    /// The other end has stopped without saying so, which might be somebody else's doing. What came
    /// before is genuine, and whether it was whole is what the framing of SIP says.
    Cut,
}

/// One way of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Open,
    /// Nothing more comes in, and the end is being passed on.
    Ending,
    Ended,
}

/// A connection with both its ends.
///
/// What was read is written before anything more is read, and an end is passed on behind the last
/// octet before it (hazard H28). So much is held at most: what rustls has decrypted of one read, and
/// one record for the other way, the latter only while there is something in it.
#[derive(Debug)]
pub(super) struct Pump {
    tls: TlsStream<TcpStream>,
    pair: UnixStream,
    inward: Way,
    outward: Way,
    /// The driver takes nothing more: what comes is thrown away.
    is_deaf: bool,
    end: End,
    record: Vec<u8>,
    written: usize,
    /// Something is to be written and is not taken.
    stalled: Option<Pin<Box<Sleep>>>,
    /// The driver has ended it: so long the other end may take to do the same.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Pump {
    pub(super) fn new(tls: TlsStream<TcpStream>, pair: UnixStream) -> Self {
        Self {
            tls,
            pair,
            inward: Way::Open,
            outward: Way::Open,
            is_deaf: false,
            end: End::Said,
            record: Vec::new(),
            written: 0,
            stalled: None,
            lingering: None,
        }
    }

    /// From the other end to the driver.
    fn poll_inward(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.inward == Way::Open {
            let Self { tls, pair, .. } = self;
            let read = match ready!(Pin::new(&mut *tls).poll_fill_buf(cx)) {
                Ok(read) => read,
                Err(_) => {
                    self.end = End::Cut;
                    &[]
                }
            };
            if read.is_empty() {
                self.inward = Way::Ending;
                break;
            }
            let len = match self.is_deaf {
                true => read.len(),
                false => match ready!(Pin::new(pair).poll_write(cx, read)) {
                    Ok(len) => len,
                    Err(_) => {
                        self.is_deaf = true;
                        read.len()
                    }
                },
            };
            Pin::new(tls).consume(len);
        }
        if self.inward == Way::Ending {
            // A driver that is gone need not be told.
            let _ = ready!(Pin::new(&mut self.pair).poll_shutdown(cx));
            self.inward = Way::Ended;
        }
        Poll::Ready(())
    }

    /// From the driver to the other end.
    fn poll_outward(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.outward == Way::Open {
            if ready!(self.poll_written(cx)).is_err() {
                // Nobody reads any more; what was sent before that may still come in.
                self.outward = Way::Ended;
                self.linger();
                return Poll::Ready(());
            }
            self.record.reserve_exact(RECORD_SIZE);
            match ready!(self.poll_record(cx)) {
                Ok(0) | Err(_) => {
                    self.outward = Way::Ending;
                    self.linger();
                }
                Ok(_) => {}
            }
        }
        if self.outward == Way::Ending {
            let _ = ready!(Pin::new(&mut self.tls).poll_shutdown(cx));
            self.outward = Way::Ended;
        }
        Poll::Ready(())
    }

    /// Writes what there is.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(left) = self.record.get(self.written..)
            && !left.is_empty()
        {
            self.written += ready!(Pin::new(&mut self.tls).poll_write(cx, left))?;
            self.stalled = None;
        }
        self.record.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Takes what the driver has written. Where that is nothing, sees that all before it leaves.
    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if self.pair.poll_read_ready(cx)?.is_pending() {
                // An idle connection holds nothing.
                self.record = Vec::new();
                // Where that fails, reading says so.
                let _ = ready!(Pin::new(&mut self.tls).poll_flush(cx));
                self.stalled = None;
                return Poll::Pending;
            }
            match self.pair.try_read_buf(&mut self.record) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    fn linger(&mut self) {
        let patience = Duration::from_millis(u64::from(TLS_LINGER_MS));
        self.lingering.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
    }

    /// Whether the other end has taken nothing for too long, or too long to end.
    fn is_overdue(&mut self, cx: &mut Context<'_>, is_writing: bool) -> bool {
        if is_writing && self.stalled.is_none() {
            let patience = Duration::from_millis(u64::from(STREAM_STALLED_MS));
            self.stalled = Some(Box::pin(tokio::time::sleep(patience)));
        }
        let mut timers = [&mut self.stalled, &mut self.lingering].into_iter().flatten();
        timers.any(|timer| timer.as_mut().poll(cx).is_ready())
    }

    /// Whether something is to be written to the other end that it has not taken.
    fn is_writing(&self) -> bool {
        let (_, session) = self.tls.get_ref();
        self.written < self.record.len() || session.wants_write()
    }
}

impl Future for Pump {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let inward = self.poll_inward(cx);
        let outward = self.poll_outward(cx);
        let is_writing = self.is_writing() && outward.is_pending();
        let has_ended = inward.is_ready() && outward.is_ready();
        if has_ended || self.is_overdue(cx, is_writing) {
            Poll::Ready(self.end)
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests;
