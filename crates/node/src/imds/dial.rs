//! Connections to the service. Tests replace them by connections in memory, which need no port.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::endpoint::Endpoint;
use crate::BoxFuture;

/// Connection of any type.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Function that makes connections.
pub(super) type Dial = Arc<dyn Fn() -> BoxFuture<'static, io::Result<Box<dyn Wire>>> + Send + Sync>;

/// Returns a function that connects to the endpoint directly. No setting can redirect it to a
/// proxy.
pub(super) fn directly(endpoint: &Endpoint) -> Dial {
    let address = endpoint.address();
    Arc::new(move || {
        let address = address.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            Ok(Box::new(stream) as Box<dyn Wire>)
        })
    })
}
