//! The part of groundplan that runs on a machine of a cluster: an IMDSv2 client and the termination
//! handler.
//!
//! ```text
//! instance metadata service ─ imds ─▶ termination ─ own_node ─▶ the Node, an Event
//!                                          └────── http ──────▶ probes, Prometheus
//! ```
//!
//! # Quick start
//!
//! The client requests a session token, keeps it, and sends it with each read. A missing path is
//! `None`, any other failure an error. Here with a metadata service of three lines, which answers two
//! requests:
//!
//! ```
//! use std::io::{Read as _, Write as _};
//! use std::net::TcpListener;
//!
//! use groundplan_node::imds::{Client, Endpoint, ImdsSettings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = TcpListener::bind("127.0.0.1:0")?;
//! let endpoint = Endpoint::parse(&format!("http://{}", service.local_addr()?))?;
//! std::thread::spawn(move || {
//!     let (mut request, mut requests) = ([0; 1024], Vec::new());
//!     for body in ["a-token", "i-0123456789abcdef0"] {
//!         let (mut stream, _) = service.accept().unwrap();
//!         let length = stream.read(&mut request).unwrap();
//!         requests.push(String::from_utf8_lossy(&request[..length]).into_owned());
//!         write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
//!     }
//!     assert!(requests[0].starts_with("PUT /latest/api/token"));
//!     assert!(requests[1].contains("x-aws-ec2-metadata-token: a-token"));
//! });
//!
//! let imds = Client::new(endpoint, ImdsSettings::default());
//! assert_eq!(imds.metadata("instance-id").await?.as_deref(), Some("i-0123456789abcdef0"));
//! # Ok(())
//! # }
//! ```
//!
//! The program: `groundplan-node --node-name NAME`, in `deploy/termination-handler`.
//!
//! # Modules
//!
//! Imports point down this list only:
//!
//! 1. [`command`]: the termination handler as a command. `groundplan-node` and `groundplan
//!    termination-handler` share it.
//! 2. [`termination`]: marks the Node of a machine before AWS takes the machine away.
//! 3. [`own_node`]: reads and writes one Node.
//! 4. [`mark_record`]: the annotation of a Node with the changes to clear later.
//! 5. [`kube_client`]: a client of the API server; [`http`]: probes and metrics; [`imds`]: a client of
//!    the instance metadata service, version 2 only.
//!
//! # Features
//!
//! | feature | effect |
//! |---|---|
//! | `test-support` | a Kubernetes API server in memory, for tests of other crates |
//!
//! Never contains the AWS SDK, the engine or OpenShift's documents.

use std::pin::Pin;

pub mod command;
pub mod http;
pub mod imds;
pub mod kube_client;
pub mod mark_record;
pub mod own_node;
pub mod termination;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;

/// A future on the heap, so that functions with different futures fit in one field.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
