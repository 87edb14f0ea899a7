//! SMTP: encryption, login, the meaning of each reply, and reuse of connections.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use devstack::{
    Authority, Encryption, MailSink,
    mail::{Options, ReceivedLine},
};
use shared::platform::{
    config::{Config, Sources},
    mailer::{Mail, Mailer, SendError},
};
use tempfile::TempDir;
use tokio::process::Command;

const USER: &str = "parkade";
const PASSWORD: &str = "a password: with ünusual signs";

/// A fake mail server, and the settings for it.
struct Server {
    sink: MailSink,
    settings: BTreeMap<&'static str, String>,
    _folder: TempDir,
}

/// How the server encrypts, and the names in its certificate.
enum Kind<'a> {
    Clear,
    StartTls(&'a str),
    FromStart(&'a str),
}

impl Server {
    async fn start(kind: Kind<'_>) -> Self {
        let (authority, folder) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
        let acceptor = |name: &str| authority.acceptor(&[name]).unwrap();
        let (encryption, tls, ssl) = match kind {
            Kind::Clear => (Encryption::Never, false, false),
            Kind::StartTls(name) => (Encryption::StartTls(acceptor(name)), true, false),
            Kind::FromStart(name) => (Encryption::FromStart(acceptor(name)), true, true),
        };
        let options = Options { encryption, ..login() };
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let sink = MailSink::start_with(address, options).await.unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, authority.pem()).unwrap();
        let settings = BTreeMap::from([
            ("MAIL_SERVER", "localhost".to_owned()),
            ("MAIL_PORT", sink.addr().port().to_string()),
            ("MAIL_USE_TLS", tls.to_string()),
            ("MAIL_USE_SSL", ssl.to_string()),
            ("MAIL_CA_FILE", ca_file.display().to_string()),
            ("MAIL_USERNAME", USER.to_owned()),
            ("MAIL_PASSWORD", PASSWORD.to_owned()),
        ]);
        Self { sink, settings, _folder: folder }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.insert(name, value.to_owned());
        self
    }

    fn mailer(&self) -> Mailer {
        let config = Config::load(Sources::of(self.settings.clone())).unwrap();
        Mailer::from_config(&config.mail).unwrap()
    }

    async fn send(&self) -> Result<(), SendError> {
        self.mailer().send(&mail(1)).await
    }

    /// The first word of each command that the client sent.
    fn verbs(&self) -> Vec<String> {
        let verb = |heard: &ReceivedLine| heard.line.split(' ').next().unwrap().to_owned();
        self.sink.received_lines().iter().map(verb).collect()
    }
}

fn login() -> Options {
    Options { login: Some((USER.into(), PASSWORD.into())), ..Options::default() }
}

fn mail(nth: u32) -> Mail {
    Mail {
        to_name: "Asha".into(),
        to_address: "asha@example.com".into(),
        message_id: format!("{nth}@parkade.example"),
        date: "2026-11-20T13:07:00Z".parse().unwrap(),
        subject: "Hello".into(),
        text: "Hello".into(),
        html: "<p>Hello</p>".into(),
        attachment: None,
        inline: Vec::new(),
        unsubscribe: None,
    }
}

#[tokio::test]
async fn smtp_works_plain_with_starttls_and_with_tls() {
    for (kind, encrypted) in
        [(Kind::Clear, false), (Kind::StartTls("localhost"), true), (Kind::FromStart("localhost"), true)]
    {
        let server = Server::start(kind).await;
        server.send().await.unwrap();
        assert_eq!(server.sink.messages().len(), 1);
        let heard = server.sink.received_lines();
        assert!(heard.iter().any(|heard| heard.line.starts_with("AUTH PLAIN ")));
        let clear: Vec<&str> =
            heard.iter().filter(|heard| !heard.encrypted).map(|heard| &*heard.line).collect();
        let harmless = |line: &&&str| !line.starts_with("EHLO") && **line != "STARTTLS";
        assert_eq!(clear.iter().find(harmless).is_none(), encrypted, "{clear:?}");
    }
}

#[tokio::test]
async fn smtp_auth_login_is_supported() {
    let sink =
        MailSink::start_with("127.0.0.1:0".parse().unwrap(), Options { mechanisms: "AUTH LOGIN", ..login() });
    let (sink, mut server) = (sink.await.unwrap(), Server::start(Kind::Clear).await);
    server.settings.insert("MAIL_PORT", sink.addr().port().to_string());
    server.send().await.unwrap();
    assert!(sink.received_lines().iter().any(|heard| heard.line == "AUTH LOGIN"));
    assert_eq!((sink.messages().len(), server.sink.connections()), (1, 0));
}

#[tokio::test]
async fn missing_starttls_stops_before_login() {
    let server = Server::start(Kind::Clear).await.with("MAIL_USE_TLS", "true");
    let refused = server.send().await.unwrap_err();
    assert!(matches!(&refused, SendError::Setup(why) if why.contains("STARTTLS")), "{refused}");
    assert!(server.verbs().iter().all(|verb| ["EHLO", "QUIT"].contains(&&**verb)), "{:?}", server.verbs());
}

