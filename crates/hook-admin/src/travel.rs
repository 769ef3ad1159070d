//! Jobs that send stored events again, on the admin socket: counted, started, resumed, listed.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use hook_core::{
    job::{Job, JobKind, Selection, Tally, Target},
    stop::Stop,
};
use hook_runtime::travel::{self, JobState, Order, Run, Speed, Step, TravelError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::socket::{Admin, Failed, lines_of};

/// What is to be counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CountRequest {
    /// What is read.
    pub kind: JobKind,
    /// Which events.
    pub selection: Selection,
    /// Where they would go.
    pub target: Target,
}

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRequest {
    /// What.
    pub order: Order,
    /// How fast.
    #[serde(default)]
    pub speed: Speed,
}

/// A sign of life of a job, one a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// It has begun.
    Job(Box<Job>),
    /// It has come so far.
    Progress(Tally),
    /// It has done everything.
    Finished(Tally),
    /// It could not go on, and can be resumed.
    Stopped {
        /// Why.
        error: String,
    },
}

impl Line {
    /// Whether another follows.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Stopped { .. })
    }
}

/// The next sign of life of a job.
pub async fn advance(run: &mut Run) -> Line {
    match run.step().await {
        Ok(Step::Progress(tally)) => Line::Progress(tally),
        Ok(Step::Finished(tally)) => Line::Finished(tally),
        Err(error) => {
            run.stopped(&error).await;
            Line::Stopped { error: error.to_string() }
        }
    }
}

/// The jobs that this process is at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(Arc<Mutex<HashSet<Uuid>>>);

impl Running {
    fn has(&self, id: Uuid) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// `None` where another request is at it.
    fn enter(&self, id: Uuid) -> Option<AtWork> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        is_new.then(|| AtWork { running: self.clone(), id })
    }
}

/// A job is worked at for as long as this is held.
struct AtWork {
    running: Running,
    id: Uuid,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

pub(crate) async fn count(State(admin): State<Admin>, Json(request): Json<CountRequest>) -> Result<Response, Failed> {
    let CountRequest { kind, selection, target } = request;
    let count = travel::count(&admin.handle.ground(), kind, &selection, &target).await?;
    Ok(Json(count).into_response())
}

pub(crate) async fn list(State(admin): State<Admin>) -> Result<Response, Failed> {
    let mut jobs = travel::list(admin.handle.log(), &admin.handle.plan().journal).await?;
    for state in &mut jobs {
        state.is_running = admin.running.has(state.job.id);
    }
    Ok(Json::<Vec<JobState>>(jobs).into_response())
}

/// Streams one JSON line a sign of life. Who stops listening interrupts the job.
pub(crate) async fn run(State(admin): State<Admin>, Json(request): Json<RunRequest>) -> Result<Response, Failed> {
    let busy = |id: Uuid| Failed::Refused(format!("job {id} is being worked at"));
    let entered = match &request.order {
        Order::Resume { id, .. } => Some(admin.running.enter(*id).ok_or_else(|| busy(*id))?),
        Order::Start(_) => None,
    };
    let handle = &admin.handle;
    let run = Run::begin(handle.ground(), request.order, request.speed, (&admin.to_url, handle.secrets())).await?;
    let id = run.job().id;
    let at_work = match entered {
        Some(at_work) => at_work,
        None => admin.running.enter(id).ok_or_else(|| busy(id))?,
    };
    Ok(lines_of(stream_of(run, at_work, admin.stop)))
}

fn stream_of(run: Run, at_work: AtWork, stop: Stop) -> Body {
    let begun = Line::Job(Box::new(run.job().clone()));
    let state = Some((run, at_work, stop, Some(begun)));
    Body::from_stream(stream::unfold(state, |state| async move {
        let (mut run, at_work, mut stop, begun) = state?;
        let line = match begun {
            Some(line) => line,
            None => tokio::select! {
                () = &mut stop => return None,
                line = advance(&mut run) => line,
            },
        };
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        let next = (!line.is_last()).then_some((run, at_work, stop, None));
        Some((Ok::<_, Infallible>(Bytes::from(bytes)), next))
    }))
}

impl From<TravelError> for Failed {
    fn from(error: TravelError) -> Self {
        match error {
            TravelError::Log(error) => Self::Log(error),
            other => Self::Refused(other.to_string()),
        }
    }
}
