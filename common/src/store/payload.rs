//! How a job's payload is stored: as its text, or, where that is long (the body of a webhook), compressed. A third of the
//! bytes is a third of the pages that go to the log, to the database and to its copies.

use diesel::backend::Backend;
use diesel::deserialize::{FromSql, Queryable, Result as FromResult};
use diesel::serialize::{IsNull, Output, Result as ToResult, ToSql};
use diesel::sql_types::{Binary, Text};
use diesel::sqlite::Sqlite;
use std::borrow::Cow;
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};

/// What a compressed payload begins with; no text of JSON does. A frame of Zstandard (RFC 8878) follows, made with
/// [`DICTIONARY`]. Another dictionary needs another mark.
const MARK: u8 = 1;

/// The names in webhooks of Plane and Gitea, in their order: what every body repeats need not be in it. Before them stand the
/// tables of how often what comes (RFC 8878, section 5), made from such webhooks by `ZDICT_finalizeDictionary`: making them for
/// each body was a third of the time. Never to be changed: what was stored with it is read with it.
const DICTIONARY: &[u8] = include_bytes!("payload.dictionary");

/// With those tables as quick as the levels below it, for a seventh fewer bytes.
const LEVEL: i32 = 1;

/// Texts shorter than this stay as they are.
const SHORT: usize = 1024;

/// Longer ones are compressed with a context of their own, so that none of megabytes is kept by a thread.
pub(super) const LONG: usize = 256 * 1024;

/// No text is longer: a body has 25 MiB at most. A length beyond that is damage, and not memory to be set aside.
const LONGEST: usize = 64 * 1024 * 1024;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// A payload as it is stored, or on its way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(Stored);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stored {
    Text(String),
    Zstd(Vec<u8>),
    /// Not put together yet.
    Pieces(Pieces),
}

/// What an object's text begins with, and the last value in it; a brace follows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pieces {
    head: String,
    last: String,
}

impl Pieces {
    fn all(&self) -> [&[u8]; 3] {
        [self.head.as_bytes(), self.last.as_bytes(), b"}"]
    }

    fn joined(&self) -> String {
        [&self.head, &self.last, "}"].concat()
    }
}

impl Packed {
    /// An object whose text begins with `head` and ends with the value `last` and a brace. It is put together and compressed
    /// by who stores it; one that takes long at once, where nobody waits behind it.
    pub fn later(head: String, last: String) -> Packed {
        let pieces = Pieces { head, last };
        if pieces.head.len() + pieces.last.len() > LONG {
            pieces.joined().into()
        } else {
            Packed(Stored::Pieces(pieces))
        }
    }
}

impl From<String> for Packed {
    fn from(text: String) -> Packed {
        let length = text.len();
        let wanted = (SHORT..=LONGEST).contains(&length);
        match wanted.then(|| compress(text.as_bytes())) {
            Some(Ok(frame)) if frame.len() < length => Packed(Stored::Zstd(frame)),
            Some(Ok(_) | Err(_)) | None => Packed(Stored::Text(text)),
        }
    }
}

fn compress(text: &[u8]) -> std::io::Result<Vec<u8>> {
    if text.len() > LONG {
        return frame(&mut Compressor::with_dictionary(LEVEL, DICTIONARY)?, text);
    }
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::with_dictionary(LEVEL, DICTIONARY)?),
        };
        frame(compressor, text)
    })
}

/// The mark and the frame.
fn frame(compressor: &mut Compressor<'_>, text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut marked = vec![0; 1 + zstd::zstd_safe::compress_bound(text.len())];
    let Some((mark, room)) = marked.split_first_mut() else { return Ok(marked) };
    *mark = MARK;
    let written = compressor.compress_to_buffer(text, room)?;
    marked.truncate(1 + written);
    marked.shrink_to_fit();
    Ok(marked)
}

impl From<&str> for Packed {
    fn from(text: &str) -> Packed {
        text.to_owned().into()
    }
}

impl Packed {
    /// Its bytes as it is now.
    pub fn bytes(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// As it is now, in pieces.
    pub(super) fn pieces(&self) -> [&[u8]; 3] {
        match &self.0 {
            Stored::Text(text) => [text.as_bytes(), b"", b""],
            Stored::Zstd(bytes) => [bytes, b"", b""],
            Stored::Pieces(pieces) => pieces.all(),
        }
    }

    /// Put together and, where it is long, compressed. It is quicker where many are done in a row: what it takes is in the
    /// processor's cache then.
    pub(super) fn packed(&self) -> Cow<'_, Packed> {
        match &self.0 {
            Stored::Text(_) | Stored::Zstd(_) => Cow::Borrowed(self),
            Stored::Pieces(pieces) => Cow::Owned(pieces.joined().into()),
        }
    }

    /// Whether it is a text still, to be compressed with others.
    pub(super) fn is_text(&self) -> bool {
        !matches!(self.0, Stored::Zstd(_))
    }

    /// The text.
    pub fn text(&self) -> Result<String, DamagedPayload> {
        match &self.0 {
            Stored::Text(text) => Ok(text.clone()),
            Stored::Pieces(pieces) => Ok(pieces.joined()),
            Stored::Zstd(bytes) => unpack(bytes),
        }
    }
}

