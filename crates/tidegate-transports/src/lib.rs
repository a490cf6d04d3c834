//! The request side of every way to watch and publish.
