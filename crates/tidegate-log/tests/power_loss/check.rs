//! What the log shows, compared with the model in full.

use rand::Rng;
use tidegate_log::{ReadError, SteppedLog, loaded_mark};

use super::History;
use super::common::{ALL, names, scope};
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
}
