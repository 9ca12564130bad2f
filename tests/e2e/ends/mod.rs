//! How things end that cannot go on: whoever can mend it is told, nothing is begun again by itself, and what waits says so.

#[cfg(debug_assertions)]
mod given_up;
mod mended;
