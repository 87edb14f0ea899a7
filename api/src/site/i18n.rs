//! Languages: one Fluent catalogue each in `templates/pages/catalogues/`, and the choice of one for a visitor.

use std::{fmt, sync::LazyLock};

use axum::http::{HeaderMap, header};
use fluent_bundle::{FluentArgs, FluentResource, concurrent::FluentBundle};
use shared::platform::config::Config;
use unic_langid::LanguageIdentifier;

use crate::http::cookies::Cookie;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// The default.
    English,
    /// हिन्दी
    Hindi,
    /// Deutsch
    German,
}

impl Language {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::English, Self::Hindi, Self::German];

    /// The tag in HTML and HTTP.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Hindi => "hi",
            Self::German => "de",
        }
    }

    /// Its own name for itself.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Hindi => "हिन्दी",
            Self::German => "Deutsch",
        }
    }

    /// The source of its catalogue.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::English => include_str!("../../../templates/pages/catalogues/en.ftl"),
            Self::Hindi => include_str!("../../../templates/pages/catalogues/hi.ftl"),
            Self::German => include_str!("../../../templates/pages/catalogues/de.ftl"),
        }
    }

    /// The language with this tag.
    pub(crate) fn tagged(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// The one that the visitor has chosen, or the first that their browser accepts.
    pub(crate) fn of(headers: &HeaderMap, config: &Config) -> Self {
        let chosen = Cookie::Language.read(headers, config).and_then(Self::tagged);
        let accepted = || headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok().and_then(Self::accepted);
        chosen.or_else(accepted).unwrap_or(Self::English)
    }

    /// The most wanted language of an `Accept-Language`.
    fn accepted(header: &str) -> Option<Self> {
        let mut wanted: Vec<(f32, Self)> = header.split(',').filter_map(Self::weighted).collect();
        wanted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        wanted.first().map(|(_, language)| *language)
    }

    /// `de-AT;q=0.8`
    fn weighted(range: &str) -> Option<(f32, Self)> {
        let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight = weight.trim().strip_prefix("q=")?.parse().ok().filter(|weight| *weight > 0.0)?;
        let primary = tag.trim().split('-').next()?.to_ascii_lowercase();
        Self::tagged(&primary).map(|language| (weight, language))
    }

    fn catalogue(self) -> &'static FluentBundle<FluentResource> {
        static CATALOGUES: LazyLock<[FluentBundle<FluentResource>; 3]> =
            LazyLock::new(|| Language::ALL.map(Language::load));
        &CATALOGUES[self as usize]
    }

    fn load(self) -> FluentBundle<FluentResource> {
        let tag: LanguageIdentifier = self.tag().parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![tag]);
        // Texts of users are isolated by the templates; everything else is in the direction of the page.
        bundle.set_use_isolating(false);
        let resource = FluentResource::try_new(self.source().to_owned());
        let added = resource
            .map_err(|(_, errors)| format!("{errors:?}"))
            .and_then(|resource| bundle.add_resource(resource).map_err(|errors| format!("{errors:?}")));
        if let Err(errors) = added {
            tracing::error!(language = self.tag(), errors, "the catalogue is malformed");
        }
        bundle
    }

    /// The text of a key without arguments, if there is one.
    pub(crate) fn find(self, key: &str) -> Option<String> {
        self.catalogue().has_message(key).then(|| self.text(key, None))
    }

    /// The text of a key; the key itself if it is missing, which a test prevents.
    #[must_use]
    pub fn text(self, key: &str, arguments: Option<&FluentArgs>) -> String {
        let catalogue = self.catalogue();
        let Some(pattern) = catalogue.get_message(key).and_then(|message| message.value()) else {
            tracing::error!(key, language = self.tag(), "a text is missing");
            return key.to_owned();
        };
        let mut errors = Vec::new();
        let text = catalogue.format_pattern(pattern, arguments, &mut errors).into_owned();
        if !errors.is_empty() {
            tracing::error!(key, language = self.tag(), ?errors, "a text lacks an argument");
        }
        text
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_wanted_known_language_is_chosen() {
        for (header, expected) in [
            ("de-AT,de;q=0.9,en;q=0.8", Some(Language::German)),
            ("en;q=0.5, HI ; q=0.7", Some(Language::Hindi)),
            ("fr, en;q=0.1", Some(Language::English)),
            ("de;q=0, fr", None),
            ("*", None),
            ("", None),
            (";;,q=,de;q=x", None),
        ] {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
    }
}
