//! Catalog of channels, publishing, and where each watch is.