#[tokio::test]
async fn untrusted_smtp_certificate_gets_no_data() {
    let stranger = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stranger.path(), Authority::new().unwrap().pem()).unwrap();
    let stranger = stranger.path().display().to_string();
    for (kind, ca_file) in [
        (Kind::StartTls("mail.elsewhere.test"), None),
        (Kind::FromStart("mail.elsewhere.test"), None),
        (Kind::StartTls("localhost"), Some("")),
        (Kind::FromStart("localhost"), Some("")),
        (Kind::StartTls("localhost"), Some(&*stranger)),
        (Kind::FromStart("localhost"), Some(&*stranger)),
    ] {
        let mut server = Server::start(kind).await;
        if let Some(file) = ca_file {
            server = server.with("MAIL_CA_FILE", file);
        }
        let refused = server.send().await.unwrap_err();
        let says = |why: &str| why.contains("certificate") && why.contains("MAIL_CA_FILE");
        assert!(matches!(&refused, SendError::Setup(why) if says(why)), "{refused}");
        let verbs = server.verbs();
        assert!(verbs.iter().all(|verb| ["EHLO", "STARTTLS"].contains(&&**verb)), "{verbs:?}");
    }
}

#[tokio::test]
async fn invalid_ca_file_stops_the_start() {
    let server = Server::start(Kind::StartTls("localhost")).await;
    let empty = tempfile::NamedTempFile::new().unwrap();
    for file in ["/no/such/file.pem", &empty.path().display().to_string()] {
        let mut settings = server.settings.clone();
        settings.insert("MAIL_CA_FILE", file.to_owned());
        let config = Config::load(Sources::of(settings)).unwrap();
        let error = Mailer::from_config(&config.mail).unwrap_err().chain();
        assert!(error.contains("MAIL_CA_FILE") && error.contains(file), "{error}");
    }
}

/// How the client must classify a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Permanent,
    Temporary,
    NotSent,
    Setup,
    Policy,
    Unknown,
}

impl From<&SendError> for Means {
    fn from(error: &SendError) -> Self {
        match error {
            SendError::Permanent(_) => Self::Permanent,
            SendError::Temporary(_) => Self::Temporary,
            SendError::NotSent(_) => Self::NotSent,
            SendError::Setup(_) => Self::Setup,
            SendError::Policy(_) => Self::Policy,
            SendError::Unknown(_) => Self::Unknown,
        }
    }
}

/// An empty reply closes the connection.
const REPLIES: &[(&str, &[&str], Means)] = &[
    ("GREETING", &["421 busy", "450 later", "", "nonsense"], Means::NotSent),
    ("GREETING", &["554 no mail from here", "521 none"], Means::Setup),
    ("EHLO", &["421 busy", "451 later", "", "nonsense"], Means::NotSent),
    ("EHLO", &["502 what", "550 who are you"], Means::Setup),
    ("AUTH", &["421 busy", "454 4.7.0 later", ""], Means::NotSent),
    ("AUTH", &["535 5.7.8 wrong", "534 5.7.9 too weak", "538 5.7.11 encrypt", "504 no"], Means::Setup),
    ("MAIL", &["421 busy", "451 later", "452 full", "", "nonsense"], Means::NotSent),
    ("MAIL", &["530 5.7.0 log in", "550 not you", "552 full", "553 no such sender"], Means::Setup),
    ("RCPT", &["450 greylisted", "451 later", "452 4.2.2 mailbox full"], Means::Temporary),
    ("RCPT", &["550 5.1.1 none", "551 moved", "552 5.2.2 mailbox full", "553 bad"], Means::Permanent),
    ("RCPT", &["504 5.5.2 Helo command rejected", "530 5.7.0 log in"], Means::Setup),
    ("RCPT", &["554 Relay access denied", "550 5.7.1 relaying denied", "503 log in"], Means::Policy),
    ("RCPT", &["421 busy", "452 4.3.1 disk full", "", "nonsense"], Means::NotSent),
    ("DATA", &["451 later", "452 full"], Means::Temporary),
    ("DATA", &["503 no", "554 no"], Means::Policy),
    ("DATA", &["421 busy", "", "nonsense", "250 go on"], Means::NotSent),
    ("END", &["450 later", "451 later"], Means::Temporary),
    ("END", &["550 no", "552 5.3.4 too big"], Means::Permanent),
    ("END", &["550 5.7.1 spam", "554 no"], Means::Policy),
    ("END", &["421 busy", "452 4.3.1 disk full"], Means::NotSent),
    ("END", &["", "nonsense", "354 go on"], Means::Unknown),
];

