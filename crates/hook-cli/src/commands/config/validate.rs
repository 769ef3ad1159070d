//! `hook config validate`: everything that is wrong with a contract, at once.

use hook_contract::plan::{Plan, Role};

use crate::{
    context::Context,
    exit::Exit,
    load::{self, Examined},
    report,
};

/// Check a contract, and say everything that is wrong with it at once
///
/// Each problem has a stable code, the place in the file, and what would be right; `hook config explain CODE` tells
/// more. Nothing is started and nothing is reached over the network. The exit code is 0 without errors (warnings are
/// none) and 1 with them. With --json: {"problems":[{"code","severity","file","line","column","message","help"}]}.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Check too that every environment variable is set that the roles of the contract need
    #[arg(long)]
    with_env: bool,
}

/// Checks the contract and shows what was found.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let mut examined = load::examine(context);
    examined.require_build();
    if arguments.with_env {
        let roles = [Role::Serve, Role::Relay, Role::Smash];
        examined.require_environment(&roles);
        examined.require_files(&roles);
    }
    if context.output.is_json() {
        context.answer(&examined.problems)?;
    } else {
        context.show(&examined.problems, examined.contract.as_ref());
        context.output.line(&summary(&examined))?;
    }
    if examined.has_errors() { Err(Exit::Failure) } else { Ok(()) }
}

fn summary(examined: &Examined) -> String {
    let file = examined.contract.as_ref().map_or("contract", |contract| contract.file.as_str());
    match &examined.plan {
        Some(plan) if !examined.has_errors() => {
            let found = if examined.problems.is_empty() { "ok".into() } else { report::count(&examined.problems) };
            format!("{file}: {found}: {}", what_is_active(plan))
        }
        _ => format!("{file}: {}; `hook config explain CODE` tells more about each", report::count(&examined.problems)),
    }
}

fn what_is_active(plan: &Plan) -> String {
    let profile = &plan.profile.name;
    let adapters = plan.serve.adapters.len() + plan.smash.adapters.len();
    let routes = plan.serve.routes.len() + plan.smash.routes.len();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!(
        "app {} {}, profile {profile}, {adapters} adapter{}, {routes} route{}",
        plan.app.id,
        plan.app.version,
        plural(adapters),
        plural(routes)
    )
}
