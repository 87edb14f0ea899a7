//! Authentication and authorisation of requests. The policy decides; `CurrentUser`, `Staff` and `Admin` repeat in a handler's
//! signature who may call it.

use std::net::SocketAddr;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use shared::{
    Error, Result,
    app::App,
    base::{identity::Identity, network::Network},
    parking::accounts::session,
};

use crate::http::{
    client::Address,
    cookies::Cookie,
    params::UserPath,
    policy::{Access, Policy},
    problem::Problem,
};

const NO_TOKEN: Error = Error::Unauthenticated("log in and send the token as: Authorization: Bearer TOKEN");

/// Any user with an open session.
#[derive(Debug, Clone, Copy)]
pub struct CurrentUser(pub Identity);

/// An attendant or administrator. The lots of an attendant are checked where the lot is known.
#[derive(Debug, Clone, Copy)]
pub struct Staff(pub Identity);

/// An administrator.
#[derive(Debug, Clone, Copy)]
pub struct Admin(pub Identity);

/// The sender of a request.
pub(crate) struct Caller {
    /// Calls with the same key share a rate limit.
    pub(crate) key: String,
    pub(crate) address: Address,
    identity: Result<Identity>,
}

/// Identifies the sender of a request, as far as the route requires.
pub(crate) async fn identify(
    app: &App,
    policy: Policy,
    headers: &HeaderMap,
    peer: Option<SocketAddr>,
) -> Result<Caller> {
    let address = Address::of(&app.config.trusted_proxies, headers, peer);
    // A cookie is sent with requests from any site, so only pages take it; their forms have tokens.
    let token = if policy.is_page { Cookie::Session.read(headers, &app.config) } else { bearer(headers) };
    let identity = match (policy.access, token) {
        (Access::Public, Some(token)) => {
            if let Some(session) = session::session_id(app, token)? {
                return Ok(Caller { key: format!("session:{session}"), address, identity: Err(NO_TOKEN) });
            }
            Err(NO_TOKEN)
        }
        (Access::User | Access::Attendant | Access::Admin, Some(token)) => {
            match session::authenticate(app, token).await {
                // Not the caller's fault, so it must not use up the limit of the address.
                Err(error @ Error::Unavailable(_)) => return Err(error),
                found => found,
            }
        }
        (Access::Anonymous, _) | (_, None) => Err(NO_TOKEN),
    };
    let key = match &identity {
        Ok(identity) => format!("user:{}", identity.user_id),
        Err(_) => format!("address:{}", Network(address.0)),
    };
    Ok(Caller {
        key,
        address,
        identity: identity.map(|identity| Identity { address: address.0, ..identity }),
    })
}

impl Caller {
    /// The identity, where the route needs one.
    pub(crate) fn authorise(self, access: Access) -> Result<Option<Identity>> {
        match access {
            Access::Anonymous | Access::Public => Ok(None),
            Access::User => self.identity.map(Some),
            Access::Attendant => require_staff(self.identity?).map(Some),
            Access::Admin => require_admin(self.identity?).map(Some),
        }
    }
}

fn require_staff(identity: Identity) -> Result<Identity> {
    if identity.is_admin || identity.is_attendant {
        Ok(identity)
    } else {
        Err(Error::Forbidden("only an attendant or an administrator may do this"))
    }
}

fn require_admin(identity: Identity) -> Result<Identity> {
    if identity.must_enrol {
        return Err(Error::Unconfirmed {
            code: "second_factor_missing",
            message: "administrators need a second factor here; turn yours on: POST /api/auth/second-factor",
        });
    }
    if identity.is_admin { Ok(identity) } else { Err(Error::Forbidden("only an administrator may do this")) }
}

/// The token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl<S: Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(*parts.extensions.get::<Identity>().ok_or(NO_TOKEN)?))
    }
}

impl<S: Sync> FromRequestParts<S> for Staff {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let CurrentUser(identity) = CurrentUser::from_request_parts(parts, state).await?;
        Ok(Self(require_staff(identity)?))
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let CurrentUser(identity) = CurrentUser::from_request_parts(parts, state).await?;
        Ok(Self(require_admin(identity)?))
    }
}

impl CurrentUser {
    /// The id of the user in a path, if the caller may act for them.
    pub(crate) fn acting_for(&self, user: UserPath) -> Result<i64> {
        let UserPath::Id(id) = user else { return Ok(self.0.user_id) };
        self.must_be(id).map(|()| id)
    }

    /// Lets the user with this id pass, and administrators.
    pub(crate) fn must_be(&self, user_id: i64) -> Result<()> {
        if self.0.is_admin || self.0.user_id == user_id {
            Ok(())
        } else {
            Err(Error::Forbidden("you may only read and change your own account"))
        }
    }
}
