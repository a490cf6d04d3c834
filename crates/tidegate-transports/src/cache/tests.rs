//! Each rule of what may be kept, over a real log.

use std::sync::Arc;

use http::HeaderMap;
use tidegate_core::{Address, ChannelId, Op, Target, Template};
use tidegate_hub::{Access, Caller, ChannelConfig, Hub, HubOptions, Policy};
use tidegate_log::{Batch, ChannelSpec, Entry, Log, Options as LogOptions, Retain};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR_S: u64 = 3_600;
const GIB: u64 = 1024 * 1024 * 1024;

struct Rig {
    hub: Hub,
    _folder: tempfile::TempDir,
}

impl Rig {
    /// Channels that differ in what is kept and in who may read, each with one event.
    fn new() -> Rig {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Retain::default();
        let channels = [
            ("forever", kept, true),
            ("aged", Retain { age: Some(7 * DAY), ..kept }, true),
            ("brief", Retain { age: Some(Duration::from_secs(1)), ..kept }, true),
            ("sized", Retain { bytes: Some(16 * GIB), ..kept }, true),
            ("small", Retain { bytes: Some(1024 * 1024), ..kept }, true),
            ("both", Retain { age: Some(DAY), bytes: Some(16 * GIB), ..kept }, true),
            ("ring", Retain { ephemeral: true, ..kept }, true),
            ("closed", kept, false),
        ];
        let spec =
            |(name, retain, _): &(&str, Retain, bool)| ChannelSpec { retain: *retain, ..ChannelSpec::plain(*name) };
        let config = |(name, _, read): &(&str, Retain, bool)| {
            let template = Template::parse(&format!("{name}/{{room}}")).expect("a template");
            let read = if *read { Policy::Always } else { Policy::Never };
            ChannelConfig { access: Access { read, ..Access::open() }, ..ChannelConfig::new(name, template, None) }
        };
        let log = Log::open(LogOptions::new(folder.path()), channels.iter().map(spec).collect()).expect("a log");
        for (name, ..) in &channels {
            let entry = Entry {
                channel: ChannelId::of(name),
                op: Op::Append,
                address: Address::parse(&format!("{name}/a")).expect("an address"),
                key: None,
                time: Millis(7),
                data: "1".into(),
            };
            log.append(Batch { entries: vec![entry], ..Batch::default() }).expect("appended");
        }
        let hub = Hub::new(log, channels.iter().map(config).collect(), HubOptions::default());
        Rig { hub, _folder: folder }
    }

    fn channel(&self, name: &str) -> Arc<Channel> {
        self.hub.catalog().iter().find(|channel| channel.config.name == name).expect("a channel").clone()
    }

    /// What is told of an answer of this channel to this query.
    fn told(&self, name: &str, query: &str, headers: &HeaderMap, held: Held) -> String {
        let options = Options::read(Some(query), headers).expect("options");
        let target = Target::parse("forever/a").expect("a target");
        let view = self.hub.plan(&options.request(target), &Caller::anonymous()).expect("a plan").view;
        control(&self.channel(name), &view, &options, held, Millis::now())
    }

    fn fixed(&self, name: &str, query: &str) -> String {
        self.told(name, query, &HeaderMap::new(), Held::Fixed(0))
    }
}

fn seconds(told: &str) -> u64 {
    let age = told.split(", ").find_map(|directive| directive.strip_prefix("max-age="));
    age.and_then(|age| age.parse().ok()).unwrap_or_else(|| panic!("{told}"))
}

#[test]
fn what_is_kept_for_ever_is_immutable() {
    assert_eq!(Rig::new().fixed("forever", ""), "public, max-age=31536000, immutable");
}

#[test]
fn retention_by_age_says_for_how_long() {
    let rig = Rig::new();
    let told = rig.fixed("aged", "");
    let age = seconds(&told);
    assert!(told.ends_with(", immutable") && age <= 7 * 24 * HOUR_S && age > 7 * 24 * HOUR_S - 600, "{told}");
    // It shrinks as time passes, and then is none.
    let (channel, view, options) = (
        rig.channel("aged"),
        rig.hub.plan(&request("aged/a"), &Caller::anonymous()).expect("a plan").view,
        Options::default(),
    );
    let later = |ms| {
        let options = Options { in_url: true, ..options.clone() };
        control(&channel, &view, &options, Held::Fixed(0), Millis(Millis::now().0 + ms))
    };
    assert!(seconds(&later(3 * 86_400_000)) <= 4 * 24 * HOUR_S);
    assert_eq!(later(7 * 86_400_000), MOMENT);
    assert_eq!(rig.fixed("brief", ""), MOMENT);
}

#[test]
fn retention_by_size_says_little() {
    let rig = Rig::new();
    // Half of the bound, at the fastest that a channel is written.
    assert_eq!(rig.fixed("sized", ""), format!("public, max-age={}", 8 * GIB / WRITTEN_MAX - 1));
    assert_eq!(rig.fixed("both", ""), rig.fixed("sized", ""));
    assert_eq!(rig.fixed("small", ""), MOMENT);
}

#[test]
fn what_is_not_on_disk_is_of_the_moment() {
    assert_eq!(Rig::new().fixed("ring", ""), MOMENT);
}

#[test]
fn what_a_view_makes_of_records_is_not_for_ever() {
    for query in ["filter=data%20%3E%200", "fields=a"] {
        assert_eq!(Rig::new().fixed("forever", query), format!("public, max-age={HOUR_S}"), "{query}");
    }
}

#[test]
fn what_was_trimmed_meanwhile_or_is_not_there_yet_is_of_the_moment() {
    let rig = Rig::new();
    let head = rig.channel("forever").log.head();
    assert_eq!(rig.told("forever", "", &HeaderMap::new(), Held::Fixed(head)), MOMENT);
}

#[test]
fn what_ends_at_the_head_is_of_the_moment() {
    let told = |held| Rig::new().told("forever", "", &HeaderMap::new(), held);
    assert_eq!(told(Held::ToHead), MOMENT);
    assert_eq!(told(Held::Nothing), MOMENT_OF_NOTHING);
}

#[test]
fn what_is_not_for_everyone_is_kept_by_nobody() {
    let rig = Rig::new();
    for held in [Held::Fixed(0), Held::ToHead, Held::Nothing] {
        assert_eq!(rig.told("closed", "", &HeaderMap::new(), held), NONE);
    }
}

/// Else one client could have its answer given to those who asked for something else.
#[test]
fn what_a_header_decided_is_kept_by_nobody() {
    let rig = Rig::new();
    let cursor = rig
        .channel("forever")
        .cursor(&rig.hub.plan(&request("forever/a"), &Caller::anonymous()).expect("a plan").view, 0);
    for (name, value) in [("last-event-id", cursor.to_string()), ("prefer", "wait=30".to_owned())] {
        let name: http::HeaderName = name.parse().expect("a name");
        let headers = [(name, value.parse().expect("a value"))].into_iter().collect();
        for held in [Held::Fixed(0), Held::ToHead, Held::Nothing] {
            assert_eq!(rig.told("forever", "", &headers, held), NONE);
        }
    }
}

fn request(address: &str) -> tidegate_hub::WatchRequest {
    tidegate_hub::WatchRequest::new(Target::parse(address).expect("a target"))
}
