//! The ways to send a mail.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use lettre::{Address, message::Mailbox};
use parking_lot::Mutex;

use super::{
    mail::Mail,
    message::{encode, safe_id},
    smtp::Smtp,
};
use crate::{
    base::{error::Result, send_error::SendError},
    platform::config,
};

/// A way to send mails. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Mailer {
    /// Through a mail server.
    Smtp(Arc<Smtp>),
    /// As `<message id>.eml` in a folder.
    File {
        /// The folder.
        folder: PathBuf,
        /// The sender.
        sender: Mailbox,
    },
    /// Kept for tests to inspect.
    Memory(Arc<Mutex<Outbox>>),
}

/// What a mailer in memory has sent, and how it will fail.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Sent mails, the oldest first.
    pub sent: Vec<Mail>,
    /// The results of the next mails; after them, every mail is sent. A mail that fails is not kept.
    pub script: VecDeque<Result<(), SendError>>,
}

impl Mailer {
    /// The way that the settings choose: a server, or a folder if there is none.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] for an invalid sender or server name.
    pub fn from_config(config: &config::Mail) -> Result<Self> {
        let sender: Mailbox = config.sender.parse().context("MAIL_DEFAULT_SENDER")?;
        if let Some(server) = &config.server {
            return Ok(Self::Smtp(Arc::new(Smtp::new(server, config, sender)?)));
        }
        Ok(Self::File { folder: config.folder.clone(), sender })
    }

    /// A mailer that keeps what it sends.
    #[must_use]
    pub fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// Sends a mail. It takes less than 50 seconds, whatever the server does.
    ///
    /// # Errors
    /// What is known about a mail that the server did not accept.
    pub async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        match self {
            Self::Smtp(smtp) => {
                let message = encode(smtp.sender(), mail)?;
                smtp.send(message.envelope(), &message.formatted()).await
            }
            Self::File { folder, sender } => {
                let message = encode(sender, mail)?;
                let written = write(folder, &safe_id(&mail.message_id), &message.formatted()).await;
                written.map_err(|e| SendError::NotSent(format!("{}: {e}", folder.display())))
            }
            Self::Memory(outbox) => {
                encode(&Mailbox::new(None, Address::new_dangerous("parkade", "localhost")), mail)?;
                let mut outbox = outbox.lock();
                outbox.script.pop_front().unwrap_or(Ok(()))?;
                outbox.sent.push(mail.clone());
                Ok(())
            }
        }
    }

    /// Sends a mail on a new connection, and reports each step that succeeds.
    ///
    /// # Errors
    /// As [`Mailer::send`].
    pub async fn send_verbosely(
        &self,
        mail: &Mail,
        report: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), SendError> {
        let Self::Smtp(smtp) = self else {
            if let Self::File { folder, .. } = self {
                report(&format!("MAIL_SERVER is not set: the mail becomes a file in {}", folder.display()));
            }
            return self.send(mail).await;
        };
        let message = encode(smtp.sender(), mail)?;
        smtp.send_verbosely(message.envelope(), &message.formatted(), report).await
    }
}

async fn write(folder: &Path, id: &str, content: &[u8]) -> io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    let part = folder.join(format!(".{id}.part"));
    tokio::fs::write(&part, content).await?;
    tokio::fs::rename(&part, folder.join(format!("{id}.eml"))).await
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn mail() -> Mail {
        Mail {
            to_name: "Ann".into(),
            to_address: "ann@example.com".into(),
            message_id: "0f/../../@parkade.example".into(),
            date: DateTime::UNIX_EPOCH,
            subject: "Booked".into(),
            text: "Hello".into(),
            html: "<p>Hello</p>".into(),
            inline: Vec::new(),
            unsubscribe: None,
            attachment: None,
        }
    }

    #[tokio::test]
    async fn a_mail_becomes_one_file_inside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mailer = Mailer::File {
            folder: folder.path().join("mails"),
            sender: "parkade@example.com".parse().unwrap(),
        };
        mailer.send(&mail()).await.unwrap();
        mailer.send(&mail()).await.unwrap();
        let mut files = std::fs::read_dir(folder.path().join("mails")).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert_eq!(file.file_name().unwrap(), "0f....@parkade.example.eml");
        assert!(std::fs::read_to_string(file).unwrap().contains("To: "));
        assert!(files.next().is_none(), "the same mail is the same file");
    }

    #[tokio::test]
    async fn a_mailer_in_memory_follows_its_script() {
        let mailer = Mailer::memory();
        let Mailer::Memory(outbox) = &mailer else { unreachable!() };
        let lost = SendError::Unknown("lost".into());
        outbox.lock().script.push_back(Err(lost.clone()));
        assert_eq!(mailer.send(&mail()).await, Err(lost));
        assert_eq!(mailer.send(&mail()).await, Ok(()));
        assert_eq!(outbox.lock().sent, [mail()]);
    }
}
