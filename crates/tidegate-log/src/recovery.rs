//! Opening a folder: the state, then every whole entry of the journal that the state does not hold.
//!
//! What a crash can leave is repaired here: a torn tail is cut off, half-made files are removed. What a crash cannot leave
//! (a hole in the middle) refuses the opening: going on would lose acknowledged records without a word.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tidegate_core::{ChannelId, Epoch, Millis};

use crate::channel::{ChannelIdentity, ChannelState, Held};
use crate::disk::Disk;
use crate::engine::{Engine, Recovered};
use crate::error::OpenError;
use crate::hot::Part;
use crate::journal::{
    self, JournalWriter, ScannedFile, Stored, WriteError, file_name, number_of, scan_file, seal_found,
};
use crate::large;
use crate::ledger::Ledger;
use crate::options::{ChannelSpec, Options, Retain, Window};
use crate::segment::{self, Segment, SegmentMeta};
use crate::stage::Stage;
use crate::state::{CHANNELS, ChannelRow, META_JOURNAL_FROM, Snapshot, State, StateError, settle_index};

/// The journal as it was found.
struct Found {
    /// In order of the chain; the last is not sealed.
    files: Vec<(u64, ScannedFile)>,
    batches: Vec<Located>,
    /// Highest number that any file had.
    highest: u64,
}

struct Located {
    file: u64,
    at: u64,
    batch: Stored,
}

/// Opens or makes the log on a disk.
pub(crate) fn open(disk: Arc<dyn Disk>, options: Options, specs: &[ChannelSpec]) -> Result<Engine, OpenError> {
    let lock = disk.try_lock()?.ok_or_else(|| OpenError::Locked { folder: disk.describe() })?;
    disk.create_dir(journal::DIR)?;
    disk.create_dir(segment::DIR)?;
    disk.create_dir(large::DIR)?;
    disk.sync_dir("")?;
    let state = State::open(disk.clone(), options.view_cache_bytes)?;
    add_channels(&state, specs)?;
    settle_indexes(&state, specs)?;
    let snapshot = Arc::new(state.snapshot()?);
    let segments = snapshot.segments()?;
    large::tidy(&*disk)?;
    let next_segment = tidy_segments(&*disk, &segments)?;
    let channels = channels(&disk, &options, &snapshot, specs, segments)?;

    let from = snapshot.number(META_JOURNAL_FROM)?;
    let found = find_journal(&*disk, from)?;
    let undrained: u64 = found.files.iter().map(|(_, file)| file.good).sum();
    let (writer, resumed) = start_journal(&*disk, &options, &found, from)?;
    let next_journal = writer.number().max(found.highest) + 2;
    let torn: u64 = found.files.last().map_or(0, |(_, file)| file.torn);
    if torn > 0 {
        tracing::warn!(bytes = torn, "the journal had a torn tail, which was never acknowledged; it is cut off");
    }
    let ledger = Ledger::new(snapshot);
    let undrained_before = if resumed { undrained - writer.end() } else { undrained };
    let folder = disk.describe();
    let engine = Engine::new(Recovered {
        options,
        disk,
        channels,
        state,
        ledger,
        writer,
        undrained_before,
        next_journal,
        next_segment,
        lock,
    });
    let batches = found.batches.len();
    replay(&engine, found.batches)?;
    tracing::info!(folder, entries = batches, bytes = undrained, "the log is open; this much journal was read again");
    Ok(engine)
}

