//! `websocket_ingress` against clients that break the protocol, in the order of the Autobahn suite: each is told with which
//! rule, nothing of it is stored, and nobody else notices.

use std::sync::Arc;

use hook_testkit::fake_inlet::FakeInlet;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, time::timeout};

use crate::{
    raw_socket::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RawSocket, TEXT, announced, close, frame, opening},
    websocket_in::{PATH, PATIENCE, Running, frame as event},
};

/// The largest frame of these tests.
const MOST: usize = 4096;

async fn start(inlet: &Arc<FakeInlet>) -> Running {
    Running::start(inlet, json!({ "max_frame_bytes": MOST })).await
}

/// Each case on a connection of its own, once as it is and once with more behind it: a connection that is closed over unread
/// bytes is reset, and a reset can overtake the frame that says why.
async fn check(cases: Vec<(&str, Vec<u8>, u16)>) {
    let inlet = FakeInlet::storing();
    let running = start(&inlet).await;
    for (name, bytes, code) in cases {
        for more in [vec![], frame(FIN | TEXT, "{\"id\":\"behind\",\"payload\":{}}").repeat(4096)] {
            let mut socket = RawSocket::open(running.address, PATH).await;
            socket.send([&bytes[..], &more[..]].concat()).await;
            assert_eq!(socket.close_code().await, code, "{name}");
        }
    }
    assert_eq!(inlet.events.lock().unwrap().len(), 0, "an event was made of it");
    assert!(inlet.refusals.lock().unwrap().is_empty(), "what breaks the protocol is no event that was refused");
}

#[tokio::test]
async fn frames_out_of_order_close_the_connection() {
    check(vec![
        ("a continuation of nothing", frame(FIN | CONTINUATION, "{}"), 1002),
        ("a continuation of nothing that goes on", frame(CONTINUATION, "{}"), 1002),
        ("text within text", [frame(TEXT, "{"), frame(FIN | TEXT, "}")].concat(), 1002),
        ("text that begins within text", [frame(TEXT, "{"), frame(TEXT, "}")].concat(), 1002),
        ("binary within text", [frame(TEXT, "{"), frame(FIN | BINARY, "}")].concat(), 1002),
        (
            "text within text, after a ping",
            [frame(TEXT, "{"), frame(FIN | PING, ""), frame(FIN | TEXT, "}")].concat(),
            1002,
        ),
        ("binary", frame(FIN | BINARY, "{}"), 1003),
        ("binary in pieces", [frame(BINARY, "{"), frame(FIN | CONTINUATION, "}")].concat(), 1003),
    ])
    .await;
}

#[tokio::test]
async fn control_frames_in_pieces_or_too_long_close_the_connection() {
    check(vec![
        ("a piece of a ping", frame(PING, "a"), 1002),
        ("a ping in two pieces", [frame(PING, "a"), frame(FIN | CONTINUATION, "b")].concat(), 1002),
        ("a piece of a pong", frame(PONG, "a"), 1002),
        ("a piece of a close", frame(CLOSE, 1000u16.to_be_bytes()), 1002),
        ("a ping of 126 bytes", frame(FIN | PING, [0; 126]), 1002),
        ("a pong of 126 bytes", frame(FIN | PONG, [0; 126]), 1002),
        ("a close of 126 bytes", frame(FIN | CLOSE, [&1000u16.to_be_bytes()[..], &[b'a'; 124]].concat()), 1002),
        ("a ping of 126 bytes within text", [frame(TEXT, "{"), frame(FIN | PING, [0; 126])].concat(), 1002),
    ])
    .await;
}

