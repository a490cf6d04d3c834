//! What is watched, for the server and for the model.

use std::sync::Arc;

use serde_json::Value;
use tidegate_core::{Kind, Scope, Target};
use tidegate_hub::Mode;
use tidegate_testkit::model::Eye;

/// What is watched, and the same for the model.
#[derive(Clone)]
pub(crate) struct Look {
    pub(crate) eye: Eye,
    pub(crate) filter: Option<&'static str>,
    pub(crate) fields: Option<&'static str>,
    pub(crate) mode: Mode,
    pub(crate) rate: Option<&'static str>,
}

impl Look {
    /// Everything, as it is.
    pub(crate) fn plain(kind: Kind) -> Look {
        let scope = Scope { target: Target::parse("rows/*").expect("pattern"), key: None };
        Look { eye: Eye::open(scope, kind), filter: None, fields: None, mode: Mode::Full, rate: None }
    }

    pub(crate) fn filter(mut self, text: &'static str, passes: fn(&Value) -> bool) -> Look {
        self.eye.filter = Arc::new(move |image| passes(image.data));
        Look { filter: Some(text), ..self }
    }

    pub(crate) fn fields(self, list: &'static str) -> Look {
        let eye = self.eye.with_fields(&list.split(',').collect::<Vec<_>>());
        Look { eye, fields: Some(list), ..self }
    }

    pub(crate) fn told(self, mode: Mode, rate: Option<&'static str>) -> Look {
        Look { mode, rate, ..self }
    }
}

pub(crate) fn red_or_low(look: Look) -> Look {
    let passes = |data: &Value| data["color"] == "red" || data["n"].as_u64().is_some_and(|n| n < 300);
    look.filter("data.color == \"red\" || data.n < 300", passes)
}

pub(crate) fn green(look: Look) -> Look {
    look.filter("data.color in [\"green\"]", |data| data["color"] == "green")
}
