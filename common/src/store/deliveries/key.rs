//! What makes a delivery known again, as it is stored.

use super::Source;
use smallvec::SmallVec;
use std::borrow::Cow;
use uuid::Uuid;

/// A UUID as its 16 bytes, which is less than half of the text. Only the usual spelling is shortened, so that no two
/// texts become one key.
pub(super) fn compact(key: &[u8]) -> Cow<'_, [u8]> {
    let uuid = Uuid::try_parse_ascii(key).ok();
    let usual = uuid.filter(|uuid| uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes() == key);
    usual.map_or(Cow::Borrowed(key), |uuid| Cow::Owned(uuid.into_bytes().to_vec()))
}

/// A delivery's key among those of all sources; their order is that of the index. Thousands are kept in memory and come and go:
/// a UUID, which most are, takes no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FullKey {
    source: Source,
    key: SmallVec<[u8; 16]>,
}

impl FullKey {
    /// `key` as its sender spells it.
    pub(super) fn new(source: Source, key: &[u8]) -> FullKey {
        FullKey::stored(source, &compact(key))
    }

    /// `key` as it is stored.
    pub(super) fn stored(source: Source, key: &[u8]) -> FullKey {
        FullKey { source, key: SmallVec::from_slice(key) }
    }

    pub(super) fn source(&self) -> Source {
        self.source
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.key
    }
}
