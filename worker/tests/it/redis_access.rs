//! Redis users with few permissions, and servers that cannot be used.

use std::time::Duration;

use devstack::Redis;
use redis::aio::MultiplexedConnection;
use shared::{
    operations::doctor::{self, Level},
    platform::redis::REGISTER,
};
use testkit::{Engine, Processes, TestApp};

use crate::support::{driver_with, reaches, request_export};

struct Server {
    redis: Redis,
    admin: MultiplexedConnection,
}

impl Server {
    async fn start() -> Self {
        let redis = Redis::start().await.unwrap();
        let client = redis::Client::open(redis.url(0)).unwrap();
        let admin = client.get_multiplexed_async_connection().await.unwrap();
        Self { redis, admin }
    }

    /// ALL_ stands for the rules of all keys, and REGISTER for the one that is not under the prefix.
    async fn set_user(&mut self, rules: &str) {
        let rules = rules.replace("ALL_", "~parkade:* ~REGISTER").replace("REGISTER", REGISTER);
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("pk").arg("reset").arg("on").arg(">p@ss/word#1");
        rules.split(' ').for_each(|rule| {
            command.arg(rule);
        });
        command.exec_async(&mut self.admin).await.unwrap();
    }

    fn url(&self) -> String {
        format!("redis://pk:p%40ss%2Fword%231@127.0.0.1:{}/0", self.redis.port())
    }

    /// The settings of processes that log in as this user.
    async fn app(&self) -> TestApp {
        TestApp::start_with(Engine::Sqlite, &[("REDIS_URL", &self.url()), ("REDIS_PREFIX", "parkade")]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_user_of_the_prefix_runs_jobs() {
    let mut server = Server::start().await;
    server.set_user("ALL_ &parkade:* +@all -@admin -@dangerous +info").await;
    let t = server.app().await;
    let processes = Processes::of(&t, &[]);
    let worker = processes.worker();
    let (_api, _) = processes.api().await;
    let id = request_export(&t, &driver_with(&t, 3).await).await;
    reaches(&t, id, "succeeded").await;
    t.app.redis.check_access().await.unwrap();
    worker.terminate().unwrap();
    assert_eq!(worker.wait(Duration::from_secs(30)).await.unwrap(), Some(0), "{}", worker.log());
    assert!(!worker.log().contains("NOPERM"), "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_redis_permissions_are_named() {
    let mut server = Server::start().await;
    let (t, foreign) = (server.app().await, format!("~{REGISTER}"));
    for (rules, missing) in [
        ("~parkade* &parkade* +@all", foreign.as_str()),
        ("ALL_ &parkade:cancel +@all", "&parkade:*"),
        ("ALL_ &parkade:* +@all -eval", "+eval"),
        ("ALL_ &parkade:* +@all -evalsha -zadd -subscribe", "+evalsha +subscribe +zadd"),
        ("ALL_ &parkade:* +@all -select", "+select"),
        ("~REGISTER ~parkade:job:* &parkade:* +@all", "~parkade:*"),
    ] {
        server.set_user(rules).await;
        let refused = t.second_process(&[]).await.app.redis.check_access().await.unwrap_err().to_string();
        assert!(refused.ends_with(&format!("ACL SETUSER pk {missing}")), "{rules}: {refused}");
    }
    let worker = Processes::of(&t, &[]).worker();
    assert_eq!(worker.wait(Duration::from_secs(30)).await.unwrap(), Some(1), "{}", worker.log());
    assert!(worker.log().contains("ACL SETUSER pk ~parkade:*"), "{}", worker.log());
    let findings = doctor::examine(&t.app.config, &t.app.clock).await;
    let problem =
        findings.iter().find(|found| found.area == "redis" && found.verdict.level == Level::Problem);
    assert!(problem.unwrap().verdict.what.contains("~parkade:*"), "{problem:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_is_refused_with_the_reason() {
    let redis = Redis::start_with(&["--cluster-enabled", "yes"]).await.unwrap();
    let t = TestApp::start_with(Engine::Sqlite, &[("REDIS_PORT", &redis.port().to_string())]).await;
    let refused = t.app.redis.check_access().await.unwrap_err().to_string();
    assert!(refused.contains("Redis Cluster is not supported"), "{refused}");
}
