//! Content codings (RFC 9110, section 8.4): a body whose runs of frames are compressed one by one.
//!
//! ```text
//!   gzip   10 bytes for each watcher ─ deflated run, ended by a flush ─ run ─ run …
//!   zstd   magic for each watcher ─ frame without its magic, magic ─ frame, magic ─ … ─ frame
//! ```
//!
//! No run refers to what came before it, so it is compressed once for all watchers of a view, and
//! one may begin, go on or end between any two. All runs of gzip are one member, since Chromium
//! ignores all but the first. The member is not ended: its end would need the checksum of
//! everything that this one watcher got. The stream ends as one without a coding does, by a `close`
//! frame.
//!
//! Each run of zstd is a frame, and the four bytes with which all frames begin come with the one
//! before: Python's httpx fails where what it has read ends exactly with a frame. With
//! `close` it does, and is followed by nothing.
//!
//! A compressor is hundreds of kilobytes, so there is one a thread, not one a tail or a watcher.

use std::cell::RefCell;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::bulk::Compressor;

use super::counters::{Compressed, Counters};
use super::deflate;

/// The work that zstd puts into finding repetitions.
const ZSTD_LEVEL: i32 = 3;
/// The work that gzip puts into a whole body.
const GZIP_LEVEL: u32 = 3;
const ZSTD_WORKS: &str = "there is memory, and room for what does not become smaller";
/// A thread keeps what it takes to compress so much at once.
const KEPT_BYTES: usize = 256 * 1024;
/// Magic, deflate, no flags, no time, no extra, an unknown system (RFC 1952, section 2.3).
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// What every frame begins with (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How the bytes of a body are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

static GZIPPED: Counters = Counters::new();
static ZSTANDARD: Counters = Counters::new();

thread_local! {
    static ZSTD: RefCell<Option<Zstd>> = const { RefCell::new(None) };
}

struct Zstd {
    compressor: Compressor<'static>,
    room: Vec<u8>,
}

impl Coding {
    /// Its word in `Content-Encoding`.
    pub fn token(self) -> Option<&'static str> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Zstd => Some("zstd"),
        }
    }

    /// What a body begins with.
    pub fn head(self) -> &'static [u8] {
        match self {
            Coding::Gzip => &GZIP_HEAD,
            Coding::Zstd => &ZSTD_MAGIC,
            Coding::Identity => &[],
        }
    }

    /// Compresses one run, so that all of it can be read when its last byte has come.
    pub fn pack(self, run: Vec<u8>) -> Vec<u8> {
        match self {
            Coding::Identity => run,
            Coding::Gzip => {
                let packed = deflate::run(&run);
                GZIPPED.add(run.len(), packed.len());
                packed
            }
            Coding::Zstd => {
                let packed = ZSTD.with_borrow_mut(|zstd| zstd.get_or_insert_with(Zstd::new).pack(&run));
                ZSTANDARD.add(run.len(), packed.len());
                packed
            }
        }
    }

    /// The same of the run that is the last.
    pub fn pack_last(self, run: Vec<u8>) -> Vec<u8> {
        let mut packed = self.pack(run);
        if self == Coding::Zstd {
            packed.truncate(packed.len() - ZSTD_MAGIC.len());
        }
        packed
    }

    /// Compresses a whole body.
    pub fn whole(self, body: &[u8]) -> Vec<u8> {
        match self {
            Coding::Identity => body.to_vec(),
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
                let written = encoder.write_all(body).and_then(|()| encoder.finish());
                written.expect("writing to memory does not fail")
            }
            Coding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL).expect(ZSTD_WORKS),
        }
    }

    /// What compressing runs did since the process began, for each coding that compresses.
    pub fn figures() -> [(Coding, Compressed); 2] {
        [(Coding::Gzip, GZIPPED.read()), (Coding::Zstd, ZSTANDARD.read())]
    }

    /// The same without making it smaller: for what is there to take up room.
    pub fn store(self, run: &[u8]) -> Vec<u8> {
        match self {
            Coding::Identity => run.to_vec(),
            Coding::Gzip => store_deflated(run),
            Coding::Zstd => store_zstd(run),
        }
    }
}

/// Blocks of deflate that are stored (RFC 1951, section 3.2.4), none of which is the last.
fn store_deflated(bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(bytes.len() + 5);
    for block in bytes.chunks(usize::from(u16::MAX)) {
        let length = block.len() as u16;
        stored.push(0);
        stored.extend_from_slice(&length.to_le_bytes());
        stored.extend_from_slice(&(!length).to_le_bytes());
        stored.extend_from_slice(block);
    }
    stored
}

/// A frame of raw blocks, between its magic and that of the next, of one segment, whose size is said in four bytes.
fn store_zstd(bytes: &[u8]) -> Vec<u8> {
    const BLOCK_BYTES_MAX: usize = 128 * 1024;
    let mut stored = vec![0xa0];
    stored.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    let mut left = bytes;
    loop {
        let (block, rest) = left.split_at(left.len().min(BLOCK_BYTES_MAX));
        let header = (block.len() as u32) << 3 | u32::from(rest.is_empty());
        stored.extend_from_slice(&header.to_le_bytes()[..3]);
        stored.extend_from_slice(block);
        left = rest;
        if left.is_empty() {
            break;
        }
    }
    stored.extend_from_slice(&ZSTD_MAGIC);
    stored
}

impl Zstd {
    fn new() -> Zstd {
        Zstd { compressor: Compressor::new(ZSTD_LEVEL).expect("the level is one of zstd's"), room: Vec::new() }
    }

    fn pack(&mut self, run: &[u8]) -> Vec<u8> {
        self.room.clear();
        self.room.reserve(zstd::zstd_safe::compress_bound(run.len()));
        self.compressor.compress_to_buffer(run, &mut self.room).expect(ZSTD_WORKS);
        let packed = [&self.room[ZSTD_MAGIC.len()..], &ZSTD_MAGIC].concat();
        if self.room.capacity() > KEPT_BYTES {
            // Its compressor has grown with it.
            *self = Zstd::new();
        }
        packed
    }
}

#[cfg(test)]
mod tests;