#[tokio::test]
async fn reserved_bits_reserved_opcodes_and_missing_masks_close_the_connection() {
    let mut cases: Vec<_> = [0x40, 0x20, 0x10, 0x70]
        .into_iter()
        .flat_map(|bits| [TEXT, BINARY, PING, PONG, CLOSE].map(|opcode| ("bits", frame(FIN | bits | opcode, ""), 1002)))
        .collect();
    cases.extend([3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(|opcode| ("an opcode", frame(FIN | opcode, "{}"), 1002)));
    cases.push(("bits of a continuation", [frame(TEXT, "{"), frame(FIN | 0x40, "}")].concat(), 1002));
    cases.push(("an opcode within text", [frame(TEXT, "{"), frame(FIN | 5, "}")].concat(), 1002));
    cases.push(("text without a mask", vec![FIN | TEXT, 2, b'{', b'}'], 1002));
    cases.push(("a ping without a mask", vec![FIN | PING, 0], 1002));
    cases.push(("a close without a mask", vec![FIN | CLOSE, 2, 0x03, 0xe8], 1002));
    check(cases).await;
}

#[tokio::test]
async fn what_is_too_large_closes_the_connection_before_it_is_there() {
    let half = "x".repeat(MOST / 2 + 1);
    let most = "x".repeat(MOST);
    check(vec![
        ("a byte too many", frame(FIN | TEXT, "x".repeat(MOST + 1)), 1009),
        ("announced", announced(FIN | TEXT, MOST as u64 + 1), 1009),
        ("4 GiB announced", announced(FIN | TEXT, 1 << 32), 1009),
        ("2^62 bytes announced", announced(FIN | TEXT, 1 << 62), 1009),
        ("2^63 bytes announced, which no length is", announced(FIN | TEXT, 1 << 63), 1009),
        ("all bits of the length", announced(FIN | TEXT, u64::MAX), 1009),
        ("a first piece too large", announced(TEXT, MOST as u64 + 1), 1009),
        ("binary, too large", announced(FIN | BINARY, 1 << 40), 1009),
        ("two pieces", [frame(TEXT, &half), frame(FIN | CONTINUATION, &half)].concat(), 1009),
        ("two pieces of more", [frame(TEXT, &half), frame(CONTINUATION, &half)].concat(), 1009),
        ("a byte behind the most", [frame(TEXT, &most), frame(CONTINUATION, "x")].concat(), 1009),
    ])
    .await;
}

#[tokio::test]
async fn text_that_is_not_utf8_closes_the_connection() {
    let mut cases = Vec::new();
    for (name, bytes) in [
        ("a byte that goes on from nothing", &[0x80][..]),
        ("a code point that ends too early", &[b'{', 0xc3]),
        ("three of four bytes", &[0xf0, 0x9f, 0x98]),
        ("a byte that does not go on", &[0xc3, 0x28]),
        ("a slash in two bytes", &[0xc0, 0xaf]),
        ("a zero in three bytes", &[0xe0, 0x80, 0x80]),
        ("a surrogate", b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"),
        ("beyond the last code point", &[0xf4, 0x90, 0x80, 0x80]),
        ("five bytes", &[0xf8, 0x88, 0x80, 0x80, 0x80]),
        ("bytes of no encoding", &[0xfe, 0xff]),
    ] {
        cases.push((name, frame(FIN | TEXT, bytes), 1007));
        let pieces = bytes.iter().map(|byte| frame(CONTINUATION, [*byte]));
        let split: Vec<u8> =
            std::iter::once(frame(TEXT, "")).chain(pieces).chain([frame(FIN | CONTINUATION, "")]).flatten().collect();
        cases.push((name, split, 1007));
    }
    cases.push(("found before the last piece", [frame(TEXT, "{"), frame(CONTINUATION, [0xff])].concat(), 1007));
    cases.push(("in the reason of a close", close(1000, [0xce, 0xba, 0xed, 0xa0, 0x80]), 1007));
    check(cases).await;
}

#[tokio::test]
async fn a_close_that_says_nothing_valid_is_answered_with_1002() {
    let mut cases = vec![("half a code", frame(FIN | CLOSE, [3]), 1002)];
    let codes = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, u16::MAX];
    cases.extend(codes.map(|code| ("a code that nobody may send", close(code, ""), 1002)));
    check(cases).await;
}

#[tokio::test]
async fn a_close_is_answered_in_kind() {
    let inlet = FakeInlet::storing();
    let running = start(&inlet).await;
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let mut socket = RawSocket::open(running.address, PATH).await;
        socket.send(close(code, "that is all")).await;
        assert_eq!(socket.close_code().await, code);
    }
    for (bytes, answer) in [
        (frame(FIN | CLOSE, ""), vec![]),
        (close(1000, "a".repeat(123)), [&1000u16.to_be_bytes()[..], &[b'a'; 123]].concat()),
        // What comes behind a close means nothing any more.
        ([close(1000, ""), frame(FIN | TEXT, event("1").to_string())].concat(), 1000u16.to_be_bytes().to_vec()),
        ([close(1000, ""), close(1001, ""), frame(FIN | PING, "")].concat(), 1000u16.to_be_bytes().to_vec()),
        // Within a message that is not complete.
        ([frame(TEXT, "{"), close(1000, "")].concat(), 1000u16.to_be_bytes().to_vec()),
    ] {
        let mut socket = RawSocket::open(running.address, PATH).await;
        socket.send(&bytes).await;
        assert_eq!(socket.closed().await, answer, "{bytes:x?}");
    }
    assert!(inlet.bodies().is_empty());
}

