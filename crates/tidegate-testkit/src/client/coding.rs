//! Content codings (RFC 9110, section 8.4), the client's side: compressed bytes in, cut anywhere,
//! and out all that can be read of them.

use std::io::Write;

use flate2::write::GzDecoder;
use zstd::stream::write::Decoder;

/// The bytes of one body.
pub enum Unpacker {
    /// As they are.
    Identity,
    /// RFC 1952.
    Gzip(Box<GzDecoder<Vec<u8>>>),
    /// RFC 8878.
    Zstd(Box<Decoder<'static, Vec<u8>>>),
}

impl Unpacker {
    /// By the word in `Content-Encoding`; without one the bytes are as they are.
    ///
    /// # Errors
    /// A coding that is not known.
    pub fn of(token: Option<&str>) -> Result<Unpacker, String> {
        Ok(match token {
            None => Unpacker::Identity,
            Some("gzip") => Unpacker::Gzip(Box::new(GzDecoder::new(Vec::new()))),
            Some("zstd") => {
                let decoder = Decoder::new(Vec::new()).map_err(|error| error.to_string())?;
                Unpacker::Zstd(Box::new(decoder))
            }
            Some(other) => return Err(format!("the coding is `{other}`")),
        })
    }

    /// All that can be read now that these bytes have come.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let unpacked = match self {
            Unpacker::Identity => return Ok(bytes.to_vec()),
            Unpacker::Gzip(decoder) => {
                decoder.write_all(bytes).and_then(|()| decoder.flush()).map(|()| std::mem::take(decoder.get_mut()))
            }
            Unpacker::Zstd(decoder) => {
                decoder.write_all(bytes).and_then(|()| decoder.flush()).map(|()| std::mem::take(decoder.get_mut()))
            }
        };
        unpacked.map_err(|error| error.to_string())
    }
}
