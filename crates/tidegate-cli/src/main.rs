//! The binary `tidegate`.
//!
//! Each command is a file. Exit codes: 0 done, 1 it did not work (the reason is on stderr), 2 the
//! command line makes no sense.

mod bench;
mod check;
mod client;
mod demo;
mod docs;
mod findings;
mod key;
mod log;
mod logging;
mod policy;
mod publish;
mod reload;
mod revoke;
mod serve;
mod terminal;
mod tls;
mod url;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const AFTER_HELP: &str = "\
TIDEGATE_LOG says how much the server tells on stderr: error, warn, info (the default), debug, trace,
or a filter such as tidegate_log=debug,info.";

/// A live-data gateway: turns anything that changes into an HTTP address that clients can read
/// once or keep watching.
#[derive(Parser)]
#[command(name = "tidegate", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Tidegate {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve what a config describes, or what stands behind a URL.
    Serve(serve::Arguments),
    /// Serve live data of this machine, without any config.
    Demo(demo::Arguments),
    /// Look whether a config and its sources are good, or what stands behind a URL; change nothing.
    Check(check::Arguments),
    /// Watch an address and print what comes; resumes after cuts.
    Watch(watch::Arguments),
    /// Test the policies of a config against decisions that are known.
    Policy(policy::Arguments),
    /// Make, list and revoke API keys of a server.
    Key(key::Arguments),
    /// Publish events to an address.
    Publish(publish::Arguments),
    /// Have a server read its config again, and run what it says.
    Reload(reload::Arguments),
    /// Revoke a token, an API key or all of a subject, by the admin side of a server.
    Revoke(revoke::Arguments),
    /// Load a server: how fast, how many, at what cost, and whether anything is lost.
    Bench(bench::Arguments),
    /// Look into a log.
    Log(log::Arguments),
    /// Write the pages that are generated.
    #[command(hide = true)]
    Docs(docs::Arguments),
}

fn main() -> ExitCode {
    let result = match Tidegate::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Watch(arguments) => watch::run(arguments),
        Command::Policy(arguments) => policy::run(arguments),
        Command::Key(arguments) => key::run(arguments),
        Command::Publish(arguments) => publish::run(arguments),
        Command::Reload(arguments) => reload::run(arguments),
        Command::Revoke(arguments) => revoke::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Log(arguments) => log::run(arguments),
        Command::Docs(arguments) => docs::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&error);
            ExitCode::FAILURE
        }
    }
}
