//! A snapshot of a table compared with the view: only what differs is appended.
//!
//! This is how a channel loads, how loss upstream heals, and how a changed schema reaches rows that were not touched.
//! The rows come at the place of the snapshot, so what the stream gives from there on fits without a gap or an
//! overlap.
//!
//! Memory: eight bytes for each row of a channel that is not empty, to find the rows that are gone.

use std::hash::{BuildHasher, RandomState};
use std::pin::{Pin, pin};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::Fuse;
use tidegate_core::{Address, Key, Millis, Scope, Target, Template};
use tidegate_log::{Entry, ReadLimit};
use tokio_postgres::{Client, CopyOutStream};

use super::apply::{Apply, Poison, shown_text};
use super::checkpoint::KnownTable;
use super::copy;
use super::destination::Destination;
use super::failure::Failure;
use super::gather::{Flushed, Gather};
use super::names::quoted;
use super::row::RowShape;
use super::serving::Served;
use super::types::Types;
use super::wait::Wait;

/// Rows of the view are read in pages of this size.
const PAGE: ReadLimit = ReadLimit { records: 1_000, bytes: 1 << 20 };
/// Lines that are taken from the connection at once.
const LINES: usize = 512;
/// … or lines of so many bytes.
const LINES_BYTES: usize = 512 << 10;
/// So many changes become visible at once: memory does not grow with them, and a sync is nothing beside them.
const BATCH: u64 = 100_000;

/// A connection whose transaction shows one exported snapshot.
pub(super) struct Snapshot {
    client: Client,
    wait: Wait,
}

/// What a comparison did.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Compared {
    pub(super) rows: u64,
    pub(super) changed: u64,
    pub(super) gone: u64,
}

/// One channel while its table is read.
struct Side<'d> {
    destination: &'d Destination,
    /// All addresses at which it may have rows: those of now, and those of an earlier config.
    scopes: Vec<Scope>,
    /// The channel had rows when this began, so each row is looked up.
    filled: bool,
    /// Hashes of the places that the snapshot has.
    seen: Vec<u64>,
}

impl Snapshot {
    /// Opens the snapshot on a connection of its own.
    pub(super) async fn open(client: Client, name: &str, wait: Wait) -> Result<Snapshot, Failure> {
        let name = name.replace('\'', "''");
        client
            .batch_execute(&format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{name}'"
            ))
            .await?;
        Ok(Snapshot { client, wait })
    }

    /// Reads a table, and appends to each of its channels what differs. Ends when all of it is in the log.
    pub(super) fn compare<'s>(
        &self,
        (served, known): (&'s Served<'_>, &KnownTable),
        types: &Types,
        apply: &mut Apply<'_>,
        gather: &mut Gather,
        appended: impl FnMut(Flushed),
    ) -> Result<Compared, Failure> {
        let columns = self.wait.on(served.columns(&self.client))?;
        let named = columns.iter().map(|(name, oid)| (name.as_str(), *oid));
        let shape = RowShape::new(named, types);
        let stream = self.wait.on(self.client.copy_out(&copy_sql(served, &columns)))?;
        let side = |destination: &&'s Destination| Side::new(destination, known);
        let mut sides = served.destinations.iter().map(side).collect::<Result<Vec<_>, _>>()?;
        let mut compared = Compared::default();
        let mut stream = pin!(stream.fuse());
        let mut scratch = Vec::new();
        let hasher = RandomState::new();
        let mut batch = Batches { gather, count: 0, appended };
        loop {
            let lines = self.wait.on(lines(stream.as_mut()))?;
            if lines.is_empty() {
                break;
            }
            for line in &lines {
                compared.rows += 1;
                for side in &mut sides {
                    let time = Millis::now();
                    match side.row(&shape, line, &mut scratch, &hasher) {
                        Ok(None) => {}
                        Ok(Some((address, key, data))) => {
                            compared.changed += 1;
                            batch.push(side.destination.upsert(address, key, data, time))?;
                        }
                        Err(RowFailure::Poison(poison)) => {
                            let row = columns.iter().map(|(name, _)| name.clone());
                            let row = row.zip(shown(line, &mut scratch)).collect();
                            let letter = apply.letter(&served.table.title(), "snapshot", &poison, row, time);
                            letter.map_or(Ok(()), |letter| batch.push(letter))?;
                        }
                        Err(RowFailure::Failure(failure)) => return Err(failure),
                    }
                }
            }
        }
        batch.end()?;
        for side in sides.iter_mut().filter(|side| side.filled) {
            side.seen.sort_unstable();
            compared.gone += side.sweep(&mut batch, &hasher)?;
        }
        batch.end()?;
        Ok(compared)
    }
}

enum RowFailure {
    Poison(Poison),
    Failure(Failure),
}

