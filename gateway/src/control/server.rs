//! Serves the control socket.

use super::handler::Handler;
use super::places::Places;
use super::{Answer, MAX_REQUEST, stream};
use crate::datapath::fault::Fault;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;
use tracing::warn;

/// How long a connection may be without a request.
const IDLE: Duration = Duration::from_mins(1);
/// How long a request may take from its first octet to its last.
const WHOLE: Duration = Duration::from_secs(5);
/// How long an answer may take to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who may ask, besides root.
const GROUP: &str = "gate25";

/// A socket that listens; its file goes when this is dropped, unless another socket took its place.
#[derive(Debug)]
pub struct Bound {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for Bound {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Listens at that path, in place of what a dead controller left there. Root and the group `gate25` of `/etc/group` may
/// connect.
pub fn bind(path: &Path) -> Result<(UnixListener, Bound), Fault> {
    let fault = |error: io::Error, remedy: &str| Fault::new("control", path.display(), error, remedy);
    if is_listened_to(path) {
        let remedy = "end that one, or give this one a `control` of its own";
        return Err(fault(io::Error::other("another controller listens there"), remedy));
    }
    if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.file_type().is_socket()) {
        return Err(fault(io::Error::other("is there already, and no socket"), "move it, or set `control`"));
    }
    // Made beside its place with its mode and group, and then renamed: whoever can see it can use it as meant, and what
    // was there is replaced in one step.
    let new = path.with_added_extension("new");
    let bound = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(0o660))?;
        let group = group(&fs::read_to_string("/etc/group").unwrap_or_default());
        let given = group.map(|group| chown(&new, None, Some(group)));
        if let Some(Err(error)) = given {
            warn!("control: {}: {error}: the group {GROUP} may not use it", path.display());
        } else if given.is_none() {
            warn!("control: {}: there is no group {GROUP}: only root may use it", path.display());
        }
        fs::rename(&new, path)?;
        listener.set_nonblocking(true)?;
        Ok((listener, Bound { path: path.to_owned(), identity: identity(path)? }))
    };
    bound().map_err(|error| fault(error, "gate25 must be able to write there; set `control` to another path"))
}

/// Whether somebody listens there. One that does not take connections, and has too many waiting, listens all the same;
/// it is not waited for.
pub(crate) fn is_listened_to(path: &Path) -> bool {
    let Ok(address) = SocketAddrUnix::new(path) else { return false };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let asked = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .and_then(|socket| connect(&socket, &address));
    matches!(asked, Ok(()) | Err(Errno::AGAIN))
}

/// The number of our group.
fn group(file: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(GROUP)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// Serves until the process ends.
pub async fn serve(listener: UnixListener, handler: Arc<Handler>) -> io::Result<()> {
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let places = Places::default();
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely; that passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(user) = stream.peer_cred().map(|peer| peer.uid()) else { continue };
        let place = match places.take(user) {
            Ok(place) => place,
            Err(refusal) => {
                // A socket that is new takes that much at once.
                let answer = line(&Answer::error(refusal));
                let _ = timeout(Duration::from_millis(1), stream.write_all(&answer)).await;
                continue;
            }
        };
        let handler = handler.clone();
        tokio::spawn(async move {
            // One that breaks off is its own affair.
            let _ = converse(stream, user, &handler).await;
            drop(place);
        });
    }
}

async fn converse(stream: tokio::net::UnixStream, user: u32, handler: &Handler) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = Vec::new();
    loop {
        request.clear();
        timeout(IDLE, stream.fill_buf()).await??;
        let mut bounded = (&mut stream).take(MAX_REQUEST as u64 + 1);
        timeout(WHOLE, bounded.read_until(b'\n', &mut request)).await??;
        let whole = request.strip_suffix(b"\n");
        if whole.is_none() && request.is_empty() {
            return Ok(());
        }
        let is_too_long = whole.is_none() && request.len() > MAX_REQUEST;
        if let Some(filter) = stream::filter(&request) {
            return stream::follow(stream, handler.events(), &filter).await;
        }
        let answer = if is_too_long {
            Answer::error(format!("a request of more than {MAX_REQUEST} octets"))
        } else {
            handler.answer(whole.unwrap_or(&request), user).await
        };
        timeout(PATIENCE, stream.write_all(&line(&answer))).await??;
        if is_too_long {
            return Ok(());
        }
    }
}

pub(super) fn line(answer: &Answer) -> Vec<u8> {
    let mut text = serde_json::to_vec(answer).unwrap_or_default();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Shared;

    #[test]
    fn who_says_nothing_is_left_after_a_minute_and_who_begins_and_hangs_after_five_seconds() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let handler = Handler::new(Shared::default(), std::sync::mpsc::channel().0, |_| Ok(None));
        for (said, limit) in [("", 60), (r#"{"status""#, 5), ("null\n", 60), ("null\nnull", 5)] {
            runtime.block_on(async {
                let begin = tokio::time::Instant::now();
                let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
                theirs.write_all(said.as_bytes()).await.unwrap();
                let error = converse(ours, 0, &handler).await.unwrap_err();
                assert_eq!((error.kind(), begin.elapsed().as_secs()), (ErrorKind::TimedOut, limit), "{said}");
            });
        }
    }

    #[test]
    fn the_group_is_found_by_its_whole_name() {
        let file = "root:x:0:\ngate25x:x:5:\nnogate25:x:6:\ngate25:x:997:alice,bob\n";
        assert_eq!(group(file), Some(997));
        assert_eq!(group("gate25:x\n"), None);
        assert_eq!(group(""), None);
    }
}
