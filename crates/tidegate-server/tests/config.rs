//! Broken configs and what people are shown, whole. `TIDEGATE_WRITE=1` writes what is shown now.

use std::path::{Path, PathBuf};

use tidegate_server::config::{Config, Environment};

#[test]
fn mistakes_are_shown_where_they_stand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    cases.sort();
    assert!(cases.len() > 10, "the cases are gone");
    let environment = Environment::of(&[("SHOP_DB_URL", "postgres://shop")]);
    let mut differing = Vec::new();
    for path in cases {
        let source = std::fs::read_to_string(&path).expect("a config");
        let name = path.file_name().expect("a name").to_string_lossy();
        let report = Config::parse(&name, &source, Path::new(""), &environment).expect_err(&name);
        if !agrees(&path.with_extension("expected"), &report.render(false)) {
            differing.push(name.into_owned());
        }
    }
    assert!(differing.is_empty(), "shown otherwise than expected, see TIDEGATE_WRITE=1: {differing:?}");
}

fn agrees(path: &Path, found: &str) -> bool {
    if std::env::var_os("TIDEGATE_WRITE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        std::fs::write(path, found).expect("written");
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected != found {
        eprintln!("--- {}\nexpected:\n{expected}\nfound:\n{found}", path.display());
    }
    expected == found
}