impl<'d> Side<'d> {
    fn new(destination: &'d Destination, known: &KnownTable) -> Result<Side<'d>, Failure> {
        let scopes = scopes(destination, known);
        let mut side = Side { destination, scopes, filled: false, seen: Vec::new() };
        for scope in &side.scopes {
            let (mut after, first) = (None, ReadLimit { records: 1, bytes: 1 });
            loop {
                let page = destination.channel.rows(scope, after.as_ref(), first)?;
                side.filled |= !page.rows.is_empty();
                after = page.next.filter(|_| !side.filled);
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(side)
    }

    /// The row of a line, if the view does not have it.
    fn row(
        &mut self,
        shape: &RowShape,
        line: &[u8],
        scratch: &mut Vec<u8>,
        hasher: &RandomState,
    ) -> Result<Option<(Address, Key, Bytes)>, RowFailure> {
        let poison = |poison: Poison| RowFailure::Poison(poison);
        let mut writer = shape.writer(self.destination.numbers);
        let read = copy::fields(line, scratch, |field| match field {
            None => writer.null(),
            Some(text) => writer.text(text),
        });
        read.map_err(|error| RowFailure::Failure(Failure::upstream(format!("a row cannot be read: {error}"))))?;
        let data = writer.finish().map_err(|error| poison(error.into()))?;
        let (address, key) = self.destination.place(&data).map_err(|error| poison(error.into()))?;
        if self.filled {
            self.seen.push(hasher.hash_one((address.as_str(), &*key)));
            let held = self.destination.channel.row(&address, &key);
            let (held, _) = held.map_err(|error| RowFailure::Failure(error.into()))?;
            if held.is_some_and(|row| row.data == data) {
                return Ok(None);
            }
        }
        Ok(Some((address, key, data)))
    }

    /// Deletes the rows of the view that the snapshot does not have.
    fn sweep(&self, batch: &mut Batches<'_, impl FnMut(Flushed)>, hasher: &RandomState) -> Result<u64, Failure> {
        let mut gone = 0;
        for scope in &self.scopes {
            let mut after = None;
            loop {
                let page = self.destination.channel.rows(scope, after.as_ref(), PAGE)?;
                for row in page.rows {
                    let place = hasher.hash_one((row.address.as_str(), &*row.key));
                    if self.seen.binary_search(&place).is_err() {
                        batch.push(self.destination.delete(row.address, row.key, Millis::now()))?;
                        gone += 1;
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(gone)
    }
}

/// Differences on their way into the log.
struct Batches<'g, A> {
    gather: &'g mut Gather,
    count: u64,
    appended: A,
}

impl<A: FnMut(Flushed)> Batches<'_, A> {
    fn push(&mut self, entry: Entry) -> Result<(), Failure> {
        if !self.gather.is_open() {
            self.gather.begin(None);
        }
        self.gather.push(entry)?;
        self.count += 1;
        if self.count >= BATCH { self.end() } else { Ok(()) }
    }

    /// Everything so far is in the log.
    fn end(&mut self) -> Result<(), Failure> {
        self.count = 0;
        (self.appended)(self.gather.commit(Vec::new())?);
        (self.appended)(self.gather.flush()?);
        Ok(())
    }
}

/// Some lines, or none at the end.
async fn lines(mut stream: Pin<&mut Fuse<CopyOutStream>>) -> Result<Vec<Bytes>, tokio_postgres::Error> {
    let mut lines = Vec::with_capacity(LINES);
    let mut bytes = 0;
    while lines.len() < LINES && bytes < LINES_BYTES {
        let Some(line) = stream.next().await.transpose()? else { break };
        bytes += line.len();
        lines.push(line);
    }
    Ok(lines)
}

/// What a dead letter shows of a line.
fn shown(line: &[u8], scratch: &mut Vec<u8>) -> Vec<serde_json::Value> {
    let mut values = Vec::new();
    let _ = copy::fields(line, scratch, |field| values.push(field.map_or(serde_json::Value::Null, shown_text)));
    values
}

fn copy_sql(served: &Served<'_>, columns: &[(String, u32)]) -> String {
    let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
    let only = if served.table.partitioned() { "" } else { "ONLY " };
    let rows = served.published.rows.as_ref().map_or_else(String::new, |filter| format!(" WHERE {filter}"));
    format!("COPY (SELECT {} FROM {only}{}{rows}) TO STDOUT", names.join(", "), served.table.sql())
}

fn scopes(destination: &Destination, known: &KnownTable) -> Vec<Scope> {
    let older = known.channels.iter().find(|channel| channel.name == destination.channel.name());
    let older = older.iter().flat_map(|channel| &channel.older).filter_map(|address| Template::parse(address).ok());
    let templates = older.chain([destination.placement.template.clone()]);
    let scope = |template: Template| {
        let target = Target::parse(&template.pattern()).expect("a template's pattern is one");
        Scope { target, key: None }
    };
    templates.map(scope).collect()
}
