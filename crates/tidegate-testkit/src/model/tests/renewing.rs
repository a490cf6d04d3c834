//! A watch whose caller may see something else from some moment on, cut behind every frame.

use super::*;

/// Another look of the same kind at the same rows, as another token of one caller has it.
fn other_rights(eye: &Eye, rng: &mut StdRng) -> Eye {
    let least = rng.random_range(0..3);
    let rule: Rule = Arc::new(move |image: &Image<'_>| image.data["rights"].as_i64().unwrap_or(0) >= least);
    Eye { row_rule: rule, rules: format!("other rights>={least}"), ..eye.clone() }
}

#[test]
fn a_renewed_watch_tells_what_may_be_seen_from_there_on_and_nothing_else() {
    let (mut states, mut histories, mut cuts) = (0, 0, 0);
    for seed in 0..400 {
        let mut rng = StdRng::seed_from_u64(seed);
        let keyed = rng.random_bool(0.7);
        let mut channel = Channel::new("m", keyed);
        channel.append(&batch(keyed, &mut rng));
        let before = eye(keyed, &mut rng);
        let after = other_rights(&before, &mut rng);
        let mut watch = manner(Watch::new(before.clone(), Begin::Fresh, true), keyed, &mut rng);
        let mut frames = Vec::new();
        run(&schedule(keyed, 12, &mut rng), &mut channel, &mut watch, &mut frames);
        let mut replica = before_the_watch(&channel, &before, &Begin::Fresh);
        Oracle::new(&channel, &before).feed(&mut replica, &frames, (seed, 0));
        Oracle::new(&channel, &before).compare(&replica, (seed, 0));

        let unbegun = frames.is_empty();
        let mut frames = watch.renew(&channel, after.clone());
        let told = frames.first().map(|frame| frame["op"].clone());
        match (unbegun, before.kind) {
            (true, _) => assert_eq!(told, None, "{seed}"),
            (false, Kind::State) => {
                states += 1;
                assert_eq!((told, &frames[0]["reason"]), (Some(json!("reset")), &json!("rights")), "{seed}");
            }
            (false, Kind::History) => {
                histories += 1;
                assert_eq!(told, Some(json!("notice")), "{seed}");
                assert!(frames.iter().all(|frame| frame["prev"].is_null()), "{seed}: a chain begins here");
                if replica.cursor.is_some() && frames.len() > 1 {
                    // Up to there all is told as it was seen before.
                    Oracle::new(&channel, &before).feed(&mut replica, &frames, (seed, 1));
                    Oracle::new(&channel, &before).compare(&replica, (seed, 1));
                    frames.clear();
                }
            }
        }
        run(&schedule(keyed, 12, &mut rng), &mut channel, &mut watch, &mut frames);
        let oracle = Oracle::new(&channel, &after);
        for frame in &frames {
            let mut cut = replica.clone();
            cut.cut();
            cuts += 1;
            if before.kind == Kind::State {
                resume(channel.clone(), &after, cut, &mut rng, (seed, cuts));
            }
            oracle.feed(&mut replica, std::slice::from_ref(frame), (seed, cuts));
            if before.kind == Kind::State {
                oracle.compare(&replica, (seed, cuts));
            }
        }
    }
    assert!(states > 100 && histories > 100 && cuts > 1_000, "{states} {histories} {cuts}");
}
