//! Parties and their accounts, by the real clock: rates of an hour fill no bucket while a test runs.

use std::time::Duration;

use tidegate_core::Principal;
use tidegate_core::principal::{Shown, Vouched};

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn requests(amount: u64) -> PartyLimits {
    PartyLimits { requests: Some(Rate::new(amount, HOUR)), ..PartyLimits::default() }
}

fn principal(subject: &str, api_key: Option<&str>) -> Principal {
    let shown = if api_key.is_some() { Shown::ApiKey } else { Shown::Token };
    let api_key_id = api_key.map(Into::into);
    Vouched { shown, subject: Some(subject.into()), api_key_id, ..Vouched::default() }.into()
}

fn at(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

#[test]
fn an_address_is_its_network() {
    for (one, other, same) in [
        ("10.0.0.1", "10.0.0.1", true),
        ("10.0.0.1", "10.0.0.2", false),
        ("::ffff:10.0.0.1", "10.0.0.1", true),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
    ] {
        assert_eq!(network(at(one)) == network(at(other)), same, "{one} {other}");
    }
}

#[test]
fn each_party_has_its_own_and_who_exceeds_one_is_told_which() {
    let limits = Limits::new(LimitsConfig { address: requests(3), subject: requests(2), api_key: requests(1) });
    let ann = limits.of_address(at("10.0.0.1")).with(&principal("ann", None));
    assert!(ann.take(Limit::Requests, 1).is_ok() && ann.take(Limit::Requests, 1).is_ok());
    let problem = ann.take(Limit::Requests, 1).expect_err("a third");
    assert_eq!(problem.detail, "more requests than 2 an hour of this subject");
    assert!(problem.retry_ms.is_some_and(|ms| ms > 1_700_000), "{problem:?}");
    // The same subject at another address.
    assert!(limits.of_address(at("10.0.0.2")).with(&principal("ann", None)).take(Limit::Requests, 1).is_err());
    // Three requests of the address, whoever it was.
    let problem = limits.of_address(at("10.0.0.1")).take(Limit::Requests, 1).expect_err("a fourth");
    assert!(problem.detail.ends_with("this network address"), "{problem:?}");
    let key = limits.of_address(at("10.0.0.3")).with(&principal("shop", Some("k1")));
    assert!(key.take(Limit::Requests, 1).is_ok());
    assert!(key.take(Limit::Requests, 1).is_err_and(|problem| problem.detail.ends_with("this API key")));
    // What is not limited is not.
    assert!((0..100).all(|_| key.take(Limit::Publishes, 1).is_ok()));
    let refused: Vec<u64> = limits.refused().into_iter().filter(|(_, _, times)| *times > 0).map(|all| all.2).collect();
    assert_eq!(refused, [1, 2, 1]);
}

#[test]
fn the_fields_of_an_answer_say_all_that_was_looked_at() {
    let bytes = Some(Rate { amount: 1_000_000, per: Duration::from_secs(1), burst: 64_000_000 });
    let address = PartyLimits { published_bytes: bytes, watches_max: Some(5), ..requests(60) };
    let limits = Limits::new(LimitsConfig { address, ..LimitsConfig::default() });
    let account = limits.of_address(at("::1"));
    assert_eq!(account.fields(), None);
    account.take(Limit::Requests, 1).expect("left");
    account.take(Limit::Requests, 1).expect("left");
    account.take(Limit::PublishedBytes, 32_000_000).expect("left");
    let place = account.place().expect("left");
    let Fields { policy, limit } = account.fields().expect("some");
    assert_eq!(
        policy,
        "\"address-requests\";q=60;w=3600, \"address-published-bytes\";q=64000000;qu=\"content-bytes\";w=64, \
         \"address-watches-max\";q=5;qu=\"concurrent-requests\""
    );
    assert_eq!(
        limit,
        "\"address-requests\";r=58;t=120, \"address-published-bytes\";r=32000000;t=32, \"address-watches-max\";r=4"
    );
    drop(place);
}

#[test]
fn an_account_that_was_answered_for_limits_and_notes_nothing() {
    let limits = Limits::new(LimitsConfig { subject: requests(2), ..LimitsConfig::default() });
    let account = limits.of_address(at("::1")).with(&principal("ann", None));
    account.take(Limit::Requests, 1).expect("left");
    let stays = account.clone().answered();
    stays.take(Limit::Requests, 1).expect("left");
    assert!(stays.take(Limit::Requests, 1).is_err() && stays.fields().is_none());
    let fields = account.fields().expect("some");
    assert!(fields.limit.starts_with("\"subject-requests\";r=1;"), "{fields:?}");
}

#[test]
fn a_place_is_given_back_with_its_watch_also_by_who_was_refused_elsewhere() {
    let max = |max| PartyLimits { watches_max: Some(max), ..PartyLimits::default() };
    let limits = Limits::new(LimitsConfig { address: max(3), subject: max(1), ..LimitsConfig::default() });
    let address = limits.of_address(at("10.0.0.1"));
    let ann = address.with(&principal("ann", None));
    let first = ann.place().expect("one").expect("limited");
    for _ in 0..5 {
        let problem = ann.place().expect_err("a second");
        assert_eq!((problem.code.status(), problem.retry_ms), (429, Some(5_000)));
    }
    let others = (address.place().expect("two"), address.place().expect("three"));
    assert!(address.place().is_err());
    drop(first);
    assert!(ann.place().is_ok());
    drop(others);
}

/// Else who has many addresses would have the server's memory.
#[test]
fn parties_are_bounded() {
    let slow = Limits::new(LimitsConfig { address: requests(1), ..LimitsConfig::default() });
    let four = |number: u32| IpAddr::from(number.to_be_bytes());
    for number in 0..PARTIES_MAX as u32 {
        assert!(slow.of_address(four(number)).take(Limit::Requests, 1).is_ok());
    }
    assert_eq!(slow.parties()[0], (Who::Address, PARTIES_MAX));
    // More share one account.
    assert!(slow.of_address(four(1 << 30)).take(Limit::Requests, 1).is_ok());
    assert!(slow.of_address(four(1 << 31)).take(Limit::Requests, 1).is_err());
    slow.forget_idle();
    assert_eq!(slow.parties()[0].1, PARTIES_MAX + 1, "an hour has not gone by");
}

#[test]
fn who_has_everything_left_is_forgotten() {
    let fast = Some(Rate::new(1_000_000, Duration::from_secs(1)));
    let subject = PartyLimits { publishes: fast, watches_max: Some(3), ..requests(10) };
    let limits = Limits::new(LimitsConfig { subject, ..LimitsConfig::default() });
    let account = |name: &str| limits.of_address(at("::1")).with(&principal(name, None));
    for name in ["ann", "bob"] {
        account(name).take(Limit::Publishes, 1).expect("left");
    }
    account("ann").take(Limit::Requests, 1).expect("left");
    let places = ["ann", "bob", "cy"].map(|name| account(name).place().expect("left"));
    let remembered = || limits.parties().map(|(_, count)| count);
    assert_eq!(remembered(), [0, 3, 0]);
    drop(places);
    // A bucket of a second is full again in some microseconds; that of an hour is not.
    while remembered() != [0, 1, 0] {
        limits.forget_idle();
    }
    assert_eq!(limits.of_address(at("::1")).take(Limit::Requests, 100).map_err(|problem| problem.code), Ok(()));
}

#[test]
fn without_limits_nothing_is_remembered() {
    let limits = Limits::new(LimitsConfig::default());
    let account = limits.of_address(at("::1")).with(&principal("ann", None));
    assert!(account.take(Limit::Requests, u64::MAX).is_ok() && account.place().expect("any").is_none());
    assert!(account.fields().is_none() && !limits.has(Limit::Requests));
}
