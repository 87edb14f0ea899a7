//! Receiving what is published on channels, again after every outage.

use std::time::Duration;

use futures::StreamExt;

use super::link::Link;
use crate::base::error::{Error, Result};

/// How long subscribing may take.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// What a subscription reports.
#[derive(Debug)]
pub enum Notice {
    /// From now on, every message arrives.
    Subscribed,
    /// A message, with its channel.
    Message(String, String),
    /// Messages may be missing until the next `Subscribed`. Without an error, the server went down and is back.
    Lost(Option<Error>),
}

impl Link {
    /// Receives what is published on the channels until the future is dropped. Reconnects when the connection is lost.
    pub async fn listen(&self, channels: &[String], mut receive: impl FnMut(Notice) + Send) {
        loop {
            let renewed = self.reconnected();
            let error = tokio::select! {
                Err(error) = self.listen_once(channels, &mut receive) => Some(error),
                () = renewed => None,
            };
            receive(Notice::Lost(error));
            tokio::time::sleep(RECONNECT_PAUSE).await;
            self.wait_until_available().await;
        }
    }

    async fn listen_once(
        &self,
        channels: &[String],
        receive: &mut (impl FnMut(Notice) + Send),
    ) -> Result<()> {
        let client = self.client().await?;
        let late = |late| Error::Unavailable(anyhow::Error::new(late).context("subscribing in Redis"));
        let subscribing = async {
            let mut subscriber = client.get_async_pubsub().await?;
            subscriber.subscribe(channels).await?;
            Ok::<_, Error>(subscriber)
        };
        let mut subscriber = tokio::time::timeout(SUBSCRIBE_TIMEOUT, subscribing).await.map_err(late)??;
        receive(Notice::Subscribed);
        let mut messages = subscriber.on_message();
        while let Some(message) = messages.next().await {
            receive(Notice::Message(message.get_channel_name().to_owned(), message.get_payload()?));
        }
        Err(Error::Unavailable(anyhow::anyhow!("the subscription has ended")))
    }
}
