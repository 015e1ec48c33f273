//! Decodes the bytes of a list: UTF-8, and UTF-16 with a byte order mark. Anything else is named in the error, with a
//! command that makes it a text.

use anyhow::{Context, bail};
use chardetng::EncodingDetector;
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use crate::engine::description::counted;
use crate::files::origin::Origin;

/// Compressed files: first bytes, name, and command that unpacks.
const COMPRESSED: [(&[u8], &str, &str); 6] = [
    (b"\x1F\x8B", "gzip", "gzip -dc"),
    (b"\x1F\x9D", "compress", "gzip -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"\xFD7zXZ\0", "xz", "xz -dc"),
    (b"\x28\xB5\x2F\xFD", "zstd", "zstd -dc"),
    (b"\x04\x22\x4D\x18", "lz4", "lz4 -dc"),
];
/// First bytes of a zip archive, and so of an office document.
const ZIP: &[u8] = b"PK\x03\x04";
/// Bytes of an archive in which an office document is looked for.
const OFFICE_NAMES: usize = 4096;
/// First bytes of a 7z archive.
const SEVEN_ZIP: &[u8] = b"7z\xBC\xAF\x27\x1C";
/// Documents that are no text: first bytes, and name.
const DOCUMENTS: [(&[u8], &str); 6] = [
    (b"%PDF", "a PDF document"),
    (b"\xD0\xCF\x11\xE0", "an office document"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"PAR1", "a Parquet table"),
    (b"Rar!", "a RAR archive"),
    (b"\x89PNG", "a picture"),
];

/// Texts that were taken for Latin-1 and written as UTF-8: first characters, encoding, and the end of the command that
/// undoes it.
const MISREAD: [(&str, &str, &str); 3] = [
    ("ÿþ", "UTF-16", " | iconv -f UTF-16 -t UTF-8"),
    ("þÿ", "UTF-16", " | iconv -f UTF-16 -t UTF-8"),
    ("ï»¿", "UTF-8", ""),
];

/// Decodes `bytes` from `origin`.
pub(crate) fn decode(origin: &Origin, bytes: Vec<u8>) -> anyhow::Result<String> {
    let source = origin.name();
    if bytes.starts_with(b"\xFF\xFE\0\0") || bytes.starts_with(b"\0\0\xFE\xFF") {
        bail!("{source} is UTF-32; save it as UTF-8{}", origin.by("iconv -f UTF-32 -t UTF-8"));
    }
    for (mark, encoding) in [(b"\xFF\xFE", UTF_16LE), (b"\xFE\xFF", UTF_16BE)] {
        if let Some(rest) = bytes.strip_prefix(mark) {
            let text = encoding.decode_without_bom_handling_and_without_replacement(rest);
            return text.map(Into::into).with_context(|| {
                format!(
                    "{source} begins with the byte order mark of {encoding} and holds bytes that are not \
                     {encoding}: it is cut or altered; copy it again from where it was made, or, if it is \
                     the original, save it again as UTF-8",
                    encoding = encoding.name()
                )
            });
        }
    }
    let misread = |(start, ..): &&(&str, _, _)| bytes.starts_with(start.as_bytes());
    if let Some((start, encoding, back)) = MISREAD.iter().find(misread) {
        bail!(
            "{source} begins with “{start}”, so it is {encoding} text that was converted to UTF-8 as if it \
             were Latin-1; undo that{}",
            origin.by(&format!("iconv -f UTF-8 -t LATIN1{back}"))
        );
    }
    match String::from_utf8(bytes) {
        // No text holds a NUL, and UTF-16 without its mark holds one in about every other byte.
        Ok(text) if text.contains('\0') => Err(refusal(origin, text.as_bytes())),
        Ok(text) => Ok(text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text)),
        Err(error) => Err(refusal(origin, error.as_bytes())),
    }
}

