//! The Kubernetes manifest: Kubernetes knows each of its keys, `gate25` understands what is in it, and what the one needs
//! the other gives.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use clap::Parser as _;
use gate25::cli::{Cli, Format};
use gate25::command::check;
use gate25::config::Config;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Namespace, PodSpec};
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every object of the manifest.
fn objects() -> Vec<Value> {
    let manifest = file("deploy/kubernetes/daemonset.yaml");
    serde_yaml::Deserializer::from_str(&manifest)
        .map(|object| Value::deserialize(object).expect("YAML"))
        .collect()
}

/// As Kubernetes reads it; what it does not know would be lost on the way.
fn strict<T: DeserializeOwned + Serialize>(object: &Value) -> T {
    let read = T::deserialize(object).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    assert_eq!(&serde_json::to_value(&read).expect("JSON"), object);
    read
}

struct Manifest {
    namespace: String,
    maps: BTreeMap<String, BTreeMap<String, String>>,
    pod: PodSpec,
}

impl Manifest {
    fn read() -> Self {
        let (mut namespaces, mut maps, mut pods) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut within = Vec::new();
        for object in objects() {
            within.push(object["metadata"]["namespace"].as_str().map(str::to_owned));
            match object["kind"].as_str() {
                Some("Namespace") => {
                    within.pop();
                    namespaces.extend(strict::<Namespace>(&object).metadata.name);
                }
                Some("ConfigMap") => {
                    let map: ConfigMap = strict(&object);
                    maps.insert(map.metadata.name.expect("a name"), map.data.expect("files"));
                }
                Some("DaemonSet") => {
                    let spec = strict::<DaemonSet>(&object).spec.expect("a spec");
                    assert_eq!(
                        spec.selector.match_labels,
                        spec.template.metadata.expect("labels").labels,
                        "a set must select its own pods"
                    );
                    pods.extend(spec.template.spec);
                }
                kind => panic!("{kind:?}"),
            }
        }
        let [namespace] = &namespaces[..] else { panic!("{namespaces:?}") };
        assert!(within.iter().all(|within| within.as_ref() == Some(namespace)), "{within:?}");
        assert_eq!((pods.len(), maps.len()), (1, 2));
        Self { namespace: namespace.clone(), maps, pod: pods.remove(0) }
    }

    fn container(&self, name: &str) -> &Container {
        self.pod.containers.iter().find(|container| container.name == name).expect(name)
    }

    fn config(&self) -> Config {
        let config: Config = serde_yaml::from_str(&self.maps["gate25-node"]["gate25.yaml"]).expect("a node");
        config.checked().expect("a configuration")
    }

    /// What a container finds at a path: the volume in short, whether it is read-only, and the path in it.
    fn at(&self, container: &Container, path: &Path) -> (String, bool, PathBuf) {
        let mounts = container.volume_mounts.iter().flatten();
        let (mount, rest) = mounts
            .filter_map(|mount| Some((mount, path.strip_prefix(&mount.mount_path).ok()?)))
            .max_by_key(|(mount, _)| mount.mount_path.len())
            .unwrap_or_else(|| panic!("{}: nothing is mounted for {}", container.name, path.display()));
        let volume = self.pod.volumes.iter().flatten().find(|volume| volume.name == mount.name);
        let volume = volume.unwrap_or_else(|| panic!("{}: no such volume", mount.name));
        let source = match (&volume.config_map, &volume.host_path, &volume.empty_dir) {
            (Some(map), None, None) => format!("map {}", map.name),
            (None, Some(host), None) => format!("host {}", host.path),
            (None, None, Some(_)) => "empty".to_owned(),
            _ => panic!("{volume:?}"),
        };
        (source, mount.read_only == Some(true), rest.to_owned())
    }
}

#[test]
fn kubernetes_knows_every_key() {
    assert_eq!(Manifest::read().namespace, "gate25");
}

