//! nginx with Nchan, from Debian.

use std::path::Path;
use std::sync::Arc;

use super::{Peer, Running};
use crate::place::{Missing, Place, free_address, installed};
use crate::subject::{Http, OPENING_MAX, Transport};

pub(super) const SSE: Peer =
    Peer { name: "nchan-sse", title: "Nchan SSE", start: |place| start(place, Transport::Sse) };
pub(super) const WEBSOCKET: Peer =
    Peer { name: "nchan-ws", title: "Nchan WS", start: |place| start(place, Transport::WebSocket) };

fn start(place: Place, transport: Transport) -> Result<Running, Missing> {
    let nginx = installed(Path::new("/usr/sbin/nginx"))?;
    installed(Path::new("/usr/lib/nginx/modules/ngx_nchan_module.so"))?;
    let address = free_address()?;
    let config = place.config("nchan/nginx.conf", &[("port", address)])?;
    let folder = place.folder().display().to_string();
    let process = place.start(&[&nginx, "-p", &folder, "-c", &config.display().to_string()], address)?;
    let subject = Http {
        watch: address,
        publish: address,
        transport,
        watch_path: "/watch/",
        post: |channel, event| (format!("/publish/{channel}"), event.to_owned()),
        begun: match transport {
            Transport::Sse => b": hi\n",
            Transport::WebSocket => b"\r\n\r\n",
        },
        opening_max: OPENING_MAX,
    };
    Ok(Running { subject: Arc::new(subject), process, place })
}
