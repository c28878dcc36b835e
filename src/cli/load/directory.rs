//! The directory of one run: `result.json`, `latency.hlog`, `stat.csv`, `meta.json`.
//!
//! The two that grow are written while the run goes on, so that an hour is not lost with the process.

use core::time::Duration;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde::Serialize;

use crate::load::generator::interval::Interval;

const RESULT: &str = "result.json";
const LATENCY: &str = "latency.hlog";
const STATISTICS: &str = "stat.csv";
const META: &str = "meta.json";

/// What belongs to a run and is no result of it.
#[derive(Debug, Serialize)]
pub(super) struct Meta<'a> {
    pub(super) command: &'a [String],
    pub(super) version: &'a str,
    /// Seconds since 1970.
    pub(super) started: f64,
    pub(super) kernel: &'a str,
    pub(super) cpu_model: &'a str,
    pub(super) cpus: usize,
    pub(super) clock_source: &'a str,
    pub(super) run: String,
    pub(super) seed: u64,
    pub(super) messages: u32,
    pub(super) ends: &'a [EndMeta],
}

/// One end, as it ran.
#[derive(Debug, Serialize)]
pub(super) struct EndMeta {
    pub(super) plays: &'static str,
    pub(super) address: String,
    pub(super) cpu: Option<usize>,
    pub(super) driver: String,
    pub(super) refusal: Option<String>,
}

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    statistics: BufWriter<File>,
    latency: BufWriter<File>,
    rows: Rows,
}

/// What the cumulative columns have.
#[derive(Debug, Default)]
struct Rows {
    rate: f64,
    sent: u64,
    succeeded: u64,
    failed: u64,
    timed_out: u64,
    retransmissions: u64,
}

impl Directory {
    /// Opens it for a run at `rate` messages per second. One that has results is left as it is.
    pub(super) fn open(path: &Path, rate: f64, started: SystemTime) -> io::Result<Self> {
        for name in [RESULT, LATENCY, STATISTICS, META] {
            if path.join(name).exists() {
                let said = [name, " of an earlier run is there"].concat();
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, said));
            }
        }
        fs::create_dir_all(path)?;
        let create = |name| OpenOptions::new().write(true).create_new(true).open(path.join(name));
        let mut statistics = BufWriter::new(create(STATISTICS)?);
        statistics.write_all(HEAD.as_bytes())?;
        let mut latency = BufWriter::new(create(LATENCY)?);
        let mut serializer = V2DeflateSerializer::new();
        // The maximum is told in milliseconds, as the tools for this format do.
        IntervalLogWriterBuilder::new()
            .with_start_time(started)
            .with_max_value_divisor(1e6)
            .begin_log_with(&mut latency, &mut serializer)?;
        let rows = Rows { rate, ..Rows::default() };
        Ok(Self { path: path.to_owned(), statistics, latency, rows })
    }

    /// Adds an interval to both.
    pub(super) fn add(&mut self, interval: &Interval) -> io::Result<()> {
        self.add_row(interval)?;
        let mut serializer = V2DeflateSerializer::new();
        let mut log = IntervalLogWriterBuilder::new();
        let mut lines = Vec::new();
        let mut log =
            log.with_max_value_divisor(1e6).begin_log_with(&mut lines, &mut serializer)?;
        let from = Duration::from_nanos(interval.from_ns);
        let length = Duration::from_nanos(interval.to_ns.saturating_sub(interval.from_ns));
        for (name, latencies) in [
            ("intended", &interval.intended),
            ("actual", &interval.actual),
            ("pacing", &interval.pacing),
        ] {
            log.write_histogram(latencies, from, length, Tag::new(name))
                .map_err(|_| io::Error::other("a histogram could not be written"))?;
        }
        // The writer begins each log with what this one has already.
        let own =
            lines.split_inclusive(|octet| *octet == b'\n').filter(|line| line.starts_with(b"Tag="));
        own.into_iter().try_for_each(|line| self.latency.write_all(line))?;
        self.latency.flush()
    }

    fn add_row(&mut self, interval: &Interval) -> io::Result<()> {
        let rows = &mut self.rows;
        rows.sent += interval.sent;
        rows.succeeded += interval.succeeded;
        rows.failed += interval.failed;
        rows.timed_out += interval.timed_out;
        rows.retransmissions += interval.retransmissions;
        let seconds = |ns: u64| Duration::from_nanos(ns).as_secs_f64();
        let (elapsed, whole) =
            (seconds(interval.to_ns.saturating_sub(interval.from_ns)), seconds(interval.to_ns));
        #[expect(clippy::cast_precision_loss, reason = "rates are for people")]
        let per = |count: u64, seconds: f64| count as f64 / seconds.max(1e-9);
        write!(
            self.statistics,
            "{elapsed:.6};{whole:.6};{:.3};{:.3};{:.3}",
            rows.rate,
            per(interval.sent, elapsed),
            per(rows.sent, whole),
        )?;
        for (period, cumulative) in [
            (interval.sent, rows.sent),
            (interval.succeeded, rows.succeeded),
            (interval.failed + interval.timed_out, rows.failed + rows.timed_out),
            (interval.timed_out, rows.timed_out),
            (interval.retransmissions, rows.retransmissions),
        ] {
            write!(self.statistics, ";{period};{cumulative}")?;
        }
        for quantile in [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0] {
            write!(self.statistics, ";{}", interval.intended.value_at_quantile(quantile))?;
        }
        writeln!(self.statistics, ";{}", interval.pacing.value_at_quantile(0.999))?;
        self.statistics.flush()
    }

    /// Writes what belongs to the run.
    pub(super) fn write_meta(&self, meta: &Meta<'_>) -> io::Result<()> {
        self.write(META, meta)
    }

    /// Writes the result, last.
    pub(super) fn write_result(&self, result: &impl Serialize) -> io::Result<()> {
        self.write(RESULT, result)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let mut file = BufWriter::new(File::create_new(self.path.join(name))?);
        serde_json::to_writer_pretty(&mut file, value)?;
        writeln!(file)?;
        file.flush()
    }
}

