//! Why a log does not open or drain.

use std::io;

use crate::page::ReadError;

/// Why a log does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{folder} is in use by another process (it holds the lock on `lock` in that folder)")]
    Locked {
        /// The data folder.
        folder: String,
    },
    /// The folder was written by a later release.
    #[error("{file} has format {found}; this release reads up to {known}")]
    Format {
        /// Which file.
        file: String,
        /// The format in it.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// A file is damaged in a way that a crash cannot cause.
    #[error("damaged: {file} at byte {at}: {what}")]
    Corrupt {
        /// Within the data folder.
        file: String,
        /// Byte position.
        at: u64,
        /// What does not fit.
        what: String,
    },
    /// The specs contradict each other or the folder.
    #[error("channel `{name}`: {reason}")]
    Channel {
        /// The channel.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The view store failed.
    #[error("the view store failed: {0}")]
    State(String),
    /// The disk failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Why a drain, a merge or retention did not happen. Nothing is lost; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The log is poisoned, so that nothing is written any more.
    #[error("the log is poisoned")]
    Poisoned,
    /// The log is closed.
    #[error("the log is closed")]
    Closed,
    /// The disk failed, or is full.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The view store failed.
    #[error("the view store failed: {0}")]
    State(String),
    /// A segment that was to be merged is damaged.
    #[error("{0}")]
    Read(#[from] ReadError),
}
