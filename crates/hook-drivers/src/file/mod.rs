//! Files: one envelope a line.
//!
//! | file | says |
//! |---|---|
//! | [`output`] | the driver `file_output`, its settings, and how deliveries share a sync |
//! | `appender` | a file that is only ever appended to |
//! | [`rotation`] | moving it away when it is full |

mod appender;
pub mod output;
pub mod rotation;
