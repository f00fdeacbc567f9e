//! The pages for people, at `/` and below `/admin/`: rendered here, with JavaScript that only adds to them. docs/ADMIN.md shows them.

mod account;
mod assets;
mod audit;
mod charts;
mod confirm;
mod documents;
mod error;
mod error_page;
mod fields;
mod format;
mod home;
mod login;
mod models;
mod page;
mod queue;
mod settings;
mod throttle;
mod tokens;
mod users;
mod visitor;

use actix_web::guard::{Get, Head};
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/static/{name:.+}").wrap(from_fn(error_page::render)).route(web::get().to(assets::send)),
        )
        .service(web::resource("/favicon.ico").route(web::get().to(assets::favicon)))
        .service(web::resource("/robots.txt").route(web::get().to(assets::robots)))
        .service(
            web::resource("/")
                .wrap(from_fn(error_page::render))
                .route(web::route().guard(actix_web::guard::Any(Get()).or(Head())).to(home::show)),
        )
        .service(
            web::scope("/admin")
                .wrap(from_fn(error_page::render))
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
                .service(web::resource("/queue/").route(web::get().to(queue::show)))
                .service(web::resource("/queue/pause/").route(web::post().to(queue::pause)))
                .service(web::resource("/queue/resume/").route(web::post().to(queue::resume)))
                .service(web::resource("/models/").route(web::get().to(models::show)))
                .service(
                    web::resource("/users/").route(web::get().to(users::show)).route(web::post().to(users::create)),
                )
                .service(web::resource("/users/{id}/role/").route(web::post().to(users::set_role)))
                .service(web::resource("/users/{id}/disable/").route(web::post().to(users::disable)))
                .service(web::resource("/users/{id}/enable/").route(web::post().to(users::enable)))
                .service(web::resource("/users/{id}/password/").route(web::post().to(users::set_password)))
                .service(
                    web::resource("/tokens/").route(web::get().to(tokens::show)).route(web::post().to(tokens::create)),
                )
                .service(web::resource("/tokens/{id}/revoke/").route(web::post().to(tokens::revoke)))
                .service(web::resource("/audit/").route(web::get().to(audit::show)))
                .service(web::resource("/settings/").route(web::get().to(settings::show)))
                .route("/", web::get().to(home::admin))
                .route("", web::get().to(home::admin))
                .default_service(web::to(error_page::nothing)),
        )
        .default_service(web::to(error_page::anywhere_else));
}
