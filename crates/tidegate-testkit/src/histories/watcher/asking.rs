//! What a watcher asks for, which is another thing each time.

use std::mem;

use rand::Rng;
use rand::seq::IndexedRandom;
use tidegate_core::Kind;

use super::Watcher;
use crate::client::{Ask, Transport};
use crate::histories::look::Manner;
use crate::histories::plan::LARGE;

impl Watcher {
    /// Now and then another view, and each time another manner: what may change between two connections, and on a socket.
    pub(super) fn look_anew(&mut self, transport: Transport, writing_is_over: bool) {
        let (keyed, kind, rng) = (self.plan.keyed, self.spec.kind, &mut self.rng);
        if !writing_is_over && rng.random_bool(0.15) {
            self.look = self.look.again(keyed, kind, self.plan.rights.as_ref(), rng);
        }
        let manner = Manner::random(keyed, kind, rng);
        // A poll is as often as it is asked.
        let rate = manner.rate.filter(|_| transport != Transport::Poll);
        let before = mem::replace(&mut self.manner, Manner { rate, ..manner });
        if self.held == Some(self.look) && before != self.manner {
            self.heard.count("another manner with the same cursor");
        }
    }

    /// Now and then from a moment of the past, with nothing in hand.
    pub(super) fn begin_anew(&mut self) {
        if self.spec.kind == Kind::State && self.rng.random_bool(0.15) {
            self.past = self.moments.choose(&mut self.rng);
            if self.past.is_some() {
                self.replica.begin_anew();
                self.held = None;
            }
        }
    }

    pub(super) fn ask(&mut self, writing_is_over: bool) -> Ask {
        let (dawdles, rng) = (self.spec.dawdles, &mut self.rng);
        let cut_after = match rng.random_range(0..4) {
            _ if writing_is_over || self.plan.pad_max > LARGE => None,
            0 => Some(rng.random_range(0..800)),
            1 => Some(rng.random_range(0..8_000)),
            2 => Some(rng.random_range(0..80_000)),
            _ => None,
        };
        let slow = dawdles || rng.random_bool(0.3);
        let windows: &[u32] = match self.plan.pad_max {
            _ if dawdles => &[256],
            pad_max if pad_max > LARGE => &[16_384],
            _ => &[256, 1024, 4096],
        };
        let codings: &[_] = if dawdles { &[None] } else { &[None, Some("gzip"), Some("zstd")] };
        Ask {
            from: self.spec.from.clone(),
            at: self.past.map(|moment| moment.time.to_string()),
            key: self.spec.scope.key.as_deref().map(str::to_owned),
            filter: self.look.filter(rng),
            fields: self.look.fields(rng),
            mode: self.manner.mode,
            rate: self.manner.rate,
            chain: self.spec.chain,
            cursor: self.replica.cursor.clone(),
            by_header: rng.random(),
            token: self.shown.token.clone(),
            coding: codings.choose(rng).copied().flatten(),
            limit: rng.random_bool(0.5).then(|| rng.random_range(1..20)),
            cut_after,
            receive_buffer: slow.then_some(4096),
            window: windows.choose(rng).copied().filter(|_| slow),
            cuts_stream: rng.random(),
            connection: self.connection.clone().filter(|connection| !connection.is_over()),
            ..Ask::new(&self.spec.path, self.plan.keyed, self.spec.kind)
        }
    }
}
