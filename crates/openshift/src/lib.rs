//! OpenShift's own documents: the install-config, the topology of its cluster on AWS, and the objects
//! of the Machine API. Pure: no network, no clock, no SDK, no command line.
//!
//! # Quick start
//!
//! An install-config is text. [`install_config::read`] parses it, or returns all findings at once.
//! [`topology::compile`] turns it into a graph of AWS resources. The compiler makes no calls; lookup
//! results are an argument:
//!
//! ```
//! use groundplan_openshift::install_config::read;
//! use groundplan_openshift::topology::{Assets, CompileOptions, compile, identify, needed_lookups};
//!
//! let case = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plans/internal");
//! let text = std::fs::read_to_string(format!("{case}/install-config.yaml"))?;
//! let config = read(&text).config.expect("a valid install-config");
//!
//! let facts = std::fs::read(format!("{case}/facts.json"))?;
//! let lookup_cache = serde_json::from_slice(&facts)?;
//! let options = CompileOptions::default();
//! assert_eq!(needed_lookups(&config, &lookup_cache, &options), [], "all results are there");
//!
//! let cluster = identify(&config);
//! let compiled = compile(&config, &cluster, &lookup_cache, &Assets::none(), &options);
//! let graph = compiled.expect("no compile errors").graph;
//! assert!(graph.nodes().iter().any(|node| node.address.as_str() == "instance.master-0"));
//!
//! // An invalid config has findings with positions instead.
//! let outcome = read(&text.replace("us-west-2", "US West"));
//! assert!(outcome.config.is_none());
//! assert!(!outcome.findings.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! Imports point down this list only:
//!
//! 1. [`plan_review`]: warnings about masters and machines in a plan, and drift classes.
//! 2. [`machine_api`]: Machine API objects: types, validation, launch specs, manifests.
//! 3. [`topology`]: compiles an install-config and lookup results to a graph.
//! 4. [`install_config`]: parses an install-config, or reports findings with their positions.
//! 5. [`diagnostics`]: findings and rules, shared by install-configs and manifests.
//! 6. [`release`]: releases of OpenShift and their order.
//!
//! # Features
//!
//! | feature | effect |
//! |---|---|
//! | `test-support` | example clusters with the lookup results of a cloud |

pub mod diagnostics;
pub mod install_config;
pub mod machine_api;
pub mod plan_review;
pub mod release;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;
pub mod topology;
