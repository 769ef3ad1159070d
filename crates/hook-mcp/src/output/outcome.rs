//! What a server's answer, or its absence, means for the next attempt.
//!
//! | answer | class |
//! |---|---|
//! | a result | delivered |
//! | a result with `isError` | transient: a tool cannot say whether it is for good; `on_tool_error = "reject"` |
//! | -32602, invalid params | rejected; misconfigured where the server does not list the tool any more |
//! | -32601, method not found | misconfigured |
//! | any other JSON-RPC error | transient |
//! | an HTTP status | as for every HTTP destination |
//! | nothing, an end, a broken answer | transient |

use hook_core::outcome::{Failure, FailureClass};
use rmcp::{
    ServiceError,
    model::{CallToolResult, ContentBlock, ErrorCode, ErrorData},
    service::ClientInitializeError,
    transport::{DynamicTransportError, streamable_http_client::StreamableHttpError},
};

use super::{http::Refused, scrub::Hidden};

/// A failure without a wish for when to try again.
pub(super) fn failure(class: FailureClass, error: impl Into<String>) -> Failure {
    Failure { class, error: error.into(), retry_after: None }
}

/// The server answered a call, or anything else, with an error.
pub(super) fn of_error(error: &ErrorData, hidden: &Hidden) -> Failure {
    let class = match error.code {
        ErrorCode::METHOD_NOT_FOUND => FailureClass::Misconfigured,
        ErrorCode::INVALID_PARAMS => FailureClass::Rejected,
        _ => FailureClass::Transient,
    };
    failure(class, said(&format!("the server answered error {}", error.code.0), &error.message, hidden))
}

/// The tool failed.
pub(super) fn of_tool(result: &CallToolResult, class: FailureClass, hidden: &Hidden) -> Failure {
    let text = result.content.iter().find_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    failure(class, said("the tool failed", text.unwrap_or_default(), hidden))
}

fn said(what: &str, text: &str, hidden: &Hidden) -> String {
    match hidden.clean(text) {
        text if text.is_empty() => what.to_owned(),
        text => format!("{what}: {text}"),
    }
}

/// A request was not answered. `ended` says how the server's process ended, where it has one that did.
pub(super) fn of_service(error: ServiceError, hidden: &Hidden, ended: Option<&str>) -> Failure {
    match error {
        ServiceError::McpError(error) => of_error(&error, hidden),
        ServiceError::TransportSend(error) => of_transport(&error, FailureClass::Transient, ended),
        ServiceError::TransportClosed => match ended {
            Some(ended) => failure(FailureClass::Transient, format!("the server ended ({ended}) before it answered")),
            None => failure(FailureClass::Transient, "the connection was closed before the answer"),
        },
        _ => failure(FailureClass::Transient, "the server broke the protocol"),
    }
}

/// No session could be had: nothing of an event was sent.
pub(super) fn of_initialize(error: ClientInitializeError, hidden: &Hidden, ended: Option<&str>) -> Failure {
    match error {
        ClientInitializeError::TransportError { error, .. } => of_transport(&error, FailureClass::Unreachable, ended),
        ClientInitializeError::ConnectionClosed(_) => match ended {
            Some(ended) => {
                failure(FailureClass::Unreachable, format!("the server ended ({ended}) before it was initialized"))
            }
            None => failure(FailureClass::Unreachable, "the server closed the connection before it was initialized"),
        },
        ClientInitializeError::JsonRpcError(error) => {
            let text =
                said(&format!("the server refuses to be initialized, error {}", error.code.0), &error.message, hidden);
            failure(FailureClass::Misconfigured, text)
        }
        _ => failure(FailureClass::Misconfigured, "the server does not speak MCP as we do"),
    }
}

/// Whether a session that met this error is worth another request.
pub(super) fn is_session_doubtful(error: &ServiceError) -> bool {
    let ServiceError::TransportSend(error) = error else { return false };
    match error.error.downcast_ref::<StreamableHttpError<Refused>>() {
        Some(StreamableHttpError::Client(refused)) => refused.is_session_doubtful,
        _ => true,
    }
}

fn of_transport(error: &DynamicTransportError, lost: FailureClass, ended: Option<&str>) -> Failure {
    if let Some(error) = error.error.downcast_ref::<StreamableHttpError<Refused>>() {
        return match error {
            StreamableHttpError::Client(refused) => refused.failure.clone(),
            StreamableHttpError::SessionExpired => {
                failure(FailureClass::Transient, "the server forgot its session again and again")
            }
            StreamableHttpError::SessionRecoveryTimeout => {
                failure(FailureClass::Transient, "the server forgot its session, and gave no other in time")
            }
            _ => failure(FailureClass::Transient, "the connection was lost"),
        };
    }
    match ended {
        Some(ended) => failure(lost, format!("the server ended ({ended})")),
        None => failure(lost, "the server does not read what is sent to it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_class_by_its_code() {
        let class = |code| of_error(&ErrorData::new(ErrorCode(code), "no", None), &Hidden::default()).class;
        assert_eq!(class(-32601), FailureClass::Misconfigured);
        assert_eq!(class(-32602), FailureClass::Rejected);
        for code in [-32700, -32600, -32603, -32000, -32002, 0, 42] {
            assert_eq!(class(code), FailureClass::Transient, "{code}");
        }
    }

    #[test]
    fn a_failure_says_who_failed_and_what_was_said() {
        let error = of_error(&ErrorData::new(ErrorCode(-32603), "database\nis locked", None), &Hidden::default());
        assert_eq!(error.error, "the server answered error -32603: database is locked");
        let error = of_tool(&CallToolResult::error(vec![]), FailureClass::Transient, &Hidden::default());
        assert_eq!(error.error, "the tool failed");
        let text = CallToolResult::error(vec![ContentBlock::text("quota")]);
        assert_eq!(of_tool(&text, FailureClass::Rejected, &Hidden::default()).error, "the tool failed: quota");
    }
}
