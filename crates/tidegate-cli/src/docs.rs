//! `tidegate docs`: the generated pages, for the repository.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::terminal::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The root of the repository.
    #[arg(default_value = ".")]
    root: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    for page in tidegate_server::docs::pages() {
        let path = arguments.root.join(page.path);
        let folder = path.parent().unwrap_or(&arguments.root);
        std::fs::create_dir_all(folder).with_context(|| format!("no folder {}", folder.display()))?;
        std::fs::write(&path, &page.text).with_context(|| format!("cannot write {}", path.display()))?;
        say(path.display());
    }
    Ok(())
}
