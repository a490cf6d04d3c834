//! Pushpin, from Debian. It asks an application what a request is to watch; here an nginx that
//! answers each with its channel.

use std::path::Path;
use std::sync::Arc;

use super::{Peer, Running};
use crate::place::{Missing, Place, free_address, installed};
use crate::subject::{Http, Transport};

pub(super) const SSE: Peer = Peer { name: "pushpin-sse", title: "Pushpin SSE", start };

fn start(place: Place) -> Result<Running, Missing> {
    let pushpin = installed(Path::new("/usr/bin/pushpin"))?;
    let nginx = installed(Path::new("/usr/sbin/nginx"))?;
    let [watch, publish, origin, push, subscribe, command] =
        [free_address()?, free_address()?, free_address()?, free_address()?, free_address()?, free_address()?];
    let folder = place.folder().display().to_string();
    place.config("pushpin/origin.conf", &[("origin", origin)])?;
    place.config("pushpin/routes", &[("origin", origin)])?;
    let ports =
        [("watch", watch), ("publish", publish), ("push", push), ("subscribe", subscribe), ("command", command)];
    place.config("pushpin/pushpin.conf", &ports)?;
    // The package expects the HTTP client to be a service of the machine; here it is Pushpin's own.
    let specs = std::fs::read_to_string("/usr/lib/pushpin/internal.conf")?;
    let specs = specs.replace("ipc:///var/run/zurl/", "ipc://{rundir}/{ipc_prefix}");
    std::fs::write(place.folder().join("internal.conf"), specs)?;
    let both = format!("{nginx} -p {folder} -c {folder}/origin.conf & exec {pushpin} --config {folder}/pushpin.conf");
    let mut process = place.start(&["sh", "-c", &both], publish)?;
    for address in [watch, origin] {
        place.listens(&mut process, address)?;
    }
    let subject = Http {
        watch,
        publish,
        transport: Transport::Sse,
        watch_path: "/",
        post: |channel, event| ("/publish/".to_owned(), item(channel, event)),
        begun: b"\n:\n\n",
        // More than that at once, and it drops what its processes tell each other.
        opening_max: 8,
    };
    Ok(Running { subject: Arc::new(subject), process, place })
}

/// An event as its control API takes it, which passes on the bytes that a watcher is to get.
fn item(channel: &str, event: &str) -> String {
    let content = format!("data: {event}\n\n");
    serde_json::json!({"items": [{"channel": channel, "formats": {"http-stream": {"content": content}}}]}).to_string()
}
