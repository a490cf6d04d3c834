use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use tidegate_core::{ChannelId, Cursor, Epoch, Fingerprint, Kind, Scope, Target};

use super::*;
use crate::model::{Change, Channel};

/// Four events at two addresses.
fn truth(trims: bool) -> Truth {
    let mut truth = Truth { channel: Channel::new("c", false), trims, since: Instant::now() };
    for at in 1..=4 {
        let address = if at == 2 { "c/b" } else { "c/a" };
        truth.take(&[Change::append(address, json!({"n": at}))], at).expect("an event");
    }
    truth
}

fn cursor(offset: Offset) -> String {
    let view = Fingerprint::of(&[b"v"]);
    Cursor { channel: ChannelId::of("c"), epoch: Epoch::from_bits(1), view, offset }.to_string()
}

fn append(at: u64, conflated: Option<u64>) -> Value {
    let address = if at == 2 { "c/b" } else { "c/a" };
    let mut frame = json!({"op": "append", "address": address, "data": {"n": at}});
    if let Some(count) = conflated {
        frame["conflated"] = count.into();
    }
    frame
}

/// What is said of frames that come with a cursor behind each group of them.
fn judged(
    truth: &Truth,
    rate: Option<&'static str>,
    from: Option<Offset>,
    groups: &[(&[Value], Offset)],
) -> Result<u64, String> {
    let scope = Scope { target: Target::parse("c/*").expect("a pattern"), key: None };
    let (mut heard, mut from) = (Heard::default(), from);
    for (frames, upto) in groups {
        frames.iter().for_each(|frame| heard.frame(Look::default(), frame));
        heard.stand((Look::default(), Manner { mode: None, rate }), from, *upto, None);
        from = Some(*upto);
    }
    heard.judge(truth, |look| look.eye(&scope, Kind::History, None))
}

#[test]
fn each_event_is_told_once_in_its_place() {
    let one = |at| ([append(at, None)], at);
    let judge = |from, list: &[([Value; 1], Offset)]| {
        let groups: Vec<(&[Value], Offset)> = list.iter().map(|(frames, at)| (&frames[..], *at)).collect();
        judged(&truth(false), None, from, &groups)
    };
    assert_eq!(judge(Some(0), &[one(1), one(2), one(3), one(4)]), Ok(4));
    assert_eq!(judge(Some(2), &[one(3), one(4)]), Ok(2));
    assert_eq!(judge(None, &[one(1), one(2)]), Ok(2));
    for wrong in [
        judge(Some(0), &[one(2)]),
        judge(Some(0), &[one(1), one(1)]),
        judge(None, &[one(3)]),
        judge(Some(4), &[one(4)]),
    ] {
        wrong.expect_err("lost or doubled");
    }
    judged(&truth(false), None, Some(0), &[(&[], 1)]).expect_err("a cursor behind what was not told");
}

#[test]
fn a_gap_excuses_what_was_trimmed() {
    let gap = |to| json!({"op": "gap", "to": cursor(to), "reason": "retention"});
    let judge = |from, frames: &[Value], upto| judged(&truth(true), None, from, &[(frames, upto)]);
    assert_eq!(judge(Some(1), &[gap(3), append(4, None)], 4), Ok(1));
    judge(Some(1), &[gap(2), append(4, None)], 4).expect_err("3 was held");
    judge(Some(3), &[gap(2), append(3, None)], 3).expect_err("it leads back");
    assert_eq!(judge(None, &[append(4, None)], 4), Ok(1), "a long-poll from a start that is not said");
}

#[test]
fn a_tick_tells_the_newest_of_each_address_and_how_many_there_were() {
    let judge = |frames: &[Value]| judged(&truth(false), Some("1/s"), Some(0), &[(frames, 4)]);
    assert_eq!(judge(&[append(2, Some(1)), append(4, Some(3))]), Ok(1));
    for wrong in [
        &[append(4, Some(3))][..],
        &[append(2, Some(1)), append(3, Some(3))],
        &[append(2, Some(1)), append(4, Some(2))],
        &[append(4, Some(3)), append(2, Some(1))],
        &[append(2, None), append(4, None)],
    ] {
        judge(wrong).expect_err("no tick");
    }
}

#[test]
fn what_a_filter_hides_is_seen_even_if_it_is_taken_back() {
    let mut rng = StdRng::seed_from_u64(1);
    let scope = Scope { target: Target::parse("c/*").expect("a pattern"), key: None };
    let look = std::iter::repeat_with(|| Look::random(false, Kind::History, None, &mut rng))
        .find(|look| look.eye(&scope, Kind::History, None).rules == "data.n > 5")
        .expect("a filter");
    let mut heard = Heard::default();
    heard.frame(look, &append(1, None));
    heard.cut();
    heard.judge(&truth(false), |look| look.eye(&scope, Kind::History, None)).expect_err("1 is not to be seen");
}
