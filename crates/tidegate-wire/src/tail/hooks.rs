//! The lanes that have watchers in a tail: each is told of new chunks once, until it looks.

/// Lanes, each with the number that the tail has in it.
pub(crate) struct Hooks<L> {
    hooks: Vec<Hook<L>>,
}

struct Hook<L> {
    lane: L,
    number: u32,
    /// The lane was told, and has not looked yet.
    told: bool,
}

impl<L: Clone> Hooks<L> {
    pub(crate) fn new() -> Hooks<L> {
        Hooks { hooks: Vec::new() }
    }

    /// A lane comes; it has been told nothing.
    pub(crate) fn add(&mut self, lane: L, number: u32) {
        // Most tails have watchers in one lane.
        self.hooks.reserve_exact(1);
        self.hooks.push(Hook { lane, number, told: false });
    }

    /// The tail's number in a lane that is here.
    pub(crate) fn number(&self, is: impl Fn(&L) -> bool) -> Option<u32> {
        self.hooks.iter().find(|hook| is(&hook.lane)).map(|hook| hook.number)
    }

    /// A lane goes.
    pub(crate) fn remove(&mut self, is: impl Fn(&L) -> bool) {
        self.hooks.retain(|hook| !is(&hook.lane));
    }

    /// There are new chunks: who is to be told goes to `calls`, to be told without the tail's lock.
    pub(crate) fn tell(&mut self, calls: &mut Vec<(L, u32)>) {
        for hook in self.hooks.iter_mut().filter(|hook| !hook.told) {
            hook.told = true;
            calls.push((hook.lane.clone(), hook.number));
        }
    }

    /// A lane looks at all chunks there are, under the lock under which they came.
    pub(crate) fn look(&mut self, is: impl Fn(&L) -> bool) {
        if let Some(hook) = self.hooks.iter_mut().find(|hook| is(&hook.lane)) {
            hook.told = false;
        }
    }
}
