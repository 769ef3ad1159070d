//! Files: one envelope a line.
//!
//! | file | says |
//! |---|---|
//! | [`output`] | the driver `file_output`, its settings, and how deliveries share a sync |
//! | `appender` | a file that is only ever appended to |

mod appender;
pub mod output;
