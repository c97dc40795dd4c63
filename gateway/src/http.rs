//! `/metrics` and `/healthz`.

use crate::datapath::fault::Fault;
use crate::datapath::snapshot::Counters;
use crate::metrics;
use crate::status::{Shared, Status};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// Connections at a time: whoever opens more waits, and takes no descriptors from the controller.
const CONNECTIONS: usize = 32;
/// How long a connection may take, from its first octet to the last; one request each.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long its request may take to arrive.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

/// Takes the address, before anything else is begun, so that a port in use is known early.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Fault> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        let remedy = "end what listens there, or set `listen` to a free address";
        Fault::new("listen", address, error, remedy)
    })
}

/// The controller's pages.
pub fn pages(status: Shared, counters: Counters) -> Router {
    let state = Arc::new(Page { status, counters: Arc::new(Mutex::new(counters)) });
    Router::new().route("/metrics", get(metrics_page)).route("/healthz", get(health_page)).with_state(state)
}

/// Serves `/metrics` and `/healthz` until the process ends.
pub async fn serve(listener: TcpListener, pages: Router) -> std::io::Result<()> {
    let router = pages.fallback(|| async { (StatusCode::NOT_FOUND, "there are /metrics and /healthz\n") });
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = free.clone().acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely; that passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_PATIENCE)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            // A client that goes away, or takes too long, is its own affair.
            let _ = tokio::time::timeout(PATIENCE, connection).await;
            drop(permit);
        });
    }
}

struct Page {
    status: Shared,
    /// One scrape at a time. It is waited for here, where a client that gave up no longer waits.
    counters: Arc<Mutex<Counters>>,
}

async fn metrics_page(State(page): State<Arc<Page>>) -> Response {
    let counters = page.counters.clone().lock_owned().await;
    let status = page.status.lock().clone();
    // With very many rules this takes a second, in which `/healthz` is to answer all the same.
    match tokio::task::spawn_blocking(move || scrape(&status, &counters)).await {
        Ok(Ok(text)) => exposition(text),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// A page in Prometheus' text format.
#[must_use]
pub fn exposition(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn scrape(status: &Status, counters: &Counters) -> Result<String, String> {
    let zones =
        status.installed.as_ref().map(|installed| installed.zones.keys().copied().collect::<Vec<_>>());
    let slots = std::iter::once(0).chain(zones.unwrap_or_default());
    let snapshot = counters.snapshot(slots).map_err(|fault| fault.to_string())?;
    metrics::render(status, &snapshot).map_err(|error| error.to_string())
}

async fn health_page(State(page): State<Arc<Page>>) -> Response {
    let status = page.status.lock().clone();
    verdict(status.is_healthy(), health(&status))
}

/// An answer of `/healthz`.
#[must_use]
pub fn verdict(is_healthy: bool, json: String) -> Response {
    let code = if is_healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}

fn health(status: &Status) -> String {
    let why = status.interfaces.iter().find_map(|interface| interface.why.clone());
    let why = why.or_else(|| status.installed.is_none().then(|| "no policy is installed yet".to_owned()));
    let body = json!({
        "healthy": status.is_healthy(),
        "why": why,
        "generation": status.installed.as_ref().map(|installed| installed.active.generation()),
        "interfaces": status.interfaces,
    });
    format!("{body}\n")
}