/// Gives new channels their epoch, durably, before anything can be written to them.
fn add_channels(state: &State, specs: &[ChannelSpec]) -> Result<(), OpenError> {
    let known: HashMap<ChannelId, ChannelRow> = state.snapshot()?.channels()?.into_iter().collect();
    let mut new: HashMap<ChannelId, ChannelRow> = HashMap::new();
    for spec in specs {
        let id = ChannelId::of(&spec.name);
        let refuse = |reason: String| Err(OpenError::Channel { name: spec.name.clone(), reason });
        match known.get(&id).or(new.get(&id)) {
            Some(other) if other.name != spec.name => {
                return refuse(format!("its id is that of `{}`; one of them needs another name", other.name));
            }
            Some(_) if new.contains_key(&id) => return refuse("it is named twice".into()),
            Some(row) if row.keyed != spec.keyed => {
                let (was, is) = if row.keyed { ("keyed", "plain") } else { ("plain", "keyed") };
                return refuse(format!("it is {was} in the data folder and {is} now; give it another name"));
            }
            Some(_) => {}
            None => {
                let row = ChannelRow {
                    name: spec.name.clone(),
                    keyed: spec.keyed,
                    epoch: Epoch::from_bits(rand::random()),
                    head: 0,
                    start: 0,
                    last_time: Millis(0),
                    cleared: 0,
                    keys: 0,
                    by_key: asks_by_key(spec),
                };
                new.insert(id, row);
            }
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let write = state.begin()?;
    {
        let mut table = write.open_table(CHANNELS).map_err(StateError::from)?;
        for (id, row) in &new {
            table.insert(id.to_bits(), row.encode().as_slice()).map_err(StateError::from)?;
        }
    }
    Ok(write.commit().map_err(StateError::from)?)
}

/// Builds and drops indexes of keys as the specs ask now.
fn settle_indexes(state: &State, specs: &[ChannelSpec]) -> Result<(), OpenError> {
    let snapshot = state.snapshot()?;
    for (id, row) in snapshot.channels()? {
        let wanted = specs.iter().find(|spec| spec.name == row.name).is_some_and(asks_by_key);
        // One that a crash left half built does not count, and is there.
        if row.by_key != wanted || (!wanted && snapshot.has_index(id)?) {
            tracing::info!(channel = row.name, wanted, "the index of keys is built or dropped");
            settle_index(state, id, wanted)?;
        }
    }
    Ok(())
}

fn asks_by_key(spec: &ChannelSpec) -> bool {
    spec.by_key && spec.keyed && !spec.retain.ephemeral
}

/// Removes files that no commit names; returns a number that no file has.
fn tidy_segments(disk: &dyn Disk, segments: &[(ChannelId, SegmentMeta)]) -> Result<u64, OpenError> {
    let known: BTreeSet<u64> = segments.iter().map(|(_, meta)| meta.number).collect();
    let mut there = BTreeSet::new();
    for name in disk.list(segment::DIR)? {
        match segment::number_of(&name) {
            Some(number) if known.contains(&number) => {
                there.insert(number);
            }
            Some(number) => {
                disk.remove(&segment::file_name(number))?;
                there.insert(number);
            }
            None => {}
        }
    }
    if let Some(missing) = known.iter().find(|number| !there.contains(number)) {
        let file = segment::file_name(*missing);
        return Err(OpenError::Corrupt {
            file,
            at: 0,
            what: "the state names this segment and it is not there".into(),
        });
    }
    Ok(there.last().map_or(1, |last| last + 1))
}

fn channels(
    disk: &Arc<dyn Disk>,
    options: &Options,
    snapshot: &Arc<Snapshot>,
    specs: &[ChannelSpec],
    segments: Vec<(ChannelId, SegmentMeta)>,
) -> Result<Vec<Arc<ChannelState>>, OpenError> {
    let mut by_channel: HashMap<ChannelId, Vec<Arc<Segment>>> = HashMap::new();
    for (id, meta) in segments {
        by_channel.entry(id).or_default().push(Arc::new(Segment::new(disk.clone(), id, meta)));
    }
    let mut channels = Vec::new();
    for (id, row) in snapshot.channels()? {
        let spec = specs.iter().find(|spec| spec.name == row.name);
        let retain = spec.map_or(Retain::default(), |spec| spec.retain);
        let identity = ChannelIdentity {
            id,
            name: row.name,
            keyed: row.keyed,
            by_key: spec.is_some_and(|spec| spec.by_key && spec.keyed),
            retain,
            window: spec.map_or(Window::default(), |spec| spec.idempotency),
            epoch: if retain.ephemeral { Epoch::from_bits(rand::random()) } else { row.epoch },
            configured: spec.is_some(),
            scan_bytes_max: options.scan_bytes_max,
        };
        let held = Held {
            parts: vec![Arc::new(Part::new(row.head, spec.is_some_and(asks_by_key)))],
            segments: Arc::new(by_channel.remove(&id).unwrap_or_default()),
            snapshot: snapshot.clone(),
            cleared: row.cleared,
        };
        let (head, start) = if retain.ephemeral { (0, 0) } else { (row.head, row.start) };
        channels.push(Arc::new(ChannelState::new(identity, held, head, start, row.last_time)));
    }
    Ok(channels)
}

/// Follows the chain of files from `first`, removes what is no part of it.
fn find_journal(disk: &dyn Disk, first: u64) -> Result<Found, OpenError> {
    let mut numbers: BTreeSet<u64> = disk.list(journal::DIR)?.iter().filter_map(|name| number_of(name)).collect();
    let mut found = Found { files: Vec::new(), batches: Vec::new(), highest: numbers.last().copied().unwrap_or(0) };
    let mut next = Some(first);
    while let Some(number) = next {
        if !numbers.remove(&number) {
            if found.files.is_empty() && first == 1 {
                break; // a new folder
            }
            let what = "the journal goes on in this file and it is not there".into();
            return Err(OpenError::Corrupt { file: file_name(number), at: 0, what });
        }
        let file = disk.open(&file_name(number))?;
        let batches = &mut found.batches;
        let scanned = scan_file(&*file, number, |at, batch| {
            batches.push(Located { file: number, at, batch });
            Ok(())
        })?;
        // A killed process leaves bytes that only the page cache has; they must not be shown before they are durable.
        file.sync_data()?;
        next = scanned.next;
        found.files.push((number, scanned));
    }
    for number in numbers {
        if number > first {
            // Made and never used; with entries in it the chain before it must have been damaged.
            let scanned = scan_file(&*disk.open(&file_name(number))?, number, |_, _| Ok(()))?;
            if scanned.entries > 0 {
                let (broken, at) = found.files.last().map_or((first, 0), |(number, file)| (*number, file.good));
                let what = format!("an entry does not fit, and the journal goes on in {}", file_name(number));
                return Err(OpenError::Corrupt { file: file_name(broken), at, what });
            }
        }
        disk.remove(&file_name(number))?;
    }
    Ok(found)
}

/// Ends the last file of the earlier life and starts one of our own; on a full disk goes on in the old one, which
/// then refuses appends until there is space. `true` if it is the old one.
fn start_journal(
    disk: &dyn Disk,
    options: &Options,
    found: &Found,
    first: u64,
) -> Result<(JournalWriter, bool), OpenError> {
    let Some((old, scanned)) = found.files.last() else {
        let next = JournalWriter::prepare(disk, first, options.journal_bytes).map_err(io_error)?;
        return Ok((JournalWriter::start(next), false));
    };
    let file = disk.open(&file_name(*old))?;
    file.set_len(scanned.good)?; // gives back what was taken ahead
    match JournalWriter::prepare(disk, found.highest + 1, options.journal_bytes) {
        Ok(next) => {
            seal_found(&*file, *old, scanned.good, scanned.chain, found.highest + 1)?;
            Ok((JournalWriter::start(next), false))
        }
        Err(WriteError::Refused(error)) if is_full(&error) && scanned.good > 0 => {
            let step = options.journal_bytes;
            Ok((JournalWriter::resume(file, *old, scanned.good, scanned.chain, step), true))
        }
        Err(error) => Err(io_error(error)),
    }
}

fn io_error(error: WriteError) -> OpenError {
    let (WriteError::Refused(error) | WriteError::Poisoned(error)) = error;
    error.into()
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// Does again what the journal says, as it was done first.
fn replay(engine: &Engine, batches: Vec<Located>) -> Result<(), OpenError> {
    for Located { file, at, batch } in batches {
        let differs = |what: &str| OpenError::Corrupt { file: file_name(file), at, what: what.into() };
        again(engine, batch).map_err(|what| what.unless(differs))?;
    }
    Ok(())
}

enum ReplayError {
    State(StateError),
    Differs(&'static str),
}

impl ReplayError {
    fn unless(self, differs: impl Fn(&str) -> OpenError) -> OpenError {
        match self {
            ReplayError::State(error) => error.into(),
            ReplayError::Differs(what) => differs(what),
        }
    }
}

fn again(engine: &Engine, mut batch: Stored) -> Result<(), ReplayError> {
    if batch.entries.iter().any(|entry| engine.index_of(entry.channel).is_none()) {
        return Err(ReplayError::Differs("an entry of a channel that the state does not know"));
    }
    // A channel that is now kept off the disk has nothing to do with its older records.
    batch.entries.retain(|entry| engine.on_disk(entry.channel));
    batch.first.retain(|(id, _)| engine.on_disk(*id));
    let mut stage = Stage::default();
    let resolved = stage.resolve(engine, &batch.entries, batch.tx.as_deref(), batch.appended);
    let resolved = resolved.map_err(ReplayError::State)?;
    if resolved.first != batch.first || resolved.appended != batch.appended || resolved.kept.contains(&false) {
        return Err(ReplayError::Differs("the entry does not go on from the state"));
    }
    stage.note(engine, &batch.checkpoints, batch.idempotency.as_ref(), batch.appended);
    stage.apply(engine);
    Ok(())
}
