//! Frames to bytes, shared by all watchers of one view.
