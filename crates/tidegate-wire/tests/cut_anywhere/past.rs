//! A watch that begins with the rows as of a past position, cut at every byte, and resumed: with its cursor, or, where it
//! has none yet, as of the same position.

use tidegate_core::Kind;
use tidegate_hub::Mode;
use tidegate_testkit::replica::offset;
use tidegate_wire::Encoding;

use crate::check::check;
use crate::look::{Look, red_or_low};
use crate::{fresh, wire, world};

async fn begun_in_the_past_and_cut_everywhere(look: Look) {
    let mut world = world(look).await;
    for round in 0..2 {
        if round == 1 {
            world.trim();
        }
        for _ in 0..6 {
            world.write();
        }
        let at = world.past();
        let mut began = 0;
        for encoding in Encoding::ALL {
            for cut in 1.. {
                let mut replica = fresh(Kind::State);
                let whole = world.watch(&mut replica, (encoding, cut % 3 > 0), cut).await;
                if let Some(stood) = replica.cursor.as_deref().and_then(offset) {
                    assert!(stood >= at, "nothing stands before the position: {stood} {at}");
                    began += u32::from(stood == at);
                    check(&world, &replica);
                }
                if replica.cursor.as_deref().and_then(offset) < Some(world.last_told().max(at)) {
                    assert!(!whole, "everything was told");
                    world.watch(&mut replica, wire(cut), usize::MAX).await;
                }
                check(&world, &replica);
                if whole {
                    break;
                }
            }
        }
        assert!(began > 0, "the rows as of the position were never looked at alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_begins_in_the_past_cut_at_any_byte_resumes_exactly() {
    begun_in_the_past_and_cut_everywhere(Look::plain(Kind::State)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_one_that_is_patched_resumes_exactly() {
    let look = red_or_low(Look::plain(Kind::State)).fields("color,list,n,pos.x");
    begun_in_the_past_and_cut_everywhere(look.told(Mode::JsonPatch, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_in_ticks_resumes_exactly() {
    begun_in_the_past_and_cut_everywhere(Look::plain(Kind::State).told(Mode::Patch, Some("50/s"))).await;
}
