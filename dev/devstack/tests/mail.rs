//! The mail sink speaks SMTP with a raw client and follows its script.

use std::time::Duration;

use anyhow::Result;
use devstack::{Behaviour, MailSink};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(200);

struct Client(BufStream<TcpStream>);

impl Client {
    async fn connect(sink: &MailSink) -> Result<Self> {
        let mut client = Self(BufStream::new(TcpStream::connect(sink.addr()).await?));
        assert!(client.reply().await?.starts_with("220 "));
        assert!(client.say("EHLO test").await?.starts_with("250"));
        Ok(client)
    }

    /// The last line of the next reply; empty if the connection was closed.
    async fn reply(&mut self) -> Result<String> {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    async fn say(&mut self, line: &str) -> Result<String> {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.0.flush().await?;
        timeout(SOON, self.reply()).await?
    }

    /// Sends a mail and returns the code of the reply to its data.
    async fn send(&mut self, subject: &str) -> Result<String> {
        assert!(self.say("MAIL FROM:<garage@parkade.test>").await?.starts_with("250"));
        assert!(self.say("RCPT TO:<driver@parkade.test>").await?.starts_with("250"));
        assert!(self.say("DATA").await?.starts_with("354"));
        let answer = self.say(&format!("Subject: {subject}\r\n\r\nhello\r\n.")).await?;
        Ok(answer.chars().take(3).collect())
    }
}

#[tokio::test]
async fn a_mail_is_kept_as_it_was_sent() -> Result<()> {
    let sink = MailSink::start().await?;
    let mut client = Client::connect(&sink).await?;
    assert!(client.say("DATA").await?.starts_with("503"));
    assert!(client.say("NOOP").await?.starts_with("250"));
    client.say("MAIL FROM:<forgotten@parkade.test>").await?;
    assert!(client.say("RSET").await?.starts_with("250"));

    // Pipelined commands are answered in order.
    let envelope = "MAIL FROM:<a@x.test> BODY=8BITMIME\r\nRCPT TO:<b@x.test>\r\nrcpt to:<c@x.test>\r\nDATA";
    assert!(client.say(envelope).await?.starts_with("250 2.1.0"));
    for code in ["250 2.1.5", "250 2.1.5", "354"] {
        assert!(client.reply().await?.starts_with(code));
    }
    assert!(client.say("Subject: dots\r\n\r\n..one\r\n...two\r\nä\r\n.").await?.starts_with("250"));
    assert!(client.say("QUIT").await?.starts_with("221"));
    assert_eq!(client.reply().await?, "");

    let mails = sink.messages();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].from, "a@x.test");
    assert_eq!(mails[0].to, ["b@x.test", "c@x.test"]);
    assert_eq!(mails[0].raw, "Subject: dots\r\n\r\n.one\r\n..two\r\nä\r\n");
    assert_eq!(mails[0].header("Subject").as_deref(), Some("dots"));
    assert_eq!(sink.attempts(), 2);
    Ok(())
}

#[tokio::test]
async fn the_default_behaviour_applies_after_the_script() -> Result<()> {
    let sink = MailSink::start().await?;
    sink.set(Behaviour::Temporary);
    sink.script(vec![Behaviour::Accept, Behaviour::Temporary, Behaviour::Permanent, Behaviour::Accept]);
    let mut client = Client::connect(&sink).await?;
    assert_eq!(client.send("first").await?, "250");
    assert_eq!(client.send("second").await?, "451");
    client.say("MAIL FROM:<garage@parkade.test>").await?;
    assert!(client.say("RCPT TO:<nobody@parkade.test>").await?.starts_with("550"));
    assert!(client.say("DATA").await?.starts_with("503"));
    assert_eq!(client.send("fourth").await?, "250");
    assert_eq!(client.send("fifth").await?, "451");

    let kept: Vec<_> = sink.messages().iter().map(|mail| mail.header("Subject")).collect();
    assert_eq!(kept, [Some("first".to_owned()), Some("fourth".to_owned())]);
    assert_eq!(sink.attempts(), 5);
    Ok(())
}

#[tokio::test]
async fn connections_are_dropped_before_or_after_acceptance() -> Result<()> {
    let sink = MailSink::start().await?;
    sink.set(Behaviour::Drop);
    assert_eq!(Client::connect(&sink).await?.send("lost").await?, "");
    assert!(sink.messages().is_empty());
    sink.set(Behaviour::AcceptThenDrop);
    assert_eq!(Client::connect(&sink).await?.send("kept").await?, "");
    assert_eq!(sink.messages().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_hanging_sink_neither_replies_nor_closes() -> Result<()> {
    let sink = MailSink::start().await?;
    sink.set(Behaviour::Hang);
    let mut client = Client::connect(&sink).await?;
    assert!(timeout(SHORT, client.send("never")).await.is_err());
    let mut rest = Vec::new();
    assert!(timeout(SHORT, client.0.read_to_end(&mut rest)).await.is_err(), "the connection was closed");
    assert!(sink.messages().is_empty());

    // Dropping the sink closes its connections and frees its port.
    let addr = sink.addr();
    drop(sink);
    let _ = timeout(SOON, client.0.read_to_end(&mut rest)).await?;
    assert!(rest.is_empty());
    assert_eq!(MailSink::start_on(addr).await?.addr(), addr);
    Ok(())
}

#[tokio::test]
async fn waiting_ends_with_the_mail_or_the_timeout() -> Result<()> {
    let sink = MailSink::start().await?;
    let mut client = Client::connect(&sink).await?;
    let send = async {
        tokio::time::sleep(SHORT).await;
        client.send("awaited").await
    };
    let (mails, sent) = tokio::join!(sink.wait_for(|mails| !mails.is_empty(), SOON), send);
    assert_eq!((mails?.len(), sent?.as_str()), (1, "250"));

    let error = sink.wait_for(|mails| mails.len() > 1, SHORT).await.err().map(|error| error.to_string());
    assert!(error.is_some_and(|text| text.contains("awaited")), "the error lists what was kept");
    Ok(())
}
