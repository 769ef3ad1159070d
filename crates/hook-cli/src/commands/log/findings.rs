//! A damage as people read it.

use hook_log::check::{Finding, Lost, Report};

use crate::{context::Context, exit::Exit, output::size};

/// Shows every damage, and every torn tail.
pub(super) fn show(context: &Context, report: &Report) -> Result<(), Exit> {
    for finding in report.damages() {
        for line in lines(finding) {
            context.output.line(&line)?;
        }
    }
    for (chain, tail) in report.chains.iter().filter_map(|chain| Some((chain.chain, chain.torn_tail.as_ref()?))) {
        context.output.line(&format!(
            "{chain}: {} behind byte {} of {} were never acknowledged: the next start cuts them off, which is no damage",
            size(tail.bytes),
            tail.position,
            tail.file.display()
        ))?;
    }
    Ok(())
}

fn lines(finding: &Finding) -> Vec<String> {
    let Finding { file, position, end, what, .. } = finding;
    let place = if end > position { format!("bytes {position} to {end}") } else { format!("byte {position}") };
    let mut lines = vec![format!("damaged: {}, {place}: {what}", file.display())];
    lines.extend(finding.lost.iter().map(|lost| format!("  lost: {}", of_lost(lost))));
    if finding.kept_records > 0 {
        lines.push(format!("  still readable there: {}", count(finding.kept_records, "record")));
    }
    if finding.dropped_keys > 0 {
        let keys = count(finding.dropped_keys, "deduplication key");
        lines.push(format!("  lost with it: {keys}; a copy of that delivery would be taken as a new one"));
    }
    for cursor in &finding.dropped_progress {
        lines.push(format!("  lost with it: progress of {cursor}, which does that part again"));
    }
    if finding.other_lost {
        lines.push("  deduplication keys and progress of cursors may have stood there too".to_owned());
    }
    if finding.lost.is_empty() && !finding.other_lost && finding.dropped_keys == 0 && finding.can_be_repaired {
        lines.push("  no record is lost".to_owned());
    }
    if !finding.can_be_repaired {
        lines.push("  a repair cannot help: no bad disk does that; put the file back from a backup".to_owned());
    }
    lines
}

fn of_lost(lost: &Lost) -> String {
    let Lost { topic, first, end, is_exact, .. } = lost;
    match (is_exact, end - first) {
        (true, 1) => format!("{topic}, offset {first}"),
        (true, records) => format!("{topic}, offsets {first} to {} ({records} records)", end - 1),
        (false, records) => format!("{topic}, at most {} from offset {first} on", count(records, "record")),
    }
}

/// So many of something.
pub(super) fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
