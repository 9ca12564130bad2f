//! A service, a repository or git that gives no answers for a while: it costs time and nothing else. And one that is slow holds
//! nobody up who wants something of another.

mod lanes;
mod looks;
mod table;
mod walks;
