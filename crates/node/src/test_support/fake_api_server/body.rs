//! Response bodies: one object, or the lines of a watch as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::FakeApiServer;

/// Interval of bookmarks, as in k8s.io/apiserver `pkg/storage/cacher`.
const BOOKMARKS: Duration = Duration::from_secs(60);

/// Time from the last bookmark to the timeout of the watch.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// A line of a watch, or the abrupt end of the connection.
pub(super) type WatchLine = Result<Bytes, super::Closed>;

/// A line of a watch, and the time when it arrives.
pub(super) type TimedLine = (Instant, WatchLine);

pub(super) enum ResponseBody {
    Whole(Option<Bytes>),
    Watch(Box<WatchBody>),
}

/// Open watch, as its client sees it.
pub(super) struct WatchBody {
    lines: UnboundedReceiver<TimedLine>,
    /// Line that is on its way.
    next: Option<(Pin<Box<Sleep>>, WatchLine)>,
    end: Pin<Box<Sleep>>,
    bookmarks: Option<Bookmarks>,
}

/// Bookmarks of a watch: events without a change, which prove that the watch is alive.
pub(super) struct Bookmarks {
    server: FakeApiServer,
    api_version: String,
    kind: &'static str,
    due: Pin<Box<Sleep>>,
    /// Time of the bookmark before the end of the watch.
    last: Option<Instant>,
}

impl Bookmarks {
    pub(super) fn new(server: FakeApiServer, api_version: String, kind: &'static str) -> Self {
        Self { server, api_version, kind, due: Box::pin(sleep(BOOKMARKS)), last: None }
    }

    /// Schedules the next bookmark: in a minute, or shortly before the end of the watch.
    fn schedule(&mut self) {
        let now = Instant::now();
        let regular = now + BOOKMARKS;
        let last = self.last.filter(|last| *last > now && *last < regular);
        self.due = Box::pin(sleep_until(last.unwrap_or(regular)));
    }

    fn line(&mut self) -> Bytes {
        self.schedule();
        let version = self.server.server().version.to_string();
        let object = json!({"kind": self.kind, "apiVersion": self.api_version,
                            "metadata": {"resourceVersion": version}});
        Bytes::from(format!("{}\n", json!({"type": "BOOKMARK", "object": object})))
    }
}

impl ResponseBody {
    pub(super) fn whole(object: &Value) -> Self {
        Self::Whole(Some(Bytes::from(object.to_string())))
    }

    /// Returns the lines of a watch for at most this time.
    pub(super) fn watch(lines: UnboundedReceiver<TimedLine>, open_for: Duration) -> Self {
        let end = Box::pin(sleep(open_for));
        Self::Watch(Box::new(WatchBody { lines, next: None, end, bookmarks: None }))
    }

    pub(super) fn send_bookmarks(&mut self, mut bookmarks: Bookmarks) {
        if let Self::Watch(watch) = self {
            bookmarks.last = watch.end.deadline().checked_sub(LAST_BOOKMARK);
            bookmarks.schedule();
            watch.bookmarks = Some(bookmarks);
        }
    }
}

impl WatchBody {
    fn poll_line(&mut self, context: &mut Context<'_>) -> Poll<Option<WatchLine>> {
        loop {
            if let Some((due, _)) = &mut self.next {
                if due.as_mut().poll(context).is_pending() {
                    break;
                }
                return Poll::Ready(self.next.take().map(|(_, line)| line));
            }
            match self.lines.poll_recv(context) {
                Poll::Ready(Some((due, line))) if due <= Instant::now() => {
                    return Poll::Ready(Some(line));
                }
                Poll::Ready(Some((due, line))) => {
                    self.next = Some((Box::pin(sleep_until(due)), line));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        let Some(marks) = self.bookmarks.as_mut().filter(|_| self.next.is_none()) else {
            return Poll::Pending;
        };
        marks.due.as_mut().poll(context).map(|()| Some(Ok(marks.line())))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = super::Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Watch(watch) => {
                watch.poll_line(context).map(|line| line.map(|line| line.map(Frame::data)))
            }
        }
    }
}
