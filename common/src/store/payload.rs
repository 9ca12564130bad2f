//! How a job's payload is stored: as its text, or, where that is long (the body of a webhook), compressed. A third of the
//! bytes is a third of the pages that go to the log, to the database and to its copies.

use diesel::backend::Backend;
use diesel::deserialize::{FromSql, Queryable, Result as FromResult};
use diesel::serialize::{IsNull, Output, Result as ToResult, ToSql};
use diesel::sql_types::{Binary, Text};
use diesel::sqlite::Sqlite;
use lz4_flex::block::{compress_prepend_size, decompress, uncompressed_size};

/// First byte of a compressed payload, which no text of JSON begins with; then the length of the text as four bytes, the
/// least first, and an LZ4 block.
const LZ4: u8 = 0x04;

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
    Lz4(Vec<u8>),
}

impl From<String> for Packed {
    fn from(text: String) -> Packed {
        if text.len() < SHORT || text.len() > LONGEST {
            return Packed(Stored::Text(text));
        }
        let block = compress_prepend_size(text.as_bytes());
        if block.len() + 1 >= text.len() {
            return Packed(Stored::Text(text));
        }
        let mut marked = Vec::with_capacity(block.len() + 1);
        marked.push(LZ4);
        marked.extend_from_slice(&block);
        Packed(Stored::Lz4(marked))
    }
}

impl From<&str> for Packed {
    fn from(text: &str) -> Packed {
        text.to_owned().into()
    }
}

impl Packed {
    /// Bytes in the database.
    pub fn stored_bytes(&self) -> usize {
        match &self.0 {
            Stored::Text(text) => text.len(),
            Stored::Lz4(bytes) => bytes.len(),
        }
    }

    /// The text.
    pub fn text(&self) -> Result<String, DamagedPayload> {
        match &self.0 {
            Stored::Text(text) => Ok(text.clone()),
            Stored::Lz4(bytes) => unpack(bytes),
        }
    }
}

impl ToSql<Binary, Sqlite> for Packed {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> ToResult {
        match &self.0 {
            Stored::Text(text) => out.set_value(text.as_bytes()),
            Stored::Lz4(bytes) => out.set_value(bytes.as_slice()),
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
        match bytes.first() {
            Some(&LZ4) => Ok(Unpacked(unpack(&bytes)?)),
            Some(_) | None => Ok(Unpacked(String::from_utf8(bytes)?)),
        }
    }
}

impl Queryable<Text, Sqlite> for Unpacked {
    type Row = Self;
    fn build(row: Self) -> FromResult<Self> {
        Ok(row)
    }
}

fn unpack(marked: &[u8]) -> Result<String, DamagedPayload> {
    let damaged = |what: String| DamagedPayload(what);
    let block = marked.get(1..).unwrap_or_default();
    let (length, block) = uncompressed_size(block).map_err(|e| damaged(e.to_string()))?;
    if length > LONGEST {
        return Err(damaged(format!("a text of {length} bytes")));
    }
    let bytes = decompress(block, length).map_err(|e| damaged(e.to_string()))?;
    if bytes.len() != length {
        return Err(damaged(format!("{} bytes in place of {length}", bytes.len())));
    }
    String::from_utf8(bytes).map_err(|e| damaged(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_long_and_repeats_itself_is_stored_short() {
        let long = r#"{"commits":[{"message":"why it was done"}]}"#.repeat(100);
        let packed = Packed::from(long.clone());
        assert!(packed.stored_bytes() < long.len() / 3);
        assert_eq!(packed.text().unwrap(), long);
    }

    #[test]
    fn damage_is_said_and_asks_for_no_memory() {
        let Packed(Stored::Lz4(good)) = Packed::from("abc".repeat(1000)) else { panic!("not compressed") };
        assert_eq!(unpack(&good).unwrap(), "abc".repeat(1000));
        let mut huge = good.clone();
        huge[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut longer = good.clone();
        longer[1] ^= 1;
        for bad in [&good[..3], &good[..good.len() - 1], &huge, &longer, &[LZ4][..]] {
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
