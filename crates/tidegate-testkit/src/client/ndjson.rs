//! Lines of JSON: bytes in, frames out; a line without its end is never seen.

use serde_json::Value;

/// Collects bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// Takes bytes as they come, cut anywhere; empty lines are keep-alives.
    ///
    /// # Errors
    /// A line that is no JSON.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Value>) -> Result<(), String> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.last() != Some(&b'\n') {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let frame = serde_json::from_slice(&line);
            out.push(frame.map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&line)))?);
        }
        Ok(())
    }
}
