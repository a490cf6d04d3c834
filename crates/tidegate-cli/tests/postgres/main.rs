//! The binary against real PostgreSQL clusters, old and new.
//!
//! `TIDEGATE_PG_SECONDS`, `TIDEGATE_PG_KILLS`, `TIDEGATE_PG_SERVER_KILLS` and `TIDEGATE_SEED` say
//! how long the exactness test writes, how often it kills what, and with which random numbers;
//! `TIDEGATE_PG_PRINCIPALS` and `TIDEGATE_PG_CHANGES` how many watch their own rows, and how often these change.

mod backups;
mod check;
mod exact;
mod figures;
mod gateway;
mod keys;
mod large;
mod loss;
mod misfits;
mod owners;
mod publications;
mod reconfigured;
mod refusals;
mod rig;
mod schema;
mod settings;
mod shapes;
mod site;
mod tables;
mod traffic;
mod truth;
mod unfit;
mod values;
mod wal;
mod wide;
