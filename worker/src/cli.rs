//! `parkade-worker jobs`: what administrators can do over HTTP, for whoever has the command line.

use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use shared::{
    app::App,
    base::page::{MAX_LIMIT, Page},
    jobs::{
        Queue, board,
        control::{self, Dead},
        schedule::Schedule,
    },
    operations::schedules,
    platform::{config::Config, idempotency::Idempotency},
};
use uuid::Uuid;

use crate::table::{self, Section, section};

/// A Redis that is away delays a command for no longer; what it is not told, the workers find out by themselves.
const FAREWELL: Duration = Duration::from_secs(1);

/// See and steer jobs. Needs the database only.
#[derive(Debug, Args)]
pub struct Jobs {
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Queues, running jobs, and the newest dead ones.
    List {
        /// At most so many dead jobs.
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// Dead jobs older than this one.
        #[arg(long)]
        after: Option<Uuid>,
    },
    /// All about one job.
    Show {
        /// The job.
        id: Uuid,
    },
    /// Let dead jobs begin anew.
    Requeue(Which),
    /// End a job that waits or runs.
    Cancel {
        /// The job.
        id: Uuid,
    },
    /// Remove dead jobs for good.
    Purge(Which),
    /// Take no more jobs from a queue, or let the ticks of a schedule pass.
    Pause {
        /// Of a queue or a schedule.
        name: String,
    },
    /// The opposite.
    Resume {
        /// Of a queue or a schedule.
        name: String,
    },
    /// Schedules with their last and next run.
    Schedules,
    /// Run a schedule now.
    Run {
        /// The schedule.
        name: String,
    },
}

#[derive(Debug, Args)]
#[group(skip)]
struct Which {
    /// One job.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<Uuid>,
    /// All that are dead.
    #[arg(long)]
    all: bool,
    /// With --all: those of this kind.
    #[arg(long, requires = "all")]
    kind: Option<String>,
}

impl From<Which> for Dead {
    fn from(which: Which) -> Self {
        which.id.map_or(Self::All(which.kind), Self::One)
    }
}

impl Jobs {
    /// Does what was asked for and prints what came of it.
    ///
    /// # Errors
    /// When there is no such thing, it cannot be done, or the database is away.
    pub async fn run(self, config: Config) -> anyhow::Result<()> {
        let app = App::connect(config).await?;
        let sections = self.command.run(&app).await?;
        app.tasks.close();
        if tokio::time::timeout(FAREWELL, app.tasks.wait()).await.is_err() {
            tracing::info!("Redis is away; the workers will find out by themselves");
        }
        app.db.close().await;
        table::print(&sections, self.json)
    }
}

impl Command {
    async fn run(self, app: &App) -> anyhow::Result<Vec<Section>> {
        Ok(match self {
            Self::List { limit, after } => {
                let dead = board::dead(app, &Page { limit: limit.clamp(1, MAX_LIMIT), after }).await?;
                vec![
                    section("queues", board::queues(app).await?)?,
                    section("running", board::running(app).await?)?,
                    section("dead", dead.items)?,
                ]
            }
            Self::Show { id } => vec![section("job", board::whole(app, id).await?)?],
            Self::Requeue(which) => {
                vec![section("requeued", control::requeue(app, None, &which.into()).await?)?]
            }
            Self::Cancel { id } => {
                control::cancel(app, None, id).await?;
                vec![section("cancelled", id)?]
            }
            Self::Purge(which) => vec![section("purged", control::purge(app, None, &which.into()).await?)?],
            Self::Pause { name } => {
                match named(app, &name)? {
                    Named::Queue(queue) => control::pause_queue(app, None, queue).await?,
                    Named::Schedule(schedule) => control::pause_schedule(app, None, &schedule).await?,
                }
                vec![section("paused", name)?]
            }
            Self::Resume { name } => {
                match named(app, &name)? {
                    Named::Queue(queue) => control::resume_queue(app, None, queue).await?,
                    Named::Schedule(schedule) => control::resume_schedule(app, None, &schedule).await?,
                }
                vec![section("resumed", name)?]
            }
            Self::Schedules => {
                vec![section("schedules", board::schedules(app, &schedules::all(&app.config)?).await?)?]
            }
            Self::Run { name } => {
                let Named::Schedule(schedule) = named(app, &name)? else {
                    bail!("{name} is a queue, no schedule")
                };
                vec![section("job", control::run_now(app, None, &schedule, Idempotency::none()).await?)?]
            }
        })
    }
}

/// What has a name.
enum Named {
    Queue(Queue),
    Schedule(Box<Schedule>),
}

fn named(app: &App, name: &str) -> anyhow::Result<Named> {
    if let Some(queue) = Queue::named(name) {
        return Ok(Named::Queue(queue));
    }
    let schedules = schedules::all(&app.config)?;
    let names = Queue::ALL.map(Queue::name).into_iter().chain(schedules.iter().map(|schedule| schedule.name));
    let names = names.collect::<Vec<_>>().join(", ");
    match schedules.into_iter().find(|schedule| schedule.name == name) {
        Some(schedule) => Ok(Named::Schedule(Box::new(schedule))),
        None => bail!("there is no queue or schedule called {name:?}; there are {names}"),
    }
}
