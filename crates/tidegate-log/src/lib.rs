//! The embedded log: one fsynced journal, per-channel segments, the view store.
