//! The keys that a channel has now, by what is asked about them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tidegate_core::{Address, Key, KeySpec, Offset, Op, Record, Scope, Target, Template};
use tidegate_log::{Log, ReadError, ReadLimit};
use tokio::sync::Notify;

use super::keys::Keys;
use super::pattern::Pattern;
use super::rows::{Rows, counts};
use crate::channel::Loaded;
use crate::config::ChannelConfig;

/// A channel that is looked into has so many keys at the most; with its place among the groups a key takes some 200 bytes.
const KEYS_MAX: usize = 1_000_000;
/// What is read at once.
const PIECE: ReadLimit = ReadLimit { records: 4_096, bytes: 1024 * 1024 };

/// Called when keys have changed that somebody asked about. It must not ask.
pub(super) type Call = Arc<dyn Fn() + Send + Sync>;

/// What is looked up in one channel.
pub(crate) struct Register {
    name: Box<str>,
    template: Template,
    spec: KeySpec,
    /// How many parts its keys have.
    parts: usize,
    /// Where its rows are; none if they are given.
    log: Option<(tidegate_log::Channel, Loaded)>,
    everything: Scope,
    /// How far it has been read; what came up to there is in the groups, and everybody has been called.
    upto: AtomicU64,
    begun: AtomicBool,
    /// Goes up whenever a key comes or goes.
    changes: AtomicU64,
    overfull: AtomicBool,
    /// Its channel has moved.
    pub(crate) moved: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Its rows have been read.
    read: bool,
    rows: Rows,
    /// By which parts are known, and by these. Of whole keys there are none.
    groups: HashMap<u64, HashMap<Box<str>, Arc<Keys>>>,
    /// Who is to be called, by what they have asked about.
    listeners: HashMap<Pattern, Vec<(u64, Call)>>,
    next_listener: u64,
}

impl Register {
    /// Of a keyed channel; `None` of another one.
    pub(super) fn of(config: &ChannelConfig, log: &Log) -> Option<Register> {
        let channel = log.channel(&config.name)?;
        let loaded = Loaded::new(config, log.clone());
        Register::new(config, Some((channel, loaded)))
    }

