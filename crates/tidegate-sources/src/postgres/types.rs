//! What a type of Postgres looks like as JSON.
