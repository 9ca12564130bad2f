//! The table tests of the configuration.
