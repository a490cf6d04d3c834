//! The end of a right: a watch is told of it before, and closed at it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_core::{ErrorCode, NoticeCode, Problem};

use crate::encoding::Encoding;
use crate::walk::notice_frame;

/// A watch is told so long before its end.
const NOTICE: Duration = Duration::from_secs(30);

/// Ends of one second are found at moments of it.
const SAME: Duration = Duration::from_secs(1);

/// What a watch knows of its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    at: Instant,
    /// Its client has been told.
    told: bool,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing before this.
    Nothing(Instant),
    /// The client is to be told.
    Notice,
    /// The watch is to be closed.
    End,
}

impl Until {
    pub(crate) fn new(at: Instant) -> Until {
        Until { at, told: false }
    }

    /// The end of a fresh credential. Its client is told again, unless that ends no later: who shows the same one again and
    /// again is not told again and again.
    pub(crate) fn renewed(before: Option<Until>, at: Option<Instant>) -> Option<Until> {
        let at = at?;
        let told = before.is_some_and(|before| before.told && at <= before.at + SAME);
        Some(Until { at, told })
    }

    /// When it is.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    pub(crate) fn due(&self, now: Instant) -> Due {
        match (now >= self.at, self.told) {
            (true, _) => Due::End,
            (false, true) => Due::Nothing(self.at),
            (false, false) if now + NOTICE >= self.at => Due::Notice,
            (false, false) => Due::Nothing(self.at - NOTICE),
        }
    }

    /// Tells the client.
    pub(crate) fn notice(&mut self, encoding: Encoding, now: Instant) -> Bytes {
        self.told = true;
        let seconds = self.at.saturating_duration_since(now).as_secs_f64().ceil();
        let message = format!("the token ends in {seconds} s; then come back with a fresh one and your cursor");
        notice_frame(encoding, NoticeCode::TokenExpiring, message)
    }
}

/// Why a watch is closed at its end.
pub(crate) fn expired() -> Problem {
    Problem::new(ErrorCode::TokenExpired, "the token has expired")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_told_again_before_a_later_end() {
        let now = Instant::now();
        let later = |seconds| Some(now + Duration::from_secs(seconds));
        let mut until = Until::renewed(None, later(20)).expect("an end");
        assert_eq!(until.due(now), Due::Notice);
        drop(until.notice(Encoding::WebSocket, now));
        let same = Until::renewed(Some(until), later(21)).expect("an end");
        assert!(matches!(same.due(now), Due::Nothing(_)));
        let fresh = Until::renewed(Some(until), later(25)).expect("an end");
        assert_eq!(fresh.due(now), Due::Notice);
        assert!(Until::renewed(Some(until), None).is_none());
    }

    #[test]
    fn a_watch_is_told_once_and_then_closed() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut until = Until::new(later(100));
        assert_eq!(until.due(now), Due::Nothing(later(70)));
        assert_eq!(until.due(later(70)), Due::Notice);
        let notice = until.notice(Encoding::Ndjson(crate::Coding::Identity), later(71));
        assert!(
            notice.starts_with(b"{\"op\":\"notice\",\"code\":\"token-expiring\",\"message\":\"the token ends in 29 s")
        );
        assert_eq!(until.due(later(71)), Due::Nothing(later(100)));
        assert_eq!(until.due(later(100)), Due::End);
    }
}
