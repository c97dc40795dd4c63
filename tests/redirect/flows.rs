//! The life of a redirected connection, step by step.