#[tokio::test]
async fn what_was_sent_before_a_close_is_stored_before_it_is_answered() {
    let inlet = FakeInlet::storing();
    let running = start(&inlet).await;
    let permits = inlet.permits.available_permits();
    inlet.permits.forget_permits(permits);
    let mut socket = RawSocket::open(running.address, PATH).await;
    for number in 0..3 {
        socket.send(frame(FIN | TEXT, event(&number.to_string()).to_string())).await;
    }
    socket.send(close(1000, "")).await;
    timeout(PATIENCE, inlet.begun.acquire_many(3)).await.unwrap().unwrap().forget();
    inlet.permits.add_permits(permits);
    assert_eq!(socket.close_code().await, 1000);
    assert_eq!(inlet.bodies().len(), 3);
}

#[tokio::test]
async fn a_message_may_come_in_pieces_of_any_size_with_pings_between_them() {
    let inlet = FakeInlet::storing();
    let running = start(&inlet).await;
    let payload = json!({ "text": "κόσμε 😀" });
    let text = json!({ "id": "1", "payload": payload }).to_string();
    let mut pieces = vec![frame(TEXT, "")];
    for byte in text.as_bytes() {
        pieces.push(frame(FIN | PING, [*byte]));
        pieces.push(frame(CONTINUATION, [*byte]));
        pieces.push(frame(CONTINUATION, ""));
        pieces.push(frame(FIN | PONG, "nobody has asked"));
    }
    pieces.push(frame(FIN | CONTINUATION, ""));
    let mut socket = RawSocket::open(running.address, PATH).await;
    for bytes in [pieces.concat(), frame(FIN | TEXT, &text)] {
        socket.send(bytes).await;
        let answer: Value = serde_json::from_str(&socket.text().await).unwrap();
        assert_eq!((&answer["id"], &answer["code"]), (&json!("1"), &json!("accepted")));
    }
    let bodies = inlet.bodies();
    let bodies = bodies.iter().map(|body| serde_json::from_slice::<Value>(body).unwrap());
    assert_eq!(bodies.collect::<Vec<_>>(), [payload.clone(), payload]);
}

