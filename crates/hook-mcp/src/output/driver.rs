//! The driver: an attempt, from the event to its outcome.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    catalog::{Fault, Kind},
    envelope::Envelope,
    outcome::{Failure, FailureClass, Outcome},
    ports::egress::{CheckError, Delivery, EgressDriver, Host},
    secret::{Secret, Secrets},
};
use hook_http::client::headers::traceparent;
use rmcp::model::RequestMetaObject;
use serde_json::json;
use tracing::warn;

use super::{
    link::Link,
    message::Arguments,
    outcome::{failure, of_tool},
    scrub::Hidden,
    session::{Call, Session, missing},
    settings::{OnToolError, Settings},
    template::Template,
};

/// The driver `mcp_tool_output`.
pub struct McpToolOutput {
    tool: String,
    template: Template,
    link: Link,
    on_tool_error: OnToolError,
    /// Whether it was said that the tool needs what the arguments lack.
    has_warned: AtomicBool,
}

impl Kind for McpToolOutput {
    const NAME: &'static str = "mcp_tool_output";
    const ABOUT: &'static str = "Calls a tool of an MCP server for each event.";
    type Settings = Settings;
    type Driver = dyn EgressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let mut faults = Vec::new();
        let template = Template::parse(settings.arguments.as_ref()).map_err(|mut wrong| faults.append(&mut wrong));
        let patience = settings.patience();
        let way = match &patience {
            Ok(patience) => settings.way(*patience).map_err(|mut wrong| faults.append(&mut wrong)),
            Err(_) => Err(()),
        };
        match (template, patience, way) {
            (Ok(template), Ok(patience), Ok(way)) => Ok(Arc::new(Self {
                tool: settings.tool_name,
                template,
                link: Link::new(way, patience),
                on_tool_error: settings.on_tool_error,
                has_warned: AtomicBool::new(false),
            })),
            (_, patience, _) => {
                faults.extend(patience.err().into_iter().flatten());
                Err(faults)
            }
        }
    }
}

impl EgressDriver for McpToolOutput {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let _call = self.link.enter();
            match self.attempt(delivery).await {
                // What it returns is for an agent that asked; the journal needs none of it.
                Ok(()) => Outcome::delivered("the tool returned a result"),
                Err(failure) => Outcome::Failed(failure),
            }
        })
    }

    /// The arguments of the call.
    fn render(&self, envelope: &Envelope, _: &Secrets) -> Result<Option<Bytes>, String> {
        let arguments = self.template.render(envelope).map_err(|missing| missing.to_string())?;
        Ok(Some(Bytes::copy_from_slice(arguments.get().as_bytes())))
    }

    fn check<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async move {
            let _call = self.link.enter();
            let credentials = self.link.credentials(secrets).map_err(CheckError::MissingSecret)?;
            let hidden = Hidden::of(None, self.link.hidden(&credentials).into_iter());
            let listed = async {
                let session = self.link.session(&credentials).await?;
                // What was listed before says nothing about now.
                let tools = session.list(&hidden).await?;
                match tools.iter().any(|listed| listed.name == self.tool) {
                    true => Ok(()),
                    false => Err(missing(&self.tool, &tools)),
                }
            };
            listed.await.map_err(|failure: Failure| CheckError::Unreachable(failure.error))
        })
    }

    fn run(&self, host: Host) -> BoxFuture<'_, ()> {
        Box::pin(self.link.run(host.stop))
    }
}

impl McpToolOutput {
    async fn attempt(&self, delivery: Delivery<'_>) -> Result<(), Failure> {
        let refused = |error: super::template::Missing| failure(FailureClass::Rejected, error.to_string());
        let arguments = self.template.render(delivery.envelope).map_err(refused)?;
        let credentials = self.link.credentials(delivery.secrets);
        let credentials =
            credentials.map_err(|name| failure(FailureClass::Misconfigured, format!("{name} is not set")))?;
        let secrets: Vec<&Secret> = self.link.hidden(&credentials);
        let hidden = || Hidden::of(Some(&arguments), secrets.iter().copied());

        let session = self.link.session(&credentials).await?;
        if !session.has(&self.tool, hidden).await? {
            return Err(missing(&self.tool, &session.tools()));
        }
        self.compare(&session);
        let (tool, meta) = (self.tool.clone(), identity(&delivery));
        let call = Call { tool, arguments: Arguments(Arc::clone(&arguments)), meta };
        let result = session.call(call, hidden).await?;
        self.link.on_answer().await;
        match (result.is_error, self.on_tool_error) {
            (Some(true), OnToolError::Retry) => Err(of_tool(&result, FailureClass::Transient, &hidden())),
            (Some(true), OnToolError::Reject) => Err(of_tool(&result, FailureClass::Rejected, &hidden())),
            _ => Ok(()),
        }
    }

    /// Says once what the tool needs and the arguments do not have. The server decides.
    fn compare(&self, session: &Session) {
        if self.has_warned.load(Ordering::Relaxed) {
            return;
        }
        let tools = session.tools();
        let Some(tool) = tools.iter().find(|listed| listed.name == self.tool) else { return };
        let names = self.template.names();
        let lacking: Vec<_> = tool.required.iter().filter(|name| !names.contains(&name.as_str())).take(8).collect();
        if !lacking.is_empty() && !self.has_warned.swap(true, Ordering::Relaxed) {
            warn!(tool = self.tool, ?lacking, "the tool requires arguments that the contract does not give");
        }
    }
}

/// How a server recognises an event that comes again, and its trace.
fn identity(delivery: &Delivery<'_>) -> RequestMetaObject {
    let Envelope { header, .. } = delivery.envelope;
    let mut meta = RequestMetaObject::new();
    meta.insert("io.hook/event_id".to_owned(), json!(header.id));
    meta.insert("io.hook/idempotency_key".to_owned(), json!(delivery.envelope.webhook_id()));
    meta.insert("io.hook/attempt".to_owned(), json!(delivery.attempt));
    if let Some(trace) = &header.meta.trace_id {
        meta.set_traceparent(traceparent(trace));
    }
    meta
}
