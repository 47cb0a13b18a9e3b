//! Response bodies: one object, or the lines of a watch as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Sleep, sleep};

/// A line of a watch, or the abrupt end of the connection.
pub(super) type WatchLine = Result<Bytes, super::Closed>;

pub(super) enum ResponseBody {
    Whole(Option<Bytes>),
    Watch { lines: UnboundedReceiver<WatchLine>, end: Pin<Box<Sleep>> },
}

impl ResponseBody {
    pub(super) fn whole(object: &Value) -> Self {
        Self::Whole(Some(Bytes::from(object.to_string())))
    }

    /// Returns the lines of a watch for at most `seconds`.
    pub(super) fn watch(lines: UnboundedReceiver<WatchLine>, seconds: u64) -> Self {
        Self::Watch { lines, end: Box::pin(sleep(Duration::from_secs(seconds))) }
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
            Self::Watch { lines, end } => match lines.poll_recv(context) {
                Poll::Ready(line) => Poll::Ready(line.map(|line| line.map(Frame::data))),
                Poll::Pending => end.as_mut().poll(context).map(|()| None),
            },
        }
    }
}
