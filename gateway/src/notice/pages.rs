//! The responder's own `/metrics` and `/healthz`.

use super::{State, lock};
use crate::http::{exposition, verdict};
use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;
use std::sync::Arc;

pub(super) fn pages(state: Arc<State>) -> Router {
    let health = state.clone();
    Router::new()
        .route(
            "/metrics",
            get(async move || match state.metrics.render(state.limits.open()) {
                Ok(text) => exposition(text),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
            }),
        )
        .route(
            "/healthz",
            get(async move || {
                let missing = lock(&health.missing).clone();
                let why = missing.first().map(|address| format!("notice: {address}: is not listened on"));
                verdict(why.is_none(), format!("{}\n", json!({"healthy": why.is_none(), "why": why})))
            }),
        )
}
