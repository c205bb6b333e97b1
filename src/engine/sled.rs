//! A sled engine: one sled transaction per commit.
