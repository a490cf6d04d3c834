//! Postgres: tables by logical replication.

mod copy;
mod pgoutput;
mod tls;
mod types;
mod values;
