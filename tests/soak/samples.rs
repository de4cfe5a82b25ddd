//! What pgward takes, looked at from outside, and what is allowed of it.

use std::fmt;
use std::time::{Duration, Instant};

use crate::Work;

/// How long everything may take to be as it was.
const SETTLE: Duration = Duration::from_secs(90);
/// Below this the second half is too short for a line through it to say anything.
const LONG_ENOUGH: Duration = Duration::from_secs(120);
/// What the line through the second half's samples may rise by, of their mean, and anyway.
const RISE: f64 = 0.05;
const RISE_KIB: f64 = 4.0 * 1024.0;

pub const HEADER: &str = "   seconds    rss KiB   fds  threads  backends  sessions  cpu %";

#[derive(Clone, Copy, Debug)]
pub struct Sample {
    at: Instant,
    seconds: f64,
    rss_kib: u64,
    fds: usize,
    threads: u64,
    backends: usize,
    sessions: usize,
    cpu_ticks: u64,
    cpu_percent: f64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, rss_kib, fds, threads, backends, sessions, cpu_percent, .. } = self;
        write!(f, "{seconds:>10.0} {rss_kib:>10} {fds:>5} {threads:>8} {backends:>9} {sessions:>9} {cpu_percent:>6.1}")
    }
}

#[derive(Debug)]
pub struct Samples(Vec<Sample>);

/// One look, by `/proc`, the server and `/metrics`.
pub fn sample(work: &Work) -> Sample {
    let pid = work.proxy.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let cpu_ticks: u64 = after_name[11].parse::<u64>().unwrap() + after_name[12].parse::<u64>().unwrap();
    // pgward comes by TCP, everybody else by the socket.
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE client_addr IS NOT NULL";
    let metrics = work.proxy.metrics();
    let sessions = metrics.lines().find_map(|line| line.strip_prefix("pgward_sessions_open "));
    Sample {
        at: Instant::now(),
        seconds: 0.0,
        rss_kib: field("VmRSS:"),
        fds: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        threads: field("Threads:"),
        backends: work.bench.postgres.run("postgres", sql).parse().unwrap(),
        sessions: sessions.unwrap().trim().parse().unwrap(),
        cpu_ticks,
        cpu_percent: 0.0,
    }
}

/// Waits until nobody is there, and for as much as there was before to be all that there is.
pub fn settled(work: &Work, before: Option<Sample>) -> Sample {
    let began = Instant::now();
    loop {
        let now = sample(work);
        let is_empty = now.sessions == 0;
        let is_as_before = match before {
            Some(before) => now.is_as(&before),
            // Threads that wait for work leave after a while.
            None => began.elapsed() > Duration::from_secs(12),
        };
        if (is_empty && is_as_before) || began.elapsed() > SETTLE {
            return before.map_or(now, |before| now.since(&before, &before));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Threads for files that wait for the next piece of work: how many stay depends on when it comes.
const WAITING: u64 = 2;

impl Sample {
    fn is_as(&self, before: &Self) -> bool {
        self.sessions == 0
            && self.backends <= before.backends
            && self.fds <= before.fds
            && self.threads <= before.threads + WAITING
    }

    fn since(mut self, first: &Self, last: &Self) -> Self {
        self.seconds = (self.at - first.at).as_secs_f64();
        let (ticks, seconds) = (self.cpu_ticks - last.cpu_ticks, (self.at - last.at).as_secs_f64());
        // The kernel's ticks are hundredths of a second.
        self.cpu_percent = if seconds > 0.0 { ticks as f64 / seconds } else { 0.0 };
        self
    }

    /// # Panics
    /// Where there is more than there was before.
    pub fn check_nothing_is_left(&self, before: &Self) {
        assert!(self.is_as(before), "left behind: {self:?}; before: {before:?}");
    }
}

impl Samples {
    pub fn new(first: Sample) -> Self {
        Self(vec![first])
    }

    pub fn push(&mut self, sample: Sample) -> Sample {
        let sample = sample.since(&self.0[0], self.0.last().unwrap());
        self.0.push(sample);
        sample
    }

    /// A line of least squares through the second half's samples: what it rises by in that time is no more than a
    /// twentieth of their mean.
    pub fn check_memory(&self, length: Duration) {
        let half = &self.0[self.0.len() / 2..];
        let mean = |of: &dyn Fn(&Sample) -> f64| half.iter().map(of).sum::<f64>() / half.len() as f64;
        let (time, rss) = (|sample: &Sample| sample.seconds, |sample: &Sample| sample.rss_kib as f64);
        let (mean_time, mean_rss) = (mean(&time), mean(&rss));
        let covariance = mean(&|sample| (time(sample) - mean_time) * (rss(sample) - mean_rss));
        let variance = mean(&|sample| (time(sample) - mean_time).powi(2));
        let slope = covariance / variance;
        let rise = slope * (half.last().unwrap().seconds - half[0].seconds);
        let allowed = (mean_rss * RISE).max(RISE_KIB);
        println!(
            "memory in the second half: {mean_rss:.0} KiB on average, {:.1} KiB a minute, {rise:.0} KiB in all ({allowed:.0} allowed)",
            slope * 60.0
        );
        if length >= LONG_ENOUGH {
            assert!(rise <= allowed, "memory grows");
        }
    }
}
