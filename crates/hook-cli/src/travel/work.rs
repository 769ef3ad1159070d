//! Counts, asks, sends, and shows how far it is.

use std::{
    io::{BufRead, IsTerminal},
    time::{Duration, Instant},
};

use hook_admin::travel::{CountRequest, Line, RunRequest};
use hook_core::job::{Job, JobKind, Selection, Tally, Target};
use hook_runtime::travel::{Count, Order, Speed, Start};
use serde::Serialize;
use uuid::Uuid;

use super::{desk::Desk, flags::How, operator};
use crate::{context::Context, data_directory::Flag, exit::Exit, output::size, owner::fail};

/// Where nobody sees it change, progress is a line this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// On a terminal it changes this often.
const BLINK: Duration = Duration::from_millis(100);

/// What a command asks for.
pub struct Asked<'a> {
    /// What is read.
    pub kind: JobKind,
    /// Which events.
    pub selection: Selection,
    /// Where to, and how.
    pub how: &'a How,
    /// The command as it is written down.
    pub command: String,
}

/// What was done, for programs.
#[derive(Debug, Serialize)]
pub struct Done {
    /// The job.
    pub job: Uuid,
    /// How many events were counted.
    pub counted: u64,
    /// Where they went.
    #[serde(skip)]
    pub target: Target,
    /// What it has done.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Counts, and sends where that is wanted. `None` where it was not, or there was nothing: that has been said.
pub async fn carry_out(context: &Context, flag: &Flag, asked: Asked<'_>) -> Result<Option<(Count, Done)>, Exit> {
    let Asked { kind, selection, how, command } = asked;
    how.check().map_err(|message| fail(context, message))?;
    let desk = if how.dry_run { Desk::look(context, flag).await? } else { Desk::work(context, flag).await? };
    let request = CountRequest { kind, selection, target: how.target() };
    context.output.progress("counting");
    let counted = desk.count(context, &request).await;
    context.output.progress("");
    let count = counted?;
    if how.dry_run {
        show_count(context, &count)?;
        return Ok(None);
    }
    let sent = send(context, &desk, (how, command), request, &count).await;
    desk.close(context).await?;
    Ok(sent?.map(|done| (count, done)))
}

async fn send(
    context: &Context,
    desk: &Desk,
    (how, command): (&How, String),
    request: CountRequest,
    count: &Count,
) -> Result<Option<Done>, Exit> {
    let CountRequest { kind, selection, .. } = request;
    if let (Some(id), false) = (count.unfinished, how.anew) {
        let message = format!(
            "job {id} asked for the same and was interrupted: `hook replay resume {id}` goes on with it; --anew begins again"
        );
        return Err(fail(context, &message));
    }
    if count.events == 0 {
        return say_nothing(context, kind, &selection, count);
    }
    agree(context, how, count)?;
    if how.yes {
        replayed_before(count).iter().for_each(|note| context.output.note(note));
    }
    let start = Start {
        kind,
        selection,
        target: count.target.clone(),
        reaches: count.reaches.clone(),
        counted: count.events,
        command,
        by: operator(),
    };
    let order = Order::Start(Box::new(start));
    follow(context, desk, order, how.pace.speed()).await.map(Some)
}

/// There is nothing to send: for one that was named that is an error.
fn say_nothing(context: &Context, kind: JobKind, selection: &Selection, count: &Count) -> Result<Option<Done>, Exit> {
    let passed_over = passed_over(count.passed_over);
    if let [id] = selection.ids[..] {
        let message = match (kind, count.passed_over) {
            (JobKind::Redrive, Tally { redriven_before: 1.., .. }) => {
                format!("event {id} was redriven before: --again does it once more")
            }
            (JobKind::Redrive, Tally { without_destination: 1.., .. }) => {
                format!("the contract has no destination for the dead letter of event {id}: --to names another")
            }
            (JobKind::Redrive, _) => format!("event {id} has no dead letter"),
            (JobKind::Replay, Tally { without_destination: 1.., .. }) => {
                format!("no smash route takes event {id} from a topic that it is stored in: --to names a destination")
            }
            (JobKind::Replay, _) => format!("no event {id} is in the log"),
        };
        return Err(fail(context, &message));
    }
    if context.output.is_json() {
        context.output.json(count)?;
    } else {
        context.output.line(&format!("nothing to send{passed_over}"))?;
    }
    Ok(None)
}

/// More than one event wants a second look.
fn agree(context: &Context, how: &How, count: &Count) -> Result<(), Exit> {
    if how.yes || count.events == 1 {
        return Ok(());
    }
    let can_answer = !context.output.is_json() && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !can_answer {
        let message = format!("{} events would be sent: --yes sends them, --dry-run shows what they are", count.events);
        return Err(fail(context, &message));
    }
    show_count(context, count)?;
    context.output.ask(&format!("send {} events? [y/N] ", count.events));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(fail(context, "nothing was sent"))
}

/// What a second look may find strange. A replay is asked for because an event is to go once more: it is told, and not refused.
fn replayed_before(count: &Count) -> Option<String> {
    let Count { events, replayed_before, .. } = count;
    let them = if replayed_before == events { "all of them".to_owned() } else { format!("{replayed_before} of them") };
    (*replayed_before > 0).then(|| format!("{them} were replayed there before (`hook replay list`), and go once more"))
}

/// Goes on with a job that was interrupted.
pub async fn resume(context: &Context, flag: &Flag, id: Uuid, speed: Speed) -> Result<(), Exit> {
    let desk = Desk::work(context, flag).await?;
    let done = follow(context, &desk, Order::Resume { id, by: operator() }, speed).await;
    desk.close(context).await?;
    say_done(context, &done?)
}

/// What a job has done. Fails where a URL has refused some of it.
pub fn say_done(context: &Context, done: &Done) -> Result<(), Exit> {
    let Done { job, counted, tally, .. } = done;
    if context.output.is_json() {
        context.output.json(done)?;
    } else {
        let known =
            if tally.known > 0 { format!(", {} before it was interrupted", tally.known) } else { String::new() };
        context.output.line(&format!(
            "job {job}: {} of {counted} events sent again{known}{}",
            tally.sent,
            passed_over(*tally)
        ))?;
    }
    match tally.refused {
        0 => Ok(()),
        refused => Err(fail(context, &format!("{refused} refused for good: `hook explain` says how, of each"))),
    }
}

fn passed_over(tally: Tally) -> String {
    let part = |count: u64, what: &str| if count > 0 { format!("; {count} {what}") } else { String::new() };
    let without = part(tally.without_destination, "left alone: no destination of the contract takes them");
    let unanswered = part(tally.unanswered, "left alone: --where has no answer for them");
    without + &unanswered + &part(tally.redriven_before, "left alone: redriven before (--again takes them too)")
}

/// Has a job done to its end, and shows how far it is.
async fn follow(context: &Context, desk: &Desk, order: Order, speed: Speed) -> Result<Done, Exit> {
    let request = RunRequest { order, speed };
    let mut watch = Watch::new(context);
    let ran = desk.run(request, |line| watch.take(line)).await;
    context.output.progress("");
    let done = watch.end(ran.err())?;
    if desk.is_resting() && !matches!(done.target, Target::Url(_)) {
        context.output.note("no pipeline runs: they are delivered when one starts");
    }
    Ok(done)
}

/// Shows how far a job is.
struct Watch<'c> {
    context: &'c Context,
    job: Option<Job>,
    tally: Tally,
    is_finished: bool,
    stopped: Option<String>,
    /// When the first of them was told of, and how many there were then: of a job that goes on, not all are of now.
    began: Option<(Instant, u64)>,
    shown: Instant,
}

