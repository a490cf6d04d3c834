//! A disk in memory that is exact about what a power loss keeps: every synced byte and name, and any subset of the
//! 512-byte sectors, lengths and names that were changed since.
//!
//! A test arms a cut ([`SimDisk::cut_after`]), drives the log until it fails, and then takes the machine up again with
//! [`SimDisk::power_loss`] or [`SimDisk::process_killed`]. Handles from before go dead, so that a dropped log cannot write.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::Rng;

use super::{Disk, DiskFile};

const SECTOR: usize = 512;

/// A simulated disk. Clones are the same disk; each generation of handles ends with a crash.
#[derive(Clone, Debug)]
pub struct SimDisk {
    shared: Arc<Mutex<Machine>>,
    generation: u64,
}

#[derive(Debug, Default)]
struct Machine {
    generation: u64,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    unsynced_names: Vec<NameChange>,
    locked: bool,
    operations: u64,
    cut_at: Option<u64>,
    fail_sync_at: Option<u64>,
    syncs: u64,
    capacity: Option<u64>,
}

/// Present bytes, and what of them is durable.
#[derive(Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Create { path: String, inode: u64 },
    Remove { path: String },
    Rename { from: String, to: String, inode: u64 },
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
}

impl Default for SimDisk {
    fn default() -> SimDisk {
        SimDisk::new()
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk { shared: Arc::default(), generation: 0 }
    }

    /// After so many more changes of any kind the power is off: everything fails until the next generation.
    pub fn cut_after(&self, operations: u64) {
        let mut machine = self.machine();
        machine.cut_at = Some(machine.operations + operations);
    }

    /// The sync after so many more fails, and that one only.
    pub fn fail_sync_after(&self, syncs: u64) {
        let mut machine = self.machine();
        machine.fail_sync_at = Some(machine.syncs + syncs);
    }

    /// Bytes that all files may have together; more is `StorageFull`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.machine().capacity = bytes;
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        let machine = self.machine();
        machine.names.values().map(|inode| machine.inodes[inode].bytes.len() as u64).sum()
    }

    /// Changes of any kind so far.
    pub fn operations(&self) -> u64 {
        self.machine().operations
    }

    /// Whether an armed cut has happened.
    pub fn is_off(&self) -> bool {
        let machine = self.machine();
        machine.cut_at.is_some_and(|at| machine.operations >= at)
    }

    /// The machine comes up after a power loss: what was synced, and a random subset of the rest.
    pub fn power_loss(&self, rng: &mut impl Rng) -> SimDisk {
        let mut machine = self.machine();
        let changes = std::mem::take(&mut machine.unsynced_names);
        // Chance by crash, so that "nothing survives" and "nearly all survives" come often too.
        let odds = [0.0, 0.1, 0.5, 0.9, 1.0][rng.random_range(0..5)];
        for change in changes {
            if rng.random_bool(odds) {
                apply(&mut machine.durable_names, &change);
            }
        }
        machine.names = machine.durable_names.clone();
        let named: BTreeSet<u64> = machine.names.values().copied().collect();
        machine.inodes.retain(|inode, _| named.contains(inode));
        for inode in machine.inodes.values_mut() {
            inode.lose_power(rng, odds);
        }
        self.next_generation(machine)
    }

    /// The process is gone, the machine goes on: nothing is lost, nothing more is synced.
    pub fn process_killed(&self) -> SimDisk {
        self.next_generation(self.machine())
    }

    /// The bytes of a file, for tests that damage it.
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let machine = self.machine();
        machine.names.get(path).map(|inode| machine.inodes[inode].bytes.clone())
    }

    /// Replaces the bytes of a file, durably.
    pub fn replace(&self, path: &str, bytes: Vec<u8>) {
        let mut machine = self.machine();
        let inode = machine.names.get(path).copied();
        let inode = inode.and_then(|inode| machine.inodes.get_mut(&inode)).expect("the file is there");
        (inode.durable, inode.bytes) = (bytes.clone(), bytes);
        inode.dirty.clear();
    }

    /// A disk of its own with the same durable content.
    pub fn copy(&self) -> SimDisk {
        let machine = self.machine();
        let inodes = machine.inodes.iter().map(|(id, inode)| {
            let copy = Inode { bytes: inode.bytes.clone(), durable: inode.bytes.clone(), dirty: BTreeSet::new() };
            (*id, copy)
        });
        let copy = Machine {
            inodes: inodes.collect(),
            next_inode: machine.next_inode,
            names: machine.names.clone(),
            durable_names: machine.names.clone(),
            ..Machine::default()
        };
        SimDisk { shared: Arc::new(Mutex::new(copy)), generation: 0 }
    }

    fn next_generation(&self, mut machine: MutexGuard<'_, Machine>) -> SimDisk {
        machine.generation += 1;
        machine.locked = false;
        machine.cut_at = None;
        machine.fail_sync_at = None;
        SimDisk { shared: self.shared.clone(), generation: machine.generation }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.shared.lock().expect("the simulated disk panicked")
    }

    /// For reads.
    fn alive(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let machine = self.machine();
        let off = machine.cut_at.is_some_and(|at| machine.operations >= at);
        if off || machine.generation != self.generation {
            return Err(io::Error::other("the power is off"));
        }
        Ok(machine)
    }

    /// For changes: the one at which the power goes still takes place, unsynced.
    fn change(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let mut machine = self.alive()?;
        machine.operations += 1;
        Ok(machine)
    }
}

