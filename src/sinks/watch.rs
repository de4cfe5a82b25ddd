//! Looks at every sink each second: how far behind it is, for how long, and whether somebody has to know.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::metrics::{Behind, Metrics};
use super::progress::{Progress, Reading};
use super::settings::Settings;

/// How often is looked.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// Moments of the journal that are remembered: more than an hour of one that grows each second.
const MOMENTS: usize = 4096;

/// One sink under watch.
#[derive(Debug)]
pub(super) struct Watched {
    settings: Arc<Settings>,
    progress: Arc<Progress>,
    before: Reading,
    /// When the journal reached which record, for those that the sink has not.
    moments: VecDeque<(Instant, u64)>,
    alarm: bool,
}

impl Watched {
    pub(super) fn new(settings: Arc<Settings>, progress: Arc<Progress>) -> Self {
        Self { settings, progress, before: Reading::default(), moments: VecDeque::new(), alarm: false }
    }

    /// Looks once, when the journal ends with `head`. Answers what is to be recorded.
    pub(super) fn look(&mut self, head: u64, now: Instant, metrics: &Metrics) -> Vec<String> {
        let reading = self.progress.read();
        let known = self.moments.back().map_or(reading.seq, |(_, seq)| *seq);
        if head > known.max(reading.seq) && self.moments.len() < MOMENTS {
            self.moments.push_back((now, head));
        }
        while self.moments.front().is_some_and(|(_, seq)| *seq <= reading.seq) {
            self.moments.pop_front();
        }
        let for_how_long = self.moments.front().map_or(Duration::ZERO, |(since, _)| now.duration_since(*since));
        let is_late = for_how_long > self.settings.alarm_after || reading.gone;
        let behind = Behind { records: head.saturating_sub(reading.seq), for_how_long, alarm: is_late };
        metrics.tell(&self.settings.name, &self.before, &reading, &behind);
        let mut news = Vec::new();
        if is_late != self.alarm {
            self.alarm = is_late;
            news.push(self.alarm_text(&reading, &behind));
        }
        if reading.missed > self.before.missed && self.before.missed == 0 {
            news.push(format!(
                "{}: {} records were not in this journal any more when it came to them",
                self.settings.title(),
                reading.missed
            ));
        }
        // Of notifications each is recorded by itself.
        let tells = self.settings.notify().is_none();
        if tells && reading.refused > self.before.refused && self.before.refused == 0 {
            let why = reading.last_error.as_deref().unwrap_or("it did not say why");
            news.push(format!(
                "{}: the receiver refused {} records for good: {why}",
                self.settings.title(),
                reading.refused
            ));
        }
        self.before = reading;
        news.extend(self.progress.news());
        news
    }

    fn alarm_text(&self, reading: &Reading, behind: &Behind) -> String {
        let (title, records) = (self.settings.title(), behind.records);
        let why = reading.last_error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        if reading.gone {
            format!("{title}: the receiver wants no more, and {records} records were not delivered{why}")
        } else if behind.alarm {
            let seconds = behind.for_how_long.as_secs();
            format!("{title}: {records} records were not delivered, the oldest for {seconds} s{why}")
        } else {
            format!("{title}: it has caught up")
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether there are records that it may take soon. One whose receiver fails will not.
    pub(super) fn is_behind(&self, head: u64) -> bool {
        let reading = self.progress.read();
        reading.seq < head && !reading.gone && reading.last_error.is_none()
    }

    pub(super) fn is_alarming(&self) -> bool {
        self.alarm
    }
}
