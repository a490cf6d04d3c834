//! One watch, whatever carries it: opened or refused, then frame by frame.

use serde_json::Value;

use crate::case::Transport;
use crate::http::Answer;
use crate::line::Place;
use crate::many::Many;
use crate::poll::Poll;
use crate::rules::Rules;
use crate::stream::Stream;

/// A watch that is open.
pub struct Watch {
    carrier: Carrier,
    rules: Rules,
    /// Read while opening, and not taken yet.
    first: Option<Value>,
}

enum Carrier {
    Stream(Box<Stream>),
    Many(Box<Many>),
    Poll(Box<Poll>),
}

/// What came of opening.
pub enum Opened {
    Watch(Box<Watch>),
    Refused(Answer),
}

/// What is watched: `address?options` and the headers of the case.
pub struct Target<'a> {
    pub server: Place,
    pub path: &'a str,
    pub headers: Vec<(String, String)>,
}

impl Watch {
    /// Opens, and returns when the place where the watch begins is settled.
    pub fn open(transport: Transport, target: Target) -> anyhow::Result<Opened> {
        let option = |name: &str| {
            let (_, query) = target.path.split_once('?')?;
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let header = target.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Last-Event-ID"));
        let after = header.map(|(_, value)| value.clone()).or(option("after"));
        let chain = option("chain").as_deref() == Some("true");
        let rules = Rules::new(transport != Transport::Poll, chain, after);
        let carrier = match transport {
            Transport::Poll => match Poll::open(target)? {
                Ok(poll) => Carrier::Poll(Box::new(poll)),
                Err(refusal) => return Ok(Opened::Refused(refusal)),
            },
            Transport::WebsocketMany => match Many::watch(target)? {
                Ok(many) => Carrier::Many(Box::new(many)),
                Err(refusal) => return Ok(Opened::Refused(refusal)),
            },
            stream => match Stream::open(stream, target)? {
                Ok(stream) => Carrier::Stream(Box::new(stream)),
                Err(refusal) => return Ok(Opened::Refused(refusal)),
            },
        };
        let mut watch = Watch { carrier, rules, first: None };
        if !matches!(watch.carrier, Carrier::Poll(_)) {
            watch.first = Some(watch.next()?);
        }
        Ok(Opened::Watch(Box::new(watch)))
    }

    /// The next frame.
    pub fn next(&mut self) -> anyhow::Result<Value> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        let frame = match &mut self.carrier {
            Carrier::Stream(stream) => stream.next()?,
            Carrier::Many(many) => many.next()?,
            Carrier::Poll(poll) => poll.next()?,
        };
        self.rules.check(&frame)?;
        Ok(frame)
    }
}
