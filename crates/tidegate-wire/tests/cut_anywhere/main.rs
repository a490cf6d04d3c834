//! A watch cut at every byte and resumed, on any encoding, ends in the state of never having been
//! cut: the real log, hub and streams in one process, so that every byte can be the cut. Of some
//! views there is a second watch, so that what is read of the log is read as blocks that are shared.
//! Filters, fields, patches and rates are held against the model's eye.

mod check;
mod look;
mod past;
mod sink;
mod ticks;
mod world;

use rand::random;
use tidegate_core::Kind;
use tidegate_hub::Mode;
use tidegate_testkit::replica::{Replica, offset};
use tidegate_wire::Encoding;

use check::check;
use look::{Look, green, of_red_or_listed, red_or_low};
use world::World;

/// An encoding, and whether frames chain.
type Wire = (Encoding, bool);

/// Every other encoding is watched by others too, with a chain and without.
fn wire(round: usize) -> Wire {
    (Encoding::ALL[round % 8], !(round / 64).is_multiple_of(3))
}

async fn world(look: Look) -> World {
    let seed = std::env::var("TIDEGATE_SEED").map_or_else(|_| random(), |seed| seed.parse().expect("seed"));
    println!("seed {seed}");
    let mut world = World::new(seed, look);
    for _ in 0..12 {
        world.write();
    }
    world.accompany(&[0, 2, 4, 6, 64, 66, 68, 70].map(wire));
    world
}

fn fresh(kind: Kind) -> Replica {
    if kind == Kind::State { Replica::state() } else { Replica::history() }
}

async fn cut_everywhere(kind: Kind) {
    let mut world = world(Look::plain(kind)).await;
    // Every byte of a stream of this length; the soak takes longer ones.
    let bytes = std::env::var("TIDEGATE_CUTS").map_or(6_000, |text| text.parse().expect("a number"));
    for cut in 1..=bytes {
        let round = cut;
        let (first, second) = (wire(round), (Encoding::ALL[round / 8 % 8], !(round / 192).is_multiple_of(3)));
        let mut replica = fresh(kind);
        world.watch(&mut replica, first, cut).await;
        if replica.cursor.is_some() && kind == Kind::State {
            check(&world, &replica);
        }
        if round % 5 == 0 {
            world.write();
        }
        if round % 61 == 0 {
            world.trim();
        }
        if round % 127 == 0 {
            world.write();
        }
        if replica.cursor.as_deref().and_then(offset) < Some(world.last_told()) {
            world.watch(&mut replica, second, usize::MAX).await;
        }
        check(&world, &replica);
    }
    let figures = world.tails.block_figures();
    // Watches of the state begin with a snapshot of their own.
    let shared = kind == Kind::State || figures.shared > 0;
    assert!(figures.read > 0 && shared, "nothing was shared: {figures:?}");
}

/// A watch that is resumed after some writes is cut at each byte of what it is then told, and resumed once more.
async fn resumed_and_cut_everywhere(look: Look) {
    let kind = look.eye.kind;
    let mut world = world(look).await;
    let rounds = std::env::var("TIDEGATE_CUT_ROUNDS").map_or(3, |text| text.parse().expect("a number"));
    for round in 0..rounds {
        let mut held = fresh(kind);
        world.watch(&mut held, wire(round), usize::MAX).await;
        check(&world, &held);
        for _ in 0..4 {
            world.write();
        }
        if round % 4 == 3 {
            world.trim();
        }
        for encoding in Encoding::ALL {
            for cut in 1.. {
                let mut replica = held.clone();
                let whole = world.watch(&mut replica, (encoding, cut % 3 > 0), cut).await;
                if kind == Kind::State {
                    check(&world, &replica);
                }
                if replica.cursor.as_deref().and_then(offset) < Some(world.last_told()) {
                    assert!(!whole, "everything was told");
                    world.watch(&mut replica, wire(cut), usize::MAX).await;
                }
                check(&world, &replica);
                if whole {
                    break;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_watch_cut_at_any_byte_resumes_exactly() {
    cut_everywhere(Kind::State).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_watch_cut_at_any_byte_resumes_exactly() {
    cut_everywhere(Kind::History).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_history_cut_at_any_byte_resumes_exactly() {
    resumed_and_cut_everywhere(red_or_low(Look::plain(Kind::History)).fields("n,pos.x")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_state_cut_at_any_byte_resumes_exactly() {
    resumed_and_cut_everywhere(green(Look::plain(Kind::State))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_patches_cut_at_any_byte_resume_exactly() {
    resumed_and_cut_everywhere(red_or_low(Look::plain(Kind::State)).told(Mode::Patch, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_patches_of_fields_cut_at_any_byte_resume_exactly() {
    let look = Look::plain(Kind::State).fields("color,list,pos.x,text");
    resumed_and_cut_everywhere(look.told(Mode::JsonPatch, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_cut_at_any_byte_resume_exactly() {
    let look = red_or_low(Look::plain(Kind::State)).fields("list,n,text");
    resumed_and_cut_everywhere(look.told(Mode::JsonPatch, Some("50/s"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_caller_cut_at_any_byte_resume_exactly() {
    resumed_and_cut_everywhere(of_red_or_listed(Look::plain(Kind::State)).told(Mode::Patch, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_a_caller_cut_at_any_byte_resumes_exactly() {
    resumed_and_cut_everywhere(red_or_low(of_red_or_listed(Look::plain(Kind::History)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_of_a_caller_cut_at_any_byte_resume_exactly() {
    let look = red_or_low(of_red_or_listed(Look::plain(Kind::State))).fields("n,pos,text");
    resumed_and_cut_everywhere(look.told(Mode::JsonPatch, Some("50/s"))).await;
}
