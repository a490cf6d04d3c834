//! The messages of logical replication.
