//! How mails leave: by SMTP, as files where there is no server, or into memory in tests.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{
            ContentDisposition, ContentId, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
        },
    },
};

pub use crate::base::send_error::SendError;
use crate::{
    base::error::Result,
    platform::{config, templates::one_line},
};

mod smtp;

pub use smtp::Smtp;

/// A way for mails to leave. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Mailer {
    /// Through a mail server.
    Smtp(Arc<Smtp>),
    /// As `<message id>.eml` in a folder.
    File {
        /// Where they are put.
        folder: PathBuf,
        /// From whom they are.
        sender: Mailbox,
    },
    /// Kept, for tests to look at.
    Memory(Arc<Mutex<Outbox>>),
}

/// What a mailer in memory has sent, and how it will fail.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Oldest first.
    pub sent: Vec<Mail>,
    /// What becomes of the next mails, one each; then they are sent. A mail that fails is not kept.
    pub script: VecDeque<Result<(), SendError>>,
}

/// A mail to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// How they are called; any text.
    pub to_name: String,
    /// Where they get mail; checked when it is sent.
    pub to_address: String,
    /// Without angle brackets.
    pub message_id: String,
    /// When it was written.
    pub date: DateTime<Utc>,
    /// One line.
    pub subject: String,
    /// The body for those who read plain text.
    pub text: String,
    /// The body, laid out.
    pub html: String,
    /// Pictures that the laid out body shows.
    pub inline: Vec<Inline>,
    /// Where a POST ends mails of this kind (RFC 8058).
    pub unsubscribe: Option<String>,
    /// A file to go with it.
    pub attachment: Option<Attachment>,
}

/// A picture in a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inline {
    /// Unique in the mail.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Inline {
    /// As the HTML of its mail names it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("cid:{}@parkade", self.name)
    }
}

/// A file that goes with a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is saved as; any text.
    pub file_name: String,
    /// Its media type.
    pub content_type: &'static str,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Mailer {
    /// The way that the settings name: a server, or a folder when there is none.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] for a sender or a server's name that cannot be used.
    pub fn from_config(config: &config::Mail) -> Result<Self> {
        let sender: Mailbox = config.sender.parse().context("MAIL_DEFAULT_SENDER")?;
        if let Some(server) = &config.server {
            return Ok(Self::Smtp(Arc::new(Smtp::new(server, config, sender)?)));
        }
        Ok(Self::File { folder: config.folder.clone(), sender })
    }

    /// One that keeps what it sends.
    #[must_use]
    pub fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// Hands the mail over. It takes less than 50 seconds, whatever the server does.
    ///
    /// # Errors
    /// What is known about a mail that was not acknowledged.
    pub async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        match self {
            Self::Smtp(smtp) => {
                let message = message(smtp.sender(), mail)?;
                smtp.send(message.envelope(), &message.formatted()).await
            }
            Self::File { folder, sender } => {
                let message = message(sender, mail)?;
                let written = write(folder, &safe_id(&mail.message_id), &message.formatted()).await;
                written.map_err(|e| SendError::NotSent(format!("{}: {e}", folder.display())))
            }
            Self::Memory(outbox) => {
                message(&Mailbox::new(None, Address::new_dangerous("parkade", "localhost")), mail)?;
                let mut outbox = outbox.lock().unwrap_or_else(PoisonError::into_inner);
                outbox.script.pop_front().unwrap_or(Ok(()))?;
                outbox.sent.push(mail.clone());
                Ok(())
            }
        }
    }
}

impl Mailer {
    /// Sends a mail at once, and tells what works on the way.
    ///
    /// # Errors
    /// As [`Mailer::send`].
    pub async fn send_verbosely(
        &self,
        mail: &Mail,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), SendError> {
        let Self::Smtp(smtp) = self else {
            if let Self::File { folder, .. } = self {
                say(&format!("no MAIL_SERVER is set: the mail becomes a file in {}", folder.display()));
            }
            return self.send(mail).await;
        };
        let message = message(smtp.sender(), mail)?;
        smtp.try_out(message.envelope(), &message.formatted(), say).await
    }
}

/// The mail in the form of RFC 5322. Nothing in it ends a header: each is typed or made one line first.
fn message(sender: &Mailbox, mail: &Mail) -> Result<Message, SendError> {
    let unusable = |what: &str| SendError::Permanent(format!("{what} cannot be used"));
    let address: Address = mail.to_address.parse().map_err(|_| unusable("the recipient's address"))?;
    if mail.to_address.contains(char::is_control) {
        return Err(unusable("the recipient's address"));
    }
    let name = Some(one_line(&mail.to_name)).filter(|name| !name.is_empty());
    let mut builder = Message::builder()
        .from(sender.clone())
        .to(Mailbox::new(name, address))
        .subject(one_line(&mail.subject))
        .message_id(Some(format!("<{}>", safe_id(&mail.message_id))))
        .date(mail.date.into())
        // RFC 3834: away notices do not answer it.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".into(),
        ));
    if let Some(url) = &mail.unsubscribe {
        let header = |name, value| HeaderValue::new(HeaderName::new_from_ascii_str(name), value);
        let url: String = url.chars().filter(|c| c.is_ascii_graphic() && !"<>".contains(*c)).collect();
        builder = builder
            .raw_header(header("List-Unsubscribe", format!("<{url}>")))
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".into()));
    }
    builder.multipart(parts(mail)?).map_err(|error| SendError::Permanent(error.to_string()))
}

