//! How far a key or an address has come: what conditions of batches are judged by.

use tidegate_core::{Address, Key, Offset};

use super::ChannelState;
use super::records::again;
use crate::condition::Standing;
use crate::page::ReadError;

impl ChannelState {
    /// The record that made the value of a key; `None` if it has no value.
    pub(crate) fn key_standing(&self, address: &Address, key: &Key) -> Result<Option<Offset>, ReadError> {
        Ok(self.row(address, key)?.0.map(|row| row.offset))
    }

    /// The last change of an address.
    pub(crate) fn address_standing(&self, address: &Address) -> Result<Standing, ReadError> {
        if self.keyed {
            let touched = self.touched(address)?;
            return Ok(Standing { last: Some(touched.unwrap_or(0)), exists: touched.is_some() });
        }
        let (own, wide, start) = match &self.ring {
            Some(ring) => ring.last_at(address),
            None => again(|| self.last_held(address))?,
        };
        Ok(Standing { last: own.max(wide).or(Some(start)), exists: own.is_some() })
    }

    /// Last offset at an address, last one of what concerns every address if that matters, and the start.
    fn last_held(&self, address: &Address) -> Result<(Option<Offset>, Option<Offset>, Offset), ReadError> {
        let seen = self.see();
        let (mut own, mut wide) = (None, None);
        for part in seen.held.parts.iter().rev() {
            let (here, everywhere) = part.last_at(address, seen.head);
            own = own.or(here);
            wide = wide.or(everywhere);
        }
        for segment in seen.held.segments.iter().rev() {
            if own.is_some() {
                break;
            }
            let last = |address| -> Result<Option<Offset>, ReadError> {
                Ok(segment.places_back(address, Offset::MAX, 1)?.first().map(|place| place.offset))
            };
            own = last(address.as_str())?;
            wide = if wide.is_none() { last("")? } else { wide };
        }
        Ok((own, wide, seen.start))
    }
}
