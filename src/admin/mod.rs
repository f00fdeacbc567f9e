//! The pages for people, at `/` and below `/admin/`: rendered here, with JavaScript that only adds to them. docs/ADMIN.md shows them.

mod account;
mod assets;
mod confirm;
mod documents;
mod error;
mod fields;
mod format;
mod home;
mod login;
mod page;
mod throttle;
mod visitor;

use actix_web::guard::{Get, Head};
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(web::resource("/static/{name:.+}").route(web::get().to(assets::send)))
        .service(web::resource("/favicon.ico").route(web::get().to(assets::favicon)))
        .service(web::resource("/robots.txt").route(web::get().to(assets::robots)))
        .service(
            web::resource("/")
                .wrap(from_fn(error::render))
                .route(web::route().guard(actix_web::guard::Any(Get()).or(Head())).to(home::show)),
        )
        .service(
            web::scope("/admin")
                .wrap(from_fn(error::render))
                .service(
                    web::resource("/login/").route(web::get().to(login::show)).route(web::post().to(login::log_in)),
                )
                .service(
                    web::resource("/logout/").route(web::get().to(login::ask)).route(web::post().to(login::log_out)),
                )
                .service(
                    web::resource("/account/")
                        .route(web::get().to(account::show))
                        .route(web::post().to(account::change_password)),
                )
                .configure(documents::configure)
                .route("/", web::get().to(home::admin))
                .route("", web::get().to(home::admin))
                .default_service(web::to(error::nothing)),
        )
        .default_service(web::to(error::anywhere_else));
}