impl Inode {
    fn mark(&mut self, from: usize, to: usize) {
        self.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
    }

    fn sync(&mut self) {
        self.durable.resize(self.bytes.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            copy_sector(&self.bytes, &mut self.durable, sector);
        }
    }

    fn lose_power(&mut self, rng: &mut impl Rng, odds: f64) {
        if rng.random_bool(odds) {
            self.durable.resize(self.bytes.len(), 0);
        }
        for sector in std::mem::take(&mut self.dirty) {
            if rng.random_bool(odds) {
                copy_sector(&self.bytes, &mut self.durable, sector);
            }
        }
        self.bytes.clone_from(&self.durable);
    }
}

impl Disk for SimDisk {
    fn describe(&self) -> String {
        "a simulated disk".into()
    }

    fn create_dir(&self, _path: &str) -> io::Result<()> {
        Ok(()) // folders are part of names here
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut machine = self.change()?;
        if machine.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = machine.next_inode;
        machine.next_inode += 1;
        machine.inodes.insert(inode, Inode::default());
        machine.names.insert(path.to_owned(), inode);
        machine.unsynced_names.push(NameChange::Create { path: path.to_owned(), inode });
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let inode = *self.alive()?.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let machine = self.alive()?;
        Ok(machine.names.keys().filter_map(|path| in_dir(path, dir)).map(str::to_owned).collect())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut machine = self.change()?;
        machine.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        machine.unsynced_names.push(NameChange::Remove { path: path.to_owned() });
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut machine = self.change()?;
        let inode = machine.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        machine.names.insert(to.to_owned(), inode);
        machine.unsynced_names.push(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut machine = self.change()?;
        machine.sync_point(self)?;
        let changes = std::mem::take(&mut machine.unsynced_names);
        for change in changes {
            if in_dir(change.path(), dir).is_some() {
                apply(&mut machine.durable_names, &change);
            } else {
                machine.unsynced_names.push(change);
            }
        }
        Ok(())
    }

    fn try_lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut machine = self.alive()?;
        if std::mem::replace(&mut machine.locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock(self.clone()))))
    }
}

