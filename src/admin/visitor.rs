use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use super::error::{Error, Result};
use crate::accounts::Role;
use crate::api::State;
use crate::api::client::Client;
use crate::api::requester::Requester;
use crate::api::session::SignedIn;

/// Whoever is logged in; a handler that takes one is for nobody else.
#[derive(Debug, Clone)]
pub struct Visitor(pub SignedIn);

impl FromRequest for Visitor {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(SignedIn::of(request).map(Self).ok_or(Error::LoginNeeded))
    }
}

impl Visitor {
    pub fn needs(&self, role: Role) -> Result<()> {
        if self.0.role >= role { Ok(()) } else { Err(Error::RoleNeeded(role)) }
    }

    /// For the audit log.
    pub fn requester(&self, state: &web::Data<State>, request: &HttpRequest) -> Requester {
        Requester::new(state, request, Client::User(self.0.id))
    }
}
