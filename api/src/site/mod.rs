//! What all pages share: the layout and its texts in each language, the files that it loads, and the headers. Also for the pages that
//! links in mails open, which have no session.

pub mod assets;
mod errors;
pub(crate) mod format;
mod frame;
pub mod i18n;
pub(crate) mod linked;
mod rules;
pub mod sources;
mod templates;

pub(crate) use self::{
    errors::errors,
    frame::{Stranger, frame, protect},
    templates::render,
};
