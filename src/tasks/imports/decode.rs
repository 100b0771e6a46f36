//! Decodes the bytes of a file.

use super::params::TextEncoding;
use super::stop::{Stop, refused};

const BOM: &[u8] = b"\xEF\xBB\xBF";
/// The characters of Windows-1252 from 0x80 to 0x9F, where Latin-1 has control characters.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of a file, without a byte order mark.
pub(super) fn decode(mut bytes: Vec<u8>, encoding: TextEncoding) -> Result<String, Stop> {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        let sentence = "The file is UTF-16. Save it as \"CSV UTF-8\" and send it again.";
        return Err(refused("not_utf8", sentence));
    }
    if bytes.starts_with(BOM) {
        // A file with this mark is UTF-8, whatever the parameters are.
        return utf8(bytes.split_off(BOM.len()), BOM.len());
    }
    match encoding {
        TextEncoding::Utf8 => utf8(bytes, 0),
        TextEncoding::Latin1 => Ok(bytes.into_iter().map(latin1).collect()),
    }
}

fn utf8(bytes: Vec<u8>, skipped: usize) -> Result<String, Stop> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + memchr::memchr_iter(b'\n', &error.as_bytes()[..at]).count();
        let sentence = format!(
            "The file is not UTF-8: line {line}, byte {} of the file. If it comes from an older \
             spreadsheet, say \"encoding\":\"latin-1\".",
            skipped + at + 1
        );
        refused("not_utf8", sentence)
    })
}

fn latin1(byte: u8) -> char {
    let above = byte.checked_sub(0x80).map(usize::from);
    let windows = above.and_then(|at| WINDOWS.get(at));
    windows.copied().unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        match decode(bytes.to_vec(), TextEncoding::Utf8) {
            Err(Stop::Failed(why)) if why.code.as_str() == "not_utf8" => {
                why.message.as_str().to_owned()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_encodings_are_decoded() {
        let text = |bytes: &[u8], encoding| decode(bytes.to_vec(), encoding).unwrap();
        assert_eq!(text("Zoë".as_bytes(), TextEncoding::Utf8), "Zoë");
        assert_eq!(text(b"\xEF\xBB\xBFa", TextEncoding::Utf8), "a");
        assert_eq!(text(b"\xEF\xBB\xBF\xC3\xAB", TextEncoding::Latin1), "ë");
        assert_eq!(text(b"Zo\xEB \x80 \xFF", TextEncoding::Latin1), "Zoë € ÿ");
    }

    #[test]
    fn invalid_utf8_is_reported_with_its_position() {
        let sentence = refusal(b"Name\nAnn\nZo\xEB\n");
        assert!(sentence.contains("line 3, byte 12"), "{sentence}");
        assert!(sentence.contains("latin-1"), "{sentence}");
        assert!(refusal(b"\xFF\xFEN\0").contains("UTF-16"));
        assert!(refusal(b"\xFE\xFF\0N").contains("UTF-16"));
    }
}
