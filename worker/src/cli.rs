//! `parkade-worker jobs`: what administrators can do over HTTP, on the command line.

use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use shared::{
    app::App,
    base::page::{MAX_LIMIT, Page},
    jobs::{
        Queue,
        control::{self, Dead},
        schedule::Schedule,
    },
    operations::schedules,
    parking::notifications::outage,
    platform::{audit::Actor, config::Config, idempotency::Idempotency},
};
use uuid::Uuid;

use crate::table::{self, Section, section};

/// How long a command waits for Redis at its end. Without it, workers notice changes in the ledger a little later.
const REDIS_TIMEOUT: Duration = Duration::from_secs(1);

/// List and control jobs, queues and schedules (needs only the database)
#[derive(Debug, Args)]
pub struct Jobs {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List queues, running jobs, jobs that will be retried, and the newest dead jobs
    List {
        /// List at most this many jobs to retry, and this many dead jobs
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// List dead jobs older than this one
        #[arg(long, value_name = "ID")]
        after: Option<Uuid>,
    },
    /// Show a job with all its details
    Show {
        /// The id of the job
        id: Uuid,
    },
    /// Retry dead jobs
    Requeue(Which),
    /// Cancel a queued or running job
    Cancel {
        /// The id of the job
        id: Uuid,
    },
    /// Delete dead jobs
    Purge(Which),
    /// Pause a queue or a schedule: no more of its jobs are started
    Pause {
        /// The name of a queue or a schedule
        name: String,
    },
    /// Resume a paused queue or schedule
    Resume {
        /// The name of a queue or a schedule
        name: String,
    },
    /// List schedules with their last and next runs
    Schedules,
    /// After a machine's clock was in the future: let schedules, alerts and abandoned jobs continue now
    RepairTimes,
    /// Run a schedule now
    Run {
        /// The name of the schedule
        name: String,
    },
}

#[derive(Debug, Args)]
#[group(skip)]
struct Which {
    /// The id of a dead job
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<Uuid>,
    /// All dead jobs
    #[arg(long)]
    all: bool,
    /// With --all: only jobs of this kind
    #[arg(long, requires = "all")]
    kind: Option<String>,
}

impl From<Which> for Dead {
    fn from(which: Which) -> Self {
        which.id.map_or(Self::All(which.kind), Self::One)
    }
}

impl Jobs {
    /// Runs the command and prints its result.
    pub async fn run(self, config: Config) -> anyhow::Result<()> {
        let app = App::connect(config).await?;
        let sections = self.command.run(&app).await?;
        app.tasks.close();
        if tokio::time::timeout(REDIS_TIMEOUT, app.tasks.wait()).await.is_err() {
            tracing::info!("Redis is not available; workers will notice the change within a few seconds");
        }
        app.db.close().await;
        table::print(&sections, self.json)
    }
}

impl Command {
    async fn run(self, app: &App) -> anyhow::Result<Vec<Section>> {
        Ok(match self {
            Self::List { limit, after } => {
                let limit = limit.clamp(1, MAX_LIMIT);
                let mut sections = vec![section("queues", control::list_queues(app).await?)?];
                if let Some(outage) = outage::find(&app.db).await? {
                    sections.push(section("mail_server_outage", outage)?);
                }
                sections.push(section("running", control::list_running(app).await?)?);
                sections.push(section("retrying", control::list_retrying(app, limit).await?)?);
                sections.push(section("dead", control::list_dead(app, &Page { limit, after }).await?.items)?);
                sections
            }
            Self::Show { id } => vec![section("job", control::find_details(app, id).await?)?],
            Self::Requeue(which) => {
                vec![section("requeued", control::requeue(app, &Actor::COMMAND_LINE, &which.into()).await?)?]
            }
            Self::Cancel { id } => {
                control::cancel_as_operator(app, &Actor::COMMAND_LINE, id).await?;
                vec![section("cancelled", id)?]
            }
            Self::Purge(which) => {
                vec![section("purged", control::purge(app, &Actor::COMMAND_LINE, &which.into()).await?)?]
            }
            Self::Pause { name } => {
                match named(app, &name)? {
                    Named::Queue(queue) => control::pause_queue(app, &Actor::COMMAND_LINE, queue).await?,
                    Named::Schedule(schedule) => {
                        control::pause_schedule(app, &Actor::COMMAND_LINE, &schedule).await?
                    }
                }
                vec![section("paused", name)?]
            }
            Self::Resume { name } => {
                match named(app, &name)? {
                    Named::Queue(queue) => control::resume_queue(app, &Actor::COMMAND_LINE, queue).await?,
                    Named::Schedule(schedule) => {
                        control::resume_schedule(app, &Actor::COMMAND_LINE, &schedule).await?
                    }
                }
                vec![section("resumed", name)?]
            }
            Self::Schedules => {
                vec![section(
                    "schedules",
                    control::list_schedules(app, &schedules::all(&app.config)?).await?,
                )?]
            }
            Self::RepairTimes => vec![section("repaired", control::repair_times(app).await?)?],
            Self::Run { name } => {
                let Named::Schedule(schedule) = named(app, &name)? else {
                    bail!("{name} is a queue, not a schedule")
                };
                vec![section(
                    "job",
                    control::run_now(app, &Actor::COMMAND_LINE, &schedule, Idempotency::none()).await?,
                )?]
            }
        })
    }
}

/// A queue or a schedule.
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
