//! Random expressions of random events. `TIDEGATE_SEED` says which to repeat, `TIDEGATE_EXPRESSIONS` how
//! many there are (2,000 events and expressions of each property, unless it says otherwise).

mod differential;
mod generate;
mod properties;
mod theirs;

use generate::Generator;

/// Calls `each` with a generator for each case; a case that fails names its seed.
fn cases(mut each: impl FnMut(&mut Generator)) {
    let number = |name: &str, otherwise: u64| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => otherwise,
    };
    let (seed, count) = (number("TIDEGATE_SEED", rand::random()), number("TIDEGATE_EXPRESSIONS", 2_000));
    println!("TIDEGATE_SEED={seed}");
    let mut generator = Generator::new(seed);
    for _ in 0..count {
        each(&mut generator);
    }
}
