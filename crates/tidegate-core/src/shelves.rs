//! Many small things that live for long, each under a number, close together in memory.
//!
//! What a watcher is made of lives for hours and is made between the buffers of handshakes, which live
//! for milliseconds. In boxes of their own the long-lived would pin the pages of the short-lived: the
//! allocator gets the holes back, but the system does not. So they stand on shelves: pieces of memory
//! for a few dozen, taken when the first comes and given back when the last has gone.

use std::ops::{Index, IndexMut};

/// Things on one shelf: some thousands of bytes, of which at most one shelf is not in use when they came
/// one by one.
const PLACES: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Shelves<T> {
    shelves: Vec<Shelf<T>>,
    /// Below here no shelf has room.
    room_from: usize,
    len: usize,
}

#[derive(Debug)]
struct Shelf<T> {
    taken: usize,
    /// Empty while nothing is taken.
    places: Box<[Option<T>]>,
}

impl<T> Shelves<T> {
    /// The number that the next [`Shelves::insert`] gives: the first that is free on the first shelf
    /// with room, so that those who stay come to be together.
    pub fn vacancy(&mut self) -> usize {
        let full = self.shelves[self.room_from..].iter().take_while(|shelf| shelf.taken == PLACES).count();
        self.room_from += full;
        let free = |shelf: &Shelf<T>| shelf.places.iter().position(Option::is_none).unwrap_or_default();
        self.room_from * PLACES + self.shelves.get(self.room_from).map_or(0, free)
    }

    /// Puts a thing where there is room. Returns its number.
    pub fn insert(&mut self, thing: T) -> usize {
        let number = self.vacancy();
        self.put(number, thing);
        number
    }

    /// Puts a thing under a number, in place of what was there.
    pub fn put(&mut self, number: usize, thing: T) {
        let (at, place) = (number / PLACES, number % PLACES);
        if at >= self.shelves.len() {
            self.shelves.resize_with(at + 1, || Shelf { taken: 0, places: Box::default() });
        }
        let shelf = &mut self.shelves[at];
        if shelf.places.is_empty() {
            shelf.places = std::iter::repeat_with(|| None).take(PLACES).collect();
        }
        if shelf.places[place].replace(thing).is_none() {
            shelf.taken += 1;
            self.len += 1;
        }
    }

    /// Takes a thing away.
    pub fn remove(&mut self, number: usize) -> Option<T> {
        let shelf = self.shelves.get_mut(number / PLACES)?;
        let thing = shelf.places.get_mut(number % PLACES)?.take()?;
        shelf.taken -= 1;
        if shelf.taken == 0 {
            shelf.places = Box::default();
        }
        self.len -= 1;
        self.room_from = self.room_from.min(number / PLACES);
        while self.shelves.last().is_some_and(|last| last.taken == 0) {
            self.shelves.pop();
        }
        self.room_from = self.room_from.min(self.shelves.len());
        Some(thing)
    }

    /// What is there under a number.
    pub fn get(&self, number: usize) -> Option<&T> {
        self.shelves.get(number / PLACES)?.places.get(number % PLACES)?.as_ref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.shelves.get_mut(number / PLACES)?.places.get_mut(number % PLACES)?.as_mut()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All numbers are below this one.
    pub fn end(&self) -> usize {
        self.shelves.len() * PLACES
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.shelves.iter().flat_map(|shelf| shelf.places.iter().flatten())
    }
}

impl<T> Shelves<T> {
    /// The same, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.shelves.iter_mut().flat_map(|shelf| shelf.places.iter_mut().flatten())
    }
}

impl<T> Index<usize> for Shelves<T> {
    type Output = T;

    fn index(&self, number: usize) -> &T {
        self.get(number).expect("there is something under the number")
    }
}

impl<T> IndexMut<usize> for Shelves<T> {
    fn index_mut(&mut self, number: usize) -> &mut T {
        self.get_mut(number).expect("there is something under the number")
    }
}

impl<T> Default for Shelves<T> {
    fn default() -> Shelves<T> {
        Shelves { shelves: Vec::new(), room_from: 0, len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    impl<T> Shelves<T> {
        fn places(&self) -> usize {
            self.shelves.iter().map(|shelf| shelf.places.len()).sum()
        }
    }

    /// A thousand that come and go in a disorder that is the same each time: each is found under its
    /// number until it goes, and no number is given twice.
    #[test]
    fn each_is_found_until_it_goes() {
        let (mut shelves, mut wanted, mut random) = (Shelves::default(), BTreeMap::new(), 1u64);
        for step in 0..20_000u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step | 1);
            let number = (random >> 33) as usize % 1_000;
            match (random >> 20) % 5 {
                0 => assert_eq!(wanted.insert(shelves.insert(step), step), None),
                1 => {
                    shelves.put(number, step);
                    wanted.insert(number, step);
                }
                2 => assert_eq!(shelves.get(number), wanted.get(&number)),
                3 => assert_eq!(shelves.get_mut(number), wanted.get_mut(&number)),
                _ => assert_eq!(shelves.remove(number), wanted.remove(&number)),
            }
            assert_eq!(shelves.len(), wanted.len());
        }
        assert!(shelves.iter().eq(wanted.values()));
        assert!(wanted.last_key_value().is_none_or(|(last, _)| *last < shelves.end()));
        for number in wanted.into_keys() {
            shelves.remove(number);
        }
        assert_eq!((shelves.len(), shelves.end(), shelves.places()), (0, 0, 0));
    }

    /// Who comes stands where others have gone, and what all have left is given back.
    #[test]
    fn memory_is_for_those_who_are_there() {
        let mut shelves = Shelves::default();
        let numbers: Vec<usize> = (0..10 * PLACES).map(|_| shelves.insert(())).collect();
        assert!(numbers.into_iter().eq(0..10 * PLACES));
        assert_eq!(shelves.places(), 10 * PLACES);
        for number in (0..10 * PLACES).filter(|number| number % PLACES != 7) {
            shelves.remove(number);
        }
        assert_eq!((shelves.len(), shelves.places()), (10, 10 * PLACES));
        for _ in 0..PLACES - 1 {
            assert!(shelves.insert(()) < PLACES);
        }
        for shelf in 1..10 {
            shelves.remove(shelf * PLACES + 7);
        }
        assert_eq!((shelves.len(), shelves.places()), (PLACES, PLACES));
    }
}
