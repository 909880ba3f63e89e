//! The kube adapter: kubeconfigs good and bad, and that its clients pass the gate.

use std::path::Path;

use k8s_upgrade::adapters::{Proxies, RealKube};
use k8s_upgrade::permit::{ChangeClass, Gate, Permit};
use k8s_upgrade::world::{Env, KubeConnection, KubeSource, KubeTarget};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn real() -> RealKube {
    RealKube::new(&Env::new(), Ok(Proxies::default()))
}

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: homelab\n\
         clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: u, user: {{token: secret}}}}]\n\
         contexts: [{{name: homelab, context: {{cluster: c, user: u}}}}, {{name: broken, context: {{cluster: gone, user: u}}}}]\n"
    )
}

fn connect(path: &Path, context: Option<&str>) -> Result<KubeConnection, String> {
    wanted(path, &KubeTarget { context: context.map(|name| name.parse().unwrap()), ..KubeTarget::default() })
}

fn wanted(path: &Path, target: &KubeTarget) -> Result<KubeConnection, String> {
    let target = KubeTarget { kubeconfig: Some(path.to_owned()), ..target.clone() };
    run(async { real().connect(&target, Gate).await })
}

fn error(path: &Path, context: Option<&str>) -> String {
    connect(path, context).map(|_| ()).unwrap_err()
}

#[test]
fn errors_name_the_file_and_the_context() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let absent = error(&file, None);
    assert!(absent.contains(file.to_str().unwrap()), "{absent}");
    std::fs::write(&file, "][").unwrap();
    let garbage = error(&file, None);
    assert!(garbage.contains(file.to_str().unwrap()), "{garbage}");
    std::fs::write(&file, kubeconfig("https://10.0.0.1:6443")).unwrap();
    let unknown = error(&file, Some("work"));
    assert!(unknown.contains("no context work (known: homelab, broken)"), "{unknown}");
    let broken = error(&file, Some("broken"));
    assert!(broken.contains("context broken"), "{broken}");
    std::fs::write(&file, kubeconfig("https://10.0.0.1:6443").replace("current-context: homelab\n", "")).unwrap();
    let none = error(&file, None);
    assert!(none.contains("no current context") && none.contains("--context"), "{none}");
}

#[test]
fn a_connection_says_where_it_leads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, kubeconfig("https://10.0.0.1:6443")).unwrap();
    let target = KubeTarget { kubeconfig: Some(file), ..KubeTarget::default() };
    let connection = run(async { real().connect(&target, Gate).await }).unwrap();
    assert_eq!((connection.place.as_str(), connection.in_cluster), ("https://10.0.0.1:6443 (context homelab)", false));
}

/// Two of each, of which the context names the first; only the second can be told by its address.
const TWO: &str = "apiVersion: v1\nkind: Config\n\
    clusters: [{name: c, cluster: {server: 'https://10.0.0.1:6443'}}, {name: d, cluster: {server: 'https://10.0.0.2:6443'}}]\n\
    users: [{name: u, user: {token: 'not\ta token'}}, {name: v, user: {token: secret, as: ann}}]\n\
    contexts: [{name: homelab, context: {cluster: c, user: u}}]\n";

#[test]
fn a_cluster_and_a_user_are_taken_instead_of_the_contexts_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, TWO).unwrap();
    let name = |text: &str| Some(text.parse().unwrap());
    let of = |context: &str, cluster: &str, user: &str| {
        let given = |text: &str| if text.is_empty() { None } else { name(text) };
        let target = KubeTarget { context: given(context), cluster: given(cluster), user: given(user), ..KubeTarget::default() };
        wanted(&file, &target).map(|connection| connection.place)
    };
    let place = "https://10.0.0.2:6443 (context homelab, cluster d, user v, as ann)";
    assert_eq!(of("homelab", "d", "v"), Ok(place.to_owned()));
    assert_eq!(of("homelab", "", "v"), Ok("https://10.0.0.1:6443 (context homelab, user v, as ann)".to_owned()));
    // Whoever names the cluster needs no context; without one the user is nobody, as to kubectl.
    assert_eq!(of("", "d", ""), Ok("https://10.0.0.2:6443 (cluster d)".to_owned()));
    assert!(of("", "", "v").unwrap_err().contains("has no current context"));
    assert!(of("homelab", "gone", "v").unwrap_err().ends_with("config has no cluster gone (known: c, d)"));
    assert!(of("homelab", "d", "gone").unwrap_err().ends_with("config has no user gone (known: u, v)"));
}

