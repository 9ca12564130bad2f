//! How a job's payload is stored: as its text, or, where that is long (the body of a webhook), compressed. A third of the
//! bytes is a third of the pages that go to the log, to the database and to its copies.

use diesel::backend::Backend;
use diesel::deserialize::{FromSql, Queryable, Result as FromResult};
use diesel::serialize::{IsNull, Output, Result as ToResult, ToSql};
use diesel::sql_types::{Binary, Text};
use diesel::sqlite::Sqlite;
use zstd::bulk::Decompressor;

/// What a compressed payload begins with; no text of JSON does. A frame of Zstandard (RFC 8878) follows.
const MARK: u8 = 1;

/// Quick: the bodies of webhooks repeat themselves so much that higher levels gain little.
const LEVEL: i32 = 1;

/// Texts shorter than this stay as they are.
const SHORT: usize = 1024;

/// No text is longer: a body has 25 MiB at most. A length beyond that is damage, and not memory to be set aside.
const LONGEST: usize = 64 * 1024 * 1024;

/// A payload as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(Stored);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stored {
    Text(String),
    Zstd(Vec<u8>),
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

/// The mark and the frame.
fn compress(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut marked = zstd::bulk::compress(text, LEVEL)?;
    marked.insert(0, MARK);
    Ok(marked)
}

impl From<&str> for Packed {
    fn from(text: &str) -> Packed {
        text.to_owned().into()
    }
}

impl Packed {
    /// Its bytes as stored.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Stored::Text(text) => text.len(),
            Stored::Zstd(bytes) => bytes.len(),
        }
    }

    /// The text.
    pub fn text(&self) -> Result<String, DamagedPayload> {
        match &self.0 {
            Stored::Text(text) => Ok(text.clone()),
            Stored::Zstd(bytes) => unpack(bytes),
        }
    }
}

impl ToSql<Binary, Sqlite> for Packed {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> ToResult {
        match &self.0 {
            Stored::Text(text) => out.set_value(text.as_bytes()),
            Stored::Zstd(bytes) => out.set_value(bytes.as_slice()),
        }
        Ok(IsNull::No)
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
    let frame = marked.get(1..).unwrap_or_default();
    let length =
        Decompressor::upper_bound(frame).ok_or_else(|| DamagedPayload("it does not say how long it is".into()))?;
    if !(SHORT..=LONGEST).contains(&length) {
        return Err(DamagedPayload(format!("a text of {length} bytes")));
    }
    let bytes = zstd::bulk::decompress(frame, length).map_err(|e| DamagedPayload(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| DamagedPayload(e.to_string()))
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
        let text = "a line of a very long diff\n".repeat(26_000);
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

    proptest! {
        #[test]
        fn every_text_comes_back(word in "\\PC{0,20}", times in 0usize..300) {
            let text = word.repeat(times);
            prop_assert_eq!(Packed::from(text.clone()).text().unwrap(), text);
        }
    }
}
