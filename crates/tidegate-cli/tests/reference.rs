//! Generated pages agree with the code. `cargo xtask docs` (that is `TIDEGATE_WRITE=1`) writes them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate_core::ErrorCode;

const BEGIN: &str = "<!-- problems: written by `cargo xtask docs` -->\n";
const END: &str = "<!-- end of problems -->\n";
const COMMANDS: [&str; 15] = [
    "",
    "serve",
    "demo",
    "check",
    "watch",
    "publish",
    "bench",
    "bench fanout",
    "bench publish",
    "bench idle",
    "bench resume",
    "bench churn",
    "bench slow",
    "log",
    "log verify",
];

#[test]
fn pages_of_the_server_agree() {
    let drifted: Vec<&str> = tidegate_server::docs::pages()
        .into_iter()
        .filter(|page| !agrees(&root().join(page.path), &page.text))
        .map(|page| page.path)
        .collect();
    assert!(drifted.is_empty(), "have drifted, `cargo xtask docs` writes them: {drifted:?}");
}

#[test]
fn the_table_of_problems_agrees() {
    let path = root().join("protocol/PROTOCOL.md");
    let page = std::fs::read_to_string(&path).expect("the protocol");
    let (before, rest) = page.split_once(BEGIN).expect("the marker before the table");
    let (_, after) = rest.split_once(END).expect("the marker behind the table");
    let wanted = format!("{before}{BEGIN}\n{}\n{END}{after}", problems());
    assert!(agrees(&path, &wanted), "the table of problems has drifted: `cargo xtask docs` writes it");
}

#[test]
fn the_command_line_agrees() {
    let mut page = String::from("# The command line\n\nWritten by `cargo xtask docs`.\n");
    for command in COMMANDS {
        let help = help(command);
        let title = format!("tidegate {command}");
        write!(page, "\n## `{}`\n\n```\n{}\n```\n", title.trim_end(), help.trim_end()).expect("writing to memory");
    }
    assert!(agrees(&root().join("docs/cli.md"), &page), "docs/cli.md has drifted: `cargo xtask docs` writes it");
}

#[test]
fn the_shape_of_figures_agrees() {
    let path = root().join("docs/bench.schema.json");
    assert!(
        agrees(&path, &tidegate_bench::schema()),
        "docs/bench.schema.json has drifted: `cargo xtask docs` writes it"
    );
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut broken = Vec::new();
    for folder in ["", "docs", "docs/decisions", "protocol", "protocol/cases", "tests/clients"] {
        let folder = root().join(folder);
        for entry in std::fs::read_dir(&folder).expect("a folder of pages") {
            let page = entry.expect("an entry").path();
            if page.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&page).expect("a page");
            let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
            let local = targets.filter(|target| !target.is_empty() && !target.contains("://"));
            broken.extend(
                local.filter(|target| !folder.join(target).exists()).map(|target| (page.clone(), target.to_owned())),
            );
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

fn problems() -> String {
    let mut table = String::from(
        "| code | HTTP | WebSocket | come back after | what | why | what to do |\n|---|---|---|---|---|---|---|\n",
    );
    for code in ErrorCode::ALL {
        let retry = code.retry_ms().map_or_else(|| "no".to_owned(), |ms| format!("{ms} ms"));
        let (name, status, close) = (code.as_str(), code.status(), code.close_code());
        let (title, cause, cure) = (code.title(), code.cause(), code.cure());
        writeln!(table, "| `{name}` | {status} | {close} | {retry} | {title} | {cause} | {cure} |")
            .expect("writing to memory");
    }
    table
}

fn help(command: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = program.args(command.split_whitespace()).arg("--help").env("COLUMNS", "100").output();
    let output = output.expect("the binary runs");
    assert!(output.status.success(), "tidegate {command} --help: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn agrees(path: &Path, wanted: &str) -> bool {
    if std::env::var_os("TIDEGATE_WRITE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(path, wanted).expect("written");
    }
    std::fs::read_to_string(path).is_ok_and(|found| found == wanted)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
