//! How hard a password is to guess, by somebody who knows its user.

use zxcvbn::{Score, zxcvbn};

use super::hashing::{self, Priority};
use crate::base::error::Result;

/// Characters of a password that are judged. The time grows with the square of the length, and this many are enough.
const JUDGED: usize = 64;

/// What everybody tries here.
const COMMON: [&str; 2] = ["parkade", "parking"];

/// Why a password is too easy to guess. `about` is what is known of its user: name, address, plate and so on.
pub(super) async fn weakness(password: &str, about: &[&str]) -> Result<Option<String>> {
    let password: String = spelling::password(password).chars().take(JUDGED).collect();
    let about = words(about);
    // It takes milliseconds, and as long again for each attempt of a client.
    hashing::run(Priority::Other, move || Ok(judge(&password, &about))).await
}

fn judge(password: &str, about: &[String]) -> Option<String> {
    let known: Vec<&str> = about.iter().map(String::as_str).chain(COMMON).collect();
    let entropy = zxcvbn(password, &known);
    if entropy.score() >= Score::Three {
        return None;
    }
    let warning =
        entropy.feedback().and_then(|feedback| feedback.warning()).map(|warning| warning.to_string());
    let reason = warning.map(|text| format!(": {}", plain(&text))).unwrap_or_default();
    Some(format!("is too easy to guess{reason}; use several uncommon words, or a password manager"))
}

/// A sentence of the library as part of ours.
fn plain(sentence: &str) -> String {
    let mut rest = sentence.trim_end_matches('.').chars();
    rest.next().map(|first| first.to_lowercase().chain(rest).collect()).unwrap_or_default()
}

/// Each text and its words.
fn words(texts: &[&str]) -> Vec<String> {
    let split = |text: &str| -> Vec<String> {
        let text = text.to_lowercase();
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2);
        words.map(str::to_owned).chain([text.clone()]).collect()
    };
    texts.iter().flat_map(|text| split(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn why(password: &str, about: &[&str]) -> Option<String> {
        weakness(password, about).await.unwrap()
    }

    #[tokio::test]
    async fn guessable_passwords_are_named_with_the_reason() {
        for password in [
            "password",
            "Password123!",
            "qwertyuiop",
            "12345678",
            "aaaaaaaaaaaa",
            "P@ssw0rd",
            "ｐａｓｓｗｏｒｄ１",
            "iloveyou1",
            "abcdefgh",
        ] {
            let why = why(password, &[]).await.unwrap_or_else(|| panic!("{password}"));
            assert!(why.starts_with("is too easy to guess") && !why.ends_with('.'), "{why}");
        }
        assert_eq!(
            why("password", &[]).await.unwrap(),
            "is too easy to guess: this is a top-10 common password; use several uncommon words, or a password manager"
        );
        for password in [
            "Correct-horse-1",
            "Pässwörter1",
            "tarmac lemon violin",
            "x7#kPq9zQ!",
            "パスワードは長いほど良い",
        ] {
            assert_eq!(why(password, &[]).await, None, "{password}");
        }
    }

    #[tokio::test]
    async fn a_password_made_of_the_users_own_data_is_weak() {
        let about = ["Meenakshi Sundaram", "meenakshi.s@zuckermann.example", "KA05CD5678", "+919876543210"];
        for password in [
            "meenakshi",
            "MeenakshiSundaram",
            "Sundaram1",
            "zuckermann",
            "meenakshi.s@zuckermann.example",
            "ka05cd5678",
            "+919876543210",
            "parkade1",
        ] {
            assert!(why(password, &about).await.is_some(), "{password}");
        }
    }

    #[tokio::test]
    async fn long_and_strange_passwords_are_judged_quickly() {
        let strange = [
            "\u{202e}\u{200b}",
            "\u{1f468}\u{200d}\u{1f469}",
            "ß",
            "İ",
            "\u{10ffff}",
            "4@8({[<3691!|0$57+%2",
            "1/1/1991",
            "\0",
        ];
        for text in strange {
            let begun = std::time::Instant::now();
            why(&text.repeat(5_000), &[&text.repeat(500)]).await;
            assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{text} took {:?}", begun.elapsed());
        }
    }
}
