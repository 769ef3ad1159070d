//! The tool as MCP knows it.

use std::sync::Arc;

use hook_core::{
    clock::{Clock, SystemClock},
    names::{AdapterId, SourceName},
    ports::ingress::{Inlet, Refused, RejectionKind},
};
use http::request::Parts;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, JsonObject, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, ToolAnnotations,
    },
    service::RequestContext,
};
use schemars::{Schema, generate::SchemaSettings};
use serde_json::Value;

use super::{
    Rules,
    call::{self, Asked, Call},
    told::{self, Told},
};

const ABOUT: &str = "Hands an event to the pipeline. The answer comes when the event is durable: it is delivered to every \
                     destination that the contract names for it, also after a restart.";

/// The tool, and where its calls go.
pub(super) struct Tool {
    adapter: AdapterId,
    definition: rmcp::model::Tool,
    is_caller_proven: bool,
    max_payload_bytes: usize,
    inlet: Arc<dyn Inlet>,
}

impl Tool {
    pub(super) fn new(adapter: AdapterId, rules: &Rules, inlet: Arc<dyn Inlet>) -> Self {
        let annotations = ToolAnnotations::new().read_only(false).destructive(false).open_world(false);
        let definition = rmcp::model::Tool::new(rules.tool_name.clone(), ABOUT, object(call::schema()))
            .with_raw_output_schema(object(output_schema().to_value()))
            .with_title("Ingest an event")
            .with_annotations(annotations);
        let (is_caller_proven, max_payload_bytes) = (rules.access.is_proven(), rules.max_payload_bytes);
        Self { adapter, definition, is_caller_proven, max_payload_bytes, inlet }
    }

    /// Takes one call. Whatever is wrong with it is an answer.
    async fn take(&self, asked: &Asked, head: &Parts) -> CallToolResult {
        let mut source = None;
        match self.read(asked, head, &mut source) {
            Ok(event) => {
                let name = event.source.clone();
                match self.inlet.accept(event).await {
                    Ok(accepted) => told::taken(name.as_str(), &accepted, SystemClock.now()),
                    Err(rejection) => told::refused(Some(name.as_str()), &rejection),
                }
            }
            Err(refused) => {
                let rejection = self.inlet.refuse(&self.adapter, source.as_ref(), refused);
                told::refused(source.as_ref().map(SourceName::as_str), &rejection)
            }
        }
    }

    fn read(
        &self,
        asked: &Asked,
        head: &Parts,
        source: &mut Option<SourceName>,
    ) -> Result<hook_core::event::RawEvent, Refused> {
        let call = Call::read(asked)?;
        let known = self.inlet.source(&self.adapter, &call.source()?).ok_or_else(|| Refused {
            kind: RejectionKind::NotFound,
            code: "unknown_source",
            message: "no source of this name is known here".to_owned(),
            retry_after: None,
        })?;
        *source = Some(known.clone());
        call.event(&self.adapter, known, head, self.is_caller_proven, self.max_payload_bytes)
    }
}

fn output_schema() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Told<'_>>()
}

fn object(schema: Value) -> Arc<JsonObject> {
    let Value::Object(schema) = schema else { unreachable!("the schemas of a tool are objects") };
    Arc::new(schema)
}

/// The server of one request. The SDK makes one for each.
pub(super) struct Toolbox(pub(super) Arc<Tool>);

impl ServerHandler for Toolbox {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("hook", env!("CARGO_PKG_VERSION")).with_title("hook"))
            .with_instructions("One tool hands an event to a durable pipeline, which delivers it.")
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![self.0.definition.clone()]))
    }

    fn get_tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        (name == self.0.definition.name).then(|| self.0.definition.clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != self.0.definition.name {
            let message = format!("there is no tool of this name; there is `{}`", self.0.definition.name);
            return Err(ErrorData::invalid_params(message, None));
        }
        let head = context.extensions.get::<Parts>();
        let asked = head.and_then(|head| Some((head, head.extensions.get::<Asked>()?)));
        let Some((head, asked)) = asked else {
            return Err(ErrorData::internal_error("the request is not at hand", None));
        };
        Ok(self.0.take(asked, head).await.into())
    }
}
