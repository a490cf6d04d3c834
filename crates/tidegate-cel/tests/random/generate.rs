//! Makes sources and events that meet: few names, few values, so that most expressions have a result,
//! many are true of some event, and mistakes of all sorts occur.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tidegate_cel::{Event, Params, Timestamp, Variables};

pub(crate) const TIME: &str = "2024-05-06T07:08:09.5Z";

pub(crate) struct Generator {
    random: StdRng,
    /// The names of open macros.
    locals: Vec<&'static str>,
}

/// What an event is made of.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) data: String,
    pub(crate) key: String,
    pub(crate) region: String,
    pub(crate) op: &'static str,
}

pub(crate) fn variables() -> Variables {
    Event::variables(["region"], true)
}

impl Made {
    pub(crate) fn params(&self) -> Params<'_> {
        Params::new([("region", self.region.as_str())])
    }

    pub(crate) fn event<'m>(&'m self, params: &'m Params<'m>) -> Event<'m> {
        let time = Timestamp::parse(TIME).expect("a time");
        Event::new(self.data.as_bytes(), Some(&self.key), time, params).with_op(self.op)
    }
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Generator {
        Generator { random: StdRng::seed_from_u64(seed), locals: Vec::new() }
    }

    pub(crate) fn event(&mut self) -> Made {
        let mut members = Vec::new();
        for name in ["a", "b", "n", "s"] {
            if self.often() {
                members.push(format!("\"{name}\":{}", self.json_scalar()));
            }
        }
        if self.often() {
            members.push(format!("\"o\":{{\"x\":{},\"y\":{}}}", self.json_scalar(), self.json_scalar()));
        }
        if self.often() {
            let list: Vec<String> = (0..self.random.random_range(0..4)).map(|_| self.json_scalar()).collect();
            members.push(format!("\"l\":[{}]", list.join(",")));
        }
        if self.often() {
            let items: Vec<String> = (0..self.random.random_range(0..4))
                .map(|_| format!("{{\"q\":{},\"p\":{}}}", self.json_scalar(), self.json_scalar()))
                .collect();
            members.push(format!("\"items\":[{}]", items.join(",")));
        }
        let data = format!("{{{}}}", members.join(","));
        let op = if self.even() { "upsert" } else { "delete" };
        Made { data, key: self.word().to_owned(), region: self.word().to_owned(), op }
    }

    /// A condition, most often.
    pub(crate) fn source(&mut self) -> String {
        if self.often() { self.bool(4) } else { self.any(3) }
    }

    /// Two spellings of one condition: the sides of an equality are swapped.
    pub(crate) fn swapped(&mut self) -> [String; 2] {
        let operator = self.one_of(&["==", "!="]);
        let [one, other] = if self.even() { [self.path(), self.scalar()] } else { [self.any(2), self.any(2)] };
        let beside = if self.even() { format!(" && {}", self.bool(2)) } else { String::new() };
        [format!("({one}) {operator} ({other}){beside}"), format!("({other}) {operator} ({one}){beside}")]
    }

    /// A condition that is likely to be found by an index.
    pub(crate) fn indexed(&mut self) -> String {
        let equality = self.equality();
        match self.random.random_range(0..5) {
            0 => equality,
            1 => format!("{equality} && {}", self.bool(2)),
            2 => format!("{} && ({equality})", self.bool(2)),
            3 => format!("{equality} || {}", self.equality()),
            _ => format!("({equality} || {}) && ({} || {})", self.equality(), self.equality(), self.equality()),
        }
    }

    fn equality(&mut self) -> String {
        let path = self.path();
        match self.random.random_range(0..5) {
            0 | 1 => format!("{path} == {}", self.scalar()),
            2 => format!("{} == {path}", self.scalar()),
            3 => {
                let list: Vec<String> = (0..self.random.random_range(0..12)).map(|_| self.scalar()).collect();
                format!("{path} in [{}]", list.join(", "))
            }
            _ => format!("{}{path}", if self.even() { "!" } else { "" }),
        }
    }

    fn bool(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.equality();
        }
        let depth = depth - 1;
        match self.random.random_range(0..16) {
            0 | 1 => format!("{} && {}", self.bool(depth), self.bool(depth)),
            2 | 3 => format!("({} || {})", self.bool(depth), self.bool(depth)),
            4 => format!("!({})", self.bool(depth)),
            5 | 6 => {
                let operator = self.one_of(&["==", "!=", "<", "<=", ">", ">="]);
                format!("{} {operator} {}", self.any(depth), self.any(depth))
            }
            7 => {
                let operator = self.one_of(&["==", "<", ">="]);
                format!("{} {operator} {}", self.number(depth), self.number(depth))
            }
            8 => {
                let of = if self.even() { "data.o".to_owned() } else { self.list(depth) };
                format!("{} in {of}", self.any(depth))
            }
            9 => {
                let method = self.one_of(&["startsWith", "endsWith", "contains"]);
                format!("{}.{method}({})", self.string(depth), self.string(depth))
            }
            10 => {
                let pattern = self.one_of(&["^a", "b$", "[a-c]+", "a.*b|^$", "^\\\\w+$"]);
                format!("{}.matches(\"{pattern}\")", self.string(depth))
            }
            11 => format!("has({})", self.field()),
            12 | 13 => self.quantified(depth),
            14 => format!("({} ? {} : {})", self.bool(depth), self.bool(depth), self.bool(depth)),
            _ => format!(
                "time {} timestamp('{}')",
                self.one_of(&["<", "==", ">"]),
                self.one_of(&[TIME, "2024-01-01T00:00:00Z"])
            ),
        }
    }

    fn quantified(&mut self, depth: usize) -> String {
        if self.locals.len() == 2 {
            return self.equality();
        }
        let range = match self.random.random_range(0..5) {
            0 => "data.o".to_owned(),
            1 | 2 => "data.items".to_owned(),
            _ => self.list(depth),
        };
        let name = self.one_of(&["all", "exists", "exists_one"]);
        let variable = ["u", "v"][self.locals.len()];
        self.locals.push(variable);
        let body = self.bool(depth);
        self.locals.pop();
        format!("{range}.{name}({variable}, {body})")
    }

    fn list(&mut self, depth: usize) -> String {
        if depth == 0 || self.locals.len() == 2 {
            return "data.l".to_owned();
        }
        let depth = depth - 1;
        match self.random.random_range(0..6) {
            0 => format!("[{}, {}]", self.any(depth), self.any(depth)),
            1 => {
                let variable = ["u", "v"][self.locals.len()];
                let range = self.list(depth);
                self.locals.push(variable);
                let source = match self.random.random_range(0..3) {
                    0 => format!("{range}.filter({variable}, {})", self.bool(depth)),
                    1 => format!("{range}.map({variable}, {})", self.any(depth)),
                    _ => format!("{range}.map({variable}, {}, {})", self.bool(depth), self.any(depth)),
                };
                self.locals.pop();
                source
            }
            2 => format!("({} + {})", self.list(depth), self.list(depth)),
            _ => "data.l".to_owned(),
        }
    }

    fn any(&mut self, depth: usize) -> String {
        match self.random.random_range(0..8) {
            0 | 1 => self.path(),
            2 => self.scalar(),
            3 => self.number(depth),
            4 => self.string(depth),
            5 if depth > 0 => self.list(depth - 1),
            6 if depth > 0 => format!("({})", self.bool(depth - 1)),
            _ => self.path(),
        }
    }

    fn number(&mut self, depth: usize) -> String {
        if depth == 0 || self.even() {
            return if self.even() { self.path() } else { self.numeral() };
        }
        let depth = depth - 1;
        match self.random.random_range(0..8) {
            0 => format!("size({})", self.list(depth)),
            1 => format!("size({})", self.string(depth)),
            2 => format!("int({})", self.any(depth)),
            3 => format!("double({})", self.number(depth)),
            4 => format!("-({})", self.number(depth)),
            5 => format!("time.{}()", self.one_of(&["getHours", "getDayOfWeek", "getMonth", "getMilliseconds"])),
            _ => {
                let operator = self.one_of(&["+", "-", "*", "/", "%"]);
                format!("({} {operator} {})", self.number(depth), self.number(depth))
            }
        }
    }

    fn string(&mut self, depth: usize) -> String {
        if depth == 0 {
            return if self.even() { "data.s".to_owned() } else { format!("'{}'", self.word()) };
        }
        match self.random.random_range(0..5) {
            0 => format!("({} + {})", self.string(depth - 1), self.string(depth - 1)),
            1 => format!("string({})", self.path()),
            2 => "key".to_owned(),
            _ => self.string(0),
        }
    }

    fn path(&mut self) -> String {
        if let Some(local) = self.locals.last().copied()
            && self.even()
        {
            return format!("{local}{}", self.one_of(&["", "", ".q", ".p"]));
        }
        match self.random.random_range(0..6) {
            0 => self.one_of(&["key", "params.region", "op"]).to_owned(),
            1 => self.one_of(&["data.l[0]", "data.items[0].q", "data['a']", "data.o['x']", "data.l[1]"]).to_owned(),
            _ => self.field(),
        }
    }

    fn field(&mut self) -> String {
        self.one_of(&["data.a", "data.b", "data.n", "data.s", "data.o.x", "data.o.y", "data.z", "data.a.deep"])
            .to_owned()
    }

    fn scalar(&mut self) -> String {
        match self.random.random_range(0..6) {
            0 => self.one_of(&["true", "false", "null"]).to_owned(),
            1..3 => format!("'{}'", self.word()),
            _ => self.numeral(),
        }
    }

    fn numeral(&mut self) -> String {
        let large = [
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615u",
            "9007199254740992.0",
            "9007199254740993",
        ];
        match self.random.random_range(0..12) {
            0 => self.one_of(&large).to_owned(),
            1..4 => self.one_of(&["0u", "1u", "2u"]).to_owned(),
            4..7 => self.one_of(&["0.0", "1.0", "2.0", "1.5", "-1.0"]).to_owned(),
            _ => self.one_of(&["0", "1", "2", "-1"]).to_owned(),
        }
    }

    fn json_scalar(&mut self) -> String {
        match self.random.random_range(0..8) {
            0 => self.one_of(&["true", "false", "null"]).to_owned(),
            1..3 => format!("\"{}\"", self.word()),
            3 => self.one_of(&["9223372036854775807", "18446744073709551615", "1e18", "9007199254740993"]).to_owned(),
            4 | 5 => self.one_of(&["0.0", "1.0", "2.0", "1.5", "-1.0"]).to_owned(),
            _ => self.one_of(&["0", "1", "2", "-1"]).to_owned(),
        }
    }

    fn word(&mut self) -> &'static str {
        self.one_of(&["", "a", "ab", "b", "é", "1"])
    }

    fn one_of(&mut self, list: &[&'static str]) -> &'static str {
        list.choose(&mut self.random).expect("there are some")
    }

    fn even(&mut self) -> bool {
        self.random.random()
    }

    fn often(&mut self) -> bool {
        self.random.random_ratio(9, 10)
    }
}