#[test]
fn groups_without_a_user_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, TWO).unwrap();
    let name = |text: &str| Some(text.parse().unwrap());
    let target = KubeTarget { cluster: name("d"), as_groups: vec!["ops".parse().unwrap()], ..KubeTarget::default() };
    let why = wanted(&file, &target).map(drop).unwrap_err();
    assert!(why.contains("--as-group needs --as"), "{why}");
    // The kubeconfig's own will do.
    wanted(&file, &KubeTarget { user: name("v"), ..target }).unwrap();
}

#[test]
fn the_api_server_hears_who_asks_and_as_whom() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let headers = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 65536];
            let count = socket.read(&mut buffer).await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").await.unwrap();
            let request = String::from_utf8_lossy(&buffer[..count]).to_lowercase();
            let tells = |line: &&str| line.starts_with("impersonate-") || line.starts_with("user-agent:");
            let mut said: Vec<String> = request.lines().filter(tells).map(str::to_owned).collect();
            said.sort();
            said
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, kubeconfig(&server)).unwrap();
        let name = |text: &str| text.parse().unwrap();
        let (as_user, as_groups) = (Some(name("ann")), vec![name("system:authenticated"), name("ops")]);
        let target = KubeTarget { kubeconfig: Some(file), as_user, as_groups, ..KubeTarget::default() };
        let connection = real().connect(&target, Gate).await.unwrap();
        assert_eq!(connection.place, format!("{server} (context homelab, as ann)"));
        connection.client.request_text(http::Request::get("/api").body(Vec::new()).unwrap()).await.unwrap();
        let agent = concat!("user-agent: k8s-upgrade/", env!("CARGO_PKG_VERSION"));
        let wanted = ["impersonate-group: ops", "impersonate-group: system:authenticated", "impersonate-user: ann", agent];
        assert_eq!(headers.await.unwrap(), wanted);
    });
}

#[test]
fn a_change_without_a_permit_never_leaves_and_a_429_is_seen_at_once() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let requests = tokio::spawn(async move {
            let mut seen = Vec::new();
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 65536];
            let count = socket.read(&mut buffer).await.unwrap();
            seen.push(String::from_utf8_lossy(&buffer[..count]).lines().next().unwrap().to_owned());
            let body =
                r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"TooManyRequests","code":429}"#;
            let answer =
                format!("HTTP/1.1 429 Too Many Requests\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            socket.write_all(answer.as_bytes()).await.unwrap();
            seen
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, kubeconfig(&server)).unwrap();
        let target = KubeTarget { kubeconfig: Some(file), ..KubeTarget::default() };
        let client = real().connect(&target, Gate).await.unwrap().client;

        let post = || http::Request::post("/api/v1/namespaces").body(b"{}".to_vec()).unwrap();
        let refused = client.request_text(post()).await.unwrap_err();
        assert!(format!("{refused:?}").contains("NoPermit"), "{refused:?}");

        let permit = Permit { class: ChangeClass::Settle, step: "test".into() };
        let answered = permit.scope(client.request_text(post())).await.unwrap_err();
        assert!(matches!(&answered, kube::Error::Api(status) if status.code == 429), "{answered:?}");
        assert_eq!(requests.await.unwrap(), ["POST /api/v1/namespaces HTTP/1.1"], "one request and no retry");
    });
}
