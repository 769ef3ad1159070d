//! Vectors and promises.
