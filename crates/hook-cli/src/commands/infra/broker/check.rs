//! `hook infra broker check`: is the cluster fit for the log of the contract.

use hook_contract::plan::Plan;
use hook_kafka::operate::{Cluster, Finding, Verdict};
use hook_runtime::cursors;

use crate::{context::Context, exit::Exit};

/// Is the cluster fit? Says what to do where it is not
///
/// Looks whether the brokers answer and let us in, how old they are, whether what the contract asks for can be replicated,
/// whether they allow the times that the log works with, whether the topics are as they must be, and what this user may do.
/// Nothing is written or made. Ends with exit code 1 where something has failed; warnings are no failure.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

/// Looks and says.
pub(super) async fn run(context: &Context, plan: &Plan, cluster: &Cluster) -> Result<(), Exit> {
    let findings = cluster.check(&cursors::active(plan)).await;
    if context.output.is_json() {
        findings.iter().try_for_each(|finding| context.output.json(finding))?;
    } else {
        show(context, &findings)?;
    }
    match findings.iter().any(|finding| finding.verdict == Verdict::Failed) {
        true => Err(Exit::Failure),
        false => Ok(()),
    }
}

fn show(context: &Context, findings: &[Finding]) -> Result<(), Exit> {
    let row = |finding: &Finding| [mark(finding.verdict).to_owned(), finding.check.clone(), finding.detail.clone()];
    context.output.table(&findings.iter().map(row).collect::<Vec<_>>())?;
    let remedies = findings.iter().filter_map(|finding| Some((finding.check.as_str(), finding.remedy.as_deref()?)));
    show_remedies(context, remedies)
}

/// Shows what to do about what; what is done about several once.
pub(super) fn show_remedies<'a>(
    context: &Context,
    remedies: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Exit> {
    let mut about: Vec<(&str, Vec<&str>)> = Vec::new();
    for (what, remedy) in remedies {
        match about.iter_mut().find(|(known, _)| *known == remedy) {
            Some((_, whats)) => whats.push(what),
            None => about.push((remedy, vec![what])),
        }
    }
    if about.is_empty() {
        return Ok(());
    }
    context.output.heading("what to do")?;
    for (remedy, whats) in about {
        context.output.line(&format!("  {}\n      {remedy}", whats.join(", ")))?;
    }
    Ok(())
}

/// How a verdict is shown.
pub(in crate::commands) fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Unknown => "not seen",
        Verdict::Warning => "warning",
        Verdict::Failed => "FAILED",
    }
}
