//! A received mail, with its headers, bodies and attachments decoded.

use mail_parser::{HeaderForm, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType};

/// A mail as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope sender.
    pub from: String,
    /// The envelope recipients.
    pub to: Vec<String>,
    /// Headers and body, without dot-stuffing, with CRLF line ends.
    pub raw: String,
}

/// A decoded attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The file name, if there is one.
    pub name: Option<String>,
    /// Without parameters, for example `text/csv`.
    pub content_type: String,
    /// The decoded content.
    pub bytes: Vec<u8>,
}

impl Mail {
    /// The unfolded and decoded value of a header, the first if it is repeated.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.text_of_header(name, HeaderForm::Text)
    }

    /// The `Message-ID`, without the angle brackets.
    #[must_use]
    pub fn message_id(&self) -> Option<String> {
        self.text_of_header("Message-ID", HeaderForm::MessageIds)
    }

    /// The plain-text body, decoded.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let message = self.parse()?;
        message.text_bodies().find_map(|part| match &part.body {
            PartType::Text(text) => Some(text.to_string()),
            _ => None,
        })
    }

    /// The HTML body, decoded.
    #[must_use]
    pub fn html(&self) -> Option<String> {
        let message = self.parse()?;
        message.html_bodies().find_map(|part| match &part.body {
            PartType::Html(html) => Some(html.to_string()),
            _ => None,
        })
    }

    /// The decoded attachments.
    #[must_use]
    pub fn attachments(&self) -> Vec<Attachment> {
        self.parse().map(|message| message.attachments().map(attachment).collect()).unwrap_or_default()
    }

    fn text_of_header(&self, name: &str, form: HeaderForm) -> Option<String> {
        let message = self.parse()?;
        match message.header_as(name, form).into_iter().next()? {
            HeaderValue::Text(text) => Some(text.into_owned()),
            HeaderValue::TextList(texts) => texts.into_iter().next().map(String::from),
            _ => None,
        }
    }

    fn parse(&self) -> Option<Message<'_>> {
        MessageParser::default().parse(self.raw.as_bytes())
    }
}

fn attachment(part: &MessagePart<'_>) -> Attachment {
    let content_type = part.content_type().map(|kind| match kind.subtype() {
        Some(subtype) => format!("{}/{subtype}", kind.ctype()),
        None => kind.ctype().to_owned(),
    });
    Attachment {
        name: part.attachment_name().map(str::to_owned),
        // The default of RFC 2045.
        content_type: content_type.unwrap_or_else(|| "text/plain".to_owned()),
        bytes: part.contents().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(raw: &str) -> Mail {
        Mail { from: String::new(), to: Vec::new(), raw: raw.replace('\n', "\r\n") }
    }

    #[test]
    fn headers_are_unfolded_and_decoded() {
        let mail = mail(
            "Subject: =?utf-8?B?UmXDp3U=?=\n =?UTF-8?Q?_n=C2=B0_12?=\nMessage-ID: <a.1@parkade.test>\n\
             X-Parkade-Job: one\n two\nTo: A <a@x.test>\n\nbody\n",
        );
        assert_eq!(mail.header("subject").as_deref(), Some("Reçu n° 12"));
        assert_eq!(mail.message_id().as_deref(), Some("a.1@parkade.test"));
        assert_eq!(mail.header("x-parkade-job").as_deref(), Some("one two"));
        assert_eq!(mail.header("To").as_deref(), Some("A <a@x.test>"));
        assert_eq!(mail.header("Bcc"), None);
        assert_eq!(mail.text().as_deref(), Some("body\r\n"));
        assert_eq!(mail.html(), None);
    }

    #[test]
    fn multipart_bodies_and_attachments_are_decoded() {
        let mail = mail(concat!(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=m\n\n",
            "--m\nContent-Type: multipart/alternative; boundary=a\n\n",
            "--a\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n",
            "5 =E2=82=AC for par=\nking\n",
            "--a\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n",
            "PGI+NSDigqw8L2I+\n--a--\n",
            "--m\nContent-Type: text/csv\nContent-Transfer-Encoding: base64\n",
            "Content-Disposition: attachment; filename=\"report.csv\"\n\nYSxiDQoxLDINCg==\n",
            "--m\nContent-Type: application/pdf; name=r.pdf\nContent-Transfer-Encoding: base64\n",
            "Content-Disposition: attachment\n\nJVBERgD/\n--m--\n",
        ));
        assert_eq!(mail.text().as_deref(), Some("5 € for parking"));
        assert_eq!(mail.html().as_deref(), Some("<b>5 €</b>"));
        let expected = [
            ("report.csv", "text/csv", b"a,b\r\n1,2\r\n".to_vec()),
            ("r.pdf", "application/pdf", b"%PDF\0\xff".to_vec()),
        ];
        let expected = expected.map(|(name, content_type, bytes)| Attachment {
            name: Some(name.to_owned()),
            content_type: content_type.to_owned(),
            bytes,
        });
        assert_eq!(mail.attachments(), expected);
    }
}
