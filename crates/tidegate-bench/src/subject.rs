//! Servers that are not Tidegate, so that they can be measured with the very same load.

use std::fmt::Debug;
use std::net::SocketAddr;

use crate::Error;
use crate::head::Head;

/// Connections that are being opened at once: what a listener's backlog takes.
pub(crate) const OPENING_MAX: u32 = 128;

/// A server as a load sees it: bytes that go in, bytes that come out. Events are found by their
/// marks, whatever is around them.
pub trait Subject: Send + Sync + Debug {
    /// Where it is watched.
    fn watch_address(&self) -> SocketAddr;

    /// What a watcher of the address with this number says and hears until it watches; watchers are
    /// numbered, too. One that is cut begins again, and what it missed is lost.
    fn watch(&self, number: u32, watcher: u32) -> Vec<Step>;

    /// Watchers that may be on their way to watch at once.
    fn opening_max(&self) -> u32 {
        OPENING_MAX
    }

    /// Where it takes events.
    fn publish_address(&self) -> SocketAddr;

    /// What a publisher says and hears before its first event.
    fn open_publisher(&self) -> Vec<Step> {
        Vec::new()
    }

    /// Appends the publish of an event at the address with this number.
    fn publish(&self, number: u32, event: &[u8], out: &mut Vec<u8>);

    /// Reads the answer to a publish. `None`: it is not whole yet.
    ///
    /// # Errors
    /// If it refuses.
    fn acknowledged(&self, answer: &[u8]) -> Result<Option<Acknowledged>, Error> {
        Acknowledged::over_http(answer)
    }
}

/// One exchange of a handshake.
#[derive(Clone, Debug)]
pub struct Step {
    /// What goes out.
    pub say: Vec<u8>,
    /// What stands somewhere in the answer; nothing more is said before.
    pub hear: Vec<u8>,
}

/// An event was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Whether the connection takes another one.
    pub stays: bool,
}

impl Acknowledged {
    /// Reads an answer over HTTP: any 2xx.
    pub(crate) fn over_http(answer: &[u8]) -> Result<Option<Acknowledged>, Error> {
        let Some(head) = Head::read(answer)? else { return Ok(None) };
        if answer.len() < head.bytes + head.content_length {
            return Ok(None);
        }
        if !(200..300).contains(&head.status) {
            let body = String::from_utf8_lossy(&answer[head.bytes..]).into_owned();
            return Err(Error::Refused { status: head.status, body });
        }
        Ok(Some(Acknowledged { stays: !head.closes }))
    }
}

impl Step {
    /// Where what is to be heard ends, once it has been heard.
    pub(crate) fn heard(&self, bytes: &[u8]) -> Option<usize> {
        Some(memchr::memmem::find(bytes, &self.hear)? + self.hear.len())
    }
}
