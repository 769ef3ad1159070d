//! The end of a run: the log must recover from everything, and find what is damaged.

use std::{sync::Arc, time::Duration};

use hook_core::ports::log::Log;
use hook_log::{EmbeddedLog, OpenError};

use super::{End, World, answer::Open};
use crate::{
    machine::Weather,
    model::{Checked, Fate, When, must},
};

impl World {
    /// When all has become calm, the log opens, takes appends, and shows everything; and it finds what is damaged.
    pub(super) async fn last(&mut self) -> Checked {
        self.calm();
        let mut open = self.open()?.ok_or("nothing goes wrong, and it does not open")?;
        self.check(&mut open, When::Reopened).await?;
        if self.rng.bool() {
            self.recovers(&mut open)?;
        }
        self.must_take(&mut open)?;
        self.check(&mut open, When::Running).await?;
        if self.scenario.is_damaged {
            return self.damage(open).await;
        }
        self.end_as(End::Closed, open).await?;
        self.model.crashed();
        let mut open = self.open()?.ok_or("nothing goes wrong, and it does not open")?;
        self.check(&mut open, When::Reopened).await
    }

    /// Lets the disk fail for a while.
    pub(super) fn recovers(&mut self, open: &mut Open) -> Checked {
        self.note(|| "everything fails".to_owned());
        self.disk.machine().weather = Weather { write: 255, sync: 255, directory: 255 };
        for _ in 0..self.rng.u8(1..4) {
            self.append(open)?;
            self.step(open)?;
        }
        self.calm();
        Ok(())
    }

    /// After a while in which nothing goes wrong, the log takes appends without being asked to.
    pub(super) fn must_take(&mut self, open: &mut Open) -> Checked {
        for _ in 0..3 {
            open.steps.pass(Duration::from_secs(2));
            self.clock.advance(Duration::from_secs(2));
            self.step(open)?;
        }
        let unavailable = open.log.state().unavailable;
        if unavailable.as_ref().is_some_and(|why| why.contains("max_pinned")) {
            return Ok(());
        }
        must!(unavailable.is_none(), "all is calm, and the log says: {unavailable:?}");
        let number = self.model.requests.len();
        self.append(open)?;
        for _ in 0..8 {
            self.step(open)?;
        }
        let fate = &self.model.requests[number].fate;
        let is_taken = !matches!(fate, Fate::Open | Fate::Refused(_))
            || open.log.state().unavailable.is_some_and(|why| why.contains("max_pinned"));
        must!(is_taken, "all is calm, and the log does not take request {number}: {fate:?}");
        Ok(())
    }

    /// A bit is flipped: the log says so, or shows what is right.
    pub(super) async fn damage(&mut self, mut open: Open) -> Checked {
        self.report.flips += 1;
        if self.rng.u8(..4) == 0
            && let Some((_, file, flip)) = self.disk.flip()
        {
            self.check(&mut open, When::Damaged { is_closed: true }).await?;
            self.disk.flip_back(file, flip);
        }
        let is_closed = self.rng.bool();
        if is_closed {
            self.end_as(End::Closed, open).await?;
        } else {
            self.end_as(End::PowerLoss, open).await?;
            self.disk = self.disk.lose_power();
        }
        self.model.crashed();
        let Some((path, file, flip)) = self.disk.flip() else { return Ok(()) };
        match EmbeddedLog::open_stepped(self.options(), self.disk.clone(), self.salts.u64(..)) {
            Ok((log, steps)) => {
                let mut open = Open { log: Arc::new(log), steps, flight: Vec::new() };
                return self.check(&mut open, When::Damaged { is_closed }).await;
            }
            Err(OpenError::Damaged(damage)) => {
                self.note(|| format!("damage is found: {damage}"));
                must!(path.starts_with("/data"), "{} is none of the log's files", path.display());
            }
            // A bit of a version is one of a version.
            Err(OpenError::Version { .. }) => {}
            Err(error) => return Err(format!("{} is damaged, and the log says: {error:?}", path.display())),
        }
        self.report.damage_found += 1;
        self.disk.flip_back(file, flip);
        let mut open = self.open()?.ok_or("the damage is repaired, and it does not open")?;
        self.check(&mut open, When::Reopened).await
    }
}