impl Machine {
    /// Every sync comes through here before it takes effect; one at the cut or at an armed fault has none.
    fn sync_point(&mut self, _disk: &SimDisk) -> io::Result<()> {
        self.syncs += 1;
        if self.cut_at.is_some_and(|at| self.operations >= at) {
            return Err(io::Error::other("the power is off"));
        }
        if self.fail_sync_at.is_some_and(|at| self.syncs > at) {
            self.fail_sync_at = None;
            return Err(io::Error::other("the disk failed a sync"));
        }
        Ok(())
    }

    /// Space for a file to become `len` bytes.
    fn room_for(&self, inode: u64, len: usize) -> io::Result<()> {
        let Some(capacity) = self.capacity else { return Ok(()) };
        let now = self.inodes.get(&inode).map_or(0, |inode| inode.bytes.len());
        let used: usize = self.names.values().map(|inode| self.inodes[inode].bytes.len()).sum();
        if len > now && (used + len - now) as u64 > capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl SimFile {
    fn with<T>(
        &self,
        machine: io::Result<MutexGuard<'_, Machine>>,
        act: impl FnOnce(&mut Machine, u64) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut machine = machine?;
        act(&mut machine, self.inode)
    }
}

impl DiskFile for SimFile {
    fn read_exact_at(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.with(self.disk.alive(), |machine, inode| {
            let bytes = &machine.inode(inode)?.bytes;
            let from = bytes.get(at as usize..).and_then(|rest| rest.get(..buf.len()));
            buf.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_all_at(&self, buf: &[u8], at: u64) -> io::Result<()> {
        self.with(self.disk.change(), |machine, inode| {
            let (from, to) = (at as usize, at as usize + buf.len());
            machine.room_for(inode, to)?;
            let inode = machine.inode(inode)?;
            if inode.bytes.len() < to {
                inode.bytes.resize(to, 0);
            }
            inode.bytes[from..to].copy_from_slice(buf);
            inode.mark(from, to);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(self.disk.alive(), |machine, inode| Ok(machine.inode(inode)?.bytes.len() as u64))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(self.disk.change(), |machine, inode| {
            machine.room_for(inode, len as usize)?;
            let inode = machine.inode(inode)?;
            let before = inode.bytes.len();
            inode.bytes.resize(len as usize, 0);
            inode.mark(before.min(len as usize), before.max(len as usize));
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if len > self.len()? { self.set_len(len) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(self.disk.change(), |machine, inode| {
            machine.sync_point(&self.disk)?;
            machine.inode(inode)?.sync();
            Ok(())
        })
    }

    fn will_need(&self, _at: u64, _len: u64) {}
}

impl Machine {
    fn inode(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Held by one opener of this generation.
struct SimLock(SimDisk);

impl Drop for SimLock {
    fn drop(&mut self) {
        if let Ok(mut machine) = self.0.alive() {
            machine.locked = false;
        }
    }
}

impl NameChange {
    fn path(&self) -> &str {
        match self {
            NameChange::Create { path, .. } | NameChange::Remove { path } => path,
            NameChange::Rename { to, .. } => to,
        }
    }
}

fn apply(names: &mut BTreeMap<String, u64>, change: &NameChange) {
    match change {
        NameChange::Create { path, inode } => {
            names.insert(path.clone(), *inode);
        }
        NameChange::Remove { path } => {
            names.remove(path);
        }
        NameChange::Rename { from, to, inode } => {
            names.retain(|path, named| path != from || named != inode);
            names.insert(to.clone(), *inode);
        }
    }
}

/// The name of `path` within `dir`.
fn in_dir<'p>(path: &'p str, dir: &str) -> Option<&'p str> {
    match path.rsplit_once('/') {
        Some((own, name)) if own == dir => Some(name),
        None if dir.is_empty() => Some(path),
        _ => None,
    }
}

fn copy_sector(from: &[u8], to: &mut [u8], sector: usize) {
    let start = sector * SECTOR;
    let end = (start + SECTOR).min(from.len()).min(to.len());
    if start < end {
        to[start..end].copy_from_slice(&from[start..end]);
    }
}
