//! What the projects' repositories are called at the forge now. One that is renamed is found again by its id, and called by its
//! new name from then on, while it keeps the configured one everywhere else.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Shared by all who call the forge. Holds only what differs from the configuration.
#[derive(Debug, Clone, Default)]
pub struct Names(Arc<RwLock<HashMap<String, String>>>);

impl Names {
    /// What `repo` (`owner/name`, as it is configured) is called now.
    pub fn now(&self, repo: &str) -> String {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&repo.to_lowercase()).cloned().unwrap_or_else(|| repo.to_owned())
    }

    /// It is called `name`; `false` = that is known.
    pub fn learn(&self, repo: &str, name: &str) -> bool {
        if self.now(repo).eq_ignore_ascii_case(name) {
            return false;
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if repo.eq_ignore_ascii_case(name) {
            all.remove(&repo.to_lowercase());
        } else {
            all.insert(repo.to_lowercase(), name.to_owned());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_its_configured_name_until_another_is_known_and_after_it_is_back() {
        let names = Names::default();
        let shared = names.clone();
        assert!(!names.learn("Acme/Shop", "acme/shop"), "letters alone are no other name");
        assert_eq!(shared.now("acme/shop"), "acme/shop");
        assert!(names.learn("acme/shop", "acme/store"));
        assert!(!names.learn("acme/shop", "Acme/Store"));
        assert_eq!([shared.now("Acme/shop"), shared.now("acme/other")], ["acme/store", "acme/other"]);
        assert!(names.learn("acme/shop", "acme/shop"));
        assert_eq!(shared.now("acme/shop"), "acme/shop");
    }
}
