//! How one value is read: from the text of a variable, from the file, and from the literal that is its default.

use super::address::{BaseUrl, GitRemote};
use super::running::{Locale, PermissionMode};
use super::secret::Secret;
use crate::domain::stage::Role;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A type that can be read. `None` = not allowed; the setting's documentation says what is.
pub trait Readable: Sized {
    /// Never shown, and also read from `*_FILE` and systemd credentials.
    const SECRET: bool = false;
    /// A bad text in the variable is warned about and the default used; everything else stops the start.
    const LENIENT: bool = false;

    /// The value of a variable; the text is not blank.
    fn from_text(text: &str) -> Option<Self>;
    /// The value in the file.
    fn from_toml(value: &toml::Value) -> Option<Self>;
}

/// A type a setting can have.
pub trait Setting: Readable {
    /// What the default is written as.
    type Literal;
    /// What a rule looks at: the value itself, or what is in an `Option`.
    type Item;

    /// The default.
    fn from_literal(literal: Self::Literal) -> Self;
    /// Whether `rule` holds.
    fn obeys(&self, rule: fn(&Self::Item) -> bool) -> bool;
}

/// `Readable` by two functions.
macro_rules! readable {
    ($($ty:ty, $from_text:expr, $from_toml:expr;)+) => { $(
        impl Readable for $ty {
            fn from_text(text: &str) -> Option<Self> {
                let read: fn(&str) -> Option<$ty> = $from_text;
                read(text)
            }
            fn from_toml(value: &toml::Value) -> Option<Self> {
                let read: fn(&toml::Value) -> Option<$ty> = $from_toml;
                read(value)
            }
        }
    )+ };
}

readable! {
    u32, parsed, |v| v.as_integer()?.try_into().ok();
    u64, parsed, |v| v.as_integer()?.try_into().ok();
    f64, |t| parsed(t).filter(|n: &f64| n.is_finite()), number;
    String, |t| line(t.trim()), |v| v.as_str().and_then(line).or_else(|| Some(v.as_integer()?.to_string()));
    PathBuf, |t| line(t.trim()).map(PathBuf::from), |v| v.as_str().and_then(line).map(PathBuf::from);
    SocketAddr, parsed, |v| v.as_str().and_then(parsed);
    BaseUrl, parsed, |v| v.as_str().and_then(parsed);
    GitRemote, parsed, |v| v.as_str().and_then(parsed);
    Locale, parsed, |v| v.as_str().and_then(parsed);
    PermissionMode, parsed, |v| v.as_str().and_then(parsed);
    Vec<String>, |t| split(t).map(line).collect(), |v| v.as_array()?.iter().map(|i| i.as_str().and_then(line)).collect();
}

fn parsed<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

/// Text of one line that is not blank.
fn line(text: &str) -> Option<String> {
    (!text.trim().is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// The file may say `2` where `2.0` is meant.
fn number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().and_then(|n| i32::try_from(n).ok()).map(f64::from))
}

/// The items of a comma-separated list.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

impl Readable for Secret {
    const SECRET: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        line(text.trim()).map(Secret::new)
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_str().and_then(Self::from_text)
    }
}

/// Seconds per role; as JSON in the variable, as a table in the file. No bound is without limit.
impl Readable for BTreeMap<Role, u64> {
    const LENIENT: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        let pair = |(role, seconds): (&String, &toml::Value)| Some((role.parse().ok()?, u64::from_toml(seconds)?));
        value.as_table()?.iter().map(pair).collect()
    }
}

impl<T: Readable> Readable for Option<T> {
    const SECRET: bool = T::SECRET;
    const LENIENT: bool = T::LENIENT;

    fn from_text(text: &str) -> Option<Self> {
        T::from_text(text).map(Some)
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        T::from_toml(value).map(Some)
    }
}

/// What `none` as a default stands for.
impl<T: Readable> Setting for Option<T> {
    type Literal = &'static str;
    type Item = T;

    fn from_literal(_none: &'static str) -> Self {
        None
    }

    fn obeys(&self, rule: fn(&T) -> bool) -> bool {
        self.as_ref().is_none_or(rule)
    }
}

/// `Setting` of a type that is its own item, by the literal its default is written as.
macro_rules! setting {
    ($($ty:ty, $literal:ty, $from_literal:expr;)+) => { $(
        impl Setting for $ty {
            type Literal = $literal;
            type Item = $ty;
            fn from_literal(literal: $literal) -> Self {
                let make: fn($literal) -> $ty = $from_literal;
                make(literal)
            }
            fn obeys(&self, rule: fn(&$ty) -> bool) -> bool {
                rule(self)
            }
        }
    )+ };
}

setting! {
    u32, u32, |n| n;
    u64, u64, |n| n;
    f64, f64, |n| n;
    String, &'static str, str::to_owned;
    PathBuf, &'static str, PathBuf::from;
    SocketAddr, &'static str, |t| t.parse().unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    BaseUrl, &'static str, BaseUrl::known;
    Locale, &'static str, |t| t.parse().unwrap_or(Locale::En);
    PermissionMode, &'static str, |t| t.parse().unwrap_or(PermissionMode::DontAsk);
    Vec<String>, &'static str, |t| split(t).map(str::to_owned).collect();
    BTreeMap<Role, u64>, &'static str, |_| BTreeMap::new();
}
