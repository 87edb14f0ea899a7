//! Posting notices to the administrators' space in Google Chat.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use super::{
    delivery::{Channel, Delivery, IfUnknown, send_once},
    notice::{Notice, PostToChat},
};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue},
    platform::{
        http::{self, Body, Post, Rules},
        mailer::SendError,
        templates::one_line,
    },
};

/// Longest text that Google Chat accepts, in characters.
const MAX_LENGTH: usize = 4_000;

impl Job for PostToChat {
    const NAME: &'static str = "post-to-chat";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);
    const MAX_ATTEMPTS: i64 = 10;

    async fn run(&self, context: &Context) -> Result<Done> {
        let Some(url) = context.app.config.notifications.chat.clone() else {
            return Ok(Done::skipped("GOOGLE_CHAT_WEBHOOK_URL is not set"));
        };
        let delivery = Delivery {
            key: format!("chat:{}", self.notice.key),
            kind: "notice",
            channel: Channel::Chat,
            user_id: None,
            if_unknown: IfUnknown::Resend,
        };
        let rules = context.app.chat_rules.clone();
        let text = text(&self.notice);
        send_once(context, &delivery, |_| async move { post(&rules, url, &text).await }).await
    }
}

async fn post(rules: &Rules, url: SecretString, text: &str) -> Result<(), SendError> {
    let post = Post { url, authorization: None, body: Body::Json(json!({ "text": text })) };
    http::send(rules, post).await?.into_result()
}

/// The notice in Google Chat's markup: the title in bold, and a line for each fact.
fn text(notice: &Notice) -> String {
    let mut text = format!("*{}*", plain(&notice.title));
    for (label, value) in &notice.facts {
        text.push_str(&format!("\n{}: {}", plain(label), plain(value)));
    }
    text.chars().take(MAX_LENGTH).collect()
}

/// Replaces the characters of formats, mentions and links by lookalikes, because Google Chat has no escapes. Inside a
/// word, as in `MAIL_SERVER`, these characters are harmless.
fn plain(text: &str) -> String {
    let text: Vec<char> = one_line(text).chars().collect();
    let is_word = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|c| c.is_alphanumeric());
    let harmless = |(at, sign): (usize, &char)| match sign {
        '_' | '*' | '~' if is_word(at.checked_sub(1)) && is_word(Some(at + 1)) => *sign,
        '_' => '＿',
        '*' => '∗',
        '~' => '∼',
        '`' => '´',
        '<' => '‹',
        '>' => '›',
        _ => *sign,
    };
    text.iter().enumerate().map(harmless).collect::<String>().replace("://", ":⁄⁄")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_text_cannot_format_mention_or_link() {
        let hostile = "<users/all> *now* _a_ ~b~ `c` <https://x.test|y>\r\nhttps://x.test";
        let facts = vec![("Who".to_owned(), hostile.to_owned())];
        let text = text(&Notice { key: "k".into(), title: "A *title*".into(), facts });
        assert_eq!(
            text,
            "*A ∗title∗*\nWho: ‹users/all› ∗now∗ ＿a＿ ∼b∼ ´c´ ‹https:⁄⁄x.test|y› https:⁄⁄x.test"
        );
    }

    #[test]
    fn markup_characters_inside_words_are_kept() {
        assert_eq!(
            plain("check MAIL_SERVER, 2*3 and a~b, not _x_"),
            "check MAIL_SERVER, 2*3 and a~b, not ＿x＿"
        );
    }

    #[test]
    fn long_texts_are_cut() {
        let facts = vec![("Who".to_owned(), "é".repeat(9_000))];
        assert_eq!(text(&Notice { key: "k".into(), title: "T".into(), facts }).chars().count(), MAX_LENGTH);
    }
}
