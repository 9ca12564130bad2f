//! What can go wrong with a call, by what the caller can do about it.

/// The failure of one call. Texts are cut to [`EXCERPT_CHARS`] and never contain the token of the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Come back later: the service (or our own pace) allows no more calls now.
    #[error("rate limited, next try in {retry_after_s} s")]
    RateLimited {
        /// Whole seconds, at least 1.
        retry_after_s: u64,
    },
    /// The thing does not exist, or this account may not see it.
    #[error("not found")]
    NotFound,
    /// 401 or 403; the answer's body says which right is missing. A person must act.
    #[error("not allowed: {0}")]
    Unauthorized(String),
    /// 409: it exists already, or changed meanwhile.
    #[error("conflict: {body}")]
    Conflict {
        /// The id of what is there, where the service names it.
        existing_id: Option<String>,
        body: String,
    },
    /// Any other 3xx or 4xx: a 4xx will be refused again, a redirect leads away from the service. Status 0: not sent, the path is unusable.
    #[error("refused with status {status}: {body}")]
    Refused { status: u16, body: String },
    /// 5xx, no connection, a cut or a timeout: the same request may work later.
    #[error("unavailable: {why}")]
    Unavailable { why: String },
    /// The answer is not what this service answers (a proxy's page, another product, too large).
    #[error("malformed answer: {why}")]
    Malformed { why: String },
}

/// How much of an answer's body an error keeps.
pub const EXCERPT_CHARS: usize = 500;

impl ApiError {
    /// The same request may succeed later without anybody acting. What is not this service's answer says nothing about the
    /// request: a proxy stands in its place (with a page, or a redirect to one), or the answer was broken off.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            ApiError::RateLimited { .. }
                | ApiError::Unavailable { .. }
                | ApiError::Malformed { .. }
                | ApiError::Refused { status: 300..=399, .. }
        )
    }

    /// A refusal that a service whose account, address or repository is out of order gives to everything: whether it is
    /// about this request shows only when the service answers others.
    pub const fn may_be_of_everything(&self) -> bool {
        matches!(
            self,
            ApiError::NotFound | ApiError::Unauthorized(_) | ApiError::Refused { status: 300..=399 | 423, .. }
        )
    }

    /// The same request will be refused again, whatever else is answered.
    pub const fn is_final(&self) -> bool {
        !self.is_transient() && !self.may_be_of_everything()
    }

    /// Seconds the service asked us to wait.
    pub const fn retry_after(&self) -> Option<u64> {
        if let ApiError::RateLimited { retry_after_s } = self { Some(*retry_after_s) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waiting_helps_against_some() {
        let table = [
            (ApiError::RateLimited { retry_after_s: 7 }, true, Some(7)),
            (ApiError::Unavailable { why: "cut".into() }, true, None),
            (ApiError::NotFound, false, None),
            (ApiError::Unauthorized(String::new()), false, None),
            (ApiError::Conflict { existing_id: None, body: String::new() }, false, None),
            (ApiError::Refused { status: 422, body: String::new() }, false, None),
            (ApiError::Refused { status: 302, body: String::new() }, true, None),
            (ApiError::Malformed { why: String::new() }, true, None),
        ];
        for (error, transient, after) in table {
            assert_eq!((error.is_transient(), error.retry_after()), (transient, after), "{error}");
        }
    }

    #[test]
    fn some_refusals_may_be_of_everything() {
        let refused = |status| ApiError::Refused { status, body: String::new() };
        let table = [
            (ApiError::NotFound, true),
            (ApiError::Unauthorized(String::new()), true),
            (refused(423), true),
            (refused(301), true),
            (refused(422), false),
            (refused(400), false),
            (ApiError::Conflict { existing_id: None, body: String::new() }, false),
            (ApiError::Unavailable { why: String::new() }, false),
        ];
        for (error, expected) in table {
            assert_eq!(error.may_be_of_everything(), expected, "{error}");
        }
    }
}
