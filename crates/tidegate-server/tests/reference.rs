//! The generated pages in the repository are those that the code makes. `TIDEGATE_WRITE=1` writes
//! them, as `cargo xtask docs` does.

use std::path::Path;

#[test]
fn generated_pages_have_not_drifted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut drifted = Vec::new();
    for page in tidegate_server::docs::pages() {
        let path = root.join(page.path);
        if std::env::var_os("TIDEGATE_WRITE").is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(&path, &page.text).expect("written");
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != page.text {
            drifted.push(page.path);
        }
    }
    assert!(drifted.is_empty(), "`cargo xtask docs` writes {drifted:?}");
}
