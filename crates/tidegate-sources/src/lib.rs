//! Sources: systems that change, read into the log.
