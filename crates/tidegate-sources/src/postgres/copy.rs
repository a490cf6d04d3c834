//! Rows of `COPY … TO STDOUT` in text format: fields with tabs between them, `\N` for null, and backslashes before what
//! would be taken for either.

/// A line that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CopyError {
    #[error("a copied row ends in a backslash")]
    Backslash,
}

/// Calls `each` with every field of a line, in order; `None` is null. The line may end with its line feed. `scratch` is
/// overwritten; it is handed over so that one buffer does for all lines.
pub(super) fn fields(line: &[u8], scratch: &mut Vec<u8>, mut each: impl FnMut(Option<&[u8]>)) -> Result<(), CopyError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    // A tab of a value is written as `\t`, so each tab ends a field.
    for field in line.split(|&byte| byte == b'\t') {
        if field == b"\\N" {
            each(None);
        } else if field.contains(&b'\\') {
            unescape(field, scratch)?;
            each(Some(scratch));
        } else {
            each(Some(field));
        }
    }
    Ok(())
}

fn unescape(field: &[u8], out: &mut Vec<u8>) -> Result<(), CopyError> {
    out.clear();
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        // Postgres writes no octal or hexadecimal escapes, it only reads them.
        out.push(match bytes.next().ok_or(CopyError::Backslash)? {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            &other => other,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[u8]) -> Result<Vec<Option<Vec<u8>>>, CopyError> {
        let (mut found, mut scratch) = (Vec::new(), Vec::new());
        fields(line, &mut scratch, |field| found.push(field.map(<[u8]>::to_vec)))?;
        Ok(found)
    }

    #[test]
    fn fields_are_told_from_nulls_and_escapes() {
        let text = |text: &[u8]| Some(text.to_vec());
        assert_eq!(read(b"1\t\\N\t\ta b\n"), Ok(vec![text(b"1"), None, text(b""), text(b"a b")]));
        assert_eq!(read(b"\\\\N\t\\\\\\N\\\\"), Ok(vec![text(b"\\N"), text(b"\\N\\")]));
        assert_eq!(read(b"\\b\\f\\n\\r\\t\\v\\\\x00"), Ok(vec![text(b"\x08\x0c\n\r\t\x0b\\x00")]));
        assert_eq!(read(b""), Ok(vec![text(b"")]));
        assert_eq!(read(b"\\.\n"), Ok(vec![text(b".")]));
        assert_eq!(read(b"a\\"), Err(CopyError::Backslash));
    }
}
