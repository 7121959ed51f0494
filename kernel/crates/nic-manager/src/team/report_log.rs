//! What a team has to tell: what the log does not have yet, and what the operator may ask for later.

use super::TeamReport;
use alloc::collections::VecDeque;
use base::Instant;

/// Reports that are kept.
const KEPT: usize = 128;

/// The last reports, oldest first.
pub(super) struct ReportLog {
    kept: VecDeque<TeamReport>,
    /// How many of them, the last ones, nobody has taken yet.
    fresh: usize,
    made: u64,
    lost: u64,
}

impl ReportLog {
    /// Without a report.
    pub(super) fn new() -> Self {
        Self { kept: VecDeque::with_capacity(KEPT), fresh: 0, made: 0, lost: 0 }
    }

    /// Adds a report. The oldest one makes room for it.
    pub(super) fn push(&mut self, report: TeamReport) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.lost += u64::from(self.fresh == KEPT);
        self.kept.push_back(report);
        (self.fresh, self.made) = ((self.fresh + 1).min(KEPT), self.made + 1);
    }

    /// Takes the oldest report that nobody has taken. It stays in the log, with what has come of it.
    pub(super) fn take(&mut self, done: (Instant, u64)) -> Option<TeamReport> {
        let place = self.kept.len() - self.fresh;
        let next = self.kept.get_mut(place)?;
        (next.done, self.fresh) = (Some(done), self.fresh - 1);
        Some(*next)
    }

    /// Those that are kept of the reports after the first `count`.
    pub(super) fn since(&self, count: u64) -> impl Iterator<Item = &TeamReport> {
        let wanted = usize::try_from(self.made.saturating_sub(count)).unwrap_or(KEPT);
        self.kept.iter().skip(self.kept.len().saturating_sub(wanted))
    }

    /// Number of reports so far.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// Number of reports that nobody took before they had to make room.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::TeamNote;
    use base::RetiredFrames;
    use std::vec::Vec;

    fn report(at: u64) -> TeamReport {
        let (note, retired) = (TeamNote::Undecided, RetiredFrames::default());
        TeamReport { at: Instant(at), note, retired, done: None }
    }

    fn take(log: &mut ReportLog) -> Option<u64> {
        log.take((Instant(9), 2)).map(|report| {
            assert_eq!(report.done, Some((Instant(9), 2)));
            report.at.0
        })
    }

    #[test]
    fn reports_are_taken_once_and_stay_for_the_operator() {
        let mut log = ReportLog::new();
        (0..3).for_each(|at| log.push(report(at)));
        assert_eq!([take(&mut log), take(&mut log)], [Some(0), Some(1)]);
        log.push(report(3));
        let known = |log: &ReportLog| log.since(0).map(|report| report.done.is_some()).collect::<Vec<_>>();
        assert_eq!(known(&log), [true, true, false, false]);
        assert_eq!([0; 3].map(|_| take(&mut log)), [Some(2), Some(3), None]);
        let times = |since| log.since(since).map(|report| report.at.0).collect::<Vec<_>>();
        assert_eq!((times(0), times(3), times(4)), (std::vec![0, 1, 2, 3], std::vec![3], std::vec![]));
        assert_eq!((log.made(), log.lost()), (4, 0));
    }

    #[test]
    fn the_oldest_report_makes_room_and_is_lost_if_nobody_took_it() {
        let mut log = ReportLog::new();
        (0..KEPT as u64).for_each(|at| log.push(report(at)));
        assert_eq!(take(&mut log), Some(0));
        log.push(report(1000));
        assert_eq!(log.lost(), 0, "it was taken");
        log.push(report(1001));
        assert_eq!((log.lost(), take(&mut log)), (1, Some(2)));
        assert_eq!((log.since(0).count(), log.made()), (KEPT, KEPT as u64 + 2));
    }
}