impl<'c> Watch<'c> {
    fn new(context: &'c Context) -> Self {
        let (tally, shown) = (Tally::default(), Instant::now());
        Self { context, job: None, tally, is_finished: false, stopped: None, began: None, shown }
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Job(job) => {
                if job.counted > 1 {
                    let id = job.id;
                    self.context
                        .output
                        .note(&format!("job {id}: `hook replay resume {id}` goes on where it is interrupted"));
                }
                self.job = Some(*job);
            }
            Line::Progress(tally) => {
                self.tally = tally;
                self.show();
            }
            Line::Finished(tally) => (self.tally, self.is_finished) = (tally, true),
            Line::Stopped { error } => self.stopped = Some(error),
        }
    }

    fn show(&mut self) {
        let output = &self.context.output;
        let every = if output.stderr_is_terminal() { BLINK } else { SIGN_OF_LIFE };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let done = self.tally.sent + self.tally.known + self.tally.refused;
        let counted = self.job.as_ref().map_or(0, |job| job.counted);
        let percent = (done * 100).checked_div(counted).unwrap_or(0).min(100);
        let (began, before) = *self.began.get_or_insert((self.shown, done));
        let seconds = began.elapsed().as_secs_f64();
        let speed = match seconds > 0.5 {
            true => format!(", {:.0} a second", done.saturating_sub(before) as f64 / seconds),
            false => String::new(),
        };
        let line = format!("{done} of {counted} events ({percent} %){speed}");
        match output.stderr_is_terminal() {
            true => output.progress(&line),
            false => output.note(&line),
        }
    }

    fn end(self, error: Option<String>) -> Result<Done, Exit> {
        let Self { context, job, tally, is_finished, stopped, .. } = self;
        let Some(job) = job else {
            return Err(fail(context, error.as_deref().unwrap_or("the job did not begin")));
        };
        if is_finished {
            return Ok(Done { job: job.id, counted: job.counted, target: job.target, tally });
        }
        let why = stopped.or(error).unwrap_or_else(|| "the pipeline has ended".to_owned());
        let (sent, counted, id) = (tally.sent + tally.known, job.counted, job.id);
        let message = format!("interrupted after {sent} of {counted} events: {why}; `hook replay resume {id}` goes on");
        Err(fail(context, &message))
    }
}

fn show_count(context: &Context, count: &Count) -> Result<(), Exit> {
    if context.output.is_json() {
        return context.output.json(count);
    }
    if count.events == 0 {
        return context.output.line(&format!("nothing to send{}", passed_over(count.passed_over)));
    }
    let rows: Vec<_> = count
        .groups
        .iter()
        .map(|group| {
            let name = |name: &str| name.to_owned();
            [group.events.to_string(), name(&group.source), name(&group.event_type), name(&group.destination)]
        })
        .collect();
    context.output.titled_table(["events", "source", "type", "destination"], &rows)?;
    let others = match count.in_other_groups {
        0 => String::new(),
        others => format!("; {others} deliveries of kinds that are not shown"),
    };
    context.output.note(&format!(
        "{} events, {}{others}{}",
        count.events,
        size(count.bytes),
        passed_over(count.passed_over)
    ));
    replayed_before(count).iter().for_each(|note| context.output.note(note));
    Ok(())
}
