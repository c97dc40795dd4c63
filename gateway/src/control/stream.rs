//! Events to who follows them.

use super::{Answer, FOLLOWING, Filter, Request, server::line};
use crate::events::Events;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

/// Followers at a time; who comes then is told so.
pub(crate) const FOLLOWERS: usize = 16;
/// How long a follower may take nothing, before it is let go.
const PATIENCE: Duration = Duration::from_mins(10);

/// Which events a request wants to follow, if it is one for that.
pub(super) fn filter(request: &[u8]) -> Option<Filter> {
    match serde_json::from_slice(request) {
        Ok(Request::Follow(filter)) => Some(filter),
        _ => None,
    }
}

/// Tells events until the follower goes. A slow one holds up nobody: it misses some, and is told how many.
pub(super) async fn follow(
    mut stream: BufReader<UnixStream>,
    events: &Events,
    filter: &Filter,
) -> io::Result<()> {
    let Some(mut events) = events.follow_up_to(FOLLOWERS) else {
        return stream
            .write_all(&line(&Answer::error(format!("there are {FOLLOWERS} followers already"))))
            .await;
    };
    stream.write_all(format!("{FOLLOWING}\n").as_bytes()).await?;
    loop {
        let mut ignored = [0; 64];
        let event = tokio::select! {
            event = events.recv() => event,
            // It says nothing more, but its end is seen here.
            read = stream.read(&mut ignored) => match read? {
                0 => return Ok(()),
                _ => continue,
            },
        };
        let line = match event {
            Ok(told) if filter.admits(&told.record) => format!("{}\n", told.line),
            Ok(_) => continue,
            Err(RecvError::Lagged(missed)) => format!("{{\"missed\":{missed}}}\n"),
            Err(RecvError::Closed) => return Ok(()),
        };
        timeout(PATIENCE, stream.write_all(line.as_bytes())).await??;
    }
}
