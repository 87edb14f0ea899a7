//! Mail addresses: lower case, with the domain as DNS knows it.

use std::borrow::Cow;

use idna::{
    AsciiDenyList,
    uts46::{DnsLength, Hyphens, Uts46},
};

/// The address as it is stored, compared and written to: in lower case, the domain as A-labels (IDNA 2008), so that every
/// mail server can deliver to it.
///
/// # Errors
/// What is wrong with it. The part before the @ is not parsed.
pub fn mail(text: &str) -> Result<String, &'static str> {
    let text: String = text.trim().chars().map(half_width).collect();
    let (user, domain) = text.rsplit_once('@').ok_or("must be a mail address such as ann@example.com")?;
    if !user.is_ascii() {
        return Err(
            "must have only ASCII characters before the @, because many mail servers deliver to no others",
        );
    }
    if user.is_empty() || user.contains(|c: char| c.is_ascii_control()) {
        return Err("must be a mail address such as ann@example.com");
    }
    let domain = ascii_domain(domain).ok_or("must have a valid domain after the @")?;
    Ok(format!("{}@{domain}", user.to_ascii_lowercase()))
}

/// Keyboards for Chinese and Japanese also produce full-width ASCII.
const fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => (c as u32 - 0xfee0) as u8 as char,
        c => c,
    }
}

/// The final dot of a complete domain name is dropped: mail addresses have none.
fn ascii_domain(domain: &str) -> Option<Cow<'_, str>> {
    let domain = domain.strip_suffix(['.', '\u{3002}', '\u{ff61}']).unwrap_or(domain);
    let (hyphens, length) = (Hyphens::CheckFirstLast, DnsLength::Verify);
    Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, hyphens, length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_an_address_are_one() {
        for text in [
            "ann@bücher.example",
            "ann@xn--bcher-kva.example",
            "ANN@BÜCHER.EXAMPLE",
            " Ann@XN--BCHER-KVA.Example ",
            "ann@bu\u{308}cher.example",
            "ann@bücher.example.",
            "ann@bücher。example",
            "ann＠bücher．example",
            "ａｎｎ@bücher.example",
            "ann@bü\u{ad}cher.example",
            "ann@bücher.example。",
            "ann@b\u{200b}ücher.example",
        ] {
            assert_eq!(mail(text).as_deref(), Ok("ann@xn--bcher-kva.example"), "{text}");
        }
        // Not "strasse": IDNA 2008 has its own domain for ß.
        assert_eq!(mail("ann@straße.example").as_deref(), Ok("ann@xn--strae-oqa.example"));
        assert_eq!(mail("ann@例え.テスト").as_deref(), Ok("ann@xn--r8jz45g.xn--zckzah"));
        assert_eq!(mail("o'hara+x=y@example.com").as_deref(), Ok("o'hara+x=y@example.com"));
        assert_eq!(mail("ann@İstanbul.example").as_deref(), Ok("ann@xn--istanbul-o0e.example"));
    }

    #[test]
    fn addresses_without_delivery_are_refused() {
        for text in
            ["jürgen@example.com", "用户@example.com", "ann\u{200b}@example.com", "\u{feff}ann@example.com"]
        {
            assert!(mail(text).is_err_and(|why| why.contains("ASCII")), "{text}");
        }
        for text in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@.",
            "ann@example..com",
            "ann@.example.com",
            "ann@-example.com",
            "ann@example.com..",
            "ann@exa mple.com",
            "ann@exam_ple.com",
            "ann@[127.0.0.1]",
            "ann@xn--a.example",
            "ann@xn--.example",
            "ann@a/b.example",
            "ann@℀.example",
            "a\u{0}n@example.com",
            "ann@exa\u{0}mple.com",
            &format!("ann@{}.example", "x".repeat(64)),
            "ann@\u{2024}com",
        ] {
            assert!(mail(text).is_err(), "{text}");
        }
    }
}