    /// With these keys, and no log.
    pub(super) fn given<'k>(config: &ChannelConfig, keys: impl Iterator<Item = &'k Key>) -> Option<Register> {
        let register = Register::new(config, None)?;
        {
            let mut state = register.lock();
            for key in keys {
                state.rows.set(key, &"".into(), true);
            }
            state.read = true;
        }
        Some(register)
    }

    fn new(config: &ChannelConfig, log: Option<(tidegate_log::Channel, Loaded)>) -> Option<Register> {
        let spec = config.key.clone()?;
        let target = Target::parse(&config.template.pattern()).expect("a template's pattern is one");
        Some(Register {
            name: config.name.as_str().into(),
            template: config.template.clone(),
            parts: spec.fields().count(),
            spec,
            log,
            everything: Scope { target, key: None },
            upto: AtomicU64::new(0),
            begun: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            overfull: AtomicBool::new(false),
            moved: Notify::new(),
            state: Mutex::default(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// Whether its source has not delivered its rows yet.
    pub(super) fn loading(&self) -> bool {
        self.log.as_ref().is_some_and(|(_, loaded)| loaded.loading())
    }

    /// Whether it has more keys than can be known.
    pub(super) fn overfull(&self) -> bool {
        self.overfull.load(Ordering::Relaxed)
    }

    /// Whether catching up may read the disk.
    pub(super) fn blocks(&self) -> bool {
        !self.begun.load(Ordering::Acquire)
    }

    /// How often keys have come or gone, up to the head of the channel.
    pub(super) fn changes(&self) -> u64 {
        self.catch_up();
        self.changes.load(Ordering::Acquire)
    }

    /// Reads on to the head of the channel.
    pub(crate) fn catch_up(&self) {
        let Some((log, loaded)) = &self.log else { return };
        let begun = self.begun.load(Ordering::Acquire);
        if (begun && self.upto.load(Ordering::Acquire) >= log.head()) || loaded.loading() {
            return;
        }
        let mut state = self.lock();
        if let Err(error) = self.read(&mut state, log) {
            tracing::error!(channel = &*self.name, %error, "rights depend on a channel that cannot be read; none are given");
            self.give_up(&mut state);
        }
    }

    /// The same, if anybody has asked anything yet.
    pub(crate) fn keep_up(&self) {
        if self.begun.load(Ordering::Acquire) {
            self.catch_up();
        }
    }

    fn read(&self, state: &mut State, log: &tidegate_log::Channel) -> Result<(), ReadError> {
        loop {
            if !state.read {
                let began = self.read_rows(state, log)?;
                state.read = true;
                self.upto.store(began, Ordering::Release);
                self.begun.store(true, Ordering::Release);
            }
            let (after, head) = (self.upto.load(Ordering::Acquire), log.head());
            if after >= head || self.overfull() {
                return Ok(());
            }
            let page = match log.read_hot(after, head, &self.everything, PIECE) {
                Some(page) => Ok(page),
                None => log.read(after, head, &self.everything, PIECE),
            };
            match page {
                Ok(page) => {
                    page.records.iter().for_each(|record| self.apply(state, record));
                    self.upto.store(page.upto, Ordering::Release);
                }
                // Its history is shorter than what came: its rows tell as well.
                Err(ReadError::Trimmed { .. }) => {
                    self.clear(state);
                    state.read = false;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Each page is of its own moment; what came since the first is read behind them, and says how it is.
    fn read_rows(&self, state: &mut State, log: &tidegate_log::Channel) -> Result<Offset, ReadError> {
        let (mut after, mut began) = (None, None);
        loop {
            let page = log.rows(&self.everything, after.as_ref(), PIECE)?;
            began.get_or_insert(page.at);
            for row in &page.rows {
                self.set(state, &row.address, &row.key, true);
            }
            match page.next {
                Some(next) if !self.overfull() => after = Some(next),
                _ => return Ok(began.unwrap_or_default()),
            }
        }
    }

    fn apply(&self, state: &mut State, record: &Record) {
        match (record.op, &record.key) {
            (Op::Upsert, Some(key)) => self.set(state, &record.address, key, true),
            (Op::Delete, Some(key)) => self.set(state, &record.address, key, false),
            (Op::Clear, _) => self.clear(state),
            _ => {}
        }
    }

    fn set(&self, state: &mut State, address: &Address, key: &str, there: bool) {
        let Some(whole) = Pattern::of_key(key, self.parts) else { return };
        if there && !counts(&self.template, &self.spec, address, &whole) {
            return;
        }
        let Some(key) = state.rows.set(key, &address.shared(), there) else { return };
        self.changed(state, &key, &whole, there);
        if state.rows.len() > KEYS_MAX {
            tracing::error!(
                channel = &*self.name,
                max = KEYS_MAX,
                "rights depend on a channel with too many keys; none are given"
            );
            self.give_up(state);
        }
    }

    fn changed(&self, state: &mut State, key: &Arc<str>, whole: &Pattern, there: bool) {
        for (known, groups) in &mut state.groups {
            let Some(Pattern { text, .. }) = whole.only(*known) else { continue };
            let group = groups.entry(text.clone()).or_default();
            Arc::make_mut(group).set(key, there);
            if group.is_empty() {
                groups.remove(&text);
            }
        }
        self.changes.fetch_add(1, Ordering::AcqRel);
        // Whoever asks about any group of it, or about the key itself.
        let asked = state.groups.keys().filter_map(|known| whole.only(*known)).chain([whole.clone()]);
        for pattern in asked {
            for (_, call) in state.listeners.get(&pattern).into_iter().flatten() {
                call();
            }
        }
    }

    fn clear(&self, state: &mut State) {
        state.rows = Rows::default();
        state.groups.values_mut().for_each(HashMap::clear);
        self.call_all(state);
    }

    fn give_up(&self, state: &mut State) {
        self.overfull.store(true, Ordering::Relaxed);
        self.clear(state);
    }

    fn call_all(&self, state: &mut State) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        state.listeners.values().flatten().for_each(|(_, call)| call());
    }

    /// The keys of a pattern, as they are now, and how many changes there were.
    pub(super) fn keys(&self, pattern: &Pattern) -> (Arc<Keys>, u64) {
        self.catch_up();
        let mut state = self.lock();
        let keys = self.keys_in(&mut state, pattern);
        (keys, self.changes.load(Ordering::Acquire))
    }

    fn keys_in(&self, state: &mut State, pattern: &Pattern) -> Arc<Keys> {
        if pattern.is_key() {
            return state.rows.get(&pattern.text).map_or_else(Arc::default, |key| Arc::new(Keys::one(key.clone())));
        }
        let State { rows, groups, .. } = state;
        let groups = groups.entry(pattern.known).or_insert_with(|| self.group(rows, pattern.known));
        groups.get(&pattern.text).cloned().unwrap_or_default()
    }

    fn group(&self, rows: &Rows, known: u64) -> HashMap<Box<str>, Arc<Keys>> {
        let mut groups: HashMap<Box<str>, Arc<Keys>> = HashMap::new();
        for key in rows.keys() {
            if let Some(pattern) = Pattern::of_key(key, self.parts).and_then(|whole| whole.only(known)) {
                Arc::make_mut(groups.entry(pattern.text).or_default()).set(key, true);
            }
        }
        groups
    }

    /// Calls whenever keys of a pattern come or go, until [`Register::forget`].
    pub(super) fn listen(&self, pattern: &Pattern, call: Call) -> u64 {
        let mut state = self.lock();
        state.next_listener += 1;
        let number = state.next_listener;
        state.listeners.entry(pattern.clone()).or_default().push((number, call));
        number
    }

    pub(super) fn forget(&self, pattern: &Pattern, number: u64) {
        let mut state = self.lock();
        if let Some(listeners) = state.listeners.get_mut(pattern) {
            listeners.retain(|(own, _)| *own != number);
            if listeners.is_empty() {
                state.listeners.remove(pattern);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Register({})", self.name)
    }
}