/// Both bodies, the pictures beside the one that shows them, and the attachment beside it all.
fn parts(mail: &Mail) -> Result<MultiPart, SendError> {
    let part = |content_type: &str, bytes: &[u8], disposition| {
        let content_type = ContentType::parse(content_type)
            .map_err(|_| SendError::Permanent(format!("no media type: {content_type}")))?;
        let builder = SinglePart::builder().header(content_type).header(ContentTransferEncoding::Base64);
        Ok((builder.header(disposition), bytes.to_vec()))
    };
    let mut bodies = MultiPart::alternative().singlepart(SinglePart::plain(mail.text.clone()));
    let html = SinglePart::html(mail.html.clone());
    if mail.inline.is_empty() {
        bodies = bodies.singlepart(html);
    } else {
        let mut related = MultiPart::related().singlepart(html);
        for Inline { name, content_type, bytes } in &mail.inline {
            let (builder, bytes) = part(content_type, bytes, ContentDisposition::inline())?;
            related =
                related.singlepart(builder.header(ContentId::from(format!("<{name}@parkade>"))).body(bytes));
        }
        bodies = bodies.multipart(related);
    }
    let Some(file) = &mail.attachment else { return Ok(bodies) };
    let disposition = ContentDisposition::attachment(&one_line(&file.file_name));
    let (builder, bytes) = part(file.content_type, &file.bytes, disposition)?;
    Ok(MultiPart::mixed().multipart(bodies).singlepart(builder.body(bytes)))
}

/// The id without anything that could leave its header or its folder.
fn safe_id(id: &str) -> String {
    let kept = id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '-' | '_'));
    kept.collect::<String>().trim_start_matches('.').to_owned()
}

async fn write(folder: &Path, id: &str, content: &[u8]) -> io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    let part = folder.join(format!(".{id}.part"));
    tokio::fs::write(&part, content).await?;
    tokio::fs::rename(&part, folder.join(format!("{id}.eml"))).await
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn mail() -> Mail {
        Mail {
            to_name: "Ann \"非\"\r\nBcc: <all@example.com>".into(),
            to_address: "ann@example.com".into(),
            message_id: "0f\r\nX-Evil: 1/../../@parkade.example".into(),
            date: Utc.with_ymd_and_hms(2026, 11, 20, 13, 7, 0).unwrap(),
            subject: "Bööked\r\nX-Evil: 1".into(),
            text: "Hello\n.\nQUIT".into(),
            html: "<p>Hello</p>".into(),
            inline: vec![Inline { name: "chart", content_type: "image/png", bytes: vec![1, 2, 3] }],
            unsubscribe: Some("http://localhost/x?a=1&b=2\r\nX-Evil: 1>".into()),
            attachment: Some(Attachment {
                file_name: "a\"\r\nX-Evil: 1\r\n.csv".into(),
                content_type: "text/csv; charset=utf-8",
                bytes: b"a,b\n1,2\n".to_vec(),
            }),
        }
    }

    fn sender() -> Mailbox {
        "Parkade <parkade@example.com>".parse().unwrap()
    }

    #[test]
    fn no_field_can_inject_a_header() {
        let text = String::from_utf8(message(&sender(), &mail()).unwrap().formatted()).unwrap();
        assert!(text.is_ascii());
        for line in text.split("\r\n") {
            assert!(
                !line.starts_with("X-Evil") && !line.starts_with("Bcc") && !line.contains('\n'),
                "{text}"
            );
        }
        for part in [
            "Message-ID: <0fX-Evil1....@parkade.example>\r\n",
            "Date: Fri, 20 Nov 2026 13:07:00 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: text/csv; charset=utf-8\r\n",
            "YSxiCjEsMgo=",
            "List-Unsubscribe: <http://localhost/x?a=1&b=2X-Evil:1>\r\n",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            "Content-ID: <chart@parkade>\r\n",
            "Content-Disposition: inline\r\n",
            "\r\nAQID\r\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[tokio::test]
    async fn invalid_addresses_are_rejected_permanently() {
        for address in ["", "ann", "ann@", "ann@example.com\r\nRCPT TO:<x@example.com>", "ann@example.com>"] {
            let failed =
                Mailer::memory().send(&Mail { to_address: address.into(), ..mail() }).await.unwrap_err();
            assert!(matches!(&failed, SendError::Permanent(text) if !text.contains("example")), "{failed}");
        }
    }

    #[tokio::test]
    async fn a_mail_becomes_one_file_inside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mailer = Mailer::File { folder: folder.path().join("mails"), sender: sender() };
        mailer.send(&mail()).await.unwrap();
        mailer.send(&mail()).await.unwrap();
        let mut files = std::fs::read_dir(folder.path().join("mails")).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert_eq!(file.file_name().unwrap(), "0fX-Evil1....@parkade.example.eml");
        assert!(std::fs::read_to_string(file).unwrap().contains("To: "));
        assert!(files.next().is_none(), "the same mail is the same file");
    }

    #[tokio::test]
    async fn a_mailer_in_memory_follows_its_script() {
        let mailer = Mailer::memory();
        let Mailer::Memory(outbox) = &mailer else { unreachable!() };
        let lost = SendError::Unknown("lost".into());
        outbox.lock().unwrap().script.push_back(Err(lost.clone()));
        assert_eq!(mailer.send(&mail()).await, Err(lost));
        assert_eq!(mailer.send(&mail()).await, Ok(()));
        assert_eq!(outbox.lock().unwrap().sent, [mail()]);
    }
}
