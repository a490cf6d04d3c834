//! One watch that renews its token in time, until it is ended.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::http::Answer;
use tidegate_testkit::client::poll::Poll;
use tidegate_testkit::client::renewal::by_request;
use tidegate_testkit::client::websocket::WebSocket;
use tidegate_testkit::client::{Ask, Ended, Transport, Watch};
use tokio::time::{Instant, sleep_until};

use crate::rig::{ADDRESS, Rig, Who};

/// A token is renewed after so many milliseconds, well before its end.
const RENEWS_MS: std::ops::Range<u64> = 4_000..7_000;

/// A transport of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Sse,
    Ndjson,
    WebSocket,
    Poll,
}

pub(crate) struct Watcher {
    pub(crate) rig: Rig,
    pub(crate) who: Who,
    pub(crate) way: Way,
    pub(crate) seed: u64,
}

/// What came of it.
pub(crate) struct Heard {
    pub(crate) who: Who,
    pub(crate) renewals: usize,
    pub(crate) ended: Instant,
}

enum Line {
    Watch(Box<Watch>),
    WebSocket(Box<WebSocket>),
    Poll(Box<Poll>),
}

impl Way {
    pub(crate) const ALL: [Way; 4] = [Way::Sse, Way::Ndjson, Way::WebSocket, Way::Poll];
}

impl Watcher {
    /// Watches until it is ended, or is told that it is enough.
    ///
    /// # Errors
    /// An event that is missing, twice or out of order, and any end but the one by a revocation.
    pub(crate) async fn watch(self) -> Result<Heard, String> {
        let wrong = |what: String| format!("{:?} {}: {what}", self.way, self.seed);
        let mut rng = StdRng::seed_from_u64(self.seed);
        let ask = Ask { from: Some("start".to_owned()), ..Ask::new(ADDRESS, false, Kind::History) };
        let mut ask = Ask { token: Some(self.rig.token(self.who).await), ..ask };
        let mut line = self.open(&ask).await.map_err(|ended| wrong(format!("{ended:?}")))?;
        let (mut last, mut enough) = (self.rig.last(), self.rig.has_enough());
        let (mut number, mut renewals, mut id, mut told) = (0, 0, String::new(), None);
        let mut renew_at = next(&mut rng);
        self.rig.watches();
        let ended = loop {
            if let Some(last) = last.borrow_and_update().filter(|last| number == *last && told != Some(*last)) {
                told = Some(last);
                self.rig.has_heard();
            }
            let frame = tokio::select! {
                biased;
                _ = enough.changed() => break Instant::now(),
                () = sleep_until(renew_at), if told.is_none() || self.who == Who::Others => {
                    self.renew(&mut line, &mut ask, &id).await.map_err(wrong)?;
                    (renewals, renew_at) = (renewals + 1, next(&mut rng));
                    continue;
                }
                _ = last.changed() => continue,
                frame = line.next() => frame,
            };
            let frame = match frame {
                Ok(frame) => frame,
                Err(Ended::Refused(answer)) if told.is_some() && answer.body["code"] == "token-revoked" => {
                    break Instant::now();
                }
                // The key of the token is gone; a poll shows it each time.
                Err(Ended::Refused(answer)) if self.way == Way::Poll && answer.head.status == 401 => {
                    self.renew(&mut line, &mut ask, &id).await.map_err(wrong)?;
                    continue;
                }
                Err(ended) => return Err(wrong(format!("{ended:?}"))),
            };
            if let Some(cursor) = frame["cursor"].as_str() {
                ask.cursor = Some(cursor.to_owned());
            }
            match frame["op"].as_str() {
                Some("begin") => frame["watch"].as_str().unwrap_or_default().clone_into(&mut id),
                Some("append") if frame["data"]["n"] == number + 1 => number += 1,
                Some("close") if told.is_some() && frame["code"] == "token-revoked" => break Instant::now(),
                Some("bookmark" | "done") => {}
                Some("notice") if frame["code"] == "token-expiring" => {}
                // Its key was rotated away before it was shown.
                Some("problem") if frame["ref"] == 1 && frame["status"] == 401 => renew_at = Instant::now(),
                _ => return Err(wrong(format!("after {number} events came {frame}"))),
            }
        };
        Ok(Heard { who: self.who, renewals, ended })
    }

    async fn open(&self, ask: &Ask) -> Result<Line, Ended> {
        let at = self.rig.at();
        Ok(match self.way {
            Way::Sse => Line::Watch(Box::new(Watch::open(at, Transport::Sse, ask).await?)),
            Way::Ndjson => Line::Watch(Box::new(Watch::open(at, Transport::Ndjson, ask).await?)),
            Way::WebSocket => Line::WebSocket(Box::new(WebSocket::connect_as(at, &ask.url(&[]), ask).await?)),
            Way::Poll => Line::Poll(Box::new(Poll::new(at, ask.clone()))),
        })
    }

    /// Shows a fresh token: on the socket, by a request beside the stream, or with the next poll.
    async fn renew(&self, line: &mut Line, ask: &mut Ask, id: &str) -> Result<(), String> {
        let token = self.rig.token(self.who).await;
        ask.token = Some(token.clone());
        match line {
            Line::Poll(_) => *line = Line::Poll(Box::new(Poll::new(self.rig.at(), ask.clone()))),
            Line::WebSocket(socket) => {
                let message = json!({ "do": "token", "ref": 1, "token": token });
                socket.send_text(&message.to_string()).await.map_err(|ended| format!("{ended:?}"))?;
            }
            Line::Watch(_) => {
                let mut answer = self.post(id, &token).await.map_err(|ended| format!("{ended:?}"))?;
                if answer.head.status == 401 {
                    // Its key was rotated away before it was shown.
                    let another = self.rig.token(self.who).await;
                    answer = self.post(id, &another).await.map_err(|ended| format!("{ended:?}"))?;
                }
                if answer.head.status != 204 {
                    return Err(format!("a renewal got {answer:?}"));
                }
            }
        }
        Ok(())
    }

    async fn post(&self, id: &str, token: &str) -> Result<Answer, Ended> {
        by_request(self.rig.at(), id, Some(token)).await
    }
}

impl Line {
    async fn next(&mut self) -> Result<Value, Ended> {
        match self {
            Line::Watch(watch) => watch.next_frame().await,
            Line::WebSocket(socket) => socket.next_frame().await,
            Line::Poll(poll) => loop {
                match poll.pop() {
                    Some(frame) => return Ok(frame),
                    None => poll.round().await?,
                }
            },
        }
    }
}

fn next(rng: &mut StdRng) -> Instant {
    Instant::now() + Duration::from_millis(rng.random_range(RENEWS_MS))
}
