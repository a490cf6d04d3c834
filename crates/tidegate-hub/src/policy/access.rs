//! The `access` of a channel: all of its policies.

use std::sync::Arc;

use tidegate_cel::LookedUp;
use tidegate_core::Mask;
use tidegate_gate::StepUp;

use super::history::History;
use super::rule::{Policy, Right};

/// Who may do what with a channel; what is not allowed is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// How strongly and how recently who reads or publishes has to have signed in.
    pub requires: StepUp,
    /// Who may watch and read.
    pub read: Policy,
    /// Who may publish what.
    pub publish: Policy,
    /// How far back a watch may begin.
    pub history: History,
    /// Which rows a caller sees.
    pub rows: Policy,
    /// Which columns nobody sees.
    pub mask: Option<Arc<Mask>>,
    /// What an application is asked about, too.
    pub asks: Asks,
}

/// What an application is asked about, once the policies have allowed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Watching and reading.
    pub watch: bool,
    /// Publishing.
    pub publish: bool,
}

impl Default for Access {
    /// Nobody may do anything; whom `read` alone lets in sees all of it.
    fn default() -> Access {
        Access {
            requires: StepUp::default(),
            read: Policy::Never,
            publish: Policy::Never,
            history: History::All,
            rows: Policy::Always,
            mask: None,
            asks: Asks::default(),
        }
    }
}

impl Access {
    /// Everybody may do everything.
    pub fn open() -> Access {
        Access { read: Policy::Always, publish: Policy::Always, ..Access::default() }
    }

    /// Whether all callers see the same, at any time: what one is told may be told to any other.
    pub fn is_for_everyone(&self) -> bool {
        let Access { requires, read, history, rows, asks, .. } = self;
        let open = *read == Policy::Always && *history == History::All && *rows == Policy::Always;
        open && requires.is_nothing() && !asks.watch
    }

    /// The channels that its policies look into; one that several name comes several times.
    pub fn looks_into(&self) -> impl Iterator<Item = &str> {
        self.lookups().map(|(_, lookup)| &*lookup.table)
    }

    /// All that its policies look up, each with the policy.
    pub fn lookups(&self) -> impl Iterator<Item = (Right, &LookedUp)> {
        let Access { read, publish, history, rows, .. } = self;
        let policies = [(Right::Read, read), (Right::Publish, publish), (Right::Rows, rows)];
        let policies = policies.into_iter().filter_map(|(right, policy)| Some((right, policy.expression()?)));
        let history = history.expression().map(|expression| (Right::History, expression));
        policies.chain(history).flat_map(|(right, own)| own.lookups().iter().map(move |lookup| (right, lookup)))
    }

    /// Rules that let nobody do or see anything, though they do not say `false`: for `tidegate check`.
    pub fn warnings(&self, written: impl Fn(Right) -> Option<String>) -> Vec<String> {
        let rules = [(Right::Read, &self.read), (Right::Publish, &self.publish), (Right::Rows, &self.rows)];
        let dead = rules.into_iter().filter(|(_, policy)| **policy == Policy::Never);
        let told = dead.filter_map(|(right, _)| {
            let text = written(right).filter(|text| text.trim() != "false")?;
            Some(format!("`{}: {text}` can never be true", right.name()))
        });
        told.collect()
    }
}