impl ToSql<Binary, Sqlite> for Packed {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> ToResult {
        match &self.0 {
            Stored::Text(text) => out.set_value(text.as_bytes()),
            Stored::Zstd(bytes) => out.set_value(bytes.as_slice()),
            Stored::Pieces(pieces) => out.set_value(pieces.joined().into_bytes()),
        }
        Ok(IsNull::No)
    }
}

/// Many texts as one, compressed, with the mark before them.
pub(super) fn pack_bytes(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    compress(bytes)
}

/// What [`pack_bytes`] was given.
pub(super) fn unpack_bytes(marked: &[u8]) -> Result<Vec<u8>, DamagedPayload> {
    match marked.split_first() {
        Some((&MARK, frame)) => decompress(frame, 0),
        Some(_) | None => Err(DamagedPayload("it has not the mark of this format".into())),
    }
}

/// A stored payload that is neither text nor a compressed text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored payload is damaged: {0}")]
pub struct DamagedPayload(String);

/// A payload that was read: its text.
#[derive(Debug)]
pub struct Unpacked(String);

impl From<Unpacked> for String {
    fn from(unpacked: Unpacked) -> String {
        unpacked.0
    }
}

impl FromSql<Text, Sqlite> for Unpacked {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> FromResult<Self> {
        let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(value)?;
        if bytes.first() == Some(&MARK) {
            return Ok(Unpacked(unpack(&bytes)?));
        }
        Ok(Unpacked(String::from_utf8(bytes)?))
    }
}

impl Queryable<Text, Sqlite> for Unpacked {
    type Row = Self;
    fn build(row: Self) -> FromResult<Self> {
        Ok(row)
    }
}

fn unpack(marked: &[u8]) -> Result<String, DamagedPayload> {
    let bytes = decompress(marked.get(1..).unwrap_or_default(), SHORT)?;
    String::from_utf8(bytes).map_err(|e| DamagedPayload(e.to_string()))
}

/// Of at least so many bytes.
fn decompress(frame: &[u8], shortest: usize) -> Result<Vec<u8>, DamagedPayload> {
    let damaged = |what: String| DamagedPayload(what);
    let length = Decompressor::upper_bound(frame).ok_or_else(|| damaged("it does not say how long it is".into()))?;
    if !(shortest..=LONGEST).contains(&length) {
        return Err(damaged(format!("a text of {length} bytes")));
    }
    let bytes = Decompressor::with_dictionary(DICTIONARY).and_then(|mut d| d.decompress(frame, length));
    bytes.map_err(|e| damaged(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_long_and_repeats_itself_is_stored_short() {
        let long = r#"{"commits":[{"message":"why it was done"}]}"#.repeat(100);
        let packed = Packed::from(long.clone());
        assert!(packed.bytes() < long.len() / 3);
        assert_eq!(packed.text().unwrap(), long);
    }

    #[test]
    fn one_that_would_not_get_shorter_stays_a_text() {
        let noise: String =
            (0..2000u32).map(|n| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect();
        for text in ["{}".to_owned(), "x".repeat(SHORT - 1)] {
            assert_eq!(Packed::from(text.clone()).0, Stored::Text(text));
        }
        assert_eq!(Packed::from(noise.clone()).text().unwrap(), noise);
    }

    #[test]
    fn a_very_long_one_comes_back() {
        let text = "a line of a very long diff\n".repeat(LONG / 10);
        assert_eq!(Packed::from(text.clone()).text().unwrap(), text);
    }

    #[test]
    fn damage_is_said_and_asks_for_no_memory() {
        let text: String = (0..1000).map(|n| format!("{n}:{};", n * n)).collect();
        let Packed(Stored::Zstd(good)) = Packed::from(text.clone()) else { panic!("not compressed") };
        assert_eq!(unpack(&good).unwrap(), text);
        // The header's second byte says how long the length is: here, eight bytes that say far too much.
        let mut huge = vec![MARK, 0x28, 0xb5, 0x2f, 0xfd];
        huge.extend([0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x01, 0x00, 0x00]);
        for bad in [&good[..3], &good[..9], &good[..good.len() - 1], &huge, &[MARK][..]] {
            assert!(unpack(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pieces_are_stored_as_the_text_they_make() {
        for length in [0, SHORT, LONG + 1] {
            let body = format!("\"{}\"", "wort ".repeat(length / 5));
            let text = format!(r#"{{"source":"plane","body":{body}}}"#);
            let packed = Packed::later(r#"{"source":"plane","body":"#.into(), body);
            assert_eq!(packed.text().unwrap(), text);
            assert_eq!(*packed.packed(), Packed::from(text.clone()));
            assert_eq!(packed.packed().text().unwrap(), text);
        }
    }

    #[test]
    fn bytes_come_back_and_what_is_none_of_ours_is_refused() {
        for bytes in [vec![], vec![7; 3], b"many texts ".repeat(30_000)] {
            assert_eq!(unpack_bytes(&pack_bytes(&bytes).unwrap()).unwrap(), bytes);
        }
        for bad in [&b""[..], b"{}", &[MARK, 0x28, 0xb5, 0x2f, 0xfd, 0]] {
            assert!(unpack_bytes(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(word in "\\PC{0,20}", times in 0usize..300) {
            let text = word.repeat(times);
            prop_assert_eq!(Packed::from(text.clone()).text().unwrap(), text);
        }
    }
}
