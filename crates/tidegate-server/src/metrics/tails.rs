//! Metrics of the tails: what watchers are sent, and who is behind.

use super::figures::{Figure, load};

pub(super) const FIGURES: &[Figure] = &[
    Figure::gauge(
        "tidegate_tails",
        "Distinct views that are being watched; watchers of one view share its bytes.",
        |state| state.tails.count() as u64,
    ),
    Figure::counter("tidegate_sent_frames", "Frames sent from tails, over all watchers.", |state| {
        load(&state.tails.stats().frames)
    }),
    Figure::counter("tidegate_sent_bytes", "Bytes sent to watchers, from tails and from the log.", |state| {
        load(&state.tails.stats().bytes)
    }),
    Figure::counter(
        "tidegate_watches_behind",
        "Times that a watcher fell behind its tail and went on from the log.",
        |state| load(&state.tails.stats().behind),
    ),
    Figure::counter(
        "tidegate_watches_too_far_behind",
        "Watches closed because they took nothing, or stayed behind the live events, for too long.",
        |state| load(&state.tails.stats().too_far_behind),
    ),
    Figure::counter(
        "tidegate_blocks_read",
        "Blocks of the log that were read and encoded for watchers who are behind.",
        |state| state.tails.block_figures().read,
    ),
    Figure::counter("tidegate_blocks_read_bytes", "Bytes of these blocks, encoded.", |state| {
        state.tails.block_figures().read_bytes
    }),
    Figure::counter(
        "tidegate_blocks_shared",
        "Times that a watcher who is behind took a block that another had read.",
        |state| state.tails.block_figures().shared,
    ),
];
