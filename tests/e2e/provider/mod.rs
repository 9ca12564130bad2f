//! Trouble that is nobody's fault: agents wait, everything else goes on, and it is said once.

mod breaker;
mod installation;
mod limit;
mod results;
