//! Config, wiring, listeners, admin.
