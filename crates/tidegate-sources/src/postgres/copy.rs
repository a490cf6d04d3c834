//! Rows of `COPY … TO STDOUT` in text format.
