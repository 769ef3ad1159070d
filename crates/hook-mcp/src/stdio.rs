//! Tools for an agent that has started this process: MCP over stdin and stdout.

use std::sync::Arc;

use hook_core::BoxFuture;
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, ToolAnnotations,
    },
    service::RequestContext,
};
use serde_json::Value;
use thiserror::Error;

/// A tool as agents see it.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// What people read in its place.
    pub title: &'static str,
    /// What it does, and when to use it.
    pub about: &'static str,
    /// The schema of its arguments: of an object (JSON Schema 2020-12).
    pub input: Value,
    /// Whether it changes anything.
    pub writes: bool,
}

/// What answers the calls.
pub trait Tools: Send + Sync + 'static {
    /// The tools that there are.
    fn list(&self) -> Vec<Tool>;

    /// Answers a call of one of them, or says what is wrong.
    fn call(&self, name: &str, arguments: JsonObject) -> BoxFuture<'_, Result<Answer, String>>;
}

/// What a tool answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The JSON of an object, as text and as data.
    Data(String),
    /// Texts to be read, for what others wrote: as data it would come before the agent without its fence.
    Texts(Vec<String>),
}

/// The conversation could not begin, or broke off.
#[derive(Debug, Error)]
#[error("the client of MCP is gone: {0}")]
pub struct Gone(String);

/// Serves tools over stdin and stdout until the client closes them. `instructions` tell an agent what the tools are for.
/// Nothing else may write to stdout meanwhile.
pub async fn serve(tools: Arc<dyn Tools>, instructions: &str) -> Result<(), Gone> {
    let server = Server { tools, instructions: instructions.to_owned() };
    let running = match server.serve(rmcp::transport::stdio()).await {
        Ok(running) => running,
        // A client that leaves before it has said anything has wanted nothing.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(Gone(error.to_string())),
    };
    running.waiting().await.map(drop).map_err(|error| Gone(error.to_string()))
}

struct Server {
    tools: Arc<dyn Tools>,
    instructions: String,
}

impl Server {
    fn find(&self, name: &str) -> Option<Tool> {
        self.tools.list().into_iter().find(|tool| tool.name == name)
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("hook", env!("CARGO_PKG_VERSION")).with_title("hook"))
            .with_instructions(&*self.instructions)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.list().into_iter().map(described).collect()))
    }

    fn get_tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        self.find(name).map(described)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if self.find(&request.name).is_none() {
            return Err(ErrorData::invalid_params("there is no tool of this name", None));
        }
        let answer = self.tools.call(&request.name, request.arguments.unwrap_or_default()).await;
        Ok(match answer {
            Ok(answer) => answered(answer),
            Err(message) => CallToolResult::error(vec![ContentBlock::text(message)]),
        }
        .into())
    }
}

/// The text is the answer to the digit; what is structured holds numbers as far as the SDK does.
fn answered(answer: Answer) -> CallToolResult {
    let json = match answer {
        Answer::Data(json) => json,
        Answer::Texts(texts) => return CallToolResult::success(texts.into_iter().map(ContentBlock::text).collect()),
    };
    match serde_json::from_str(&json) {
        Ok(value) => {
            let mut result = CallToolResult::structured(value);
            result.content = vec![ContentBlock::text(json)];
            result
        }
        Err(_) => CallToolResult::success(vec![ContentBlock::text(json)]),
    }
}

fn described(tool: Tool) -> rmcp::model::Tool {
    let Value::Object(schema) = tool.input else { unreachable!("the schema of arguments is an object") };
    let annotations = ToolAnnotations::new().read_only(!tool.writes).destructive(false).open_world(false);
    rmcp::model::Tool::new(tool.name, tool.about, schema).with_title(tool.title).with_annotations(annotations)
}
