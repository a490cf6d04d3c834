//! nginx that sends files as they are: what it costs to send bytes that somebody else has made.

use std::net::SocketAddr;
use std::path::Path;

use crate::place::{Missing, Place, free_address, installed};
use crate::process::Process;

/// A file server that runs.
pub(crate) struct Files {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
    /// After the process, which reads from it.
    _place: Place,
}

impl Files {
    /// Serves these contents by these names.
    pub(crate) fn start(place: Place, files: &[(&str, &[u8])]) -> Result<Files, Missing> {
        let nginx = installed(Path::new("/usr/sbin/nginx"))?;
        let below = place.folder().join("files");
        std::fs::create_dir(&below)?;
        for (name, content) in files {
            std::fs::write(below.join(name), content)?;
        }
        let address = free_address()?;
        let config = place.config("static/nginx.conf", &[("port", address)])?.display().to_string();
        let folder = place.folder().display().to_string();
        let process = place.start(&[&nginx, "-p", &folder, "-c", &config], address)?;
        Ok(Files { address, process, _place: place })
    }
}
