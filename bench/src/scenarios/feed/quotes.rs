//! A market that is made up: what its rows look like, and what happens to them, the same in every run.

/// Where all rows are.
pub(super) const ADDRESS: &str = "quotes/tidal";
pub(super) const KEYS: usize = 1_000;
/// The key of a row that comes last.
pub(super) const END: &str = "END";
/// The two members that an update changes, and the one that says of what.
pub(super) const FIELDS: &str = "fields=symbol,price,volume";

const SEED: u64 = 0x7469_6465_6761_7465;
const SECTORS: [&str; 4] = ["Industrials", "Utilities", "Energy", "Consumer Staples"];

/// The state of the market.
pub(super) struct Quotes {
    random: u64,
    quotes: Vec<Quote>,
}

#[derive(Clone, Copy)]
struct Quote {
    /// In hundredths.
    opened: u64,
    price: u64,
    volume: u64,
}

impl Quotes {
    pub(super) fn new() -> Quotes {
        let mut market = Quotes { random: SEED, quotes: Vec::new() };
        for _ in 0..KEYS {
            let opened = 500 + market.random(50_000);
            let volume = market.random(1_000_000);
            market.quotes.push(Quote { opened, price: opened, volume });
        }
        market
    }

    /// All rows as they are.
    pub(super) fn rows(&self) -> Vec<String> {
        (0..KEYS).map(|key| self.row(key)).collect()
    }

    /// One of them is traded: its price moves by up to five hundredths, its volume grows. All are traded equally often.
    pub(super) fn traded(&mut self) -> String {
        let key = self.random(KEYS as u64) as usize;
        let (moves, traded) = (self.random(10), 100 * (1 + self.random(20)));
        let quote = &mut self.quotes[key];
        // Up or down, never not at all, and never to nothing.
        quote.price = if moves < 5 { quote.price + moves + 1 } else { quote.price.saturating_sub(moves - 4).max(1) };
        quote.volume += traded;
        self.row(key)
    }

    /// Twenty members: texts, dates and times, prices, sizes.
    fn row(&self, key: usize) -> String {
        let Quote { opened, price, volume } = self.quotes[key];
        let (symbol, sector) = (symbol(key), SECTORS[key % SECTORS.len()]);
        let hundredths = |value: u64| format!("{}.{:02}", value / 100, value % 100);
        let [open, high, low, close] = [opened, opened + 310, opened - 270, opened - 40].map(hundredths);
        let [bid, ask, price] = [opened - 2, opened + 3, price].map(hundredths);
        format!(
            r#"{{"symbol":"{symbol}","name":"{symbol} Tidal Works plc","isin":"XX{key:010}","exchange":"XTID","currency":"EUR","sector":"{sector}","status":"open","listed":"2011-04-02","opened":"2026-11-27T08:00:00.000Z","lot":100,"tick":0.01,"open":{open},"high":{high},"low":{low},"close":{close},"bid":{bid},"ask":{ask},"price":{price},"volume":{volume},"note":"dividend of 0.42 EUR on 2026-12-04"}}"#
        )
    }

    /// A number below this one (xorshift).
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % below
    }
}

/// The row that comes last.
pub(super) fn end() -> String {
    format!(r#"{{"symbol":"{END}","price":0.01,"volume":0}}"#)
}

/// Four letters.
fn symbol(key: usize) -> String {
    let letter = |place: usize| char::from(b'A' + (key / place % 26) as u8);
    ['Q', letter(676), letter(26), letter(1)].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn an_update_changes_two_of_twenty_members() {
        let mut quotes = Quotes::new();
        for _ in 0..100 {
            let before: Vec<Value> = quotes.rows().iter().map(|row| serde_json::from_str(row).expect("JSON")).collect();
            let after: Value = serde_json::from_str(&quotes.traded()).expect("JSON");
            let was = before.iter().find(|row| row["symbol"] == after["symbol"]).expect("a row");
            let members = after.as_object().expect("an object");
            let changed = members.iter().filter(|(name, value)| was[name.as_str()] != **value);
            let changed: Vec<&str> = changed.map(|(name, _)| name.as_str()).collect();
            assert_eq!((members.len(), changed), (20, vec!["price", "volume"]));
        }
    }
}
