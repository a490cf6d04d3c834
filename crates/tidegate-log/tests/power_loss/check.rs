//! What the log shows, compared with the model in full.

use rand::Rng;
use tidegate_core::{ChannelId, Op};
use tidegate_log::{AppendError, Batch, Condition, Expect, Health, ReadError, Standing, SteppedLog, loaded_mark};

use super::History;
use super::common::{ALL, address, names, scope};
use super::model::{CHANNELS, Known, Rows, as_known};

impl History {
    /// Everything that the log shows is what the model says.
    pub(crate) fn check(&mut self, log: &SteppedLog) {
        if self.disk.is_off() {
            return;
        }
        for name in CHANNELS {
            if let Err(error) = self.check_channel(log, name) {
                panic!("{name}: {error}");
            }
        }
        assert_eq!(log.checkpoint("source"), self.model.checkpoint);
        assert_eq!(log.checkpoint(&loaded_mark("source", CHANNELS[0])), self.model.checkpoint);
    }

    pub(crate) fn check_channel(&mut self, log: &SteppedLog, name: &'static str) -> Result<(), ReadError> {
        let channel = log.channel(name).expect("a channel");
        let empty = Vec::new();
        let known = self.model.records.get(name).unwrap_or(&empty);
        assert_eq!(channel.head(), known.len() as u64, "{name}");
        let start = channel.start();
        assert!(start <= channel.head() && (start == 0 || name == "bounded" || name == "keyed"), "{name} {start}");
        let held = &known[start as usize..];

        let mut after = start;
        let mut seen = Vec::new();
        let mut appended = 0;
        while after < channel.head() {
            let page = channel.read(after, u64::MAX, &scope("a/*"), ALL)?;
            assert!(page.upto > after);
            for record in &page.records {
                assert!(record.offset > after && record.appended.0 >= appended);
                (after, appended) = (record.offset, record.appended.0);
                seen.push((record.offset, as_known(record)));
            }
            after = page.upto;
        }
        let expected: Vec<(u64, Known)> = (start + 1..).zip(held.iter().cloned()).collect();
        assert_eq!(seen, expected, "{name}");

        let at = format!("a/{}", self.rng.random_range(0..6));
        let mine = |(_, known): &&(u64, Known)| known.address == at || known.op.is_channel_wide();
        let expected: Vec<(u64, Known)> = expected.iter().filter(mine).cloned().collect();
        let page = channel.read(start, u64::MAX, &scope(&at), ALL)?;
        let seen: Vec<(u64, Known)> = page.records.iter().map(|record| (record.offset, as_known(record))).collect();
        assert_eq!(seen, expected, "{name} {at}");
        let newest = channel.newest(&scope(&at), 3)?;
        let newest: Vec<u64> = newest.iter().map(|record| record.offset).collect();
        let tail: Vec<u64> = expected[expected.len().saturating_sub(3)..].iter().map(|(offset, _)| *offset).collect();
        assert_eq!(newest, tail, "{name} {at}");

        self.check_standing(log, name, start, &at);

        if channel.keyed() {
            let page = channel.rows(&scope("a/*"), None, ALL)?;
            assert_eq!((page.at, page.next), (channel.head(), None));
            let rows = page.rows.iter().map(|row| {
                ((row.address.as_str().to_owned(), row.key.clone().into_string()), (row.data.clone(), row.offset))
            });
            assert_eq!(rows.collect::<Rows>(), self.model.rows.get(name).cloned().unwrap_or_default(), "{name}");
            for key in (0..5).map(|key| format!("k{key}")) {
                match channel.addresses_of(&key) {
                    Err(ReadError::NotByKey) => assert!(name == "keyed" && !self.by_key),
                    found => assert_eq!(names(&found?), self.model.addresses_of(name, &key), "{name} {key}"),
                }
            }
        }
        Ok(())
    }

    /// What conditions of batches are judged by. One that never holds asks without writing anything.
    fn check_standing(&self, log: &SteppedLog, name: &str, start: u64, at: &str) {
        let keyed = name.starts_with("keyed");
        let empty = Vec::new();
        let known = self.model.records.get(name).unwrap_or(&empty);
        // Retention forgets plain addresses; keyed ones are remembered for good.
        let from = if keyed { 0 } else { start };
        let last = |wanted: &dyn Fn(&Known) -> bool| {
            known.iter().rposition(wanted).map(|index| index as u64 + 1).filter(|offset| *offset > from)
        };
        let own = last(&|known| known.address == at && !known.op.is_channel_wide());
        let wide = match keyed {
            true => last(&|known| known.op == Op::Clear).filter(|_| own.is_some()),
            false => last(&|known| known.op.is_channel_wide()),
        };
        let mut places = vec![(None, Standing { last: own.max(wide).or(Some(from)), exists: own.is_some() })];
        for key in (0..5).filter(|_| keyed).map(|key| format!("k{key}")) {
            let rows = self.model.rows.get(name);
            let last = rows.and_then(|rows| rows.get(&(at.to_owned(), key.clone()))).map(|(_, offset)| *offset);
            places.push((Some(key.as_str().into()), Standing { last, exists: last.is_some() }));
        }
        for (key, expected) in places {
            let (channel, condition) = (ChannelId::of(name), Condition::LastIs(Vec::new()));
            let expect = Some(Expect { channel, address: address(at), key: key.clone(), condition });
            match log.append(Batch { expect, ..Batch::default() }) {
                Err(AppendError::Unexpected(standing)) => assert_eq!(standing, expected, "{name} {at} {key:?}"),
                other => assert!(self.disk.is_off() || log.health() != Health::Good, "{name} {at} {key:?}: {other:?}"),
            }
        }
    }
}