#[tokio::test]
async fn smtp_replies_are_classified_by_step() {
    let server = Server::start(Kind::StartTls("localhost")).await;
    for (step, replies, expected) in REPLIES {
        for reply in *replies {
            let (mailer, before) = (server.mailer(), server.sink.messages().len());
            server.sink.fault(step, reply);
            let error = mailer.send(&mail(1)).await.unwrap_err();
            assert_eq!(Means::from(&error), *expected, "{reply:?} to {step}: {error}");
            assert!(!error.to_string().contains('@'), "{error}");
            assert!(
                reply.len() < 4 || *reply == "nonsense" || error.to_string().contains(&reply[..3]),
                "{error}"
            );
            assert_eq!(server.sink.messages().len(), before, "{reply:?} to {step}");
            // Remaining input of that conversation must not be read as a reply in the next one.
            mailer.send(&mail(2)).await.unwrap();
            assert_eq!(server.sink.messages().len(), before + 1, "{reply:?} to {step}");
        }
    }
}

#[tokio::test]
async fn refused_smtp_login_names_the_settings() {
    let server = Server::start(Kind::FromStart("localhost")).await.with("MAIL_PASSWORD", "a-wrong-password");
    let refused = server.send().await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, SendError::Setup(_)), "{text}");
    assert!(text.contains("535") && text.contains("check MAIL_USERNAME and MAIL_PASSWORD"), "{text}");
    assert!(!text.contains("a-wrong-password"));
}

#[tokio::test]
async fn the_ehlo_name_is_a_setting() {
    let server = Server::start(Kind::Clear).await.with("MAIL_EHLO_NAME", "parking.example.com");
    server.send().await.unwrap();
    assert_eq!(server.sink.received_lines()[0].line, "EHLO parking.example.com");
}

#[tokio::test]
async fn smtp_connections_are_pooled_and_dead_ones_dropped() {
    let server = Server::start(Kind::StartTls("localhost")).await;
    let mailer = server.mailer();
    for nth in 0..5 {
        mailer.send(&mail(nth)).await.unwrap();
    }
    assert_eq!((server.sink.connections(), server.sink.messages().len()), (1, 5));
    let all_at_once = (0..40).map(|nth| {
        let mailer = mailer.clone();
        async move { mailer.send(&mail(nth)).await.unwrap() }
    });
    futures::future::join_all(all_at_once).await;
    assert_eq!(server.sink.messages().len(), 45);
    // More would mean that the number of connections is unlimited, and one that mails are sent one by one.
    assert!((2..=8).contains(&server.sink.connections()), "{}", server.sink.connections());
}

#[tokio::test]
async fn closed_smtp_connections_are_replaced() {
    let Server { sink, settings, _folder } = Server::start(Kind::Clear).await;
    let config = Config::load(Sources::of(settings)).unwrap();
    let mailer = Mailer::from_config(&config.mail).unwrap();
    mailer.send(&mail(1)).await.unwrap();
    let address = sink.addr();
    drop(sink);
    let options = login();
    let sink = loop {
        // The dropped server releases its address after a moment.
        match MailSink::start_with(address, options.clone()).await {
            Ok(sink) => break sink,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    mailer.send(&mail(2)).await.unwrap();
    assert_eq!((sink.connections(), sink.messages().len()), (1, 1));
}

/// Runs the command and returns its exit code and output.
async fn test_email(settings: &BTreeMap<&'static str, String>, folder: &Path) -> (i32, String) {
    let run = Command::new(testkit::binary("parkade-worker"))
        .args(["test-email", "asha@example.com"])
        .env_clear()
        .envs(settings)
        .env("LOG_LEVEL", "trace")
        .current_dir(folder)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(30), run).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn test_email_reports_each_step_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Kind::StartTls("localhost")).await;
    let (code, good) = test_email(&server.settings, folder.path()).await;
    assert_eq!(code, 0, "{good}");
    let steps = ["responds", "is encrypted", "login succeeded", "accepted the mail", "on its way"];
    let places: Vec<usize> = steps.iter().map(|step| good.find(step).expect(step)).collect();
    assert!(places.is_sorted(), "{good}");
    assert_eq!(server.sink.messages()[0].to, ["asha@example.com"]);

    let wrong = server.with("MAIL_PASSWORD", "a-wrong-password");
    let (code, refused) = test_email(&wrong.settings, folder.path()).await;
    assert_eq!(code, 1, "{refused}");
    assert!(refused.contains("is encrypted") && refused.contains("535"), "{refused}");
    assert!(refused.contains("check MAIL_USERNAME and MAIL_PASSWORD"), "{refused}");

    let logins = wrong
        .sink
        .received_lines()
        .into_iter()
        .filter_map(|heard| Some(heard.line.strip_prefix("AUTH PLAIN ")?.to_owned()));
    let secrets: Vec<String> = logins.chain([PASSWORD.to_owned(), "a-wrong-password".to_owned()]).collect();
    assert_eq!(secrets.len(), 4);
    for secret in secrets {
        assert!(!good.contains(&secret) && !refused.contains(&secret), "{secret}");
    }

    let mut settings = wrong.settings.clone();
    settings.remove("MAIL_CA_FILE");
    drop(wrong);
    let (code, away) = test_email(&settings, folder.path()).await;
    assert!(code == 1 && away.contains("cannot be reached") && away.contains("check MAIL_SERVER"), "{away}");
    let (code, file) = test_email(&BTreeMap::new(), folder.path()).await;
    assert!(code == 0 && file.contains("MAIL_SERVER is not set"), "{file}");
}
