//! Lanes with real sockets: whatever clients do, each is told exactly what it watches, and nothing is
//! left of those that went.
#![allow(unreachable_pub, missing_docs, reason = "nothing outside of this program sees its modules")]

mod client;
mod frames;
mod rights;
mod turns;
mod world;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_wire::StreamOptions;
use tokio::task::JoinSet;

use client::{Client, check};
use world::{PARTS, World};

fn seed() -> u64 {
    let seed = std::env::var("TIDEGATE_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("seed"));
    println!("seed {seed}");
    seed
}

fn size(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// Hundreds of clients that read slowly, stall, break off, resume and change what they watch, while
/// bursts are written that no ring holds and what is old is trimmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_clients_do_each_is_told_exactly_what_it_watches() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let stream = StreamOptions { lanes: 2, ..StreamOptions::default() };
    let world = World::new(Duration::from_millis(800), stream);
    let mut clients = JoinSet::new();
    for number in 0..size("TIDEGATE_CLIENTS", 240) as u64 {
        clients.spawn(Client::new(world.clone(), seed.wrapping_add(1 + number)).run());
    }
    let writer = {
        let world = world.clone();
        tokio::task::spawn_blocking(move || {
            for _ in 0..size("TIDEGATE_BURSTS", 120) {
                match random.random_range(0..10) {
                    0 => {
                        for _ in 0..6 {
                            world.write(&mut random, 0, 64, 1_500);
                        }
                    }
                    1 => world.write(&mut random, 0, 1, 150_000),
                    2 => world.trim(),
                    _ => {
                        let (part, count) = (random.random_range(0..PARTS), random.random_range(1..12));
                        world.write(&mut random, part, count, 120);
                    }
                }
                std::thread::park_timeout(Duration::from_millis(random.random_range(0..40)));
            }
            world.finish();
        })
    };
    writer.await.expect("the writer");
    let all = async {
        while let Some(done) = clients.join_next().await {
            for (wish, replica) in done.expect("a client") {
                check(&world, &wish, &replica);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("all clients are told everything");
    let stats = world.tails.stats();
    println!(
        "{} records, {} frames from tails, {} times behind a ring",
        world.written().records.len(),
        stats.frames.load(std::sync::atomic::Ordering::Relaxed),
        stats.behind.load(std::sync::atomic::Ordering::Relaxed)
    );
    world.empty().await;
}