/// SIPp's names where it has them; (P) is the period, (C) cumulative. Latencies are in nanoseconds.
const HEAD: &str = "ElapsedTime(P);ElapsedTime(C);TargetRate;CallRate(P);CallRate(C);\
    OutgoingCall(P);OutgoingCall(C);SuccessfulCall(P);SuccessfulCall(C);FailedCall(P);FailedCall(C);\
    FailedTimeoutOnRecv(P);FailedTimeoutOnRecv(C);Retransmissions(P);Retransmissions(C);\
    p50;p90;p99;p99.9;p99.99;max;pacing p99.9\n";

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    fn empty(name: &str) -> PathBuf {
        let path = std::env::temp_dir()
            .join(["roger-", name, "-", &std::process::id().to_string()].concat());
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn what_is_written_can_be_read_by_others() {
        let path = empty("load-directory");
        let mut directory = Directory::open(&path, 1_000.0, SystemTime::UNIX_EPOCH).unwrap();
        let mut interval = Interval::new().unwrap();
        (interval.to_ns, interval.sent, interval.succeeded) = (1_000_000_000, 1_000, 999);
        interval.intended.record_n(50_000, 999).unwrap();
        directory.add(&interval).unwrap();
        (interval.from_ns, interval.to_ns) = (1_000_000_000, 2_000_000_000);
        directory.add(&interval).unwrap();
        directory.write_result(&7).unwrap();
        let log = fs::read(path.join(LATENCY)).unwrap();
        let mut tags = Vec::new();
        for entry in IntervalLogIterator::new(&log) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let octets = base64_of(interval.encoded_histogram());
                let histogram: hdrhistogram::Histogram<u64> =
                    Deserializer::new().deserialize(&mut octets.as_slice()).unwrap();
                tags.push((interval.tag().unwrap().as_str().to_owned(), histogram.len()));
            }
        }
        let one = [("intended", 999), ("actual", 0), ("pacing", 0)];
        let expected: Vec<(String, u64)> =
            one.iter().chain(&one).map(|(tag, len)| ((*tag).to_owned(), *len)).collect();
        assert_eq!(tags, expected);
        let rows = fs::read_to_string(path.join(STATISTICS)).unwrap();
        let rows: Vec<Vec<&str>> = rows.lines().map(|row| row.split(';').collect()).collect();
        assert!(rows.len() == 3 && rows.iter().all(|row| row.len() == rows[0].len()));
        assert_eq!((rows[0][6], rows[2][6]), ("OutgoingCall(C)", "2000"));
        assert_eq!(fs::read_to_string(path.join(RESULT)).unwrap(), "7\n");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn results_are_never_overwritten() {
        for name in [RESULT, LATENCY, STATISTICS, META] {
            let path = empty(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(name), "mine").unwrap();
            let error = Directory::open(&path, 1.0, SystemTime::UNIX_EPOCH).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
            assert_eq!(fs::read_to_string(path.join(name)).unwrap(), "mine");
            fs::remove_dir_all(path).unwrap();
        }
    }

    fn base64_of(text: &str) -> Vec<u8> {
        let mut bits = (0_u32, 0);
        let mut octets = Vec::new();
        for octet in text.bytes().filter(|octet| *octet != b'=') {
            let value = match octet {
                b'A'..=b'Z' => octet - b'A',
                b'a'..=b'z' => octet - b'a' + 26,
                b'0'..=b'9' => octet - b'0' + 52,
                b'+' => 62,
                _ => 63,
            };
            bits = (bits.0 << 6 | u32::from(value), bits.1 + 6);
            if bits.1 >= 8 {
                bits.1 -= 8;
                octets.push((bits.0 >> bits.1).to_le_bytes()[0]);
            }
        }
        octets
    }
}
