//! What this project's crates log while a test looks on.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{Metadata, subscriber::DefaultGuard};
use tracing_subscriber::{
    filter::{LevelFilter, filter_fn},
    layer::{Layer, SubscriberExt},
};

/// Everything that is logged on this thread from [`Logged::begin`] on, at every level, until it is dropped.
///
/// Libraries of others are left out: the binary decides what of them is let through.
pub struct Logged {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

impl Logged {
    /// Begins to look.
    #[must_use]
    pub fn begin() -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let page = Arc::clone(&text);
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || Page(Arc::clone(&page)));
        let ours = filter_fn(|metadata: &Metadata<'_>| metadata.target().starts_with("hook_"));
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(ours)).with(LevelFilter::TRACE);
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// Everything until now.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Nothing that was logged holds these words.
    pub fn shows_no(&self, words: &str) {
        let text = self.text();
        let shown: Vec<_> = text.lines().filter(|line| line.contains(words)).collect();
        assert!(shown.is_empty(), "neither a payload nor a secret is logged: {shown:#?}");
    }
}

struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
