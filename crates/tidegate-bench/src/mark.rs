//! What each event carries, of a fixed length, so that it is found in the bytes of any transport
//! without reading what is around it.
//!
//! ```text
//!   ~rrrrrrrr.ssssss.qqqqqqqq.tttttttttttt      hexadecimal: run, stream, number, microseconds
//! ```

use std::time::Instant;

/// What a mark begins with; elsewhere it may stand in an address or the head of a WebSocket frame.
pub(crate) const BEGIN: u8 = b'~';
/// Length of a mark.
pub(crate) const MARK_BYTES: usize = 38;
const HEAD: &[u8] = br#"{"bench":""#;
/// An event cannot be smaller.
pub const EVENT_BYTES_MIN: usize = HEAD.len() + MARK_BYTES + 2;

/// Microseconds since a load began; monotonic, and the same for all its threads.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Now.
    pub fn now_us(self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}

/// Tells the events of this load from what others publish at the same address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run(pub u32);

/// Where an event belongs and when it was to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Events of one stream are published one after the other, so they have an order.
    pub stream: u32,
    /// The how-manieth of its stream, from 0.
    pub number: u32,
    /// When it was to be sent, by the [`Clock`] of the load.
    pub at_us: u64,
}

impl Mark {
    /// Its text.
    pub fn text(&self, run: Run) -> String {
        let Mark { stream, number, at_us } = self;
        format!("~{:08x}.{stream:06x}.{number:08x}.{:012x}", run.0, at_us & 0xffff_ffff_ffff)
    }

    /// Reads exactly [`MARK_BYTES`]; `None`: not one of this run.
    pub(crate) fn read(run: Run, text: &[u8]) -> Option<Mark> {
        if text[0] != BEGIN || text[9] != b'.' || text[16] != b'.' || text[25] != b'.' {
            return None;
        }
        if hex(&text[1..9])? != u64::from(run.0) {
            return None;
        }
        let [stream, number] = [hex(&text[10..16])? as u32, hex(&text[17..25])? as u32];
        Some(Mark { stream, number, at_us: hex(&text[26..38])? })
    }
}

/// Appends an event of `bytes` bytes, or [`EVENT_BYTES_MIN`] if that is more.
pub(crate) fn write_event(run: Run, mark: &Mark, bytes: usize, out: &mut Vec<u8>) {
    let end = out.len() + bytes.max(EVENT_BYTES_MIN) - 2;
    out.extend_from_slice(HEAD);
    out.extend_from_slice(mark.text(run).as_bytes());
    out.resize(end, b'x');
    out.extend_from_slice(b"\"}");
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json_of_the_length_asked_for_with_a_mark() {
        let (run, mark) = (Run(0xbeef), Mark { stream: 7, number: 0xffff_fffe, at_us: 123_456_789 });
        for bytes in [EVENT_BYTES_MIN, 64, 4_096] {
            let mut event = Vec::new();
            write_event(run, &mark, bytes, &mut event);
            assert_eq!(event.len(), bytes);
            assert_eq!((event[0], &event[bytes - 2..]), (b'{', &b"\"}"[..]));
            let text = &event[HEAD.len()..][..MARK_BYTES];
            assert_eq!(Mark::read(run, text), Some(mark));
            assert_eq!(Mark::read(Run(1), text), None, "of another run");
        }
    }
}