#[tokio::test]
async fn bytes_that_trickle_in_are_a_frame_when_the_last_is_there() {
    let inlet = FakeInlet::storing();
    let running = start(&inlet).await;
    let mut socket = RawSocket::open(running.address, PATH).await;
    for byte in [frame(FIN | PING, "a"), frame(FIN | TEXT, event("1").to_string()), close(1000, "")].concat() {
        socket.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(socket.frame().await, Some((FIN | PONG, b"a".to_vec())));
    let answer: Value = serde_json::from_str(&socket.text().await).unwrap();
    assert_eq!(answer["code"], "accepted");
    assert_eq!(socket.close_code().await, 1000);
}

#[tokio::test]
async fn each_ping_is_answered_with_what_it_said() {
    let running = start(&FakeInlet::storing()).await;
    let mut socket = RawSocket::open(running.address, PATH).await;
    for payload in [vec![], b"hello".to_vec(), vec![0, 0xff, 0xfe, 0xfd, 0xfc], vec![0xfe; 125]] {
        socket.send(frame(FIN | PING, &payload)).await;
        assert_eq!(socket.frame().await, Some((FIN | PONG, payload)));
    }
    let pings: Vec<u8> = (0..10).flat_map(|number| frame(FIN | PING, [number])).collect();
    socket.send(pings).await;
    for number in 0..10 {
        assert_eq!(socket.frame().await, Some((FIN | PONG, vec![number])));
    }
    socket.send([frame(FIN | PONG, "unasked"), frame(FIN | PING, "asked")].concat()).await;
    assert_eq!(socket.frame().await, Some((FIN | PONG, b"asked".to_vec())));
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_in_order() {
    const PINGS: u32 = 50_000;
    let running = start(&FakeInlet::storing()).await;
    let socket = RawSocket::open(running.address, PATH).await;
    // More than what the sockets hold: who does not read the answers is not read from.
    let (reader, mut writer) = socket.stream.into_split();
    let flooding = tokio::spawn(async move {
        for number in 0..PINGS {
            writer.write_all(&frame(FIN | PING, number.to_be_bytes().repeat(30))).await.unwrap();
        }
        writer
    });
    let mut socket = RawSocket { stream: reader };
    for number in 0..PINGS {
        assert_eq!(socket.frame().await, Some((FIN | PONG, number.to_be_bytes().repeat(30))));
    }
    let mut writer = flooding.await.unwrap();
    writer.write_all(&frame(FIN | TEXT, event("1").to_string())).await.unwrap();
    let answer: Value = serde_json::from_str(&socket.text().await).unwrap();
    assert_eq!(answer["code"], "accepted", "the connection is as good as before");
}

#[tokio::test]
async fn a_client_that_is_gone_in_the_middle_leaves_nothing() {
    let inlet = FakeInlet::storing();
    let running = start(&inlet).await;
    let whole = frame(FIN | TEXT, event("1").to_string());
    for bytes in [
        vec![],
        whole[..1].to_vec(),
        whole[..5].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        frame(TEXT, event("1").to_string()),
        [frame(TEXT, "{"), frame(FIN | PING, "")].concat(),
        announced(FIN | TEXT, MOST as u64),
    ] {
        let mut socket = RawSocket::open(running.address, PATH).await;
        socket.send(bytes).await;
        socket.stream.shutdown().await.unwrap();
        // A pong may come. What matters is that the end does.
        while socket.frame().await.is_some() {}
    }
    assert_eq!(inlet.events.lock().unwrap().len(), 0);
    running.stop().await;
}

#[tokio::test]
async fn a_handshake_that_is_not_one_is_refused() {
    let running = start(&FakeInlet::storing()).await;
    let good = opening(PATH);
    let without = |header: &str| {
        let lines = good.split_inclusive("\r\n").filter(|line| !line.starts_with(header));
        lines.collect::<String>()
    };
    let with = |header: &str| good.replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
    let key = |key: &str| good.replace("dGhlIHNhbXBsZSBub25jZQ==", key);
    for (name, request, status) in [
        ("no key", without("sec-websocket-key"), "400"),
        ("a short key", key("dGhl"), "400"),
        ("a key of 24 bytes that are no base64", key("!!!!!!!!!!!!!!!!!!!!!!=="), "400"),
        ("a key of 18 bytes", key("dGhlIHNhbXBsZSBub25jZSBk"), "400"),
        ("two keys", with("sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="), "400"),
        ("no version", without("sec-websocket-version"), "426"),
        ("an old version", good.replace("version: 13", "version: 8"), "426"),
        ("no upgrade", without("upgrade"), "426"),
        ("another upgrade", good.replace("upgrade: websocket", "upgrade: h2c"), "426"),
        ("no connection", without("connection"), "426"),
        ("another method", good.replace("GET ", "PUT "), "405"),
        ("an older HTTP", good.replace("HTTP/1.1", "HTTP/1.0"), "426"),
        ("a body", with("content-length: 5"), "400"),
        ("a body in chunks", with("transfer-encoding: chunked"), "400"),
        ("a header of 40 KiB", with(&format!("x-long: {}", "x".repeat(40 * 1024))), "431"),
        ("a path of 40 KiB", good.replace(PATH, &format!("{PATH}?{}", "x".repeat(40 * 1024))), "4"),
        ("a thousand headers", with(&(0..1000).map(|n| format!("x-{n}: y")).collect::<Vec<_>>().join("\r\n")), "431"),
        ("no HTTP", "\u{16}\u{3}\u{1}\r\n\r\n".into(), "400"),
    ] {
        let mut socket = RawSocket::connect(running.address).await;
        socket.send(request).await;
        let head = socket.head().await;
        assert!(head.split(' ').nth(1).unwrap().starts_with(status), "{name}: {head}");
    }
}

#[tokio::test]
async fn what_comes_right_behind_the_handshake_is_read_as_frames() {
    let inlet = FakeInlet::storing();
    let running = start(&inlet).await;
    let mut socket = RawSocket::connect(running.address).await;
    socket.send([opening(PATH).as_bytes(), &frame(FIN | TEXT, event("1").to_string())].concat()).await;
    assert!(socket.head().await.starts_with("http/1.1 101 "));
    let answer: Value = serde_json::from_str(&socket.text().await).unwrap();
    assert_eq!(answer["code"], "accepted");
    // A second request is none any more: its first byte would be a piece with a reserved bit.
    let mut socket = RawSocket::connect(running.address).await;
    socket.send(opening(PATH).repeat(2)).await;
    assert!(socket.head().await.starts_with("http/1.1 101 "));
    assert_eq!(socket.close_code().await, 1002);
    assert_eq!(inlet.events.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn others_do_not_notice_and_every_place_is_free_again() {
    const PLACES: usize = 8;
    let inlet = FakeInlet::storing();
    let running = Running::start(&inlet, json!({ "max_frame_bytes": MOST, "max_connections": PLACES })).await;
    let mut good = running.client().await;
    let abuses = [
        frame(FIN | CONTINUATION, ""),
        frame(FIN | TEXT, [0xff]),
        announced(FIN | TEXT, u64::MAX),
        frame(FIN | BINARY, ""),
        close(0, ""),
        vec![FIN | TEXT],
    ];
    for round in 0..20 {
        let mut bad = Vec::new();
        while bad.len() < PLACES - 1 {
            let mut socket = RawSocket::connect(running.address).await;
            socket.send(opening(PATH)).await;
            // Where the place of the last round is not free yet, it soon is.
            if socket.head().await.starts_with("http/1.1 101 ") {
                bad.push(socket);
            }
        }
        for (socket, bytes) in bad.iter_mut().zip(abuses.iter().cycle()) {
            socket.send(bytes).await;
        }
        let id = round.to_string();
        good.send(&event(&id)).await;
        assert_eq!(good.answer().await["id"], id);
    }
    assert_eq!(inlet.bodies().len(), 20);
}

#[tokio::test]
async fn clients_that_stay_take_no_place_of_those_that_post() {
    let inlet = FakeInlet::storing();
    let running = Running::start_all(
        &inlet,
        &[
            ("http_webhook_ingress", json!({ "bind": "127.0.0.1:0", "max_connections": 2 })),
            ("websocket_ingress", json!({ "auth_mode": "none", "max_connections": 16 })),
        ],
    )
    .await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(RawSocket::open(running.address, PATH).await);
    }
    let mut socket = RawSocket::connect(running.address).await;
    socket.send("POST /webhook/github HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await;
    assert!(socket.head().await.starts_with("http/1.1 202 "));
    let mut socket = RawSocket::connect(running.address).await;
    socket.send(opening(PATH)).await;
    assert!(socket.head().await.starts_with("http/1.1 503 "), "each has a bound of its own");
}
