//! A column's text to JSON.
