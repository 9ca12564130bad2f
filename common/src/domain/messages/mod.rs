//! Every text that a person reads, in one place: typed messages, a template for each in each language, and the
//! forms of the outside systems. Text from outside is a value here and never a template; what the catalogue
//! renders is final but not yet escaped, [`to_html`], [`to_markdown`] and [`to_telegram_html`] do that.

mod catalogue;
mod en;
mod faults;
mod left;
mod markup;
mod message;
mod refused;
mod rich;
mod ru;
mod shown;

pub use catalogue::{BadTemplate, Catalogue};
pub use faults::in_english as fault_in_words;
pub use left::in_english as leftover_in_words;
pub use markup::{to_html, to_markdown, to_telegram_html};
pub use message::Message;
pub use shown::Moment;

use crate::named_enum;

named_enum! {
    /// The languages of the catalogue.
    pub enum Locale ("locale") {
        En = "en",
        Ru = "ru",
    }
}

#[cfg(test)]
mod tests;
