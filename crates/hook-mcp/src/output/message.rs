//! Messages to a server as JSON. The arguments of a call stand in them as they were rendered: the SDK's values would change
//! numbers and escapes.

use std::sync::Arc;

use rmcp::model::{ClientJsonRpcMessage, ClientRequest, GetMeta, JsonRpcMessage, RequestId, RequestMetaObject};
use serde::Serialize;
use serde_json::value::RawValue;

/// Rides with a call, in place of the SDK's own arguments. Its `Debug` shows nothing.
#[derive(Clone)]
pub(super) struct Arguments(pub(super) Arc<RawValue>);

#[derive(Serialize)]
struct Call<'a> {
    jsonrpc: &'static str,
    id: &'a RequestId,
    method: &'static str,
    params: Params<'a>,
}

#[derive(Serialize)]
struct Params<'a> {
    name: &'a str,
    arguments: &'a RawValue,
    #[serde(rename = "_meta")]
    meta: &'a RequestMetaObject,
}

/// A message as one line of JSON.
pub(super) fn to_json(message: &ClientJsonRpcMessage) -> serde_json::Result<Vec<u8>> {
    if let JsonRpcMessage::Request(sent) = message
        && let ClientRequest::CallToolRequest(call) = &sent.request
        && let Some(Arguments(arguments)) = call.extensions.get::<Arguments>()
    {
        let params = Params { name: &call.params.name, arguments, meta: sent.request.get_meta() };
        return serde_json::to_vec(&Call { jsonrpc: "2.0", id: &sent.id, method: "tools/call", params });
    }
    serde_json::to_vec(message)
}

#[cfg(test)]
mod tests {
    use rmcp::model::{CallToolRequest, CallToolRequestParams, JsonRpcRequest, NumberOrString};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_has_its_arguments_as_they_were_rendered() {
        let mut call = CallToolRequest::new(CallToolRequestParams::new("notify"));
        let arguments =
            RawValue::from_string(r#"{"n":1.0,"e":"\u00e9","big":12345678901234567890123}"#.to_owned()).unwrap();
        call.extensions.insert(Arguments(arguments.into()));
        let mut meta = RequestMetaObject::new();
        meta.insert("io.hook/event_id".to_owned(), json!("x"));
        call.extensions.insert(meta);
        let request = JsonRpcRequest::new(NumberOrString::Number(5), ClientRequest::CallToolRequest(call));
        let text = String::from_utf8(to_json(&JsonRpcMessage::Request(request)).unwrap()).unwrap();
        assert_eq!(
            text,
            r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"notify","arguments":{"n":1.0,"e":"\u00e9","big":12345678901234567890123},"_meta":{"io.hook/event_id":"x"}}}"#
        );
    }
}
