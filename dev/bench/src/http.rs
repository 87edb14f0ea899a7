//! The leanest HTTP/1.1 client that serves: on two cores the client's own cost is part of the figure.

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection that is kept open.
pub struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: address.to_owned(), buffer: Vec::with_capacity(4096) })
    }

    /// Posts JSON. Returns status and body.
    pub async fn post(&mut self, path: &str, token: &str, body: &str) -> Result<(u16, String)> {
        let authorization = format!("authorization: Bearer {token}\r\n");
        let request = request(&self.host, "POST", path, &authorization, body);
        let (status, body) = self.send(&request).await?;
        Ok((status, String::from_utf8_lossy(body).into_owned()))
    }

    /// Sends a request as it is. Returns status and body.
    pub async fn send(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        let (status, body) = self.exchange(request).await?;
        Ok((status, &self.buffer[body..]))
    }

    /// Sends a request and returns the whole answer, head and body.
    pub async fn pass(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.exchange(request).await?;
        Ok(&self.buffer)
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<(u16, usize)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some(complete) = self.complete()? {
                return Ok(complete);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed");
            }
        }
    }

    /// Whether the head of the last answer has this line.
    pub fn was_told(&self, line: &str) -> bool {
        let head = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or_default();
        self.buffer[..head].split(|byte| *byte == b'\n').any(|told| told.trim_ascii() == line.as_bytes())
    }

    /// The status and where the body begins, once all of it is here.
    fn complete(&self) -> Result<Option<(u16, usize)>> {
        let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&self.buffer[..end])?;
        let status = head.get(9..12).context("a status line")?.parse()?;
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .context("a content-length")?
            .parse()?;
        let body = end + 4;
        Ok((self.buffer.len() >= body + length).then_some((status, body)))
    }
}

/// The bytes of a request; `headers` are whole lines.
pub fn request(host: &str, method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = match body.len() {
        0 => String::new(),
        length => format!("content-type: application/json\r\ncontent-length: {length}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}{length}\r\n{body}").into_bytes()
}
