//! The `hooks:` of the config: applications that are asked.

use std::time::Duration;

use tidegate_gate::{FetchConfig, Hooks, HooksConfig, Secret};
use tidegate_hub::Asks;

use super::channels::ChannelConfig;
use super::fields::{Field, Fields, Reader};
use super::report::Problem;
use super::shape::{self, defaults};
use super::values::{self, Complaint, ranged};

/// Headers that a hook is told of at most.
const FORWARD_MAX: usize = 16;

/// `Some(None)` where there are none, `None` after a mistake.
pub(super) fn read(reader: Reader, field: Option<Field>, fetch: &FetchConfig) -> Option<Option<HooksConfig>> {
    let Some(field) = field else { return Some(None) };
    let fields = reader.open::<shape::Hooks>(field.node(), field.name_span(), "`hooks`")?;
    let url = |name: &str| fields.optional(name, |field| field.parse(|text| Ok(text.to_owned())));
    let (connect, watch, publish) = (url("connect"), url("watch"), url("publish"));
    let secret = fields.require("secret", "secret: ${HOOK_SECRET}").and_then(|field| field.text());
    let forward = fields.optional("forward", |field| field.list(true, header));
    let timeout = fields.value("timeout", defaults::hook_timeout(), |text| {
        ranged(values::duration(text)?, Duration::from_millis(100)..=Duration::from_secs(30), "100ms", "30s")
    });
    let cache = fields.value("cache", defaults::hook_cache(), |text| match text {
        "0" | "0s" => Ok(Duration::ZERO),
        text => ranged(values::duration(text)?, Duration::from_secs(1)..=Duration::from_secs(3_600), "1s", "1h"),
    });
    let allow_when_down = fields.value("down", defaults::hook_down(), |text| match text {
        "deny" => Ok(false),
        "allow" => Ok(true),
        _ => Err(Complaint::new("neither deny nor allow").help("write `deny`, or `allow` if an outage should open it")),
    });
    fields.finish();
    let forward = forward?.unwrap_or_default();
    if forward.len() > FORWARD_MAX {
        let problem = Problem::new(field.name_span(), "`forward` names too many headers", "here");
        reader.problems.add(problem.help(format!("at most {FORWARD_MAX}")));
        return None;
    }
    let hooks = HooksConfig {
        connect: connect?,
        watch: watch?,
        publish: publish?,
        secret: Secret::new(secret?.text),
        timeout: timeout?,
        cache: cache?,
        allow_when_down: allow_when_down?,
        forward,
    };
    match Hooks::new(&hooks, fetch) {
        Ok(_) => Some(Some(hooks)),
        Err(error) => {
            reader.problems.add(Problem::new(field.name_span(), error.place, error.reason));
            None
        }
    }
}

/// What a channel asks about has to be somebody's to answer.
pub(super) fn asked(reader: Reader, fields: &Fields, hooks: Option<&HooksConfig>, channels: &[ChannelConfig]) {
    let span = || fields.get("channels").map_or(0..0, |field| field.name_span());
    for channel in channels {
        let Asks { watch, publish } = channel.access.asks;
        let has = |url: fn(&HooksConfig) -> &Option<String>| hooks.is_some_and(|hooks| url(hooks).is_some());
        let missing =
            [("watch", watch && !has(|hooks| &hooks.watch)), ("publish", publish && !has(|hooks| &hooks.publish))];
        for (name, _) in missing.into_iter().filter(|(_, missing)| *missing) {
            let title = format!("channel `{}` asks about `{name}`, and nobody is there to answer", channel.name);
            let problem = Problem::new(span(), title, "one of these");
            reader.problems.add(problem.help(format!("add `hooks: {{ {name}: URL, secret: ${{HOOK_SECRET}} }}`")));
        }
    }
}

fn header(text: &str) -> Result<String, Complaint> {
    let name = hyper::header::HeaderName::from_bytes(text.as_bytes()).map(|name| name.as_str().to_owned());
    name.map_err(|_| Complaint::new("no name of a header").help("name headers of requests, such as `cookie`"))
}
