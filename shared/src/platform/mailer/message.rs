//! Encoding a mail.

use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{
            ContentDisposition, ContentId, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
        },
    },
};

use super::mail::{Inline, Mail};
use crate::{base::send_error::SendError, platform::templates::one_line};

/// Encodes a mail as in RFC 5322. No value can end its header: each is typed, or made one line first.
pub(super) fn encode(sender: &Mailbox, mail: &Mail) -> Result<Message, SendError> {
    let invalid = || SendError::Permanent("the recipient's address is not valid".into());
    let address: Address = mail.to_address.parse().map_err(|_| invalid())?;
    if mail.to_address.contains(char::is_control) {
        return Err(invalid());
    }
    let name = Some(one_line(&mail.to_name)).filter(|name| !name.is_empty());
    let mut builder = Message::builder()
        .from(sender.clone())
        .to(Mailbox::new(name, address))
        .subject(one_line(&mail.subject))
        .message_id(Some(format!("<{}>", safe_id(&mail.message_id))))
        .date(mail.date.into())
        // RFC 3834: keeps out-of-office replies away.
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

/// The bodies, the images beside the HTML that shows them, and the attachment beside all of it.
fn parts(mail: &Mail) -> Result<MultiPart, SendError> {
    let part = |content_type: &str, bytes: &[u8], disposition| {
        let content_type = ContentType::parse(content_type)
            .map_err(|_| SendError::Permanent(format!("not a media type: {content_type}")))?;
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

/// The id without characters that could end its header or leave its folder.
pub(super) fn safe_id(id: &str) -> String {
    let kept = id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '-' | '_'));
    kept.collect::<String>().trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::*;
    use crate::platform::mailer::Attachment;

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
        let text = String::from_utf8(encode(&sender(), &mail()).unwrap().formatted()).unwrap();
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

    #[test]
    fn invalid_addresses_are_rejected_permanently() {
        for address in ["", "ann", "ann@", "ann@example.com\r\nRCPT TO:<x@example.com>", "ann@example.com>"] {
            let failed = encode(&sender(), &Mail { to_address: address.into(), ..mail() }).unwrap_err();
            assert!(matches!(&failed, SendError::Permanent(text) if !text.contains("example")), "{failed}");
        }
    }
}
