//! The id of a work item, `PREFIX-NNN`, and what is derived from it.

use super::{BadName, IdPrefix, stored_as_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const KEY_RULE: &str = "PREFIX-NNN: 1 to 12 characters A-Z and 0-9 with a letter first, and a number from 001";

/// The id of a work item, e.g. `ET-001`; one number has exactly one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkItemKey {
    prefix: IdPrefix,
    number: u32,
}

impl WorkItemKey {
    /// The key of the tracker's `number`-th work item of the project.
    ///
    /// # Errors
    /// The number is 0.
    pub fn new(prefix: &IdPrefix, number: u32) -> Result<WorkItemKey, BadName> {
        if number == 0 {
            return Err(BadName::new("work item number", "0", "1 to 4294967295"));
        }
        Ok(WorkItemKey { prefix: prefix.clone(), number })
    }

    /// The project's part.
    pub fn prefix(&self) -> &IdPrefix {
        &self.prefix
    }

    /// The tracker's `sequence_id`.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl FromStr for WorkItemKey {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let bad = || BadName::new("work item id", s, KEY_RULE);
        let (prefix, digits) = s.split_once('-').ok_or_else(bad)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let prefix: IdPrefix = prefix.parse().map_err(|_| bad())?;
        let key = WorkItemKey::new(&prefix, digits.parse().map_err(|_| bad())?).map_err(|_| bad())?;
        if key.to_string() == s { Ok(key) } else { Err(bad()) }
    }
}

impl fmt::Display for WorkItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:03}", self.prefix, self.number)
    }
}
stored_as_text!(WorkItemKey);

/// The folder of a work item's artifacts, relative to the repository: `docs/work-items/<ID>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactDir(WorkItemKey);

impl ArtifactDir {
    const PARENT: &'static str = "docs/work-items/";

    /// The folder of `key`.
    pub fn of(key: &WorkItemKey) -> ArtifactDir {
        ArtifactDir(key.clone())
    }

    /// The work item.
    pub fn key(&self) -> &WorkItemKey {
        &self.0
    }

    /// The path of a file in it. `name` is configuration, checked there; it is not checked again.
    pub fn file(&self, name: &str) -> String {
        format!("{self}/{name}")
    }
}

impl FromStr for ArtifactDir {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let key = s.strip_prefix(Self::PARENT).and_then(|key| key.parse().ok());
        key.map(ArtifactDir).ok_or_else(|| BadName::new("artifact folder", s, "docs/work-items/PREFIX-NNN"))
    }
}

impl fmt::Display for ArtifactDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PARENT, self.0)
    }
}
stored_as_text!(ArtifactDir);

/// The work item a branch belongs to: the first component of its name that is a key, alone or before a `-`.
pub fn key_in_branch(branch: &str) -> Option<WorkItemKey> {
    branch.split('/').find_map(|component| {
        let mut parts = component.splitn(3, '-');
        let (prefix, number) = (parts.next()?, parts.next()?);
        format!("{prefix}-{number}").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(s: &str) -> WorkItemKey {
        s.parse().unwrap()
    }

    #[test]
    fn keys_have_one_spelling() {
        for good in ["ET-001", "ET-999", "ET-1000", "A1B-4294967295"] {
            assert_eq!(key(good).to_string(), good);
        }
        for bad in
            ["", "ET", "ET-", "ET-1", "ET-0001", "ET-000", "ET-+01", "et-001", "ET-001 ", "ET-4294967296", "-001"]
        {
            let err = bad.parse::<WorkItemKey>().unwrap_err().to_string();
            assert!(err.contains("PREFIX-NNN") && err.contains(bad), "{err}");
        }
        assert!(WorkItemKey::new(&"ET".parse().unwrap(), 0).is_err());
        assert_eq!((key("ET-012").number(), key("ET-012").prefix().as_str()), (12, "ET"));
    }

    #[test]
    fn keys_are_stored_as_text() {
        assert_eq!(serde_json::to_string(&key("ET-001")).unwrap(), "\"ET-001\"");
        assert_eq!(serde_json::from_str::<WorkItemKey>("\"ET-001\"").unwrap(), key("ET-001"));
        assert!(serde_json::from_str::<WorkItemKey>("\"../x\"").is_err());
    }

    #[test]
    fn folders_follow_the_key() {
        let dir = ArtifactDir::of(&key("ET-001"));
        assert_eq!(dir.to_string(), "docs/work-items/ET-001");
        assert_eq!(dir.file("06-adr.md"), "docs/work-items/ET-001/06-adr.md");
        assert_eq!("docs/work-items/ET-001".parse::<ArtifactDir>().unwrap(), dir);
        for bad in ["docs/work-items/", "docs/work-items/../x", "ET-001", "docs/work-items/ET-001/"] {
            assert!(bad.parse::<ArtifactDir>().is_err(), "{bad}");
        }
    }

    #[test]
    fn branches_name_their_work_item() {
        let rows = [
            ("feature/ET-001-login", Some("ET-001")),
            ("feature/ET-001", Some("ET-001")),
            ("ET-1234-x", Some("ET-1234")),
            ("hotfix/a/ET-002-b-c", Some("ET-002")),
            ("feature/ET-0001-x", None),
            ("feature/ET-001x", None),
            ("feature/xET-001", None),
            ("main", None),
            ("feature/UTF-8-support", None),
            ("", None),
        ];
        for (branch, want) in rows {
            assert_eq!(key_in_branch(branch).map(|k| k.to_string()).as_deref(), want, "{branch}");
        }
    }

    proptest! {
        #[test]
        fn any_identifier_gives_a_valid_prefix_or_none(identifier in "\\PC{0,40}", number in 1u32..) {
            if let Ok(prefix) = IdPrefix::from_identifier(&identifier) {
                prop_assert_eq!(&prefix.as_str().parse::<IdPrefix>().unwrap(), &prefix);
                let key = WorkItemKey::new(&prefix, number).unwrap();
                prop_assert_eq!(key.to_string().parse::<WorkItemKey>().unwrap(), key);
            }
        }
    }
}
