//! `exists("members", [data.room, claims.sub])`: whether there is such a channel, with such keys.

use tidegate_core::suggest::nearest;

use super::access::Lookup;
use super::channel::Found;
use super::fields::Reader;
use super::report::Problem;

/// Refuses what can never be found. A channel that could not be read is told of elsewhere.
pub(super) fn check(reader: Reader, found: &[Found]) {
    for Lookup { channel, parts, composite, span } in found.iter().flat_map(|found| &found.lookups) {
        let refuse = |title: String, help: String| {
            reader.problems.add(Problem::new(span.clone(), title, "here").help(help));
        };
        let Some(other) = found.iter().find(|other| other.entry.name == **channel) else {
            let near = nearest(channel, found.iter().map(|other| other.entry.name.as_str()));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`exists` looks into a keyed channel of this config".to_owned(),
            };
            refuse(format!("there is no channel `{channel}` to look into"), help);
            continue;
        };
        let Some(config) = &other.config else { continue };
        let Some(key) = &config.key else {
            let help = format!("give `{channel}` a `key`: what is looked up is whether a key is there");
            refuse(format!("the channel `{channel}` has no keys"), help);
            continue;
        };
        let names: Vec<&str> = key.fields().collect();
        if (names.len() > 1) != *composite || names.len() != *parts {
            let wanted = if let [only] = names[..] { only.to_owned() } else { format!("[{}]", names.join(", ")) };
            let help = format!("the second argument stands for `{wanted}`, in this order");
            refuse(format!("the key of `{channel}` is made of `{}`", names.join("`, `")), help);
        }
        if let Some(name) = config.address.parameters().find(|name| !names.contains(name)) {
            let help = format!("make `{name}` a part of the key, or leave it out of the address");
            refuse(
                format!("`{name}` is in the address of `{channel}` and not in its key, so a key may be there twice"),
                help,
            );
        }
    }
}