/// The error for `bytes` from `origin` that are not UTF-8 or hold a NUL: their kind, and the way to a text.
fn refusal(origin: &Origin, bytes: &[u8]) -> anyhow::Error {
    let source = origin.name();
    let starts = |start: &[u8]| bytes.starts_with(start);
    if let Some((_, what, filter)) = COMPRESSED.iter().find(|(start, ..)| starts(start)) {
        return anyhow::anyhow!("{source} is compressed by {what}; unpack it{}", origin.by(filter));
    }
    if let Some((_, what)) = DOCUMENTS.iter().find(|(start, _)| starts(start)) {
        return anyhow::anyhow!(
            "{source} is {what}, not a text file; save its lines as plain text in UTF-8, one a line"
        );
    }
    if starts(ZIP) {
        let names = &bytes[..bytes.len().min(OFFICE_NAMES)];
        let office = |name: &&[u8]| names.windows(name.len()).any(|window| window == *name);
        if [&b"[Content_Types].xml"[..], b"mimetypeapplication/"].iter().any(office) {
            return anyhow::anyhow!(
                "{source} is an office document; save it as plain text or as CSV, in UTF-8"
            );
        }
        return anyhow::anyhow!("{source} is a zip archive; unpack it{}", origin.by_name("unzip -p"));
    }
    if starts(SEVEN_ZIP) {
        return anyhow::anyhow!("{source} is a 7z archive; unpack it{}", origin.by_name("7z e -so"));
    }
    if let Some(encoding) = unmarked(bytes) {
        let filter = format!("iconv -f {encoding} -t UTF-8");
        return anyhow::anyhow!(
            "{source} seems to be {encoding} without a byte order mark, and must be UTF-8; convert it{}",
            origin.by(&filter)
        );
    }
    if let Some(place) = bytes.iter().position(|byte| *byte == 0) {
        return anyhow::anyhow!(
            "{source}: line {} has the control character U+0000, so the file may be no text; if it is text, \
             remove the character{}",
            line_at(bytes, place),
            origin.by(r"tr -d '\000'")
        );
    }
    let valid = str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let line = line_at(bytes, valid);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_ascii());
    let (good, bad): (Vec<_>, Vec<_>) = lines.partition(|line| str::from_utf8(line).is_ok());
    if good.len() >= bad.len() {
        return anyhow::anyhow!(
            "{source}: line {line} has bytes that are not UTF-8, while {} with letters beyond ASCII are UTF-8: \
             the line seems damaged; correct it, or drop those bytes{}",
            counted(good.len(), "other line"),
            origin.by("iconv -c -f UTF-8 -t UTF-8")
        );
    }
    let (name, readings) = guess(bytes, &bad);
    anyhow::anyhow!(
        "{source}: line {line} is not UTF-8; {readings}; convert the list from {name}, or from another encoding if that reads wrong{}",
        origin.by(&format!("iconv -f {name} -t UTF-8"))
    )
}

/// The number of the line that holds byte `place`.
fn line_at(bytes: &[u8], place: usize) -> usize {
    bytes[..place].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The byte order of `bytes` if they seem to be UTF-16: in most texts, letters of the scripts of Europe and line ends
/// have a zero byte.
fn unmarked(bytes: &[u8]) -> Option<&'static str> {
    let zeros = |first: usize| bytes.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let many = |count: usize, other: usize| count * 8 > bytes.len() && other * 8 < count;
    if many(odd, even) {
        Some("UTF-16LE")
    } else if many(even, odd) {
        Some("UTF-16BE")
    } else {
        None
    }
}

/// Guesses the encoding of `bytes`, as iconv names it, and shows how one of `lines` reads in it. `lines` are those that
/// are not UTF-8.
///
/// A guess that assumes Western Europe may differ; then both are shown, by a line in which they differ. Where few lines
/// differ, both fit most lines, and Windows-1252 is by far the more frequent.
fn guess(bytes: &[u8], lines: &[&[u8]]) -> (&'static str, String) {
    /// A country of Western Europe.
    const WEST: Option<&[u8]> = Some(b"fr");
    let mut detector = EncodingDetector::new();
    detector.feed(bytes, true);
    let (likely, western) = (detector.guess(None, false), detector.guess(WEST, false));
    let read =
        |encoding: &'static Encoding, line| encoding.decode_without_bom_handling(line).0.trim().to_owned();
    let differ: Vec<&[u8]> =
        lines.iter().copied().filter(|line| read(likely, line) != read(western, line)).collect();
    let says = |encoding, line| format!("as {} it reads “{}”", iconv_name(encoding), read(encoding, line));
    match differ.first() {
        None => (iconv_name(likely), says(likely, lines.first().copied().unwrap_or_default())),
        Some(line) => {
            let west = differ.len() * 2 < lines.len();
            let [first, second] = if west { [western, likely] } else { [likely, western] };
            (iconv_name(first), format!("{} (and {})", says(first, line), says(second, line)))
        }
    }
}

/// The name that iconv has for `encoding` or for an encoding that contains it. The web's names often stand for more than
/// iconv's.
fn iconv_name(encoding: &'static Encoding) -> &'static str {
    match encoding.name() {
        "Shift_JIS" => "CP932",
        "EUC-KR" => "CP949",
        "GBK" => "GB18030",
        "Big5" => "BIG5-HKSCS",
        "ISO-8859-8-I" => "ISO-8859-8",
        name => name,
    }
}
