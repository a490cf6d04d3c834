//! What is kept has its limits: in bytes, of one and of all, and under the ceiling of memory.

use tidegate_wire::{Step, Use};

use super::*;

const CEILING: usize = 16 * MIB;
/// What kept answers may take of it.
const PART: usize = CEILING / 16;
const VALUE_BYTES: usize = 100 * 1024;

/// Rows of their own at addresses of their own.
fn fill(rig: &Rig, count: usize) {
    for number in 0..count {
        rig.upsert(&format!("rows/{number}"), "k", format!("\"{}\"", "x".repeat(VALUE_BYTES)));
    }
}

#[tokio::test]
async fn the_least_used_make_room() {
    let rig = Rig::new(CEILING);
    fill(&rig, 40);
    let memory = rig.gateway.tails.memory().clone();
    for number in 0..40 {
        rig.get(&format!("rows/{number}")).await;
        rig.get("rows/0").await;
        assert!(memory.used(Use::Answers) <= PART, "{} bytes", memory.used(Use::Answers));
    }
    let figures = rig.gateway.answers.figures();
    assert_eq!((figures.read, figures.kept), (40, 40), "the one that is always asked for stays");
    assert!((5..=10).contains(&figures.entries), "{figures:?}");
    // The newest is kept, one of the first is not.
    rig.get("rows/39").await;
    rig.get("rows/1").await;
    let after = rig.gateway.answers.figures();
    assert_eq!((after.kept - figures.kept, after.read - figures.read), (1, 1));
}

#[tokio::test]
async fn a_large_answer_is_not_kept() {
    let rig = Rig::new(64 * CEILING);
    fill(&rig, 11);
    for _ in 0..2 {
        let made = rig.get("rows/*").await;
        assert!(made.body.len() > MIB && !made.keeps);
    }
    let figures = rig.gateway.answers.figures();
    assert_eq!((figures.read, figures.entries), (2, 0));
    assert_eq!(rig.gateway.tails.memory().used(Use::Answers), 0);
}

/// What was dropped and is still being written counts: so many clients that do not read cannot make
/// the server hold more.
#[tokio::test]
async fn what_is_still_written_counts() {
    let rig = Rig::new(CEILING);
    fill(&rig, 22);
    let memory = rig.gateway.tails.memory().clone();
    let mut held = Vec::new();
    for number in 0..22 {
        held.push(rig.get(&format!("rows/{number}")).await.body.clone());
        assert!(memory.used(Use::Answers) <= PART);
    }
    assert!(memory.used(Use::Answers) > PART / 2 && memory.used(Use::Bodies) > 10 * VALUE_BYTES);
    drop(held);
    assert!(memory.used(Use::Answers) <= PART && memory.used(Use::Bodies) == 0);
}

#[tokio::test]
async fn they_are_given_up_first() {
    let rig = Rig::new(CEILING);
    fill(&rig, 4);
    for number in 0..4 {
        rig.get(&format!("rows/{number}")).await;
    }
    assert_eq!(rig.gateway.answers.figures().entries, 4);
    let memory = rig.gateway.tails.memory().clone();
    let rings = memory.take(Use::Rings, CEILING / 100 * 75);
    while rig.gateway.answers.figures().entries > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(memory.used(Use::Answers), 0);
    assert!(!rig.get("rows/0").await.keeps);
    drop(rings);
    assert!(rig.get("rows/0").await.keeps);
    while memory.shed(Step::Blocks) < 4 {
        tokio::task::yield_now().await;
    }
}
