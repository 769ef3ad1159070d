//! A destination that does as it is told: answers with what the test says, late, or not at all.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{PATIENCE, home::secrets, pause, poll, sign, text};

/// A delivery as it came, and what it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) at: Instant,
}

impl Delivery {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The event's id.
    pub(crate) fn id(&self) -> String {
        text(&self.json(), "/id").to_owned()
    }

    /// Fails where our signature does not prove this delivery.
    #[track_caller]
    pub(crate) fn check_signature(&self) {
        let [id, time, signature] =
            ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| self.header(name));
        sign::check_standard(secrets::SIGNING, id, time, signature, &self.body).unwrap();
    }
}

/// What to answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) after: Duration,
    pub(crate) body: Vec<u8>,
    /// In seconds, or a date.
    pub(crate) retry_after: Option<&'static str>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// Decides from the delivery, whose status is not set yet, and how many came before it.
type Script = dyn Fn(&Delivery, usize) -> Reply + Send + Sync;

/// The destination.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    is_up: Mutex<Option<Arc<AtomicBool>>>,
}

#[derive(Default)]
struct Shared {
    deliveries: Mutex<Vec<Delivery>>,
    came: Condvar,
    script: Mutex<Option<Arc<Script>>>,
    connections: Mutex<Vec<TcpStream>>,
}

impl Receiver {
    /// Listens on a free port and takes everything.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self { address, shared: Arc::default(), is_up: Mutex::default() };
        receiver.accept(listener);
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Answers these, one after the other, and 200 from then on.
    pub(crate) fn answers(&self, statuses: &'static [u16]) {
        self.script(|_, before| Reply::status(statuses.get(before).copied().unwrap_or(200)));
    }

    /// Answers as the function says.
    pub(crate) fn script(&self, script: impl Fn(&Delivery, usize) -> Reply + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Some(Arc::new(script));
    }

    /// Refuses connections, and cuts those that there are.
    pub(crate) fn go_down(&self) {
        let Some(is_up) = self.is_up.lock().unwrap().take() else { return };
        is_up.store(false, Ordering::SeqCst);
        // Wakes the thread that accepts, which then drops the listener.
        drop(TcpStream::connect(self.address));
        poll("the receiver is down", || TcpStream::connect(self.address).err().map(drop));
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Listens again where it did before.
    pub(crate) fn come_back(&self) {
        self.accept(poll("the receiver's port is free", || TcpListener::bind(self.address).ok()));
    }

    fn accept(&self, listener: TcpListener) {
        let (shared, is_up) = (Arc::clone(&self.shared), Arc::new(AtomicBool::new(true)));
        *self.is_up.lock().unwrap() = Some(Arc::clone(&is_up));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if !is_up.load(Ordering::SeqCst) {
                    return;
                }
                shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
    }

    /// Everything that came, in order.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries().clone()
    }

    /// Waits until so much has come that the function has an answer.
    #[track_caller]
    pub(crate) fn wait<T>(&self, what: &str, mut look: impl FnMut(&[Delivery]) -> Option<T>) -> T {
        let began = Instant::now();
        let mut deliveries = self.shared.deliveries();
        loop {
            if let Some(answer) = look(&deliveries) {
                return answer;
            }
            let left = PATIENCE.saturating_sub(began.elapsed());
            assert!(!left.is_zero(), "waited in vain until {what}; {} deliveries came", deliveries.len());
            (deliveries, _) = self.shared.came.wait_timeout(deliveries, left).unwrap();
        }
    }

    /// Waits for so many deliveries, and returns them.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Delivery> {
        self.wait(&format!("{count} deliveries came"), |all| (all.len() >= count).then(|| all.to_vec()))
    }

    /// Waits until an event was taken, and returns that delivery.
    #[track_caller]
    pub(crate) fn taken(&self, id: &str) -> Delivery {
        let is_it = |delivery: &&Delivery| delivery.status == 200 && delivery.id() == id;
        self.wait(&format!("event {id} was taken"), |all| all.iter().find(is_it).cloned())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.go_down();
    }
}

impl Shared {
    fn deliveries(&self) -> MutexGuard<'_, Vec<Delivery>> {
        self.deliveries.lock().unwrap()
    }

    /// Answers one request after the other until the connection ends.
    fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while let Some((method, delivery)) = read(&mut reader) {
            // A HEAD only asks whether somebody is there.
            let reply = if method == "HEAD" { Reply::status(200) } else { self.note(delivery) };
            pause(reply.after);
            let Reply { status, body, retry_after, .. } = reply;
            let wait = retry_after.map(|wait| format!("retry-after: {wait}\r\n")).unwrap_or_default();
            let head = format!(
                "HTTP/1.1 {status} Scripted\r\n{wait}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            if writer.write_all(&[head.into_bytes(), body].concat()).is_err() {
                return;
            }
        }
    }

    fn note(&self, mut delivery: Delivery) -> Reply {
        let script = self.script.lock().unwrap().clone();
        let mut deliveries = self.deliveries();
        let reply = script.map_or(Reply::status(200), |script| script(&delivery, deliveries.len()));
        delivery.status = reply.status;
        deliveries.push(delivery);
        self.came.notify_all();
        reply
    }
}

/// The method of the next request, and the request; `None` where the connection has ended.
fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, Delivery)> {
    let mut line = || {
        let mut line = String::new();
        (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    };
    let method = line()?.split(' ').next()?.to_owned();
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(':') {
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some((method, Delivery { headers, body, status: 0, at: Instant::now() }))
}
