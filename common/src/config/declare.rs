//! The one way a setting is declared. `settings!` makes of each declaration the struct's field, its default,
//! its reading from variable and file, its limits and its line in `docs/CONFIGURATION.md`, so that none of
//! these can say something else than the others.

/// The documentation of one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingDoc {
    /// The table of the file, e.g. `worker`.
    pub section: &'static str,
    /// The key in that table.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The default as it is written, `none` for what is not set, empty for an empty list.
    pub default: &'static str,
    /// What values are allowed, for people.
    pub allowed: &'static str,
    /// What it is for (begins with a blank, as doc comments do).
    pub doc: &'static str,
    /// Never shown; also read from `<env>_FILE` and systemd credentials.
    pub secret: bool,
}

/// One table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// The table's name.
    pub name: &'static str,
    /// What it is about.
    pub doc: &'static str,
    /// In the order of declaration.
    pub settings: &'static [SettingDoc],
}

/// Declares configuration structs. One line per setting: `field: Type = default, "VARIABLE", (rule);` where
/// the rule is `(1 to 64)`, `("what is allowed")` or `("what is allowed", check)`.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])+
        pub struct $name:ident[$section:literal] {
            $($(#[doc = $doc:literal])+ $field:ident: $ty:ty = $default:literal, $env:literal, $rule:tt;)+
        }
    )+) => { $(
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        pub struct $name { $($(#[doc = $doc])+ pub $field: $ty),+ }

        impl $name {
            /// The table's documentation.
            pub const SECTION: $crate::config::declare::Section = $crate::config::declare::Section {
                name: $section,
                doc: concat!($($about),+),
                settings: &[$(settings!(@doc $section $field $ty, $env, $default, $rule, $($doc)+)),+],
            };

            /// Reads every setting; what is wrong is kept in `source`, with the default in its place.
            pub(super) fn read(source: &mut $crate::config::source::Source<'_>) -> Self {
                $name { $($field: {
                    const DOC: $crate::config::declare::SettingDoc =
                        settings!(@doc $section $field $ty, $env, $default, $rule, $($doc)+);
                    let default = <$ty as $crate::config::value::Setting>::from_literal($default);
                    source.setting(&DOC, default, settings!(@check $rule))
                }),+ }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: <$ty as $crate::config::value::Setting>::from_literal($default)),+ }
            }
        }
    )+ };
    (@doc $section:literal $field:ident $ty:ty, $env:literal, $default:literal, $rule:tt, $($doc:literal)+) => {
        $crate::config::declare::SettingDoc {
            section: $section,
            key: stringify!($field),
            env: $env,
            default: concat!($default),
            allowed: settings!(@allowed $rule),
            doc: concat!($($doc),+),
            secret: <$ty as $crate::config::value::Readable>::SECRET,
        }
    };
    (@allowed ($low:literal to $high:literal)) => { concat!($low, " to ", $high) };
    (@allowed ($text:expr)) => { $text };
    (@allowed ($text:expr, $check:expr)) => { $text };
    (@check ($low:literal to $high:literal)) => { |value| ($low..=$high).contains(value) };
    (@check ($text:expr)) => { |_| true };
    (@check ($text:expr, $check:expr)) => { $check };
}
pub(super) use settings;