#[test]
fn its_policy_is_right() {
    let manifest = Manifest::read();
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in &manifest.maps["gate25-policy"] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let options = check::Options { policy: folder.path(), offline: true, at: None, format: Format::Text };
    let is_valid = check::check(options, &mut out, &mut err).expect("memory");
    let said = String::from_utf8_lossy(&err);
    // That IPv6 subscribers get a reset is what an example with one endpoint is to have said.
    let others =
        said.lines().filter(|line| line.starts_with("warning: ") && !line.contains("the only endpoint"));
    assert!(is_valid && others.count() == 0, "{said}");
}

/// What is written lies where it may be written, and outlives the pod where it has to.
#[test]
fn paths_of_the_configuration_are_mounted() {
    let (manifest, config) = (Manifest::read(), Manifest::read().config());
    let [gate, notice] = ["gate25", "notice"].map(|name| manifest.container(name));
    let at = |path: &Path| {
        let (source, read_only, rest) = manifest.at(gate, path);
        (source, read_only, rest.display().to_string())
    };
    let file = |source: &str, read_only, rest: &str| (source.to_owned(), read_only, rest.to_owned());
    // The node's own `gate25 detach` finds the pins at the default.
    assert_eq!(at(&config.pin), file("host /sys/fs/bpf", false, "gate25"));
    assert_eq!(at(&config.state), file("host /var/lib/gate25", false, ""));
    assert_eq!(at(&config.control), file("empty", false, "control.sock"));
    assert_eq!(at(&config.policy), file("map gate25-policy", true, ""));
    // AppArmor's profile for containers denies writing below /sys.
    assert!(!config.pin.starts_with("/sys"));
    for (container, verb) in [(gate, "run"), (notice, "notice")] {
        let args = container.args.as_deref().expect("arguments");
        Cli::try_parse_from([&["gate25".to_owned()], args].concat()).expect("a command");
        assert_eq!((&*args[0], &*args[1]), (verb, "--config"));
        assert_eq!(
            manifest.at(container, args[2].as_ref()),
            ("map gate25-node".into(), true, "gate25.yaml".into())
        );
        assert_eq!(manifest.at(container, &config.control).0, "empty");
        assert_eq!(manifest.at(container, &config.policy).0, "map gate25-policy");
        let ready =
            container.readiness_probe.as_ref().and_then(|probe| probe.http_get.as_ref()).expect("a probe");
        let port = if verb == "run" { config.listen.port() } else { 9126 };
        assert_eq!((ready.path.as_deref(), i64::from(port)), (Some("/healthz"), int(&ready.port)));
        assert_eq!(ready.host, Some(config.listen.ip().to_string()));
    }
}

fn int(port: &k8s_openapi::apimachinery::pkg::util::intstr::IntOrString) -> i64 {
    serde_json::to_value(port).expect("JSON").as_i64().expect("a number")
}

/// No more than is needed.
#[test]
fn containers_have_no_other_privilege() {
    let manifest = Manifest::read();
    let pod = manifest.pod.security_context.as_ref().expect("a security context");
    assert_eq!(pod.seccomp_profile.as_ref().map(|profile| &*profile.type_), Some("RuntimeDefault"));
    assert_eq!(manifest.pod.automount_service_account_token, Some(false));
    assert_eq!(
        (manifest.pod.host_network, manifest.pod.host_pid, manifest.pod.host_ipc),
        (Some(true), None, None)
    );
    for (name, user, wanted) in [("gate25", 0, &["BPF", "NET_ADMIN", "PERFMON"][..]), ("notice", 25025, &[])]
    {
        let context = manifest.container(name).security_context.as_ref().expect("a security context");
        let capabilities = context.capabilities.as_ref().expect("capabilities");
        assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]), "{name}");
        assert_eq!(capabilities.add.as_deref().unwrap_or_default(), wanted, "{name}");
        assert_eq!(context.allow_privilege_escalation, Some(false), "{name}");
        assert_eq!(context.read_only_root_filesystem, Some(true), "{name}");
        assert_eq!((context.run_as_user, context.privileged), (Some(user), None), "{name}");
    }
    // The socket is made in a folder of that group, which the image calls gate25.
    let group = pod.fs_group.expect("a group");
    let recipe = file("deploy/container/Containerfile");
    assert!(
        recipe.contains(&format!("gate25:x:{group}:\\n"))
            && recipe.contains(&format!("USER {group}:{group}"))
    );
}
