//! A minimal HTTP/1.1 client: it shares the machine with the server it measures, so it must cost little.

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A keep-alive connection, opened again after a response that closes it.
pub struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to `host:port`.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: address.to_owned(), buffer: Vec::with_capacity(4096) })
    }

    /// Posts JSON and returns the status and the body.
    pub async fn post(&mut self, path: &str, token: &str, body: &str) -> Result<(u16, String)> {
        let authorization = format!("authorization: Bearer {token}\r\n");
        let request = request(&self.host, "POST", path, &authorization, body);
        let (status, body) = self.send(&request).await?;
        Ok((status, String::from_utf8_lossy(body).into_owned()))
    }

    /// Sends the bytes of a request, see [`request`], and returns the status and the body.
    pub async fn send(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        let (status, body) = self.exchange(request).await?;
        Ok((status, &self.buffer[body..]))
    }

    /// Sends the bytes of a request and returns the bytes of the response, head and body.
    pub async fn forward(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.exchange(request).await?;
        Ok(&self.buffer)
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<(u16, usize)> {
        if self.has_header("connection: close") {
            *self = Self::open(&self.host).await?;
        }
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some(response) = self.complete_response()? {
                return Ok(response);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
    }

    /// Whether the head of the last response contains this line.
    #[must_use]
    pub fn has_header(&self, line: &str) -> bool {
        let head = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or_default();
        self.buffer[..head].split(|byte| *byte == b'\n').any(|header| header.trim_ascii() == line.as_bytes())
    }

    /// The status and the offset of the body, once the response is complete.
    fn complete_response(&self) -> Result<Option<(u16, usize)>> {
        let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&self.buffer[..end])?;
        let status = head.get(9..12).context("a response without a status")?.parse()?;
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .context("a response without a content-length")?
            .parse()?;
        let body = end + 4;
        Ok((self.buffer.len() >= body + length).then_some((status, body)))
    }
}

/// The bytes of a request. `headers` are complete lines, each with its line break.
#[must_use]
pub fn request(host: &str, method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = match body.len() {
        0 => String::new(),
        length => format!("content-type: application/json\r\ncontent-length: {length}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}{length}\r\n{body}").into_bytes()
}
