//! What the engine costs, without a cloud: plans, applies, re-plans and destroys graphs of FakeCloud
//! nodes, flat and layered, with the real local state home. Prints a table and one JSON line per
//! figure.
//!
//! Each figure is measured in a process of its own, so that peak memory is that phase's and what it
//! built on: the program calls itself with the shape and size.

fn main() {}
